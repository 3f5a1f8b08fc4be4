//! The Unix socket, and the rule about addresses.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use tokio::net::UnixStream;

use super::*;
use crate::unix_socket::SocketError;

#[tokio::test]
async fn the_servers_own_user_is_admin_at_the_unix_socket() {
    let (server, path, _folder) = with_socket().await;
    let user = nix::unistd::geteuid();
    let answer = answer_over(UnixStream::connect(&path).await.unwrap(), request("POST", "/admin", &[])).await;
    assert_eq!(answer.body, format!("user {user} 0"));
    let answer = answer_over(UnixStream::connect(&path).await.unwrap(), request("GET", "/from", &[])).await;
    assert_eq!(answer.body, format!("unix socket, process {}", std::process::id()));
    drop(server);
}

#[tokio::test]
async fn a_token_counts_more_than_the_user_at_the_unix_socket() {
    let (server, path, _folder) = with_socket().await;
    let by_reader = request_by(&server.tokens.read, "POST", "/admin");
    assert_eq!(answer_over(UnixStream::connect(&path).await.unwrap(), by_reader).await.status, 403);
    let by_nobody = request_by("pgt_wrong", "POST", "/admin");
    assert_eq!(answer_over(UnixStream::connect(&path).await.unwrap(), by_nobody).await.status, 401);
}

#[tokio::test]
async fn the_unix_socket_is_its_owners_alone_and_goes_with_the_server() {
    let (server, path, _folder) = with_socket().await;
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    server.stop.send(()).unwrap();
    within(server.task).await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn a_socket_that_a_killed_server_left_behind_is_replaced_and_a_served_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    drop(UnixListener::bind(&path).unwrap());
    let server = Running::with(|options| options.listeners = vec![Listen::Unix(path.clone())]).await;
    let stream = UnixStream::connect(&path).await.unwrap();
    assert_eq!(answer_over(stream, request("GET", "/open", &[])).await.body, "open");
    let second = bind(Listen::Unix(path)).await;
    assert!(matches!(second, Err(BindError::Socket(SocketError::InUse { .. }))), "{second:?}");
    drop(server);
}

#[tokio::test]
async fn nothing_is_served_in_clear_beyond_loopback() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:192.0.2.1]:0"] {
        let refused = bind(Listen::Plain(address.parse().unwrap())).await;
        assert!(matches!(refused, Err(BindError::PlainBeyondLoopback { .. })), "{address}: {refused:?}");
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let server = Running::start().await;
    let refused = bind(Listen::Plain(server.addresses[0])).await.unwrap_err();
    assert!(refused.to_string().starts_with(&format!("cannot listen at {}: ", server.addresses[0])), "{refused}");
}

async fn with_socket() -> (Running, PathBuf, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run/api.sock");
    let server = Running::with(|options| options.listeners = vec![Listen::Unix(path.clone())]).await;
    (server, path, folder)
}

async fn bind(listen: Listen) -> Result<Server, BindError> {
    Server::bind(ServerOptions {
        listeners: vec![listen],
        audit: None,
        callers: Callers::default(),
        requests_per_second: NonZeroU32::MIN,
        content_security_policy: "",
        bounds: Bounds::default(),
    })
    .await
}

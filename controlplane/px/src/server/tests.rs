//! One node in this process, with a real socket.

use std::fs;
use std::time::Duration;

use photongate_net::pki::{Host, Pki, Role, Site, Wanted};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_answers_nobody_before_all_of_it_is_there() {
    let folder = TempDir::new().unwrap();
    let pki = folder.path().join("pki");
    fs::create_dir(&pki).unwrap();
    let name = "px-1.example".to_owned();
    let wanted = Wanted { hosts: vec![Host::Name(name.clone())], name, role: Role::Px, days: 90 };
    let site = Site { authority: "test".to_owned(), years: 1, certificates: vec![wanted] };
    Pki::new(site, &pki).init(photongate_net::now()).unwrap();
    let config = PxConfig::parse(&folder.path().join("px.toml"), CONFIG).unwrap_or_else(|error| panic!("{error}"));
    let px = Px::start(config.config).await.unwrap();

    let mut client = UnixStream::connect(folder.path().join("px.sock")).await.unwrap();
    client.write_all(b"{\"op\": \"status\"}\n").await.unwrap();
    let mut answer = [0; 4_096];
    let early = timeout(Duration::from_millis(300), client.read(&mut answer)).await;
    assert!(early.is_err(), "its other ways in may not be there yet: {early:?}");
    let running = tokio::spawn(px.run(std::future::pending()));
    let read = timeout(Duration::from_secs(60), client.read(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]);
    assert!(answer.contains("\"ok\":true"), "{answer}");
    running.abort();
}

const CONFIG: &str = r#"
    socket = "px.sock"
    state = { directory = "state" }
    api = { enabled = false }
    servers = [{ addr = "127.0.0.1:9", server_name = "px-2.example" }]
    [me]
    id = "px-1.example"
    addr = "127.0.0.1:0"
    tls_config_info = { cert_path = "pki/px-1.example.pem", key_path = "pki/px-1.example-key.pem", ca_cert_path = "pki/ca.pem" }
"#;

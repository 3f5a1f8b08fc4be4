//! Handshakes between a client and a server.

use std::fs;
use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::tls::testing::{Authority, Folder};
use crate::tls::{ClientCertificates, ServerTls, TlsFiles};

#[tokio::test]
async fn a_server_of_the_expected_name_is_spoken_to() {
    let site = Site::new();
    let client = site.client(None, Some("CN=qks-b"));
    assert_eq!(site.greet(&client, "qks-b").await.unwrap(), None);
}

#[tokio::test]
async fn another_server_of_the_same_authority_is_refused_by_the_name_it_shows() {
    let site = Site::new();
    let client = site.client(None, Some("CN=qks-c"));
    let error = site.greet(&client, "qks-b").await.unwrap_err().to_string();
    assert!(error.contains("the server that answers is CN=qks-b SAN:qks-b, and not CN=qks-c"), "{error}");
}

#[tokio::test]
async fn the_expected_name_does_not_stand_in_for_the_name_that_was_called() {
    let site = Site::new();
    let client = site.client(None, Some("CN=qks-b"));
    let error = site.greet(&client, "elsewhere.example").await.unwrap_err().to_string();
    assert!(error.contains("not valid for name"), "{error}");
}

#[tokio::test]
async fn a_server_of_an_unknown_authority_is_refused() {
    let site = Site::new();
    let ca = site.folder.file("other.pem", &Authority::new("other").certificate());
    let client = ClientTls::load(ClientTlsFiles { ca, identity: None, expected: None }).unwrap();
    let error = site.greet(&client, "qks-b").await.unwrap_err().to_string();
    assert!(error.contains("UnknownIssuer"), "{error}");
}

#[tokio::test]
async fn the_client_shows_its_certificate_if_it_has_one() {
    let site = Site::new();
    let identity = site.folder.identity("client", &site.authority, "qks-a");
    let client = site.client(Some(identity), Some("SAN:qks-b"));
    assert_eq!(site.greet(&client, "qks-b").await.unwrap().as_deref(), Some("CN=qks-a SAN:qks-a"));
    assert_eq!(client.not_after(), Some(UnixNanos(4_070_908_800_000_000_000)));
}

#[tokio::test]
async fn whoever_has_the_configuration_connects_with_exchanged_files_after_a_reload() {
    let site = Site::new();
    let identity = site.folder.identity("client", &site.authority, "qks-a");
    let client = site.client(Some(identity), None);
    let before = client.config();
    assert_eq!(site.greet(&client, "qks-b").await.unwrap().as_deref(), Some("CN=qks-a SAN:qks-a"));
    site.folder.identity("client", &site.authority, "qks-a2");
    client.reload().unwrap();
    assert!(Arc::ptr_eq(&before, &client.config()));
    assert_eq!(site.greet(&client, "qks-b").await.unwrap().as_deref(), Some("CN=qks-a2 SAN:qks-a2"));

    site.folder.file("ca.pem", &Authority::new("other").certificate());
    client.reload().unwrap();
    assert!(site.greet(&client, "qks-b").await.unwrap_err().to_string().contains("UnknownIssuer"));
}

#[tokio::test]
async fn files_that_are_no_good_leave_what_was_read_before() {
    let site = Site::new();
    let client = site.client(None, None);
    fs::write(&client.files.ca, "broken").unwrap();
    assert!(matches!(client.reload().unwrap_err().mistake, Mistake::NoCertificate));
    assert_eq!(site.greet(&client, "qks-b").await.unwrap(), None);
}

/// A server called `qks-b`, and the authority that it and its clients have in common.
struct Site {
    folder: Folder,
    authority: Authority,
    server: ServerTls,
}

impl Site {
    fn new() -> Self {
        let (folder, authority) = (Folder::new(), Authority::new("ca"));
        let ca = folder.file("ca.pem", &authority.certificate());
        let (certificate, key) = folder.identity("server", &authority, "qks-b");
        let clients = ClientCertificates::Optional(ca);
        let server = ServerTls::load(TlsFiles { certificate, key, clients }).unwrap();
        Self { folder, authority, server }
    }

    fn client(&self, identity: Option<(PathBuf, PathBuf)>, expected: Option<&str>) -> ClientTls {
        let expected = expected.map(|name| name.parse().unwrap());
        ClientTls::load(ClientTlsFiles { ca: self.folder.path("ca.pem"), identity, expected }).unwrap()
    }

    /// Connects to the server, calling it `name`, and returns whom it takes the client for.
    async fn greet(&self, client: &ClientTls, name: &str) -> io::Result<Option<String>> {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (client, server) = tokio::join!(call(client, name, near), answer(&self.server, far));
        client.and(server)
    }
}

async fn call(client: &ClientTls, name: &str, stream: DuplexStream) -> io::Result<()> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut stream = TlsConnector::from(client.config()).connect(name, stream).await?;
    assert_eq!(stream.read_u8().await?, 7);
    Ok(())
}

async fn answer(server: &ServerTls, stream: DuplexStream) -> io::Result<Option<String>> {
    let mut stream = TlsAcceptor::from(server.config()).accept(stream).await?;
    stream.write_u8(7).await?;
    stream.flush().await?;
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).cloned();
    Ok(shown.map(|certificate| Subject::of(&certificate).unwrap().to_string()))
}

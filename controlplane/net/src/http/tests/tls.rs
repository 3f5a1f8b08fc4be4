//! TLS, and client certificates as callers.

use std::fs;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::tls::testing::{Authority, Folder};
use crate::tls::{ClientCertificates, ServerTls, TlsFiles, provider};

#[tokio::test]
async fn over_tls_a_token_is_enough_where_certificates_are_optional() {
    let site = Site::new(false).await;
    let request = request_by(&site.server.tokens.read, "GET", "/read");
    assert_eq!(answer_over(site.connect(None).await.unwrap(), request).await.body, "token read");
    let refused = answer_over(site.connect(None).await.unwrap(), self::request("GET", "/read", &[])).await;
    assert_eq!(refused.problem().status, 401);
}

#[tokio::test]
async fn a_certificate_gives_the_role_of_its_subject() {
    let site = Site::new(true).await;
    let ops = site.authority.issue("ops");
    let stream = site.connect(Some(&ops)).await.unwrap();
    assert_eq!(answer_over(stream, request("POST", "/admin", &[])).await.body, "CN=ops 0");
    let monitor = site.authority.issue("monitor.example");
    let stream = site.connect(Some(&monitor)).await.unwrap();
    assert_eq!(answer_over(stream, request("GET", "/read", &[])).await.body, "SAN:monitor.example");
    let stream = site.connect(Some(&monitor)).await.unwrap();
    assert_eq!(answer_over(stream, request("POST", "/admin", &[])).await.problem().status, 403);
}

#[tokio::test]
async fn a_certificate_of_a_subject_without_a_role_is_refused_by_name() {
    let site = Site::new(true).await;
    let stranger = site.authority.issue("stranger");
    let refused = answer_over(site.connect(Some(&stranger)).await.unwrap(), request("GET", "/read", &[])).await;
    let detail = "the certificate CN=stranger SAN:stranger has no role here: an operator must give it one";
    assert_eq!((refused.status, refused.problem().detail.as_deref()), (403, Some(detail)));
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    for required in [true, false] {
        let site = Site::new(required).await;
        let impostor = Authority::new("ca").issue("ops");
        assert!(no_answer(&site, Some(&impostor)).await, "required: {required}");
    }
}

#[tokio::test]
async fn without_a_certificate_nobody_is_served_where_one_is_required() {
    let site = Site::new(true).await;
    assert!(no_answer(&site, None).await);
}

#[tokio::test]
async fn tls_1_2_is_refused() {
    let site = Site::new(false).await;
    let mut stream = site.server.connect().await;
    stream.write_all(&client_hello_1_2()).await.unwrap();
    let mut alert = Vec::new();
    within(stream.read_to_end(&mut alert)).await.unwrap();
    // RFC 8446, section 6: a record of type alert, its version and length; fatal, protocol_version.
    assert_eq!(alert, [21, 3, 3, 0, 2, 2, 70]);
}

#[tokio::test]
async fn http_in_clear_is_not_answered_where_tls_is_spoken() {
    let site = Site::new(false).await;
    let mut stream = site.server.connect().await;
    stream.write_all(request("GET", "/open", &[]).as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    within(stream.read_to_end(&mut answer)).await.unwrap();
    assert!(!answer.starts_with(b"HTTP"));
}

#[tokio::test]
async fn a_handshake_that_does_not_begin_is_not_waited_for() {
    let site = Site::with_bounds(Bounds { handshake: Duration::from_millis(200), ..Bounds::default() }).await;
    let mut stream = site.server.connect().await;
    assert_eq!(within(stream.read(&mut [0; 16])).await.unwrap(), 0);
}

#[tokio::test]
async fn a_new_certificate_is_used_without_a_restart() {
    let site = Site::new(false).await;
    let before = site.connect(None).await.unwrap();
    let (certificate, key) = site.authority.issue("localhost");
    fs::write(site.files.path("server.pem"), certificate).unwrap();
    fs::write(site.files.path("server.key"), key).unwrap();
    site.tls.reload().unwrap();
    let after = site.connect(None).await.unwrap();
    assert_ne!(shown_by(&before), shown_by(&after));
    assert_eq!(answer_over(before, request("GET", "/open", &[])).await.body, "open", "the old connection goes on");
}

/// A server with TLS, where `CN=ops` is admin and `SAN:monitor.example` may read.
struct Site {
    server: Running,
    tls: Arc<ServerTls>,
    authority: Authority,
    files: Folder,
}

impl Site {
    async fn new(required: bool) -> Self {
        Self::start(required, Bounds::default()).await
    }

    async fn with_bounds(bounds: Bounds) -> Self {
        Self::start(false, bounds).await
    }

    async fn start(required: bool, bounds: Bounds) -> Self {
        let (files, authority) = (Folder::new(), Authority::new("ca"));
        let (certificate, key) = files.identity("server", &authority, "localhost");
        let client_ca = files.file("ca.pem", &authority.certificate());
        let clients =
            if required { ClientCertificates::Required(client_ca) } else { ClientCertificates::Optional(client_ca) };
        let tls = Arc::new(ServerTls::load(TlsFiles { certificate, key, clients }).unwrap());
        let listen = Listen::Tls("127.0.0.1:0".parse().unwrap(), Arc::clone(&tls));
        let change = |options: &mut ServerOptions| {
            options.listeners = vec![listen];
            options.bounds = bounds;
            options.callers = std::mem::take(&mut options.callers)
                .with_subjects(Role::Admin, ["CN=ops".parse().unwrap()])
                .with_subjects(Role::Read, ["SAN:monitor.example".parse().unwrap()]);
        };
        Self { server: Running::with(change).await, tls, authority, files }
    }

    /// A connection of a client that shows this certificate and has its key, both as PEM.
    async fn connect(&self, certificate: Option<&(String, String)>) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.certificate().as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match certificate {
            None => config.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()];
                config.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
            }
        };
        let name = ServerName::try_from("localhost").unwrap();
        within(TlsConnector::from(Arc::new(config)).connect(name, self.server.connect().await)).await
    }
}

/// Whether a client with this certificate gets no answer at all. In TLS 1.3 it learns of that only when it reads.
async fn no_answer(site: &Site, certificate: Option<&(String, String)>) -> bool {
    let Ok(mut stream) = site.connect(certificate).await else { return true };
    let _ = stream.write_all(request("GET", "/open", &[]).as_bytes()).await;
    let mut answer = Vec::new();
    within(stream.read_to_end(&mut answer)).await.is_err() && answer.is_empty()
}

fn shown_by(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// A ClientHello as TLS 1.2 has it (RFC 5246, section 7.4.1.2): one cipher suite, and no extension that offers more.
fn client_hello_1_2() -> Vec<u8> {
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    // No session; TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256; no compression.
    hello.extend([0, 0, 2, 0xc0, 0x2b, 1, 0]);
    // supported_groups: x25519. signature_algorithms: ecdsa_secp256r1_sha256.
    hello.extend([0, 16, 0, 10, 0, 4, 0, 2, 0, 29, 0, 13, 0, 4, 0, 2, 4, 3]);
    let mut handshake = vec![1, 0, 0, hello.len() as u8];
    handshake.extend(hello);
    let mut record = vec![22, 3, 1, 0, handshake.len() as u8];
    record.extend(handshake);
    record
}

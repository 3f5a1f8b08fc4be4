//! An OpenID provider of the test's own, and the tokens that it signs.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, encode};
use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, SignatureAlgorithm,
};
use serde_json::{Value, json};

use super::*;
use crate::tls::testing::{Authority, Folder};
use crate::tls::{ClientCertificates, ServerTls, TlsFiles};

/// An OpenID provider, as far as it is asked: it serves its keys at `/certs`, and what it says about itself.
pub(super) struct Provider {
    keys: Mutex<Vec<(String, String, Algorithm)>>,
    served: Arc<Mutex<String>>,
    /// What it says about itself.
    pub(super) described: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
}

impl Provider {
    pub(super) async fn start(authority: &Authority, files: &Folder) -> Self {
        let (certificate, key) = files.identity("provider", authority, "localhost");
        let tls = ServerTls::load(TlsFiles { certificate, key, clients: ClientCertificates::None }).unwrap();
        let options = ServerOptions {
            listeners: vec![Listen::Tls("127.0.0.1:0".parse().unwrap(), Arc::new(tls))],
            callers: Callers::default(),
            audit: None,
            requests_per_second: NonZeroU32::new(1_000).unwrap(),
            content_security_policy: "default-src 'none'",
            bounds: Bounds::default(),
        };
        let server = Server::bind(options).await.unwrap();
        let address = server.addresses()[0];
        let (served, asked) = <(Arc<Mutex<String>>, Arc<AtomicUsize>)>::default();
        let (body, count) = (Arc::clone(&served), Arc::clone(&asked));
        let certs = || async move {
            count.fetch_add(1, Ordering::Relaxed);
            body.lock().unwrap().clone()
        };
        let described = Arc::<Mutex<String>>::default();
        let description = Arc::clone(&described);
        let describe = || async move { description.lock().unwrap().clone() };
        let router =
            Router::new().route("/certs", get(certs)).route("/.well-known/openid-configuration", get(describe));
        let (stop, stopped) = oneshot::channel();
        let running = server.run(router, async move {
            let _ = stopped.await;
        });
        let task = Some(tokio::spawn(running));
        let provider = Self { keys: Mutex::default(), served, described, asked, address, stop: Some(stop), task };
        provider.add("rsa", &PKCS_RSA_SHA256, Algorithm::RS256);
        provider.add("p256", &PKCS_ECDSA_P256_SHA256, Algorithm::ES256);
        provider.add("p384", &PKCS_ECDSA_P384_SHA384, Algorithm::ES384);
        provider.add("ed", &PKCS_ED25519, Algorithm::EdDSA);
        provider
    }

    /// Where its keys are.
    pub(super) fn url(&self) -> String {
        self.at("/certs")
    }

    pub(super) fn at(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    /// Makes a key and serves it beside the others.
    pub(super) fn add(&self, id: &str, kind: &'static SignatureAlgorithm, algorithm: Algorithm) {
        let pem = KeyPair::generate_for(kind).unwrap().serialize_pem();
        self.keys.lock().unwrap().push((id.to_owned(), pem, algorithm));
        self.serve(&self.set());
    }

    pub(super) fn withdraw(&self, id: &str) {
        self.keys.lock().unwrap().retain(|(other, ..)| other != id);
        self.serve(&self.set());
    }

    pub(super) fn serve(&self, body: &str) {
        body.clone_into(&mut self.served.lock().unwrap());
    }

    /// The public keys.
    pub(super) fn set(&self) -> String {
        let public = |(id, pem, algorithm): &(String, String, Algorithm)| {
            let mut key = match algorithm {
                Algorithm::EdDSA => {
                    let key = DecodingKey::from_ed_der(KeyPair::from_pem(pem).unwrap().public_key_raw());
                    Jwk::from_decoding_key(&key, Some(Algorithm::EdDSA)).unwrap()
                }
                other => Jwk::from_encoding_key(&signing(pem, *other), *other).unwrap(),
            };
            key.common.key_id = Some(id.clone());
            // An RSA key is for all that RSA can do.
            key.common.key_algorithm = key.common.key_algorithm.filter(|_| *algorithm != Algorithm::RS256);
            key
        };
        json!({ "keys": self.keys.lock().unwrap().iter().map(public).collect::<Vec<_>>() }).to_string()
    }

    pub(super) fn key(&self, id: &str) -> (String, Algorithm) {
        let keys = self.keys.lock().unwrap();
        let (_, pem, algorithm) = keys.iter().find(|(other, ..)| other == id).unwrap();
        (pem.clone(), *algorithm)
    }

    pub(super) fn signing(&self, id: &str) -> EncodingKey {
        let (pem, algorithm) = self.key(id);
        signing(&pem, algorithm)
    }

    pub(super) fn sign(&self, id: &str, algorithm: Algorithm, claims: &Value) -> String {
        self.sign_as(id, id, algorithm, claims)
    }

    /// A token that says it is signed with one key, and is with another.
    pub(super) fn sign_as(&self, said: &str, id: &str, algorithm: Algorithm, claims: &Value) -> String {
        encode(&header(said, algorithm), claims, &self.signing(id)).unwrap()
    }

    /// A token that is good, of an admin.
    pub(super) fn good(&self) -> String {
        self.sign("p256", Algorithm::ES256, &claims())
    }

    /// How often the keys were asked for.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    pub(super) async fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        within(self.task.take().unwrap()).await.unwrap();
    }
}

/// What Keycloak says of an admin, more or less.
pub(super) fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": "photongate", "sub": "3f1c", "preferred_username": "alice", "typ": "Bearer",
        "iat": now_s(), "exp": now_s() + 300,
        "realm_access": { "roles": ["offline_access", "run"] },
        "resource_access": { "account": { "roles": ["view-profile"] } },
    })
}

pub(super) fn header(id: &str, algorithm: Algorithm) -> jsonwebtoken::Header {
    let mut header = jsonwebtoken::Header::new(algorithm);
    header.kid = Some(id.to_owned());
    header
}

fn signing(pem: &str, algorithm: Algorithm) -> EncodingKey {
    let key = match algorithm {
        Algorithm::RS256 => EncodingKey::from_rsa_pem(pem.as_bytes()),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(pem.as_bytes()),
        _ => EncodingKey::from_ec_pem(pem.as_bytes()),
    };
    key.unwrap()
}

pub(super) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(super) const ISSUER: &str = "https://login.example/realms/ops";

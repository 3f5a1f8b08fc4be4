//! Tokens of an OpenID provider, which serves its keys over HTTPS.

mod provider;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};

use jsonwebtoken::{Algorithm, EncodingKey, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket};

use super::*;
use crate::oidc::Oidc;
use crate::tls::testing::{Authority, Folder};
use crate::{JwksLocation, OidcConfig};
use provider::{ISSUER, Provider, claims, header, now_s};

#[tokio::test]
async fn a_token_gives_the_role_that_its_claims_come_to_whatever_it_is_signed_with() {
    let site = Site::new().await;
    for (id, algorithm) in [
        ("rsa", Algorithm::RS256),
        ("rsa", Algorithm::RS512),
        ("rsa", Algorithm::PS256),
        ("p256", Algorithm::ES256),
        ("p384", Algorithm::ES384),
        ("ed", Algorithm::EdDSA),
    ] {
        let token = site.provider.sign(id, algorithm, &claims());
        let answer = site.ask(&token, "POST", "/admin").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "oidc alice (3f1c) 0"), "{algorithm:?}");
    }
    let reader =
        site.provider.sign("rsa", Algorithm::RS256, &with("realm_access", json!({ "roles": ["watch", "other"] })));
    assert_eq!(site.ask(&reader, "GET", "/read").await.status, 200);
    let refused = site.ask(&reader, "POST", "/admin").await.problem();
    assert_eq!(refused.detail.unwrap(), "oidc alice (3f1c) has the role read, and this needs the role admin");
}

#[tokio::test]
async fn roles_are_found_where_the_configuration_says() {
    for (path, claim, value) in [
        (
            ["resource_access", "my.client", "roles"].as_slice(),
            "resource_access",
            json!({ "my.client": { "roles": ["run"] } }),
        ),
        (&["scope"], "scope", json!("openid run")),
        (&["groups"], "groups", json!(["x", "run", 7])),
    ] {
        let site = Site::with(|config| config.roles_claim = path.iter().map(|&step| step.to_owned()).collect()).await;
        let token = site.provider.sign("p256", Algorithm::ES256, &with(claim, value));
        assert_eq!(site.ask(&token, "POST", "/admin").await.status, 200, "{claim}");
        assert_eq!(site.ask(&site.provider.good(), "POST", "/admin").await.status, 403, "{claim}");
    }
}

#[tokio::test]
async fn the_keys_of_an_issuer_are_where_it_says_if_the_configuration_does_not() {
    for (issuer, keys, is_good) in [
        ("", "/certs", true),
        ("/other", "/certs", false),
        ("", "/nowhere", false),
        // Anybody on the way could change them.
        ("", "http", false),
    ] {
        let site = Site::discovering(|provider| {
            let keys = if keys == "http" { provider.url().replace("https", "http") } else { provider.at(keys) };
            json!({ "issuer": provider.at(issuer), "jwks_uri": keys, "more": [1] }).to_string()
        })
        .await;
        let token = site.provider.sign("p256", Algorithm::ES256, &with("iss", json!(site.provider.at(""))));
        let status = site.ask(&token, "POST", "/admin").await.status;
        assert_eq!(status, if is_good { 200 } else { 503 }, "{issuer} {keys}");
        assert_eq!(site.provider.asked() > 0, is_good);
    }
    let site = Site::discovering(|_| "no description".to_owned()).await;
    assert_eq!(site.ask(&site.provider.good(), "GET", "/read").await.status, 503);
}

#[tokio::test]
async fn who_has_none_of_the_roles_is_refused_by_name() {
    let site = Site::new().await;
    for roles in [json!(["other"]), json!([]), json!("runner"), json!({ "run": true }), json!(null)] {
        let token = site.provider.sign("p256", Algorithm::ES256, &with("realm_access", json!({ "roles": roles })));
        let refused = site.ask(&token, "GET", "/read").await;
        assert_eq!(refused.status, 403);
        let detail = refused.problem().detail.unwrap();
        assert!(detail.starts_with("oidc alice (3f1c) has no role here"), "{detail}");
    }
    let last = site.last_refusal();
    assert_eq!((&last["who"], &last["outcome"]), (&json!("oidc alice (3f1c)"), &json!("refused")));
    assert_eq!((&last["target"], last.get("role")), (&json!("GET /read"), None));
}

#[tokio::test]
async fn a_token_that_is_not_good_is_refused_says_why_and_is_written_down() {
    let site = Site::new().await;
    let soon = now_s() + 3_600;
    for (claim, value, why) in [
        ("aud", json!("other"), "another audience"),
        ("aud", json!(["account", "other"]), "another audience"),
        ("aud", json!(null), "claim `aud`"),
        ("iss", json!("https://other.example/"), "another issuer"),
        ("iss", json!([ISSUER]), "claim `iss`"),
        ("iss", json!(null), "claim `iss`"),
        ("exp", json!(now_s() - 60), "time of the token is over"),
        ("exp", json!(null), "claim `exp`"),
        ("nbf", json!(soon), "not good yet"),
        ("iat", json!(soon), "not good yet"),
        ("sub", json!(null), "`sub`"),
        ("sub", json!("a\nb"), "claim `sub`"),
    ] {
        let token = site.provider.sign("p256", Algorithm::ES256, &with(claim, value.clone()));
        site.refuses(&token, why).await;
        let last = site.last_refusal();
        assert_eq!((&last["who"], &last["action"]), (&json!("somebody"), &json!("request")), "{claim} {value}");
        assert!(last["detail"].as_str().unwrap().contains(why) && !last.to_string().contains(&token), "{last}");
    }
}

#[tokio::test]
async fn a_clock_that_is_a_little_off_does_no_harm() {
    let site = Site::new().await;
    let mut claims = claims();
    (claims["iat"], claims["nbf"], claims["exp"]) = (json!(now_s() + 10), json!(now_s() + 10), json!(now_s() - 10));
    assert_eq!(site.ask(&site.provider.sign("ed", Algorithm::EdDSA, &claims), "GET", "/read").await.status, 200);
}

#[tokio::test]
async fn a_token_may_be_for_several_audiences() {
    let site = Site::new().await;
    let token = site.provider.sign("p256", Algorithm::ES256, &with("aud", json!(["account", "photongate"])));
    assert_eq!(site.ask(&token, "GET", "/read").await.status, 200);
}

#[tokio::test]
async fn nobody_gets_in_by_choosing_the_algorithm() {
    let site = Site::new().await;
    let provider = &site.provider;
    // The public key as the secret of a MAC (RFC 8725, section 2.1).
    let public = KeyPair::from_pem(&provider.key("rsa").0).unwrap();
    for secret in [public.public_key_pem().into_bytes(), rcgen::PublicKeyData::der_bytes(&public).to_vec(), Vec::new()]
    {
        let token = encode(&header("rsa", Algorithm::HS256), &claims(), &EncodingKey::from_secret(&secret)).unwrap();
        site.refuses(&token, "algorithm that its key is not for").await;
    }
    let good = provider.good();
    let (head, rest) = good.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    // {"alg":"none"}, with and without a signature.
    site.refuses(&format!("eyJhbGciOiJub25lIn0.{payload}."), "neither one of this program's").await;
    site.refuses(&format!("eyJhbGciOiJub25lIn0.{payload}.{signature}"), "neither one of this program's").await;
    site.refuses(&format!("{head}.{payload}."), "signature").await;
    // An elliptic key's token under the name of an RSA key, and one that calls for more than is understood.
    let other = provider.sign_as("rsa", "p256", Algorithm::ES256, &claims());
    site.refuses(&other, "algorithm that its key is not for").await;
    let mut critical = header("p256", Algorithm::ES256);
    critical.crit = Some(vec!["exp".to_owned()]);
    site.refuses(&encode(&critical, &claims(), &provider.signing("p256")).unwrap(), "not understood here").await;
}

#[tokio::test]
async fn what_was_signed_by_somebody_else_or_changed_is_refused() {
    let site = Site::new().await;
    let impostor = Provider::start(&Authority::new("ca"), &Folder::new()).await;
    site.refuses(&impostor.good(), "signature").await;
    let reader = site.provider.sign("p256", Algorithm::ES256, &with("realm_access", json!({ "roles": ["watch"] })));
    let (good, reader) = (parts(&site.provider.good()), parts(&reader));
    site.refuses(&[&*reader[0], &*good[1], &*reader[2]].join("."), "signature").await;
    let mut nameless = header("p256", Algorithm::ES256);
    nameless.kid = None;
    site.refuses(&encode(&nameless, &claims(), &site.provider.signing("p256")).unwrap(), "which key").await;
    for text in ["a.b.c", "..", "a", &format!("{}.", good[0])] {
        site.refuses(text, "neither one of this program's").await;
    }
}

#[tokio::test]
async fn tokens_of_the_program_itself_are_taken_all_the_same() {
    let site = Site::new().await;
    let token = site.server.tokens.admin.clone();
    assert_eq!(site.ask(&token, "POST", "/admin").await.body, "token admin 0");
    site.refuses(&format!("pgt_{}", "0".repeat(64)), "exchanged").await;
}

#[tokio::test]
async fn a_new_key_of_the_provider_is_taken_at_once_and_unknown_ones_do_not_flood_it() {
    let site = Site::with(|config| config.refresh_pause = Duration::from_secs(3_600)).await;
    assert_eq!(site.ask(&site.provider.good(), "GET", "/read").await.status, 200);
    assert_eq!(site.provider.asked(), 1);
    site.provider.add("new", &PKCS_ECDSA_P256_SHA256, Algorithm::ES256);
    let new = site.provider.sign("new", Algorithm::ES256, &claims());
    for _ in 0..5 {
        site.refuses(&new, "none of the provider's").await;
    }
    assert_eq!(site.provider.asked(), 1, "it was asked a moment ago");

    let site = Site::with(|config| config.refresh_pause = Duration::ZERO).await;
    assert_eq!(site.ask(&site.provider.good(), "GET", "/read").await.status, 200);
    site.provider.add("new", &PKCS_ECDSA_P256_SHA256, Algorithm::ES256);
    let new = site.provider.sign("new", Algorithm::ES256, &claims());
    assert_eq!(site.ask(&new, "GET", "/read").await.status, 200);
    assert_eq!(site.provider.asked(), 2);
}

#[tokio::test]
async fn a_key_that_the_provider_has_withdrawn_is_forgotten_when_the_keys_are_read_anew() {
    let site = Site::with(|config| (config.refresh, config.refresh_pause) = (Duration::ZERO, Duration::ZERO)).await;
    let token = site.provider.sign("ed", Algorithm::EdDSA, &claims());
    assert_eq!(site.ask(&token, "GET", "/read").await.status, 200);
    site.provider.withdraw("ed");
    let refused = async {
        while site.ask(&token, "GET", "/read").await.status == 200 {
            tokio::task::yield_now().await;
        }
    };
    within(refused).await;
}

#[tokio::test]
async fn a_provider_that_is_down_or_talks_nonsense_keeps_nobody_out_who_has_a_token() {
    let mut site = Site::with(|config| (config.refresh, config.refresh_pause) = (Duration::ZERO, Duration::ZERO)).await;
    let token = site.provider.good();
    assert_eq!(site.ask(&token, "GET", "/read").await.status, 200);
    for nonsense in ["", "<html>", r#"{"keys": []}"#, &"x".repeat(600 * 1_024)] {
        site.provider.serve(nonsense);
        for _ in 0..2 {
            assert_eq!(site.ask(&token, "GET", "/read").await.status, 200);
        }
    }
    site.provider.stop().await;
    for _ in 0..3 {
        assert_eq!(site.ask(&token, "GET", "/read").await.status, 200);
    }
}

#[tokio::test]
async fn while_the_provider_has_never_answered_callers_are_told_to_come_back() {
    let (files, authority) = (Folder::new(), Authority::new("ca"));
    let impostor = Provider::start(&Authority::new("other"), &files).await;
    let ca = files.file("ca.pem", &authority.certificate());
    // One that nobody vouches for, and one that does not answer.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("https://localhost:{}/certs", silent.local_addr().unwrap().port());
    for url in [impostor.url(), silent] {
        let location = JwksLocation::Url { url: url.parse().unwrap(), ca: ca.clone() };
        let server = Running::with(|options| accept_tokens(options, &config(location), None)).await;
        let answer = server.answer(request_by(&impostor.good(), "GET", "/read")).await;
        assert_eq!(answer.problem().status, 503, "{url}");
        assert_eq!(server.answer(request_by(&server.tokens.read, "GET", "/read")).await.status, 200);
    }
    assert_eq!(impostor.asked(), 0, "it is not even asked");
}

#[tokio::test]
async fn keys_may_be_in_a_file_too() {
    let (files, provider) = (Folder::new(), Provider::start(&Authority::new("ca"), &Folder::new()).await);
    let path = files.file("jwks.json", &provider.set());
    let mut config = config(JwksLocation::File(path.clone()));
    config.refresh_pause = Duration::ZERO;
    let server = Running::with(|options| accept_tokens(options, &config, None)).await;
    assert_eq!(server.answer(request_by(&provider.good(), "GET", "/read")).await.status, 200);
    provider.add("new", &PKCS_ED25519, Algorithm::EdDSA);
    files.file("jwks.json", &provider.set());
    let new = provider.sign("new", Algorithm::EdDSA, &claims());
    assert_eq!(server.answer(request_by(&new, "GET", "/read")).await.status, 200);
    files.file("jwks.json", "{}");
    assert!(Oidc::open(&config).unwrap_err().to_string().contains("jwks.json"));
}

/// A server that takes tokens of a provider.
struct Site {
    provider: Provider,
    server: Running,
    files: Folder,
    asked: AtomicU16,
}

impl Site {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut OidcConfig)) -> Self {
        Self::made(|provider, ca| {
            let mut config = config(JwksLocation::Url { url: provider.url().parse().unwrap(), ca });
            change(&mut config);
            config
        })
        .await
    }

    /// A server that knows nothing but the issuer, which says this about itself.
    async fn discovering(describe: impl FnOnce(&Provider) -> String) -> Self {
        Self::made(|provider, ca| {
            *provider.described.lock().unwrap() = describe(provider);
            let description = provider.at("/.well-known/openid-configuration").parse().unwrap();
            OidcConfig { issuer: provider.at(""), ..config(JwksLocation::Issuer { description, ca }) }
        })
        .await
    }

    async fn made(configured: impl FnOnce(&Provider, PathBuf) -> OidcConfig) -> Self {
        let (files, authority) = (Folder::new(), Authority::new("ca"));
        let provider = Provider::start(&authority, &files).await;
        let ca = files.file("ca.pem", &authority.certificate());
        let config = configured(&provider, ca);
        let audit = Audit::open(&files.path("audit.log")).unwrap();
        let server = Running::with(|options| accept_tokens(options, &config, Some(audit))).await;
        Self { provider, server, files, asked: AtomicU16::new(1) }
    }

    /// Asks from an address that nobody has asked from: each may be refused ten times only.
    async fn ask(&self, token: &str, method: &str, path: &str) -> Answer {
        let [high, low] = self.asked.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 1, high, low], 0))).unwrap();
        answer_over(socket.connect(self.server.addresses[0]).await.unwrap(), request_by(token, method, path)).await
    }

    /// Checks that the token is refused, for a reason that contains `why`.
    #[track_caller]
    fn refuses<'s>(&'s self, token: &'s str, why: &'s str) -> impl Future<Output = ()> + 's {
        let caller = std::panic::Location::caller();
        async move {
            let answer = self.ask(token, "GET", "/read").await;
            let problem = answer.problem();
            assert_eq!(problem.status, 401, "{caller}: {answer:?}");
            assert!(problem.detail.as_ref().unwrap().contains(why), "{caller}: {problem:?}");
        }
    }

    /// The last line of the audit log.
    fn last_refusal(&self) -> Value {
        let text = std::fs::read_to_string(self.files.path("audit.log")).unwrap();
        serde_json::from_str(text.lines().last().unwrap()).unwrap()
    }
}

fn accept_tokens(options: &mut ServerOptions, config: &OidcConfig, audit: Option<Audit>) {
    options.callers = std::mem::take(&mut options.callers).with_provider(Some(Oidc::open(config).unwrap()));
    options.audit = audit;
}

fn config(jwks: JwksLocation) -> OidcConfig {
    OidcConfig {
        issuer: ISSUER.to_owned(),
        audience: "photongate".to_owned(),
        jwks,
        refresh: Duration::from_secs(600),
        refresh_pause: Duration::from_secs(10),
        leeway: Duration::from_secs(30),
        roles_claim: vec!["realm_access".to_owned(), "roles".to_owned()],
        admins: vec!["run".to_owned()],
        readers: vec!["watch".to_owned()],
    }
}

/// The same with another value of a claim, or without the claim if it is null.
fn with(claim: &str, value: Value) -> Value {
    let mut claims = claims();
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(claim);
    } else {
        claims[claim] = value;
    }
    claims
}

fn parts(token: &str) -> Vec<String> {
    token.split('.').map(str::to_owned).collect()
}

//! The administration of a key server, over TCP with tokens as an operator on the same machine calls it.

#[path = "qks/site.rs"]
mod site;

use std::fs;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use photongate_net::secret_file;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use site::{Answer, Site, answer, free_port, get, post};

/// Two key servers, and how to administer the one called A.
struct Administered {
    site: Site,
    base: String,
    http: Client,
}

impl Administered {
    async fn start() -> Self {
        let mut site = Site::new(&["a", "b"], &[("a", "b")]);
        site.start("b").await;
        let port = free_port();
        site.more = format!("[admin]\nlisten = [\"127.0.0.1:{port}\"]\n");
        site.start("a").await;
        let http = Client::builder().no_proxy().build().unwrap();
        Self { site, base: format!("http://127.0.0.1:{port}"), http }
    }

    /// The same, with a simulated link beside the key files, whose blocks and probes take little time.
    async fn with_simulated_link() -> Self {
        let mut site = Site::new(&["a", "b"], &[("a", "b")]);
        let (port, light) = (free_port(), free_port());
        let secret = site.path("a").join("secret");
        secret_file::replace(&secret, b"0123456789abcdef").unwrap();
        for (server, other, end) in [("b", "a", "listen"), ("a", "b", "connect")] {
            site.more = format!(
                "[[links]]\nname = \"sim\"\nneighbour = \"qks-{other}\"\n[[links.sources]]\nkind = \"bb84\"\n\
                 {end} = \"127.0.0.1:{light}\"\nsecret = {{ file = \"{}\" }}\nblock_bits = 65536\nprobe_bits = 4096\n\
                 probes = 1\nprobe_pause_ms = 200\n[admin]\nlisten = [\"127.0.0.1:{}\"]\n",
                secret.display(),
                if server == "a" { port } else { free_port() },
            );
            site.start(server).await;
        }
        let http = Client::builder().no_proxy().build().unwrap();
        Self { site, base: format!("http://127.0.0.1:{port}"), http }
    }

    /// The source of the simulated link.
    async fn simulated(&self) -> Option<Value> {
        let links = self.read("/api/v1/links").await.json;
        links.as_array()?.iter().find(|link| link["id"] == "sim").map(|link| link["sources"][0].clone())
    }

    async fn alarm(&self, kind: &str) -> Option<Value> {
        let alarms = self.read("/api/v1/alarms").await.json;
        alarms.as_array()?.iter().find(|alarm| alarm["kind"] == kind).cloned()
    }

    /// Waits until `happened` gives something.
    async fn until<'a, T, F: Future<Output = Option<T>>>(&'a self, what: &str, happened: impl Fn(&'a Self) -> F) -> T {
        let begun = Instant::now();
        loop {
            if let Some(value) = happened(self).await {
                return value;
            }
            assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
            tokio::time::sleep(LOOK_AROUND).await;
        }
    }

    async fn ask(&self, method: Method, path: &str, role: &str, body: Option<Value>) -> Answer {
        let token = fs::read_to_string(self.site.path("a").join(format!("state/{role}.token"))).unwrap();
        let request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(token.trim_end());
        answer(match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        })
        .await
    }

    async fn read(&self, path: &str) -> Answer {
        let answer = self.ask(Method::GET, path, "read", None).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
        answer
    }

    async fn change(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.ask(method, path, "admin", body).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neighbours_links_and_stock_are_shown_and_counted() {
    let mut a = Administered::start().await;
    a.site.fill("a", "b", 1 << 20);
    a.site.wait_for_keys("a", "sae-a", "sae-b", 1_000).await;
    let alice = a.site.client("sae-a");
    let enc = post(&alice, a.site.url("a", "sae-b", "enc_keys"), &json!({"number": 7})).await;
    assert_eq!(enc.status, StatusCode::OK);
    let refused = post(&alice, a.site.url("a", "sae-b", "enc_keys"), &json!({"size": 1})).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);

    let neighbours = a.read("/api/v1/neighbours").await.json;
    assert_eq!((&neighbours[0]["id"], &neighbours[0]["up"]), (&json!("qks-b"), &json!(true)));
    let stock = &neighbours[0]["stock"];
    let [ready, unconfirmed, theirs] =
        ["ready_bytes", "unconfirmed_bytes", "neighbours_bytes"].map(|name| stock[name].as_u64().unwrap());
    assert!(ready > 0 && ready + unconfirmed + theirs <= (1 << 20) - 7 * 32, "{stock}");
    let link = &a.read("/api/v1/links").await.json[0];
    assert_eq!((&link["id"], &link["taken_in_bytes"]), (&json!("ab"), &json!(1 << 20)));
    assert_eq!((&link["sources"][0]["kind"], &link["sources"][0]["phase"]), (&json!("keyfile"), &json!("producing")));
    let status = a.read("/api/v1/status").await.json;
    assert_eq!((&status["id"], &status["ready"], &status["neighbours_up"]), (&json!("qks-a"), &json!(true), &json!(1)));
    assert_eq!((&status["keys_delivered"], &status["sources_producing"]), (&json!(7), &json!(1)));

    let metrics = a.read("/metrics").await.text;
    for line in [
        "photongate_qks_ready 1.0",
        "photongate_qks_keys_delivered_total 7",
        "photongate_qks_requests_total{method=\"enc_keys\",status=\"200\"} 1",
        "photongate_qks_requests_total{method=\"enc_keys\",status=\"400\"} 1",
        "photongate_qks_neighbour_up{neighbour=\"qks-b\"} 1.0",
        "photongate_qks_source_phase{link=\"ab\",source=\"0\",kind=\"keyfile\",phase=\"producing\"} 1.0",
    ] {
        assert!(metrics.lines().any(|other| other == line), "{line} is not in\n{metrics}");
    }
    assert_eq!(a.read("/api/v1/history").await.json["period_s"], 10);

    a.site.kill("b");
    let begun = Instant::now();
    let down = loop {
        let neighbour = a.read("/api/v1/neighbours").await.json[0].clone();
        if neighbour["up"] == false {
            break neighbour;
        }
        assert!(begun.elapsed() < PATIENCE, "{neighbour}");
        tokio::time::sleep(LOOK_AROUND).await;
    };
    assert!(down["down_because"].as_str().unwrap().contains("cannot be reached"), "{down}");
    let not_ready = a.ask(Method::GET, "/readyz", "read", None).await;
    assert_eq!(not_ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(not_ready.json["because"], json!(["no neighbouring key server answers"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_gets_keys_once_it_is_registered_and_none_when_it_no_longer_is() {
    let mut a = Administered::start().await;
    let stranger = a.site.client("stranger");
    let url = a.site.url("a", "sae-a", "enc_keys");
    assert_eq!(get(&stranger, url.clone()).await.status, StatusCode::UNAUTHORIZED);

    let made = a.change(Method::PUT, "/api/v1/saes/stranger", Some(json!({}))).await;
    assert_eq!((made.status, &made.json), (StatusCode::CREATED, &json!({"id": "stranger", "certificates": []})));
    let again = a.change(Method::PUT, "/api/v1/saes/stranger", Some(json!({"certificates": ["0a:1b"]}))).await;
    assert_eq!((again.status, &again.json["certificates"]), (StatusCode::OK, &json!(["0a:1b"])));
    assert_eq!(get(&stranger, url.clone()).await.status, StatusCode::OK);

    a.site.kill("a");
    a.site.start("a").await;
    assert_eq!(a.read("/api/v1/saes/stranger").await.json["certificates"], json!(["0a:1b"]), "after a restart");
    let names = a.read("/api/v1/saes").await.json;
    assert_eq!(
        names.as_array().unwrap().iter().map(|sae| sae["id"].as_str().unwrap()).collect::<Vec<_>>(),
        ["sae-a", "sae-a2", "stranger"]
    );

    assert_eq!(a.change(Method::DELETE, "/api/v1/saes/stranger", None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(a.change(Method::DELETE, "/api/v1/saes/stranger", None).await.status, StatusCode::NOT_FOUND);
    assert_eq!(get(&stranger, url).await.status, StatusCode::UNAUTHORIZED);

    let audit = fs::read_to_string(a.site.path("a").join("state/audit.log")).unwrap();
    let lines: Vec<Value> = audit.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said: Vec<_> = lines
        .iter()
        .map(|line| {
            assert_eq!((&line["who"], &line["target"]), (&json!("token admin"), &json!("stranger")));
            format!("{} {}", line["action"].as_str().unwrap(), line["outcome"].as_str().unwrap())
        })
        .collect();
    let expected = ["sae.register", "sae.register", "sae.unregister", "sae.unregister"];
    let outcomes = ["done", "done", "done", "refused"];
    let expected: Vec<_> = expected
        .iter()
        .zip(outcomes)
        .flat_map(|(action, outcome)| [format!("{action} begun"), format!("{action} {outcome}")])
        .collect();
    assert_eq!(said, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_look_changes_nothing_and_who_is_nobody_sees_nothing() {
    let a = Administered::start().await;
    for (method, path) in [(Method::PUT, "/api/v1/saes/x"), (Method::DELETE, "/api/v1/saes/sae-a")] {
        let answer = a.ask(method.clone(), path, "read", Some(json!({}))).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path}");
    }
    assert_eq!(a.read("/api/v1/saes").await.json.as_array().unwrap().len(), 2);
    for path in ["/api/v1/status", "/api/v1/saes", "/api/v1/neighbours", "/api/v1/links", "/api/v1/routes", "/metrics"]
    {
        assert_eq!(get(&a.http, format!("{}{path}", a.base)).await.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    for path in ["/healthz", "/docs", "/docs/style.css", "/openapi.json"] {
        assert_eq!(get(&a.http, format!("{}{path}", a.base)).await.status, StatusCode::OK, "{path}");
    }
    for (body, status) in [
        (json!({"certificates": ["sae-1"]}), StatusCode::BAD_REQUEST),
        (json!({"certificates": vec!["0a"; 17]}), StatusCode::BAD_REQUEST),
        (json!({"certificate": []}), StatusCode::BAD_REQUEST),
    ] {
        let answer = a.change(Method::PUT, "/api/v1/saes/x", Some(body.clone())).await;
        assert_eq!(
            (answer.status, answer.content_type.as_deref()),
            (status, Some("application/problem+json")),
            "{body}"
        );
    }
    assert_eq!(a.change(Method::GET, "/api/v1/history?limit=0", None).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(a.change(Method::GET, "/api/v1/nothing", None).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_eavesdropper_on_a_simulated_link_is_an_alarm_until_she_is_gone() {
    let mut a = Administered::with_simulated_link().await;
    let has_keys = |source: &Value| {
        let quality = &source["quality"];
        let grows = |rate: &str| quality[rate].as_f64().is_some_and(|rate| rate > 0.0);
        grows("sifted_bits_per_second") && grows("secret_bits_per_second") && quality["leaked_bits"] != 0
    };
    let source = a.until("keys to come", |a| async move { a.simulated().await.filter(has_keys) }).await;
    assert_eq!((&source["kind"], &source["phase"]), (&json!("bb84"), &json!("producing")));
    let channel = a.read(CHANNEL).await.json;
    assert_eq!((&channel, &channel["eavesdropper"]), (&source["channels"][0], &json!(0.0)));
    let mut tapped = channel.clone();
    tapped["eavesdropper"] = json!(1.0);
    assert_eq!(a.ask(Method::PUT, CHANNEL, "read", Some(tapped.clone())).await.status, StatusCode::FORBIDDEN);
    assert_eq!(a.read(CHANNEL).await.json, channel);

    let set = a.change(Method::PUT, CHANNEL, Some(tapped.clone())).await;
    assert_eq!((set.status, &set.json), (StatusCode::OK, &tapped));
    let alarm = a.until("an alarm", |a| async move { a.alarm("qber").await }).await;
    assert_eq!(alarm["of"], "link sim, source 0 (bb84)");
    assert!(alarm["message"].as_str().unwrap().contains("of the bits are wrong"), "{alarm}");
    assert!(alarm["advice"].as_str().unwrap().contains("fibre") && alarm["since"].is_string(), "{alarm}");
    assert_eq!(a.simulated().await.unwrap()["phase"], "alarm");
    assert_eq!(a.read("/api/v1/status").await.json["sources_in_alarm"], 1);
    let metrics = a.read("/metrics").await.text;
    assert!(metrics.lines().any(|line| line == "photongate_qks_alarms{kind=\"qber\"} 1.0"), "{metrics}");

    assert_eq!(a.change(Method::PUT, CHANNEL, Some(channel)).await.status, StatusCode::OK);
    a.until("the alarm to end", |a| async move { a.alarm("qber").await.is_none().then_some(()) }).await;
    let audit = fs::read_to_string(a.site.path("a").join("state/audit.log")).unwrap();
    assert_eq!(audit.matches("\"action\":\"channel.set\",\"target\":\"sim/0/0\"").count(), 4, "{audit}");

    a.site.kill("b");
    let alarm = a.until("the neighbour to be missed", |a| async move { a.alarm("neighbour_unreachable").await }).await;
    assert_eq!(alarm["of"], "neighbour qks-b");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_is_not_there_or_cannot_be_is_refused() {
    let a = Administered::with_simulated_link().await;
    for path in [
        "/api/v1/links/sim/sources/0/channels/1",
        "/api/v1/links/ab/sources/0/channels/0",
        "/api/v1/links/x/sources/0/channels/0",
    ] {
        assert_eq!(a.ask(Method::GET, path, "read", None).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let channel = a.read(CHANNEL).await.json;
    for (field, value, why) in [
        ("loss_db", json!(-1), "loss_db is -1, and has to be from 0 to 100"),
        ("eavesdropper", json!(1.5), "eavesdropper is 1.5"),
        ("pulses_per_second", json!(0), "pulses_per_second is 0"),
        ("los_db", json!(1), "los_db"),
    ] {
        let mut bad = channel.clone();
        bad[field] = value;
        let refused = a.change(Method::PUT, CHANNEL, Some(bad)).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
        assert!(refused.json["detail"].as_str().unwrap().contains(why), "{refused:?}");
    }
    assert_eq!(a.read(CHANNEL).await.json, channel);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_an_openid_provider_administers_as_its_roles_allow() {
    let mut site = Site::new(&["a"], &[]);
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let key = EncodingKey::from_ec_pem(key.serialize_pem().as_bytes()).unwrap();
    let mut public = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
    public.common.key_id = Some("one".to_owned());
    let jwks = site.path("a").join("jwks.json");
    fs::write(&jwks, json!({ "keys": [public] }).to_string()).unwrap();
    let port = free_port();
    site.more = format!(
        "[admin]\nlisten = [\"127.0.0.1:{port}\"]\n[admin.oidc]\nissuer = \"https://login.example\"\naudience = \"qks\"\n\
         jwks = \"{}\"\nroles_claim = \"resource_access.qks.roles\"\nadmins = [\"admin\"]\nreaders = [\"look\"]\n",
        jwks.display()
    );
    site.start("a").await;
    let http = Client::builder().no_proxy().build().unwrap();
    let token = |roles: &[&str], lasts: i64| {
        let expires = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64 + lasts;
        let claims = json!({
            "iss": "https://login.example", "aud": ["account", "qks"], "sub": "7", "exp": expires,
            "resource_access": { "qks": { "roles": roles } },
        });
        let header = Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::ES256) };
        encode(&header, &claims, &key).unwrap()
    };
    let url = |path: &str| format!("http://127.0.0.1:{port}/api/v1/{path}");
    let register = |token: String| {
        let request =
            http.put(url("saes/new")).bearer_auth(token).header("content-type", "application/json").body("{}");
        answer(request)
    };
    let look = |token: String| answer(http.get(url("saes")).bearer_auth(token));
    assert_eq!(register(token(&["other", "admin"], 60)).await.status, StatusCode::CREATED);
    assert_eq!(look(token(&["look"], 60)).await.status, StatusCode::OK);
    assert_eq!(register(token(&["look"], 60)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(look(token(&["other"], 60)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(look(token(&["admin"], -60)).await.status, StatusCode::UNAUTHORIZED);

    let audit = fs::read_to_string(site.path("a").join("state/audit.log")).unwrap();
    let lines: Vec<Value> = audit.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said: Vec<_> =
        lines.iter().map(|line| (line["who"].as_str().unwrap(), line["outcome"].as_str().unwrap())).collect();
    let expected = [
        ("oidc 7", "begun"),
        ("oidc 7", "done"),
        ("oidc 7", "refused"),
        ("oidc 7", "refused"),
        ("somebody", "refused"),
    ];
    assert_eq!(said, expected, "{audit}");
    assert!(
        !audit.contains("eyJ") && !site.log("a").contains(&token(&["admin"], 60)[..60]),
        "no token is written down"
    );
}

const CHANNEL: &str = "/api/v1/links/sim/sources/0/channels/0";
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_AROUND: Duration = Duration::from_millis(50);

//! A real OpenBao of the test's own, on ports that nobody uses.

#![allow(dead_code, reason = "each test program uses a part")]

#[allow(clippy::duplicate_mod, reason = "others that a test program includes need it too")]
#[path = "../../../../tests/support/ports.rs"]
mod ports;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use photongate_net::secret_file;
use serde_json::{Value, json};
use tempfile::TempDir;

use self::ports::free_port;

/// A server, and the folder that it and the test keep files in. It ends with the test.
pub(crate) struct Bao {
    folder: TempDir,
    port: u16,
    /// The certificate's authority, if it speaks TLS.
    ca: Option<PathBuf>,
    child: Option<Child>,
    root_token: String,
    unseal_key: Option<String>,
}

impl Bao {
    /// One that keeps everything in memory and is never sealed. It has a key-value store, version 2, at `secret`, and the transit
    /// engine with the key `photongate`.
    pub(crate) async fn in_memory() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut bao =
            Self { folder, port: free_port(), ca: None, child: None, root_token: "root".to_owned(), unseal_key: None };
        let address = format!("-dev-listen-address=127.0.0.1:{}", bao.port);
        bao.run(&["server", "-dev", "-dev-root-token-id=root", "-dev-no-store-token", &address]);
        bao.comes_up(&[200]).await;
        // The store is there in this mode.
        bao.put("sys/mounts/secret/tune", json!({ "options": { "version": "2" } })).await;
        bao.furnish_transit("").await;
        bao
    }

    /// One that keeps everything on disk, and has to be unsealed at each start. It has been, and is furnished like the other one.
    /// With `tls`, certificate and key, it speaks TLS.
    pub(crate) async fn on_disk(tls: Option<&Tls>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (port, cluster) = (free_port(), free_port());
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listener = match tls {
            Some(tls) => format!("tls_cert_file = {:?}\n  tls_key_file = {:?}", tls.certificate, tls.key),
            None => "tls_disable = true".to_owned(),
        };
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        let text = format!(
            "storage \"raft\" {{\n  path = {data:?}\n  node_id = \"n1\"\n}}\n\
             listener \"tcp\" {{\n  address = \"127.0.0.1:{port}\"\n  {listener}\n}}\n\
             api_addr = \"{scheme}://127.0.0.1:{port}\"\ncluster_addr = \"http://127.0.0.1:{cluster}\"\n"
        );
        fs::write(folder.path().join("bao.hcl"), text).unwrap();
        let ca = tls.map(|tls| tls.ca.clone());
        let mut bao = Self { folder, port, ca, child: None, root_token: String::new(), unseal_key: None };
        bao.start();
        bao.comes_up(&[501]).await;
        let made = bao.put("sys/init", json!({ "secret_shares": 1, "secret_threshold": 1 })).await;
        bao.root_token = made["root_token"].as_str().unwrap().to_owned();
        bao.unseal_key = Some(made["keys"][0].as_str().unwrap().to_owned());
        bao.unseal().await;
        bao.furnish("").await;
        bao
    }

    /// Its address.
    pub(crate) fn address(&self) -> String {
        let scheme = if self.ca.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts one that is on disk.
    pub(crate) fn start(&mut self) {
        let config = format!("-config={}", self.folder.path().join("bao.hcl").display());
        self.run(&["server", &config]);
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Waits until it asks to be unsealed, unseals it, and waits until it serves.
    pub(crate) async fn unseal(&self) {
        self.comes_up(&[503]).await;
        self.put("sys/unseal", json!({ "key": self.unseal_key })).await;
        self.comes_up(&[200]).await;
    }

    pub(crate) async fn seal(&self) {
        self.put("sys/seal", json!({})).await;
        self.comes_up(&[503]).await;
    }

    /// A role that logs in with the files `role-id` and `secret-id` in the folder, and may do what the tests do. Tokens last as long as
    /// `token` says, like `"token_ttl": "2s"`.
    pub(crate) async fn role(&self, namespace: &str, token: Value) {
        let at = |path: &str| format!("{namespace}{path}");
        self.put(&at("sys/auth/approle"), json!({ "type": "approle" })).await;
        let policy = "path \"secret/*\" { capabilities = [\"create\", \"read\", \"update\", \"list\"] }\n\
                      path \"transit/*\" { capabilities = [\"update\"] }";
        self.put(&at("sys/policies/acl/qks"), json!({ "policy": policy })).await;
        let mut role = json!({ "token_policies": "qks" });
        role.as_object_mut().unwrap().extend(token.as_object().unwrap().clone());
        self.put(&at("auth/approle/role/qks"), role).await;
        let role_id = self.get(&at("auth/approle/role/qks/role-id")).await;
        let secret_id = self.put(&at("auth/approle/role/qks/secret-id"), json!({})).await;
        let file = |name: &str, value: &Value| {
            let text = value.as_str().unwrap();
            secret_file::replace(&self.folder.path().join(name), text.as_bytes()).unwrap();
        };
        file("role-id", &role_id["data"]["role_id"]);
        file("secret-id", &secret_id["data"]["secret_id"]);
    }

    /// The engines that the tests use.
    pub(crate) async fn furnish(&self, namespace: &str) {
        let at = |path: &str| format!("{namespace}{path}");
        self.put(&at("sys/mounts/secret"), json!({ "type": "kv", "options": { "version": "2" } })).await;
        self.furnish_transit(namespace).await;
    }

    async fn furnish_transit(&self, namespace: &str) {
        let at = |path: &str| format!("{namespace}{path}");
        self.put(&at("sys/mounts/transit"), json!({ "type": "transit" })).await;
        self.put(&at("transit/keys/photongate"), json!({})).await;
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.ask(self.http().get(self.url(path))).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Value {
        self.ask(self.http().put(self.url(path)).json(&body)).await
    }

    async fn ask(&self, request: reqwest::RequestBuilder) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let request = request.try_clone().unwrap().header("X-Vault-Token", &self.root_token);
            let answer = request.send().await.unwrap();
            let status = answer.status();
            let text = answer.text().await.unwrap();
            // A store of version 2 is got ready in the background after it was mounted.
            if status.is_success() {
                return serde_json::from_str(&text).unwrap_or(Value::Null);
            }
            assert!(text.contains("Upgrading") && Instant::now() < until, "{status}: {text}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until its health has one of these statuses.
    async fn comes_up(&self, statuses: &[u16]) {
        let until = Instant::now() + PATIENCE;
        loop {
            let answer = self.http().get(self.url("sys/health")).send().await;
            match answer {
                Ok(answer) if statuses.contains(&answer.status().as_u16()) => return,
                answer => assert!(Instant::now() < until, "OpenBao does not come up: {answer:?}, {}", self.log()),
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}/v1/{path}", self.address())
    }

    fn http(&self) -> reqwest::Client {
        let builder = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
        let authorities = self.ca.iter().map(|ca| reqwest::Certificate::from_pem(&fs::read(ca).unwrap()).unwrap());
        builder.tls_certs_only(authorities).build().unwrap()
    }

    fn run(&mut self, arguments: &[&str]) {
        let log = fs::File::options().create(true).append(true).open(self.folder.path().join("bao.log")).unwrap();
        let mut command = Command::new(program());
        command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("bao.log")).unwrap_or_default()
    }
}

impl Drop for Bao {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What a server needs to speak TLS, and a client to believe it.
pub(crate) struct Tls {
    pub(crate) ca: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

fn program() -> PathBuf {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| env::home_dir().map(|home| home.join(".cache"))).expect("there is a home folder");
    let program = cache.join("photongate/openbao-2.7.2/bao");
    assert!(program.exists(), "{} is missing: run scripts/setup.sh, which fetches it", program.display());
    program
}

/// Far more than it takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const POLL: Duration = Duration::from_millis(50);

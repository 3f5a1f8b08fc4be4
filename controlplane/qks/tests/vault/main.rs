//! Secrets in a Vault: a real OpenBao, as it is found, lost and found again.
//!
//! `scripts/setup.sh` fetches the server.

mod bao;
mod conversation;
mod keyring;
#[path = "../../src/secrets/testing.rs"]
mod shelf;
mod silence;
mod slow;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use photongate_net::config;
use photongate_qks::secrets::{Opened, RewrapKeys, Sealing, SecretsConfig, WrappedKeys};

use bao::{Bao, PATIENCE, POLL};

/// What `[secrets.vault]` says, for a role of the server.
fn settings(bao: &Bao, address: &str, more: &str) -> String {
    let role_id = std::fs::read_to_string(bao.folder().join("role-id")).unwrap();
    format!(
        "[secrets.vault]\naddress = {address:?}\nrole_id = {role_id:?}\nsecret_id = {{ file = \"secret-id\" }}\n{more}\n"
    )
}

/// Opens what the text says, as a file in the server's folder.
async fn open(bao: &Bao, text: &str, storage: Arc<dyn WrappedKeys>) -> Opened {
    read(bao.folder(), text).open(storage).await.unwrap()
}

fn read(folder: &Path, text: &str) -> SecretsConfig {
    let path = folder.join("qks.toml");
    let loaded = config::read_text(&path, text, |root| root.section("secrets", SecretsConfig::read));
    loaded.unwrap_or_else(|problems| panic!("{problems}")).config
}

/// Tries until it succeeds.
async fn eventually<T, E: std::fmt::Debug>(mut attempt: impl AsyncFnMut() -> Result<T, E>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        match attempt().await {
            Ok(done) => return done,
            Err(error) => assert!(Instant::now() < until, "{error:?}"),
        }
        tokio::time::sleep(POLL).await;
    }
}

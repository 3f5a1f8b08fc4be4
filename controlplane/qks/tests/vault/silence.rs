//! Nothing that is secret is logged, however much is asked for.

use std::io;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use photongate_qks::secrets::Keyring;
use serde_json::json;
use tracing::level_filters::LevelFilter;

use crate::bao::Bao;
use crate::shelf::Shelf;
use crate::{open, settings};

#[tokio::test]
async fn no_token_secret_or_key_is_in_the_log_at_any_level() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_writer(move || writer.clone())
        .finish();
    // Of the whole process: what other tests log meanwhile must not show anything either.
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let bao = Bao::in_memory().await;
    bao.role("", json!({})).await;
    for guard in ["transit_key = \"photongate\"", "key_folder = \"qks-a/keys\""] {
        let shelf: Arc<Shelf> = Arc::default();
        let text = settings(&bao, &bao.address(), guard);
        let opened = open(&bao, &text, Arc::clone(&shelf) as _).await;
        let sealed = opened.keyring.seal(b"", MATERIAL).await.unwrap();
        let again = open(&bao, &text, shelf).await;
        assert_eq!(again.keyring.open(b"", &sealed).await.unwrap().as_slice(), MATERIAL);
        let vault = opened.vault.unwrap();
        vault.create(guard.split(' ').next().unwrap(), MATERIAL).await.unwrap();
        vault.load(guard.split(' ').next().unwrap()).await.unwrap().unwrap();
        tracing::error!("{vault:?} {:?}", opened.keyring);
    }
    let data_key = bao.get("secret/data/qks-a/keys/1").await["data"]["data"]["value"].as_str().unwrap().to_owned();
    let logged = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(logged.contains("transit/encrypt/photongate"), "the library's own log is there:\n{logged}");
    let secret_id = std::fs::read_to_string(bao.folder().join("secret-id")).unwrap();
    let hex: String = MATERIAL.iter().map(|byte| format!("{byte:02x}")).collect();
    let clear = String::from_utf8(MATERIAL.to_vec()).unwrap();
    for secret in [secret_id, data_key, STANDARD.encode(MATERIAL), hex, clear] {
        assert!(!logged.contains(&secret), "{secret} is in the log");
    }
    let tokens: Vec<_> = logged.match_indices("s.").filter(|(at, _)| is_token(&logged[*at..])).collect();
    assert!(tokens.is_empty(), "{tokens:?}");
    assert!(is_token("s.cZEmXFOi9ysVHP4zPIZ9Eufn\n"), "tokens look like this");
}

/// Whether a text begins with a token, as OpenBao makes them.
fn is_token(text: &str) -> bool {
    let digits = text["s.".len()..].bytes().take_while(u8::is_ascii_alphanumeric);
    digits.count() >= 20
}

/// Everything that was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const MATERIAL: &[u8] = b"material that nobody may read in a log";

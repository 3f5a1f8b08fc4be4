//! Asks another key server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use photongate_net::tls::ClientTls;
use reqwest::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use photongate_net::https::{Https, NoAnswer};

/// The way to one other server, which may be several processes. One of them answers; the others send on.
#[derive(Clone, Debug)]
pub struct PeerClient {
    bases: Arc<[Url]>,
    /// The one that answered last.
    current: Arc<AtomicUsize>,
    https: Https,
}

/// Why another server did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// It cannot be reached, or does not answer in time, or cannot do anything now.
    #[error("the other key server cannot be reached: {0}")]
    Unreachable(String),
    /// It refuses.
    #[error("the other key server refuses: {0}")]
    Refused(String),
    /// Too much waits for it already.
    #[error("too many requests wait for the other key server")]
    Busy,
}

impl PeerClient {
    /// A client of the server whose processes are at `bases`, `https` URLs.
    ///
    /// # Errors
    /// What the HTTP library says about the TLS side.
    pub fn new(bases: Vec<Url>, tls: &ClientTls) -> Result<Self, PeerError> {
        Ok(Self { bases: bases.into(), current: Arc::default(), https: Https::new(tls, LONGEST_ANSWER)? })
    }

    /// Sends a request and reads the answer, both JSON.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        request: &impl Serialize,
        patience: Duration,
    ) -> Result<T, PeerError> {
        let body = serde_json::to_vec(request).map_err(|error| PeerError::Refused(error.to_string()))?;
        let answer = self.send(path, body.into(), "application/json", patience).await?;
        serde_json::from_slice(&answer)
            .map_err(|error| PeerError::Refused(format!("its answer is unreadable: {error}")))
    }

    /// Sends bytes and reads bytes.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn ask(&self, path: &str, question: Bytes, patience: Duration) -> Result<Bytes, PeerError> {
        self.send(path, question, "application/octet-stream", patience).await
    }

    async fn send(&self, path: &str, body: Bytes, kind: &str, patience: Duration) -> Result<Bytes, PeerError> {
        let mut outcome = Err(PeerError::Unreachable("it has no URL".to_owned()));
        let (count, first) = (self.bases.len(), self.current.load(Ordering::Relaxed));
        for place in (first..).take(count).map(|place| place % count) {
            let url = self.bases[place].join(path).map_err(|error| PeerError::Refused(error.to_string()))?;
            match self.https.post(url, kind, body.clone(), patience).await {
                Ok((StatusCode::MISDIRECTED_REQUEST, body)) => outcome = Err(PeerError::Unreachable(sentence(&body))),
                Err(NoAnswer::NoConnection(why)) => outcome = Err(PeerError::Unreachable(why)),
                Err(why) => {
                    // It may have been heard: only the next request goes elsewhere.
                    self.current.store((place + 1) % count, Ordering::Relaxed);
                    return Err(why.into());
                }
                Ok((status, body)) => {
                    self.current.store(place, Ordering::Relaxed);
                    return match status {
                        StatusCode::OK => Ok(Bytes::from_owner(body)),
                        StatusCode::SERVICE_UNAVAILABLE => Err(PeerError::Unreachable(sentence(&body))),
                        _ => Err(PeerError::Refused(format!("{status}: {}", sentence(&body)))),
                    };
                }
            }
        }
        outcome
    }
}

fn sentence(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned()
}

impl From<NoAnswer> for PeerError {
    fn from(why: NoAnswer) -> Self {
        match why {
            NoAnswer::NoConnection(why) | NoAnswer::Unreachable(why) => Self::Unreachable(why),
            NoAnswer::TooLong => Self::Refused(why.to_string()),
        }
    }
}

const LONGEST_ANSWER: usize = 2 * 1024 * 1024;

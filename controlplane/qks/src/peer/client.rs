//! Asks another key server.

use std::time::Duration;

use bytes::Bytes;
use photongate_net::tls::ClientTls;
use reqwest::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::https::{Https, NoAnswer};

/// The way to one other server.
#[derive(Clone, Debug)]
pub struct PeerClient {
    base: Url,
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
    /// A client of the server at `base`, an `https` URL.
    ///
    /// # Errors
    /// What the HTTP library says about the TLS side.
    pub fn new(base: Url, tls: &ClientTls) -> Result<Self, PeerError> {
        Ok(Self { base, https: Https::new(tls, LONGEST_ANSWER)? })
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
        let url = self.base.join(path).map_err(|error| PeerError::Refused(error.to_string()))?;
        let (status, body) = self.https.post(url, kind, body, patience).await?;
        match status {
            StatusCode::OK => Ok(Bytes::from_owner(body)),
            StatusCode::SERVICE_UNAVAILABLE => Err(PeerError::Unreachable(sentence(&body))),
            _ => Err(PeerError::Refused(format!("{status}: {}", sentence(&body)))),
        }
    }
}

fn sentence(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned()
}

impl From<NoAnswer> for PeerError {
    fn from(why: NoAnswer) -> Self {
        match why {
            NoAnswer::Unreachable(why) => Self::Unreachable(why),
            NoAnswer::TooLong => Self::Refused(why.to_string()),
        }
    }
}

const LONGEST_ANSWER: usize = 2 * 1024 * 1024;

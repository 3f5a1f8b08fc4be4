//! An application's side of ETSI GS QKD 014 V1.1.1: for operators, for benchmarks, and to draw keys from other servers.

use std::time::Duration;

use photongate_net::tls::ClientTls;
use reqwest::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::ids::SaeId;
use crate::sae::{ErrorBody, KeyContainer, KeyId, KeyIds, KeyRequest, Status};
use photongate_net::https::{Https, NoAnswer};

/// A client of one key server.
#[derive(Clone, Debug)]
pub struct SaeClient {
    base: Url,
    https: Https,
    patience: Duration,
}

/// What a key server is asked.
#[derive(Clone, Copy, Debug)]
pub enum Question<'q> {
    /// "Get status", clause 5.2.
    Status {
        /// Whom keys would be shared with.
        slave: &'q SaeId,
    },
    /// "Get key", clause 5.3.
    EncKeys {
        /// Whom the keys are shared with.
        slave: &'q SaeId,
        /// How many, and which.
        request: &'q KeyRequest,
    },
    /// "Get key with key IDs", clause 5.4.
    DecKeys {
        /// Who asked for the keys.
        master: &'q SaeId,
        /// What they are called.
        ids: &'q [Uuid],
    },
}

/// Why a key server gives nothing.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ClientError {
    /// It cannot be reached, or does not answer in time.
    #[error("the key server cannot be reached: {0}")]
    Unreachable(String),
    /// It refuses. The standard knows 400, 401 and 503; some servers answer with others.
    #[error("the key server answers {status}{}", .body.as_ref().map(|body| format!(": {}", body.message)).unwrap_or_default())]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it says, if it says anything.
        body: Option<ErrorBody>,
    },
    /// Its answer is not what the standard wants.
    #[error("the key server's answer cannot be read: {0}")]
    Unreadable(String),
}

impl SaeClient {
    /// A client of the server at `base`, an `https` URL.
    ///
    /// # Errors
    /// What the HTTP library says about the TLS side.
    pub fn new(base: Url, tls: &ClientTls) -> Result<Self, ClientError> {
        Ok(Self { base, https: Https::new(tls, LONGEST_ANSWER)?, patience: PATIENCE })
    }

    /// The same client, which waits so long for an answer.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// "Get status", clause 5.2.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn status(&self, slave: &SaeId) -> Result<Status, ClientError> {
        read(&self.ask(Question::Status { slave }).await?)
    }

    /// "Get key", clause 5.3.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn enc_keys(&self, slave: &SaeId, request: &KeyRequest) -> Result<KeyContainer, ClientError> {
        read(&self.ask(Question::EncKeys { slave, request }).await?)
    }

    /// "Get key with key IDs", clause 5.4.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn dec_keys(&self, master: &SaeId, ids: &[Uuid]) -> Result<KeyContainer, ClientError> {
        read(&self.ask(Question::DecKeys { master, ids }).await?)
    }

    /// The answer as it came. [`read`] makes a value of it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn ask(&self, question: Question<'_>) -> Result<Zeroizing<Vec<u8>>, ClientError> {
        match question {
            Question::Status { slave } => answer(self.https.get(self.url(slave, "status")?, self.patience).await?),
            Question::EncKeys { slave, request } => self.post(self.url(slave, "enc_keys")?, request).await,
            Question::DecKeys { master, ids } => {
                let ids = ids.iter().map(|id| KeyId::Object { key_id: *id }).collect();
                let ids = KeyIds { key_IDs: ids, key_IDs_extension: None };
                self.post(self.url(master, "dec_keys")?, &ids).await
            }
        }
    }

    async fn post(&self, url: Url, body: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| ClientError::Unreadable(error.to_string()))?;
        answer(self.https.post(url, "application/json", body, self.patience).await?)
    }

    fn url(&self, sae: &SaeId, method: &str) -> Result<Url, ClientError> {
        let mut url = self.base.clone();
        let unusable = || ClientError::Unreachable(format!("{} is no URL of a server", self.base));
        let mut segments = url.path_segments_mut().map_err(|()| unusable())?;
        segments.pop_if_empty().extend(["api", "v1", "keys", sae.as_str(), method]);
        drop(segments);
        Ok(url)
    }
}

fn answer((status, body): (StatusCode, Zeroizing<Vec<u8>>)) -> Result<Zeroizing<Vec<u8>>, ClientError> {
    if status == StatusCode::OK {
        return Ok(body);
    }
    Err(ClientError::Refused { status: status.as_u16(), body: serde_json::from_slice(&body).ok() })
}

impl From<NoAnswer> for ClientError {
    fn from(why: NoAnswer) -> Self {
        match why {
            NoAnswer::NoConnection(why) | NoAnswer::Unreachable(why) => Self::Unreachable(why),
            NoAnswer::TooLong => Self::Unreadable("it is too long".to_owned()),
        }
    }
}

/// What the standard wants in an answer to a question.
///
/// # Errors
/// It is something else.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ClientError> {
    // What the parser says names places, not contents, but for words that are no fields of ours.
    serde_json::from_slice(body)
        .map_err(|error| ClientError::Unreadable(format!("line {} column {}", error.line(), error.column())))
}

const PATIENCE: Duration = Duration::from_secs(30);
const LONGEST_ANSWER: usize = 16 * 1024 * 1024;

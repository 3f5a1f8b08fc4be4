//! The calls of ETSI GS QKD 004 V2.1.1 as JSON over HTTPS.

use std::fmt;

use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::links::device::{DEVICE_PATIENCE, DeviceAddress, DeviceError, MOST_BLOCK_BYTES};
use photongate_net::https::Https;

/// `OPEN_CONNECT`, clause 6.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct OpenConnect {
    pub(super) source: String,
    pub(super) destination: String,
    /// Which stream. Without it, the module makes one.
    #[serde(rename = "key_stream_ID", skip_serializing_if = "Option::is_none")]
    pub(super) key_stream_id: Option<Uuid>,
    pub(super) qos_parameters: QualityOfService,
}

/// What is wanted of a stream, as far as this server cares.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct QualityOfService {
    /// Bytes that one index gives.
    #[serde(rename = "Key_chunk_size", skip_serializing_if = "Option::is_none")]
    pub(super) key_chunk_size: Option<u32>,
    /// How long a call may take.
    #[serde(rename = "Timeout", skip_serializing_if = "Option::is_none")]
    pub(super) timeout_ms: Option<u32>,
    /// How long keys are kept that only one end has fetched.
    #[serde(rename = "TTL", skip_serializing_if = "Option::is_none")]
    pub(super) ttl_seconds: Option<u32>,
}

/// What a module says to `OPEN_CONNECT`.
#[derive(Debug, Deserialize)]
pub(super) struct Opened {
    pub(super) status: Status,
    #[serde(rename = "key_stream_ID")]
    pub(super) key_stream_id: Option<Uuid>,
    pub(super) qos_parameters: Option<QualityOfService>,
}

/// What a module says to `GET_KEY`.
#[derive(Deserialize)]
pub(super) struct Got {
    pub(super) status: Status,
    #[serde(default)]
    pub(super) indexes: Vec<u32>,
    /// In Base64.
    #[serde(default)]
    pub(super) keys: Vec<Zeroizing<String>>,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Status(u32);

impl Status {
    pub(super) const SUCCESSFUL: Self = Self(0);
    /// The other application has not opened the stream yet.
    pub(super) const PEER_NOT_CONNECTED: Self = Self(1);
    /// What was wanted cannot be had; the answer says what can.
    pub(super) const COUNTER_PROPOSAL: Self = Self(7);
    /// An addition of qkd-key-server's modules.
    pub(super) const NO_SUCH_STREAM: Self = Self(9);
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meaning = match self.0 {
            0 => "successful",
            1 => "the peer is not connected",
            2 => "there are not enough keys",
            3 => "the peer application is not connected yet",
            4 => "there is no QKD connection",
            5 => "the key stream is in use",
            6 => "it took too long",
            7 => "it cannot give what is wanted, and offers something else",
            8 => "there is no room for the metadata",
            9 => "there is no such key stream",
            10 => "some of the keys are not available",
            _ => "it says no more",
        };
        write!(f, "status {}: {meaning}", self.0)
    }
}

impl From<Status> for DeviceError {
    fn from(status: Status) -> Self {
        Self(status.to_string())
    }
}

/// Calls one module.
pub(super) struct Client {
    base: Url,
    https: Https,
}

impl Client {
    /// Of the module at that address.
    pub(super) fn new(module: &DeviceAddress) -> Result<Self, DeviceError> {
        // In Base64, and with the indexes, keys take twice their room at most.
        let https = Https::new(&module.tls()?, 2 * MOST_BLOCK_BYTES);
        Ok(Self { base: module.url.clone(), https: https.map_err(|error| DeviceError(error.to_string()))? })
    }

    pub(super) async fn open_connect(&self, request: &OpenConnect) -> Result<Opened, DeviceError> {
        self.call("open_connect", request).await
    }

    pub(super) async fn get_key(&self, stream: Uuid, indexes: &[u32]) -> Result<Got, DeviceError> {
        self.call("get_key", &GetKey { key_stream_id: stream, indexes }).await
    }

    pub(super) async fn close(&self, stream: Uuid) -> Result<Closed, DeviceError> {
        self.call("close", &Close { key_stream_id: stream }).await
    }

    /// A failed call has a status, too: with 503, and the same fields.
    async fn call<T: DeserializeOwned>(&self, method: &str, request: &impl Serialize) -> Result<T, DeviceError> {
        let mut url = self.base.clone();
        let unusable = || DeviceError(format!("{} is no URL of a module", self.base));
        url.path_segments_mut().map_err(|()| unusable())?.pop_if_empty().push(method);
        let body = serde_json::to_vec(request).map_err(|error| DeviceError(error.to_string()))?;
        let answer = self.https.post(url, "application/json", body, DEVICE_PATIENCE).await;
        let (status, body) = answer.map_err(|error| DeviceError(format!("the module cannot be reached: {error}")))?;
        let read = serde_json::from_slice(&body);
        match status {
            StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE => read.map_err(|error| {
                // What the parser says could show a part of a key.
                let place = format!("line {} column {}", error.line(), error.column());
                DeviceError(format!("the module's answer to {method} cannot be read, {status}: {place}"))
            }),
            _ => {
                let refusal: Option<Refusal> = serde_json::from_slice(&body).ok();
                let why = refusal.map(|refusal| format!(": {}", refusal.message)).unwrap_or_default();
                Err(DeviceError(format!("the module answers {status} to {method}{why}")))
            }
        }
    }
}

/// What a module says to `CLOSE`.
#[derive(Debug, Deserialize)]
pub(super) struct Closed {
    #[allow(dead_code, reason = "an answer without it is none")]
    status: Status,
}

#[derive(Serialize)]
struct GetKey<'r> {
    #[serde(rename = "key_stream_ID")]
    key_stream_id: Uuid,
    indexes: &'r [u32],
}

#[derive(Serialize)]
struct Close {
    #[serde(rename = "key_stream_ID")]
    key_stream_id: Uuid,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

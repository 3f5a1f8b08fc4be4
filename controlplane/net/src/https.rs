//! Requests to other servers: over TLS that both sides are known by, with an end to waiting and to the length of answers.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, StatusCode};
use url::Url;
use zeroize::Zeroizing;

use crate::tls::ClientTls;

/// Asks the servers that one TLS side believes.
#[derive(Clone, Debug)]
pub struct Https {
    client: Client,
    longest_answer: usize,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// There is no connection to the server, so it has heard nothing.
    #[error("{0}")]
    NoConnection(String),
    /// It does not answer, or takes too long.
    #[error("{0}")]
    Unreachable(String),
    /// It does not stop talking.
    #[error("its answer is too long")]
    TooLong,
}

impl Https {
    /// A client that reads answers of up to so many bytes.
    ///
    /// # Errors
    /// What the HTTP library says about the TLS side.
    pub fn new(tls: &ClientTls, longest_answer: usize) -> Result<Self, NoAnswer> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls.config().as_ref().clone())
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .no_proxy()
            .redirect(Policy::none())
            .build();
        Ok(Self { client: client.map_err(|error| NoAnswer::Unreachable(causes(&error)))?, longest_answer })
    }

    /// Asks without a body.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn get(&self, url: Url, patience: Duration) -> Result<(StatusCode, Zeroizing<Vec<u8>>), NoAnswer> {
        self.send(self.client.request(Method::GET, url).timeout(patience)).await
    }

    /// Asks with a body of this media type.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn post(
        &self,
        url: Url,
        kind: &str,
        body: impl Into<Bytes>,
        patience: Duration,
    ) -> Result<(StatusCode, Zeroizing<Vec<u8>>), NoAnswer> {
        let request = self.client.request(Method::POST, url).header("content-type", kind).body(body.into());
        self.send(request.timeout(patience)).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<(StatusCode, Zeroizing<Vec<u8>>), NoAnswer> {
        let unreachable = |error: reqwest::Error| match error.is_connect() {
            true => NoAnswer::NoConnection(causes(&error)),
            false => NoAnswer::Unreachable(causes(&error)),
        };
        let mut answer = request.send().await.map_err(unreachable)?;
        let mut body = Zeroizing::new(Vec::new());
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > self.longest_answer {
                return Err(NoAnswer::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok((answer.status(), body))
    }
}

/// The whole chain of causes: the outermost says only that a request failed.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

const CONNECT: Duration = Duration::from_secs(5);

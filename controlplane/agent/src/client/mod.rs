//! The management interface seen from outside: what commands ask a filter with.
//!
//! One [`Client`] speaks to one [`Server`], over its Unix socket or over TCP. Answers have a largest size and a time by which they must
//! come, so that a server that misbehaves cannot stop or fill the one who asks. What is refused comes back as the filter's own
//! problem document, in words ([`ClientError`]).

mod error;
mod lines;
mod options;
mod requests;
mod samples;
mod server;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::time::Duration;

use bytes::BytesMut;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method};
use reqwest::{RequestBuilder, Response, Url};
use serde::de::DeserializeOwned;

pub use bytes::Bytes;
pub use error::ClientError;
pub use http::StatusCode;
pub use options::ClientOptions;
pub use requests::{AsListText, PeersAsked};
pub use samples::Heard;
pub use server::{DEFAULT_SOCKET, NotAServer, Server};

/// Asks and tells one filter. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Client {
    server: Server,
    http: reqwest::Client,
    base: Url,
    authorization: Option<HeaderValue>,
}

impl Client {
    /// A client of `server`. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ClientError::Unusable`] if a certificate, a key or the token cannot be used.
    pub fn new(server: Server, options: &ClientOptions) -> Result<Self, ClientError> {
        let base = server.base_url();
        let builder = options.builder(&server)?.connect_timeout(CONNECT_WITHIN).read_timeout(SILENCE);
        let http = builder.build().map_err(|error| ClientError::unusable(&error))?;
        Ok(Self { server, http, base, authorization: options.authorization()? })
    }

    /// Whom it asks.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Asks for a document.
    async fn get<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, &str)]) -> Result<T, ClientError> {
        let answer = self.within(ANSWER_WITHIN, self.send(self.request(Method::GET, path, query))).await?;
        self.parse(&answer.body)
    }

    /// Sends a request and reads the whole answer.
    async fn send(&self, request: RequestBuilder) -> Result<Answer, ClientError> {
        let response = self.begin(request).await?;
        let headers = response.headers().clone();
        let body = self.body(response, LARGEST_ANSWER).await?;
        Ok(Answer { headers, body })
    }

    /// Sends a request, and gives the answer if it is not a refusal.
    async fn begin(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request.send().await.map_err(|error| ClientError::on_the_way(&self.server, &error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let content_type = response.headers().get(CONTENT_TYPE).cloned();
        let body = self.body(response, LARGEST_REFUSAL).await?;
        Err(ClientError::refused(&self.server, status, content_type.as_ref(), &body))
    }

    /// Reads the body of an answer of at most `largest` bytes.
    async fn body(&self, mut response: Response, largest: usize) -> Result<Bytes, ClientError> {
        let too_large = || ClientError::TooLarge { server: self.server.clone(), largest };
        if response.content_length().is_some_and(|length| length > largest as u64) {
            return Err(too_large());
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| ClientError::on_the_way(&self.server, &error))? {
            if body.len() + chunk.len() > largest {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// Gives up after some time. Without this, a server that sends a byte now and then could keep us forever.
    async fn within<T>(
        &self,
        time: Duration,
        answer: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        let late = || ClientError::TimedOut { server: self.server.clone() };
        tokio::time::timeout(time, answer).await.unwrap_or_else(|_| Err(late()))
    }

    fn request(&self, method: Method, path: &[&str], query: &[(&str, &str)]) -> RequestBuilder {
        let mut url = self.base.clone();
        url.path_segments_mut().expect("an HTTP address has a path").extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.http.request(method, url);
        match &self.authorization {
            Some(authorization) => request.header(AUTHORIZATION, authorization),
            None => request,
        }
    }

    fn parse<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, ClientError> {
        serde_json::from_slice(body)
            .map_err(|error| ClientError::NotOurs { server: self.server.clone(), what: error.to_string() })
    }
}

/// A whole answer.
struct Answer {
    headers: http::HeaderMap,
    body: Bytes,
}

/// How long a connection may take to come about.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// How long a server may say nothing in the middle of an answer, and in a stream that has something to say each second.
const SILENCE: Duration = Duration::from_secs(15);

/// How long an answer may take that only reads.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// How long a change may take: keys are fetched for new peers, and workers let go of what they held.
const CHANGE_WITHIN: Duration = Duration::from_secs(120);

/// The largest answer that is read, in bytes: an AS list of several hundred thousand peers.
const LARGEST_ANSWER: usize = 128 << 20;

/// The largest refusal: one that names every mistake in a long list.
const LARGEST_REFUSAL: usize = 16 << 20;

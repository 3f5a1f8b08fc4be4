//! Why an answer did not come, or was a refusal.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::iter::successors;

use http::{HeaderValue, StatusCode};
use photongate_net::http::{FieldProblem, Problem};

use super::Server;

/// Why an answer did not come, or was a refusal. In words for the operator, who sees it as it stands.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClientError {
    /// What the client was given cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// Nobody listens there.
    #[error("nobody answers at {server}: {why}\n{}", advice(server))]
    NotReached {
        /// Where.
        server: Server,
        /// What the operating system says.
        why: String,
    },
    /// Somebody listens there, and no TLS connection comes about.
    #[error("no secure connection to {server}: {why}\nis the authority that vouches for it the one in --ca?")]
    NotSecure {
        /// Where.
        server: Server,
        /// What is wrong with it.
        why: String,
    },
    /// The Unix socket is there, for others than us.
    #[error(
        "{server} may not be opened: run this as root or as the user that runs the filter, like `sudo photongate …`"
    )]
    NotAllowed {
        /// The socket.
        server: Server,
    },
    /// It took too long. A change may have been made all the same.
    #[error("{server} does not answer in time")]
    TimedOut {
        /// Where.
        server: Server,
    },
    /// The connection broke in the middle. A change may have been made all the same.
    #[error("the connection to {server} has broken: {why}")]
    Broken {
        /// Where.
        server: Server,
        /// What happened.
        why: String,
    },
    /// The filter refuses, and says why.
    #[error("{}", in_words(problem, server))]
    Refused {
        /// Who refuses.
        server: Server,
        /// The refusal.
        problem: Box<Problem>,
    },
    /// The answer has more bytes than any good answer.
    #[error("{server} answers with more than {largest} bytes: is it a photongate filter?")]
    TooLarge {
        /// Where.
        server: Server,
        /// How many are read at most.
        largest: usize,
    },
    /// The answer is not what a filter of this version says.
    #[error("{server} answers, but not like a photongate filter of version {}: {what}", env!("CARGO_PKG_VERSION"))]
    NotOurs {
        /// Where.
        server: Server,
        /// What is unexpected.
        what: String,
    },
}

impl ClientError {
    /// The status of a refusal.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { problem, .. } => Some(problem.status_code()),
            _ => None,
        }
    }

    pub(super) fn unusable(error: &reqwest::Error) -> Self {
        Self::Unusable(innermost(error))
    }

    /// What a request failed with before its answer was there.
    pub(super) fn on_the_way(server: &Server, error: &reqwest::Error) -> Self {
        let server = server.clone();
        let why = innermost(error);
        let kind = io_kind(error);
        match (&server, kind) {
            _ if error.is_timeout() => Self::TimedOut { server },
            (Server::Socket(_), Some(ErrorKind::PermissionDenied)) => Self::NotAllowed { server },
            // Of TLS, the operating system knows nothing.
            (_, None | Some(ErrorKind::InvalidData | ErrorKind::Other))
                if error.is_connect() && !error.is_dns() && server.is_encrypted() =>
            {
                Self::NotSecure { server, why }
            }
            _ if error.is_connect() => Self::NotReached { server, why },
            _ => Self::Broken { server, why },
        }
    }

    /// A refusal: a problem document, or whatever else another server has said.
    pub(super) fn refused(
        server: &Server,
        status: StatusCode,
        content_type: Option<&HeaderValue>,
        body: &[u8],
    ) -> Self {
        let server = server.clone();
        let is_problem = content_type.is_some_and(|kind| kind.as_bytes().starts_with(PROBLEM_JSON));
        let problem = is_problem.then(|| serde_json::from_slice::<Problem>(body).ok()).flatten();
        match problem {
            Some(problem) => Self::Refused { server, problem: Box::new(problem) },
            None => Self::NotOurs { server, what: format!("status {status}, without saying why") },
        }
    }
}

/// The refusal in words: what and why, then each mistake on a line of its own.
fn in_words(problem: &Problem, server: &Server) -> String {
    let mut words = problem.title.to_string();
    if let Some(detail) = &problem.detail {
        words += &format!(": {detail}");
    }
    if problem.status_code() == StatusCode::UNAUTHORIZED {
        words += &format!("\n{}", how_to_be_known(server));
    }
    for mistake in &problem.problems {
        words += &format!("\n  {}", mistake_in_words(mistake));
    }
    words
}

/// A mistake as compilers write it: `file:line:column: field: what is wrong`.
fn mistake_in_words(mistake: &FieldProblem) -> String {
    let file = mistake.file.iter().cloned();
    let position = [mistake.line, mistake.column].into_iter().map_while(|number| Some(number?.to_string()));
    let place = file.chain(position).collect::<Vec<_>>().join(":");
    let parts = [place.as_str(), &mistake.field, &mistake.message].into_iter().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(": ")
}

fn how_to_be_known(server: &Server) -> String {
    match server {
        Server::Socket(_) => "run this as root or as the user that runs the filter".to_owned(),
        Server::Url(_) => {
            "give a token: --token-file /var/lib/photongate/read.token, or admin.token to change something; \
                           or a certificate: --certificate FILE --key FILE"
                .to_owned()
        }
    }
}

fn advice(server: &Server) -> String {
    match server {
        Server::Socket(_) => "is the filter running? `photongate filter --config …`; another socket: --socket PATH; \
                              over the network: --url https://HOST:PORT"
            .to_owned(),
        Server::Url(_) => {
            "is the filter running there, and is `api.listen` in its configuration this address?".to_owned()
        }
    }
}

/// What an error says at its core. The outer ones only say that something failed.
fn innermost(error: &reqwest::Error) -> String {
    chain(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

fn io_kind(error: &reqwest::Error) -> Option<ErrorKind> {
    chain(error).find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind)
}

fn chain<'e>(error: &'e reqwest::Error) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    successors(error.source(), |cause: &&'e (dyn Error + 'static)| (*cause).source())
}

const PROBLEM_JSON: &[u8] = b"application/problem+json";

//! What a node refuses, as problem documents: the one place that chooses status codes.

use http::{HeaderValue, StatusCode, header};
use photongate_net::http::{Problem, bad_request};

use crate::command::{Generation, Outcome};
use crate::node::{Refusal, Reply};

/// The problem that a reply is, if it is no success.
pub(super) fn problem(reply: Reply) -> Problem {
    match reply {
        Reply::Refused(refusal) => refused(&refusal),
        Reply::Done(outcome) => not_made(outcome),
        Reply::Read { .. } | Reply::MembersChanged(_) => Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// There is no document of this name.
pub(super) fn no_document() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "No such document")
}

fn refused(refusal: &Refusal) -> Problem {
    let (status, title) = match refusal {
        Refusal::Busy => (StatusCode::SERVICE_UNAVAILABLE, "The node is busy"),
        Refusal::NotAMember => (StatusCode::SERVICE_UNAVAILABLE, "The node is not a member"),
        Refusal::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "The node is stopping"),
        Refusal::NoMajority => (StatusCode::SERVICE_UNAVAILABLE, "No majority"),
        Refusal::Unknown => (StatusCode::GATEWAY_TIMEOUT, "The outcome is unknown"),
        Refusal::Members(_) => (StatusCode::CONFLICT, "The members cannot be changed like that"),
    };
    let problem = Problem::new(status, title).with_detail(refusal.to_string());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        problem.with_header(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S))
    } else {
        problem
    }
}

fn not_made(outcome: Outcome) -> Problem {
    match outcome {
        Outcome::Conflict { generation: Generation::ABSENT } => {
            Problem::new(StatusCode::CONFLICT, "Another generation").with_detail("there is no such document")
        }
        Outcome::Conflict { generation } => Problem::new(StatusCode::CONFLICT, "Another generation")
            .with_detail(format!("the document has generation {generation}")),
        Outcome::UnknownClient => bad_request("the client is not known (any more): register, and count from 1 again"),
        Outcome::Superseded => Problem::new(StatusCode::CONFLICT, "Superseded")
            .with_detail("a command of this client with a larger number was applied before"),
        Outcome::Registered { .. } | Outcome::Written { .. } | Outcome::Deleted { .. } => {
            Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

const RETRY_AFTER_S: &str = "1";

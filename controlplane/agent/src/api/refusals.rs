//! Which status each refusal has.

use http::StatusCode;
use photongate_net::config::Problems;
use photongate_net::http::{FieldProblem, Problem};
use photongate_pipeline::PeerKey;

use crate::agent::{ApplyError, NotRevoked, ReloadError, ReloadRefused};
use crate::traces::TraceRefused;

/// There is no such peer.
pub(super) fn no_such_peer(peer: PeerKey) -> Problem {
    let detail = format!("{} with DRKey protocol {} is not on the AS list", peer.isd_as, peer.protocol);
    Problem::new(StatusCode::NOT_FOUND, "No such peer").with_detail(detail)
}

impl From<ApplyError> for Problem {
    fn from(error: ApplyError) -> Self {
        let (status, title) = match &error {
            ApplyError::Invalid(problems) => return invalid("The AS list has mistakes", problems),
            ApplyError::Conflict { .. } => (StatusCode::PRECONDITION_FAILED, "Another AS list is in force"),
            ApplyError::NotReplaceable(_) => (StatusCode::CONFLICT, "The AS list cannot be replaced here"),
            ApplyError::NotKept(_) => (StatusCode::SERVICE_UNAVAILABLE, "The AS list cannot be kept"),
            ApplyError::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "The filter is stopping"),
        };
        Self::new(status, title).with_detail(error.to_string())
    }
}

impl From<ReloadError> for Problem {
    fn from(error: ReloadError) -> Self {
        let detail = error.to_string();
        match error {
            ReloadError::List(error) => error.into(),
            ReloadError::Refused(ReloadRefused::Invalid(problems)) => {
                invalid("The configuration has mistakes", &problems)
            }
            ReloadError::Refused(ReloadRefused::NeedsRestart(_)) => {
                Self::new(StatusCode::CONFLICT, "A restart is needed").with_detail(detail)
            }
            ReloadError::Stopping => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "The filter is stopping").with_detail(detail)
            }
        }
    }
}

impl From<NotRevoked> for Problem {
    fn from(error: NotRevoked) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "It is not certain that the keys are out of use")
            .with_detail(error.to_string())
    }
}

impl From<TraceRefused> for Problem {
    fn from(error: TraceRefused) -> Self {
        let (status, title) = match &error {
            TraceRefused::Invalid(_) => (StatusCode::BAD_REQUEST, "The trace makes no sense"),
            TraceRefused::TooMany => (StatusCode::CONFLICT, "Too many traces"),
            TraceRefused::Unknown(_) => (StatusCode::NOT_FOUND, "No such trace"),
            TraceRefused::Running(_) => (StatusCode::CONFLICT, "The trace still runs"),
            TraceRefused::Failed(..) => (StatusCode::CONFLICT, "The trace failed"),
            TraceRefused::Storage(_) => (StatusCode::SERVICE_UNAVAILABLE, "There is no room for traces"),
        };
        Self::new(status, title).with_detail(error.to_string())
    }
}

fn invalid(title: &'static str, problems: &Problems) -> Problem {
    let fields = FieldProblem::all(problems);
    let detail = match fields.len() {
        1 => "one mistake; nothing was changed".to_owned(),
        count => format!("{count} mistakes; nothing was changed"),
    };
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, title).with_detail(detail).with_fields(fields)
}

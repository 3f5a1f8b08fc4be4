//! Who votes.

use axum::Json;
use axum::extract::State;
use photongate_net::http::{Admin, ChangeRefusals, JsonBody, Problem};

use super::model::{MemberChange, Members};
use super::refusals::problem;
use super::{Api, openapi};
use crate::node::{Reply, Request};
use crate::service::{NotConnected, member_change};

/// Adds, removes or replaces a member.
///
/// Who is added, or replaced because it has lost its disk, must run and be connected to this node.
#[utoipa::path(
    post, path = "/api/v1/members", tag = openapi::NODE, operation_id = "change_members",
    security(("token" = ["admin"]), ("certificate" = ["admin"])),
    request_body = MemberChange,
    responses(
        (status = 200, description = "The members from now on.", body = Members),
        openapi::Conflict, openapi::Unknown, ChangeRefusals,
    ),
)]
pub(super) async fn change(
    State(api): State<Api>,
    Admin(caller): Admin,
    JsonBody(body): JsonBody<MemberChange>,
) -> Result<Json<Members>, Problem> {
    let target = format!("{:?} {}", body.change, body.name);
    let change = async {
        let change = member_change(&api.handle, body.change, &body.name).map_err(|error: NotConnected| {
            Problem::new(http::StatusCode::CONFLICT, "The node is not connected").with_detail(error.to_string())
        })?;
        match api.handle.ask(Request::ChangeMembers(change)).await {
            Reply::MembersChanged(membership) => Ok(Json(Members::from(&membership))),
            other => Err(problem(other)),
        }
    };
    api.audit.change(&caller, "members.change", target, change).await
}

//! Who votes.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use photongate_net::http::{Admin, ChangeRefusals, JsonBody, Problem, bad_request};

use super::model::Members;
use super::refusals::problem;
use super::{Api, openapi};
use crate::lines::MemberWish;
use crate::node::{Reply, Request};
use crate::service::{CannotJoin, member_change};

/// Adds, removes or replaces a member.
///
/// Who is added, or replaced because it has lost its disk, must run. It is connected to this node already, or `addr` says where it is.
#[utoipa::path(
    post, path = "/api/v1/members", tag = openapi::NODE, operation_id = "change_members",
    security(("token" = ["admin"]), ("certificate" = ["admin"])),
    request_body = MemberWish,
    responses(
        (status = 200, description = "The members from now on.", body = Members),
        openapi::Conflict, openapi::Unknown, ChangeRefusals,
    ),
)]
pub(super) async fn change(
    State(api): State<Api>,
    Admin(caller): Admin,
    JsonBody(wish): JsonBody<MemberWish>,
) -> Result<Json<Members>, Problem> {
    let target = wish.to_string();
    let change = async {
        let change = member_change(&api.handle, &wish).await.map_err(|error| match error {
            CannotJoin::BadAddress { .. } => bad_request(error.to_string()),
            CannotJoin::NotConnected { .. } => {
                Problem::new(StatusCode::CONFLICT, "The node is not connected").with_detail(error.to_string())
            }
        })?;
        match api.handle.ask(Request::ChangeMembers(change)).await {
            Reply::MembersChanged(membership) => Ok(Json(Members::from(&membership))),
            other => Err(problem(other)),
        }
    };
    api.audit.change(&caller, "members.change", target, change).await
}

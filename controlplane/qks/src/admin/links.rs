//! The links and their QKD modules: how they are, and how they are registered, attached and detached while the server runs.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use photongate_net::http::{
    Admin as AdminCaller, ChangeRefusals, FieldProblem, JsonBody, Path, Problem, Read, ReadRefusals, bad_request,
};
use serde_json::{Value, json};

use super::model::{Attachment, Link, LinkDetails, LinkRegistration};
use super::{Admin, openapi};
use crate::ids::LinkId;
use crate::link_registry::LinkError;

/// The links, and how their sources are.
#[utoipa::path(
    get, path = "/api/v1/links", tag = openapi::LINKS, operation_id = "list_links",
    responses((status = 200, description = "All links, in the order of the configuration; then those that were registered, by their names.", body = Vec<Link>), ReadRefusals),
)]
pub(super) async fn list(State(admin): State<Admin>, _: Read) -> Json<Vec<Link>> {
    Json(admin.0.link_views())
}

/// One link, and what it was registered with.
#[utoipa::path(
    get, path = "/api/v1/links/{link}", tag = openapi::LINKS, operation_id = "get_link",
    params(("link" = String, Path, description = "The link.", example = "a-to-b", min_length = 1, max_length = 255)),
    responses(
        (status = 200, description = "The link.", body = LinkDetails),
        (status = 404, response = openapi::NotFound),
        ReadRefusals,
    ),
)]
pub(super) async fn show(
    State(admin): State<Admin>,
    _: Read,
    Path(id): Path<LinkId>,
) -> Result<Json<LinkDetails>, Problem> {
    admin.link(&id).map(Json)
}

/// Registers QKD modules as a link to a neighbour, and attaches them; or does so anew with what is changed.
///
/// The neighbour has to do the same under the same name. It stays registered over restarts. What stands in the configuration is not changed
/// here.
#[utoipa::path(
    put, path = "/api/v1/links/{link}", tag = openapi::LINKS, operation_id = "register_link",
    params(("link" = String, Path, description = "The link.", example = "a-to-b-2", min_length = 1, max_length = 255)),
    request_body = LinkRegistration,
    security(("token" = ["admin"]), ("certificate" = ["admin"])),
    responses(
        (status = 200, description = "It was registered before; this is how it is now.", body = LinkDetails),
        (status = 201, description = "It is new.", body = LinkDetails),
        (status = 409, description = "It stands in the configuration, or too many are registered.", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is no JSON by its media type.", body = Problem, content_type = "application/problem+json"),
        ChangeRefusals,
    ),
)]
pub(super) async fn register(
    State(admin): State<Admin>,
    AdminCaller(caller): AdminCaller,
    Path(id): Path<LinkId>,
    JsonBody(registration): JsonBody<LinkRegistration>,
) -> Result<(StatusCode, Json<LinkDetails>), Problem> {
    if registration.sources.len() > MOST_SOURCES {
        return Err(bad_request(format!(
            "sources: {} are too many: {MOST_SOURCES} at most",
            registration.sources.len()
        )));
    }
    let mut document = json!(registration);
    document["name"] = json!(id);
    let register = async { Ok::<_, Problem>(admin.0.links.register(&id, &document.to_string()).await?) };
    let is_new = admin.0.audit.change(&caller, "link.register", id.as_str(), register).await?;
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, Json(admin.link(&id)?)))
}

/// Takes a registered link out. What came over it stays in the stock.
#[utoipa::path(
    delete, path = "/api/v1/links/{link}", tag = openapi::LINKS, operation_id = "unregister_link",
    params(("link" = String, Path, description = "The link.", example = "a-to-b-2", min_length = 1, max_length = 255)),
    security(("token" = ["admin"]), ("certificate" = ["admin"])),
    responses(
        (status = 204, description = "It is not registered any more."),
        (status = 404, response = openapi::NotFound),
        (status = 409, description = "It stands in the configuration.", body = Problem, content_type = "application/problem+json"),
        ChangeRefusals,
    ),
)]
pub(super) async fn unregister(
    State(admin): State<Admin>,
    AdminCaller(caller): AdminCaller,
    Path(id): Path<LinkId>,
) -> Result<StatusCode, Problem> {
    let unregister = async { Ok::<_, Problem>(admin.0.links.unregister(&id).await?) };
    admin.0.audit.change(&caller, "link.unregister", id.as_str(), unregister).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Attaches the QKD modules of a link, or detaches them: then no key material comes over it.
///
/// For links of the configuration, too. A link that is detached stays so over restarts.
#[utoipa::path(
    put, path = "/api/v1/links/{link}/attachment", tag = openapi::LINKS, operation_id = "attach_link",
    params(("link" = String, Path, description = "The link.", example = "a-to-b", min_length = 1, max_length = 255)),
    request_body = Attachment,
    security(("token" = ["admin"]), ("certificate" = ["admin"])),
    responses(
        (status = 200, description = "How it is now.", body = LinkDetails),
        (status = 404, response = openapi::NotFound),
        (status = 415, description = "The body is no JSON by its media type.", body = Problem, content_type = "application/problem+json"),
        ChangeRefusals,
    ),
)]
pub(super) async fn attach(
    State(admin): State<Admin>,
    AdminCaller(caller): AdminCaller,
    Path(id): Path<LinkId>,
    JsonBody(Attachment { attached }): JsonBody<Attachment>,
) -> Result<Json<LinkDetails>, Problem> {
    let action = if attached { "link.attach" } else { "link.detach" };
    let change = async { Ok::<_, Problem>(admin.0.links.set_attached(&id, attached).await?) };
    admin.0.audit.change(&caller, action, id.as_str(), change).await?;
    admin.link(&id).map(Json)
}

impl Admin {
    fn link(&self, id: &LinkId) -> Result<LinkDetails, Problem> {
        let link = self.0.links.get(id).ok_or_else(|| LinkError::Unknown(id.clone()))?;
        let registration = link.registered.as_deref().and_then(|document| {
            let mut document: Value = serde_json::from_str(document).ok()?;
            document.as_object_mut()?.remove("name");
            serde_json::from_value::<LinkRegistration>(document).ok()
        });
        Ok(LinkDetails { link: Link::from(link), registration })
    }
}

impl From<LinkError> for Problem {
    fn from(error: LinkError) -> Self {
        let sentence = error.to_string();
        match error {
            LinkError::Mistakes(problems) => {
                // Where they are in the text says nothing: it is not the caller's.
                let fields = FieldProblem::all(&problems).into_iter();
                let fields = fields.map(|field| FieldProblem { file: None, line: None, column: None, ..field });
                bad_request("the link has mistakes").with_fields(fields.collect())
            }
            LinkError::Source(..) => bad_request(sentence),
            LinkError::Configured(_) | LinkError::TooMany => {
                Self::new(StatusCode::CONFLICT, "The link cannot be changed here").with_detail(sentence)
            }
            LinkError::Unknown(_) => Self::new(StatusCode::NOT_FOUND, "No such link").with_detail(sentence),
            LinkError::Store(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "The change cannot be kept").with_detail(sentence)
            }
        }
    }
}

/// Of one link.
const MOST_SOURCES: usize = 16;

//! Documents: read and written.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use photongate_net::http::{Admin, Caller, ChangeRefusals, Problem, Query, Read, ReadRefusals, bad_request};

use super::model::{Client, Document, Documents, ListQuery, Made, ReadQuery, WriteQuery};
use super::refusals::{no_document, problem};
use super::{Api, openapi};
use crate::command::{Change, ClientId, Generation, Name, Outcome, Sequence, Value};
use crate::lines::MOST_LISTED;
use crate::node::{self, Answer, Consistency, Reply, Request};

/// A document.
///
/// By default the answer knows of everything that was acknowledged anywhere before it was asked for, which takes a majority.
#[utoipa::path(
    get, path = "/api/v1/document", tag = openapi::DOCUMENTS, operation_id = "get_document", params(ReadQuery),
    responses(
        (status = 200, description = "The document.", body = Document),
        openapi::NotFound, openapi::Unavailable, ReadRefusals,
    ),
)]
pub(super) async fn get(
    State(api): State<Api>,
    _: Read,
    Query(query): Query<ReadQuery>,
) -> Result<Json<Document>, Problem> {
    let name = name(&query.name)?;
    let request = read(node::Query::Document(name.clone()), query.stale);
    match api.handle.ask(request).await {
        Reply::Read { answer: Answer::Document(document), revision, .. } => {
            let document = document.ok_or_else(no_document)?;
            Ok(Json(Document { known_up_to: Some(revision.0), ..Document::of(&name, &document) }))
        }
        other => Err(problem(other)),
    }
}

/// Several documents, in the order of their names.
#[utoipa::path(
    get, path = "/api/v1/documents", tag = openapi::DOCUMENTS, operation_id = "list_documents", params(ListQuery),
    responses((status = 200, description = "The documents.", body = Documents), openapi::Unavailable, ReadRefusals),
)]
pub(super) async fn list(
    State(api): State<Api>,
    _: Read,
    Query(query): Query<ListQuery>,
) -> Result<Json<Documents>, Problem> {
    let after = query.after.as_deref().map(name).transpose()?;
    let limit = query.limit.unwrap_or(MOST_LISTED).clamp(1, MOST_LISTED);
    let request = read(node::Query::List { prefix: query.prefix, after, limit }, query.stale);
    match api.handle.ask(request).await {
        Reply::Read { answer: Answer::List(documents), revision, .. } => Ok(Json(Documents {
            more: documents.len() == limit,
            documents: documents.iter().map(|(name, document)| Document::of(name, document)).collect(),
            known_up_to: revision.0,
        })),
        other => Err(problem(other)),
    }
}

/// Writes a document. The body is what it is to say: up to 64 KiB of anything.
#[utoipa::path(
    put, path = "/api/v1/document", tag = openapi::DOCUMENTS, operation_id = "put_document", params(WriteQuery),
    security(("token" = ["admin"]), ("certificate" = ["admin"])),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "What it is to say."),
    responses(
        (status = 200, description = "It was written, and will not be lost.", body = Made),
        openapi::Conflict, openapi::Unknown, ChangeRefusals,
    ),
)]
pub(super) async fn put(
    State(api): State<Api>,
    Admin(caller): Admin,
    Query(query): Query<WriteQuery>,
    body: Bytes,
) -> Result<Json<Made>, Problem> {
    let value = Value::new(body).map_err(|error| bad_request(error.to_string()))?;
    let change = Change::Put { name: name(&query.name)?, value, expected: query.expected.map(Generation) };
    api.write(&caller, &query, "document.put", change).await
}

/// Removes a document. To remove what is not there is no error.
#[utoipa::path(
    delete, path = "/api/v1/document", tag = openapi::DOCUMENTS, operation_id = "delete_document", params(WriteQuery),
    security(("token" = ["admin"]), ("certificate" = ["admin"])),
    responses(
        (status = 200, description = "It is not there any more.", body = Made),
        openapi::Conflict, openapi::Unknown, ChangeRefusals,
    ),
)]
pub(super) async fn delete(
    State(api): State<Api>,
    Admin(caller): Admin,
    Query(query): Query<WriteQuery>,
) -> Result<Json<Made>, Problem> {
    let change = Change::Delete { name: name(&query.name)?, expected: query.expected.map(Generation) };
    api.write(&caller, &query, "document.delete", change).await
}

/// Lets a client in that counts its commands itself.
///
/// It sends `client` and `sequence` with each. What it has no answer to it sends again, at any node, with the same number: it
/// is made once. A client has one command under way at a time.
#[utoipa::path(
    post, path = "/api/v1/clients", tag = openapi::DOCUMENTS, operation_id = "register_client",
    security(("token" = ["admin"]), ("certificate" = ["admin"])),
    responses((status = 200, description = "Its id.", body = Client), openapi::Unknown, ChangeRefusals),
)]
pub(super) async fn register(State(api): State<Api>, Admin(caller): Admin) -> Result<Json<Client>, Problem> {
    let nonce = getrandom::u64().unwrap_or_default();
    let (client, sequence, author) = (ClientId::from(0), Sequence(0), Arc::from(caller.name));
    let request = Request::Write { client, sequence, author, change: Change::Register { nonce } };
    match api.handle.ask(request).await {
        Reply::Done(Outcome::Registered { client }) => Ok(Json(Client { client: client.to_string() })),
        other => Err(problem(other)),
    }
}

impl Api {
    async fn write(
        &self,
        caller: &Caller,
        query: &WriteQuery,
        action: &'static str,
        change: Change,
    ) -> Result<Json<Made>, Problem> {
        let author: Arc<str> = caller.name.as_str().into();
        let write = async {
            let reply = match (&query.client, query.sequence) {
                (None, None) => self.handle.write(author, change).await,
                (Some(client), Some(sequence)) => {
                    let client = client.parse().map_err(|error| bad_request(format!("client: {error}")))?;
                    let sequence = Sequence(sequence);
                    self.handle.ask(Request::Write { client, sequence, author, change }).await
                }
                _ => return Err(bad_request("client and sequence belong together: give both, or none")),
            };
            match reply {
                Reply::Done(Outcome::Written { generation, revision }) => {
                    Ok(Json(Made { generation: Some(generation.0), revision: revision.0 }))
                }
                Reply::Done(Outcome::Deleted { revision }) => Ok(Json(Made { generation: None, revision: revision.0 })),
                other => Err(problem(other)),
            }
        };
        self.audit.change(caller, action, query.name.clone(), write).await
    }
}

fn name(text: &str) -> Result<Name, Problem> {
    text.parse().map_err(|error| bad_request(format!("name: {error}")))
}

fn read(query: node::Query, stale: bool) -> Request {
    let consistency = if stale { Consistency::Stale } else { Consistency::Linearizable };
    Request::Read { query, consistency }
}

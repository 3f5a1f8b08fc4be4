//! The description of the interface, in OpenAPI 3.1.

use photongate_net::http::{FieldProblem, HEALTH, Problem, Security, common_routes, complete_description};
use photongate_pipeline::PeerKey;
use utoipa::openapi::OpenApi;
use utoipa::{IntoParams, OpenApi as _, ToResponse};
use utoipa_axum::router::OpenApiRouter;

use super::Api;

pub(super) const FILTER: &str = "filter";
pub(super) const PEERS: &str = "peers and keys";
pub(super) const AS_LIST: &str = "AS list";
pub(super) const TRACES: &str = "traces";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "photongate filter",
        description = "Management of a running filter. \
            Errors are problem documents (RFC 9457). Times are RFC 3339 in UTC.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    components(
        schemas(Problem, FieldProblem),
        responses(
            NotFound, TooSlow, TooLarge, Conflict, NeedsRestart, NotReplaceable, OtherGeneration, UnsupportedMediaType,
            Invalid, GenerationMissing, Stopping, TooManyListen,
        ),
    ),
    tags(
        (name = HEALTH, description = "For whoever starts and watches the filter."),
        (name = FILTER, description = "The filter, its workers and ports, its configuration and its log."),
        (name = PEERS, description = "Who the filter shares keys with, and those keys' epochs. Never the keys."),
        (name = AS_LIST, description = "Who the peers are: shown, compared, replaced whole."),
        (name = TRACES, description = "Packets with their verdicts, as pcapng."),
    ),
    // The roles that it takes. Routes for admins say so themselves.
    security(("token" = ["read"]), ("certificate" = ["read"])),
    modifiers(&Security),
)]
struct Document;

/// Declares refusals that several routes, or only one, may answer with.
macro_rules! refusals {
    ($($name:ident $description:literal,)*) => {
        $(
            #[doc = $description]
            #[derive(ToResponse)]
            #[response(description = $description, content_type = "application/problem+json")]
            pub(super) struct $name(#[allow(dead_code, reason = "describes the body")] Problem);
        )*
    };
}

refusals! {
    NotFound "What was named is not there.",
    TooSlow "The body of the request came too slowly.",
    TooLarge "The body of the request is too large.",
    Conflict "It cannot be done as things stand; the detail says why.",
    NeedsRestart "A restart is needed; the fields are named. Nothing was changed.",
    NotReplaceable "The list in force stands in the configuration, and cannot be replaced here.",
    OtherGeneration "Another generation is in force than `If-Match` names.",
    UnsupportedMediaType "The body is in a form that is not read here.",
    Invalid "The document has mistakes, all of which are named. Nothing was changed.",
    GenerationMissing "`If-Match` is missing.",
    Stopping "The filter is stopping.",
    TooManyListen "Too many listen already.",
}

/// A peer in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "describes the path")]
pub(super) struct PeerParameters {
    /// The AS.
    #[param(
        example = "1-ff00:0:110",
        pattern = r"^[0-9]{1,5}-([0-9]{1,10}|[0-9a-f]{1,4}:[0-9a-f]{1,4}:[0-9a-f]{1,4})$"
    )]
    isd_as: String,
    /// The DRKey protocol.
    #[param(example = 3, maximum = 65535)]
    drkey_protocol: u16,
}

/// A trace in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "describes the path")]
pub(super) struct TraceParameter {
    /// The number of the trace.
    #[param(example = 1)]
    id: u64,
}

/// A router that describes itself, and has the routes that every role has.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Document::openapi()).merge(common_routes(described))
}

/// The whole description: of every route, with what the server in front of them may answer.
pub(super) fn described() -> OpenApi {
    let mut document = super::routes().into_openapi();
    complete_description(&mut document, env!("CARGO_PKG_VERSION"));
    document
}

/// A peer as the audit log names it.
pub(super) fn peer_name(peer: PeerKey) -> String {
    format!("{} protocol {}", peer.isd_as, peer.protocol)
}

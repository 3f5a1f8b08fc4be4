//! The dashboard: one page and what it is made of, all of it inside the program.
//!
//! The page is plain HTML, CSS and ES modules, as they lie in `dashboard/`: nothing is built, nothing comes from
//! another host. It holds no data of its own. It asks for a token and calls the same interface as everybody else.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use photongate_pipeline::DropReason;

/// The page at `/`, and its parts at `/assets/…`. They tell nothing about the filter, so anybody may have them.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let mut router = Router::new();
    for asset in assets() {
        let path = asset.path;
        router = router.route(path, get(async move |headers: HeaderMap| asset.answer(&headers)));
    }
    router
}

/// What browsers let the page do: use its own files and call its own interface, and nothing else.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// One file, as it is served.
#[derive(Clone, Debug)]
struct Asset {
    path: &'static str,
    content_type: &'static str,
    body: Bytes,
    /// Changes with the body.
    etag: HeaderValue,
}

impl Asset {
    fn new(path: &'static str, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let etag = format!("\"{}\"", &sha256(&body)[..32]);
        let etag = HeaderValue::try_from(etag).expect("hexadecimal digits may stand in a header");
        Self { path, content_type, body, etag }
    }

    /// The file, unless the browser says that it has it already.
    fn answer(&self, request: &HeaderMap) -> Response {
        let headers = [
            (header::ETAG, self.etag.clone()),
            // Browsers keep it and ask whether it has changed: after an update nobody looks at a page of old and new
            // parts.
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY)),
        ];
        if self.is_held_by(request) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        let content_type = (header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        (headers, [content_type], self.body.clone()).into_response()
    }

    /// Whether `If-None-Match` names this version (RFC 9110, section 13.1.2). Proxies that compress make its tag a
    /// weak one.
    fn is_held_by(&self, request: &HeaderMap) -> bool {
        let lists = request.get_all(header::IF_NONE_MATCH).iter();
        let mut tags = lists.flat_map(|list| list.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
        tags.any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == self.etag.as_bytes())
    }
}

/// Declares the files once: where each is served, and where it lies.
macro_rules! files {
    ($($path:literal $content_type:ident $file:literal,)*) => {
        [$(($path, $content_type, include_bytes!(concat!("dashboard/", $file)).as_slice()),)*]
    };
}

fn files() -> impl Iterator<Item = (&'static str, &'static str, &'static [u8])> {
    files! {
        "/" HTML "index.html",
        "/assets/icon.svg" SVG "icon.svg",
        "/assets/dashboard.css" CSS "dashboard.css",
        "/assets/timelines.css" CSS "timelines.css",
        "/assets/api.js" SCRIPT "api.js",
        "/assets/app.js" SCRIPT "app.js",
        "/assets/dom.js" SCRIPT "dom.js",
        "/assets/format.js" SCRIPT "format.js",
        "/assets/history.js" SCRIPT "history.js",
        "/assets/machine.js" SCRIPT "machine.js",
        "/assets/overview.js" SCRIPT "overview.js",
        "/assets/plots.js" SCRIPT "plots.js",
        "/assets/stream.js" SCRIPT "stream.js",
        "/assets/timelines.js" SCRIPT "timelines.js",
        "/assets/totals.js" SCRIPT "totals.js",
        "/assets/uplot/uPlot.esm.js" SCRIPT "uplot/uPlot.esm.js",
        "/assets/uplot/uPlot.min.css" CSS "uplot/uPlot.min.css",
        "/assets/uplot/LICENSE" TEXT "uplot/LICENSE",
    }
    .into_iter()
}

fn assets() -> impl Iterator<Item = Asset> {
    let reasons = Asset::new("/assets/reasons.json", JSON, reasons());
    files().map(|(path, content_type, body)| Asset::new(path, content_type, body)).chain([reasons])
}

/// A sentence for each reason to drop a packet, as the packet path has them.
fn reasons() -> String {
    let reasons: BTreeMap<_, _> =
        DropReason::ALL.into_iter().map(|reason| (reason.name(), reason.explanation())).collect();
    serde_json::to_string(&reasons).expect("a map of strings is JSON")
}

/// The SHA-256 of `bytes`, as hexadecimal digits.
fn sha256(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

#[cfg(test)]
mod tests;

//! A dashboard: one page and what it is made of, all of it inside the program.
//!
//! Pages are plain HTML, CSS and ES modules: nothing is built, nothing comes from another host. They hold no data of their own. They
//! ask for a token and call the same interface as everybody else. What the pages of all roles have in common lies in `dashboard/`
//! here; a role adds its own.

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

/// The files of a dashboard.
#[derive(Clone, Debug)]
pub struct Assets(Vec<Asset>);

/// One file, as it is served.
#[derive(Clone, Debug)]
pub struct Asset {
    /// Where it is served: `/`, or a path that begins with `/assets/`.
    pub path: &'static str,
    /// Its media type.
    pub content_type: &'static str,
    /// What is in it.
    pub body: Bytes,
    /// Changes with the body.
    etag: HeaderValue,
}

/// Declares files: where each is served, as what, and where it lies, from the folder of the source file that calls. Makes a `Vec` of
/// [`Asset`]s.
#[macro_export]
macro_rules! assets {
    ($folder:literal: $($path:literal $content_type:ident $file:literal,)*) => {
        vec![$($crate::http::Asset::new(
            $path,
            $crate::http::asset_types::$content_type,
            include_bytes!(concat!($folder, "/", $file)).as_slice(),
        ),)*]
    };
}

/// Media types of assets, by the names that [`assets!`](crate::assets) knows.
pub mod asset_types {
    /// A page.
    pub const HTML: &str = "text/html; charset=utf-8";
    /// A style sheet.
    pub const CSS: &str = "text/css; charset=utf-8";
    /// A script.
    pub const SCRIPT: &str = "text/javascript; charset=utf-8";
    /// An image.
    pub const SVG: &str = "image/svg+xml";
    /// Text for people.
    pub const TEXT: &str = "text/plain; charset=utf-8";
    /// Data for scripts.
    pub const JSON: &str = "application/json";
}

impl Assets {
    /// Those that all dashboards have, and a role's `own`.
    pub fn with(own: impl IntoIterator<Item = Asset>) -> Self {
        let shared = crate::assets! { "dashboard":
            "/assets/icon.svg" SVG "icon.svg",
            "/assets/frame.css" CSS "frame.css",
            "/assets/api.js" SCRIPT "api.js",
            "/assets/chart.js" SCRIPT "chart.js",
            "/assets/connection.js" SCRIPT "connection.js",
            "/assets/dom.js" SCRIPT "dom.js",
            "/assets/format.js" SCRIPT "format.js",
            "/assets/sign_in.js" SCRIPT "sign_in.js",
            "/assets/stream.js" SCRIPT "stream.js",
            "/assets/uplot/uPlot.esm.js" SCRIPT "uplot/uPlot.esm.js",
            "/assets/uplot/uPlot.min.css" CSS "uplot/uPlot.min.css",
            "/assets/uplot/LICENSE" TEXT "uplot/LICENSE",
        };
        Self(shared.into_iter().chain(own).collect())
    }

    /// The page at `/`, and its parts at `/assets/…`. They tell nothing about the server, so anybody may have them.
    pub fn routes<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        let mut router = Router::new();
        for asset in self.0 {
            let path = asset.path;
            router = router.route(path, get(async move |headers: HeaderMap| asset.answer(&headers)));
        }
        router
    }

    /// What about the files does not keep to the rules, a sentence each: for the tests of whoever adds some.
    ///
    /// Every file that one refers to is there, and every file is referred to; no file names another host; nothing that a server tells
    /// can become markup or code; and all of it is small.
    pub fn mistakes(&self) -> Vec<String> {
        rules::mistakes(&self.0)
    }
}

impl Asset {
    /// A file with this content.
    ///
    /// # Panics
    /// If hexadecimal digits could not stand in a header.
    pub fn new(path: &'static str, content_type: &'static str, body: impl Into<Bytes>) -> Self {
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

/// The SHA-256 of `bytes`, as hexadecimal digits.
fn sha256(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What browsers let a page do: use its own files and call its own interface, and nothing else.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

mod rules;
#[cfg(test)]
mod tests;

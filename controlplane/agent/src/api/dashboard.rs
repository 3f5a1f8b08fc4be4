//! The dashboard: one page and what it is made of, all of it inside the program. What it shares with other roles is in
//! [`photongate_net::http`].

use std::collections::BTreeMap;

use axum::Router;
use photongate_net::assets;
use photongate_net::http::{Asset, Assets, asset_types};
use photongate_pipeline::DropReason;

/// The page at `/`, and its parts at `/assets/…`. They tell nothing about the filter, so anybody may have them.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    dashboard().routes()
}

fn dashboard() -> Assets {
    let files = assets! { "dashboard":
        "/" HTML "index.html",
        "/assets/dashboard.css" CSS "dashboard.css",
        "/assets/timelines.css" CSS "timelines.css",
        "/assets/app.js" SCRIPT "app.js",
        "/assets/history.js" SCRIPT "history.js",
        "/assets/machine.js" SCRIPT "machine.js",
        "/assets/overview.js" SCRIPT "overview.js",
        "/assets/plots.js" SCRIPT "plots.js",
        "/assets/timelines.js" SCRIPT "timelines.js",
        "/assets/totals.js" SCRIPT "totals.js",
    };
    let reasons = Asset::new("/assets/reasons.json", asset_types::JSON, reasons());
    Assets::with(files.into_iter().chain([reasons]))
}

/// A sentence for each reason to drop a packet, as the packet path has them.
fn reasons() -> String {
    let reasons: BTreeMap<_, _> =
        DropReason::ALL.into_iter().map(|reason| (reason.name(), reason.explanation())).collect();
    serde_json::to_string(&reasons).expect("a map of strings is JSON")
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    #[test]
    fn its_files_keep_to_the_rules() {
        assert_eq!(dashboard().mistakes(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn the_page_learns_what_each_reason_to_drop_means() {
        let request = Request::get("/assets/reasons.json").body(Body::empty()).unwrap();
        let answer = routes::<()>().oneshot(request).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let reasons: BTreeMap<String, String> = serde_json::from_slice(&body).unwrap();
        assert_eq!(reasons.len(), DropReason::ALL.len());
        assert_eq!(reasons["bad_mac"], DropReason::BadMac.explanation());
    }
}

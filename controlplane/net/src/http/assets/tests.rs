use std::collections::HashSet;
use std::fs;
use std::path::Path;

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::asset_types::{CSS, HTML, SCRIPT};
use super::*;

#[tokio::test]
async fn the_page_and_its_parts_are_served_as_what_they_are() {
    for (path, content_type) in [("/", HTML), ("/assets/dom.js", SCRIPT), ("/assets/frame.css", CSS)] {
        let answer = ask(path, None).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert_eq!(answer.headers()[header::CONTENT_TYPE], content_type, "{path}");
    }
    assert_eq!(ask("/assets/../assets.rs", None).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn browsers_are_told_to_load_nothing_from_elsewhere_and_run_nothing_inline() {
    let answer = ask("/", None).await;
    let policy = answer.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'") && policy.contains("base-uri 'none'"), "{policy}");
    for loophole in ["unsafe", "http", "*", "blob:"] {
        assert!(!policy.contains(loophole), "{policy}");
    }
}

#[tokio::test]
async fn a_browser_that_has_a_file_does_not_get_it_again() {
    let first = ask("/assets/api.js", None).await;
    let etag = first.headers()[header::ETAG].to_str().unwrap().to_owned();
    for held in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
        let again = ask("/assets/api.js", Some(&held)).await;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{held}");
        assert_eq!(again.headers()[header::ETAG], etag.as_str());
        assert!(again.into_body().collect().await.unwrap().to_bytes().is_empty());
    }
    assert_eq!(ask("/assets/dom.js", Some(&etag)).await.status(), StatusCode::OK);
}

#[test]
fn every_shared_file_is_served() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/dashboard");
    let entries = fs::read_dir(&folder).unwrap().chain(fs::read_dir(folder.join("uplot")).unwrap());
    let assets = Assets::with([]);
    let bodies: HashSet<&[u8]> = assets.0.iter().map(|asset| asset.body.as_ref()).collect();
    for path in entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let is_for_us = path.extension().is_some_and(|extension| extension == "md");
        assert!(is_for_us || bodies.contains(fs::read(&path).unwrap().as_slice()), "{}", path.display());
    }
}

#[test]
fn vendored_files_are_as_they_were_published() {
    let readme = include_str!("../dashboard/uplot/README.md");
    for asset in Assets::with([]).0.iter().filter(|asset| asset.path.starts_with("/assets/uplot/")) {
        let name = asset.path.rsplit('/').next().unwrap();
        assert!(readme.contains(&format!("| `{name}` | `{}` |", sha256(&asset.body))), "{}", asset.path);
    }
}

#[test]
fn mistakes_are_found() {
    let page = "<link href=\"assets/missing.css\"><script src=\"https://evil.example/\" onclick=\"\">";
    let mistakes = Assets::with([Asset::new("/", HTML, page)]).mistakes();
    for mistake in [
        "/assets/missing.css is referred to and not served",
        "/assets/sign_in.js is served and not referred to",
        "/ names another host",
        "/ uses onclick=",
    ] {
        assert!(mistakes.iter().any(|found| found.starts_with(mistake)), "{mistake}: {mistakes:?}");
    }
}

async fn ask(path: &str, held: Option<&str>) -> Response {
    let mut request = Request::get(path);
    if let Some(held) = held {
        request = request.header(header::IF_NONE_MATCH, held);
    }
    let router = Assets::with([Asset::new("/", HTML, "<!doctype html>")]).routes::<()>();
    router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

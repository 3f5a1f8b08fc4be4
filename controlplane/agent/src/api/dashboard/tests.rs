use std::collections::HashSet;
use std::path::Path;
use std::{fs, str};

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;

#[tokio::test]
async fn the_page_and_its_parts_are_served_as_what_they_are() {
    for (path, content_type) in [("/", HTML), ("/assets/app.js", SCRIPT), ("/assets/dashboard.css", CSS)] {
        let answer = ask(path, None).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert_eq!(answer.headers()[header::CONTENT_TYPE], content_type, "{path}");
    }
    assert_eq!(ask("/assets/../dashboard.rs", None).await.status(), StatusCode::NOT_FOUND);
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
    let first = ask("/assets/app.js", None).await;
    let etag = first.headers()[header::ETAG].to_str().unwrap().to_owned();
    for held in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
        let again = ask("/assets/app.js", Some(&held)).await;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{held}");
        assert_eq!(again.headers()[header::ETAG], etag.as_str());
        assert!(again.into_body().collect().await.unwrap().to_bytes().is_empty());
    }
    assert_eq!(ask("/assets/dom.js", Some(&etag)).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn the_page_learns_what_each_reason_to_drop_means() {
    let body = ask("/assets/reasons.json", None).await.into_body().collect().await.unwrap().to_bytes();
    let reasons: BTreeMap<String, String> = serde_json::from_slice(&body).unwrap();
    assert_eq!(reasons.len(), DropReason::ALL.len());
    assert_eq!(reasons["bad_mac"], DropReason::BadMac.explanation());
}

#[test]
fn every_file_that_is_referred_to_is_served_and_every_file_that_is_served_is_referred_to() {
    let served: HashSet<&str> = assets().map(|asset| asset.path).collect();
    let referred: HashSet<String> = files().flat_map(|(path, _, body)| references(path, text(body))).collect();
    // The licence is there for those who look for it, and the page itself for everybody.
    let expected: HashSet<&str> =
        served.iter().copied().filter(|path| !["/", "/assets/uplot/LICENSE"].contains(path)).collect();
    assert_eq!(referred.iter().map(String::as_str).collect::<HashSet<_>>(), expected);
}

#[test]
fn every_file_in_the_folder_is_served() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api/dashboard");
    let entries = fs::read_dir(&folder).unwrap().chain(fs::read_dir(folder.join("uplot")).unwrap());
    let bodies: HashSet<&[u8]> = files().map(|(_, _, body)| body).collect();
    for path in entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let is_for_us = path.extension().is_some_and(|extension| extension == "rs" || extension == "md");
        assert!(is_for_us || bodies.contains(fs::read(&path).unwrap().as_slice()), "{}", path.display());
    }
}

#[test]
fn no_file_names_another_host() {
    for (path, _, body) in files() {
        for line in text(body).lines().filter(|line| line.contains("://")) {
            let is_comment =
                path.starts_with("/assets/uplot/") && ["//", "*"].iter().any(|mark| line.trim().starts_with(mark));
            let is_name_of_svg = line.contains("\"http://www.w3.org/2000/svg\"") && line.matches("://").count() == 1;
            assert!(is_comment || is_name_of_svg, "{path}: {line}");
        }
    }
}

#[test]
fn nothing_that_the_filter_tells_can_become_markup_or_code() {
    let ours = files().filter(|(path, _, _)| !path.starts_with("/assets/uplot/"));
    for (path, _, body) in ours {
        for way in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "Function(",
            "style=",
            "onclick=",
        ] {
            assert!(!text(body).contains(way), "{path}: {way}");
        }
    }
}

#[test]
fn vendored_files_are_as_they_were_published() {
    let readme = include_str!("uplot/README.md");
    for (path, _, body) in files().filter(|(path, _, _)| path.starts_with("/assets/uplot/")) {
        let name = path.rsplit('/').next().unwrap();
        assert!(readme.contains(&format!("| `{name}` | `{}` |", sha256(body))), "{path}");
    }
}

#[test]
fn the_page_is_small() {
    let bytes: usize = assets().map(|asset| asset.body.len()).sum();
    assert!(bytes < 256 * 1_024, "{bytes} bytes");
}

async fn ask(path: &str, held: Option<&str>) -> Response {
    let mut request = Request::get(path);
    if let Some(held) = held {
        request = request.header(header::IF_NONE_MATCH, held);
    }
    routes::<()>().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

fn text(body: &'static [u8]) -> &'static str {
    str::from_utf8(body).unwrap()
}

/// The files of the page that a file refers to, as paths from the root of the server.
fn references(path: &str, text: &str) -> Vec<String> {
    let folder = &path[..=path.rfind('/').unwrap()];
    let of_scripts = quoted_after(text, "from \"").map(|name| format!("{folder}{}", name.trim_start_matches("./")));
    // Those that the page itself names, and what scripts fetch, are relative to the page.
    let of_page = ["src=\"", "href=\"", "fetch(\""].into_iter().flat_map(|before| quoted_after(text, before));
    let of_page = of_page.filter(|name| name.starts_with("assets/")).map(|name| format!("/{name}"));
    of_scripts.chain(of_page).collect()
}

fn quoted_after<'t>(text: &'t str, before: &'t str) -> impl Iterator<Item = &'t str> {
    text.split(before).skip(1).filter_map(|rest| rest.split('"').next())
}

//! What files of a dashboard have to keep to.

use std::collections::BTreeSet;
use std::str;

use super::Asset;

/// What does not keep to the rules, a sentence each.
pub(super) fn mistakes(assets: &[Asset]) -> Vec<String> {
    let mut mistakes = Vec::new();
    let served: BTreeSet<_> = assets.iter().map(|asset| asset.path.to_owned()).collect();
    let referred: BTreeSet<_> = assets.iter().flat_map(|asset| references(asset.path, text(asset))).collect();
    // The licence is there for those who look for it, and the page itself for everybody.
    let expected: BTreeSet<_> =
        served.iter().filter(|path| !["/", "/assets/uplot/LICENSE"].contains(&path.as_str())).cloned().collect();
    mistakes.extend(referred.difference(&served).map(|path| format!("{path} is referred to and not served")));
    mistakes.extend(expected.difference(&referred).map(|path| format!("{path} is served and not referred to")));
    if served.len() < assets.len() {
        mistakes.push("a path is served twice".to_owned());
    }
    for asset in assets {
        mistakes.extend(other_hosts(asset).map(|line| format!("{} names another host: {line}", asset.path)));
        mistakes.extend(ways_to_become_markup(asset).map(|way| format!("{} uses {way}", asset.path)));
    }
    let bytes: usize = assets.iter().map(|asset| asset.body.len()).sum();
    if bytes > MOST_BYTES {
        mistakes.push(format!("the page has {bytes} bytes"));
    }
    mistakes
}

fn other_hosts(asset: &Asset) -> impl Iterator<Item = &str> {
    let is_vendored = is_vendored(asset);
    text(asset).lines().filter(|line| line.contains("://")).filter(move |line| {
        let is_comment = is_vendored && ["//", "*"].iter().any(|mark| line.trim().starts_with(mark));
        let is_name_of_svg = line.contains("\"http://www.w3.org/2000/svg\"") && line.matches("://").count() == 1;
        !is_comment && !is_name_of_svg
    })
}

fn ways_to_become_markup(asset: &Asset) -> impl Iterator<Item = &'static str> {
    let ways: &[&str] = if is_vendored(asset) { &[] } else { &WAYS };
    ways.iter().copied().filter(|way| text(asset).contains(way))
}

fn is_vendored(asset: &Asset) -> bool {
    asset.path.starts_with("/assets/uplot/")
}

fn text(asset: &Asset) -> &str {
    str::from_utf8(&asset.body).unwrap_or_default()
}

/// The files of the page that a file refers to, as paths from the root of the server.
fn references(path: &str, text: &str) -> Vec<String> {
    let folder = path.rfind('/').map_or("/", |slash| &path[..=slash]);
    let of_scripts = quoted_after(text, "from \"").map(|name| format!("{folder}{}", name.trim_start_matches("./")));
    // Those that the page itself names, and what scripts fetch, are relative to the page.
    let of_page = ["src=\"", "href=\"", "fetch(\""].into_iter().flat_map(|before| quoted_after(text, before));
    let of_page = of_page.filter(|name| name.starts_with("assets/")).map(|name| format!("/{name}"));
    of_scripts.chain(of_page).collect()
}

fn quoted_after<'t>(text: &'t str, before: &'t str) -> impl Iterator<Item = &'t str> {
    text.split(before).skip(1).filter_map(|rest| rest.split('"').next())
}

/// How text from elsewhere could become markup or code, or the content security policy be offended.
const WAYS: [&str; 8] =
    ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "style=", "onclick="];

const MOST_BYTES: usize = 256 * 1_024;

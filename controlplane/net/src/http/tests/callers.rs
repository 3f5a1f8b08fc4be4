//! Who is served, and as whom.

use super::*;

#[tokio::test]
async fn who_shows_nothing_is_served_only_where_nobody_needs_to() {
    let server = Running::start().await;
    assert_eq!(server.answer(request("GET", "/open", &[])).await.body, "open");
    let refused = server.answer(request("GET", "/read", &[])).await;
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")));
    assert_eq!(refused.problem().title, "The caller is not known");
}

#[tokio::test]
async fn a_wrong_token_is_refused_everywhere() {
    let server = Running::start().await;
    for path in ["/read", "/open"] {
        let wrong = format!("pgt_{}", "0".repeat(64));
        assert_eq!(server.answer(request_by(&wrong, "GET", path)).await.problem().status, 401);
    }
}

#[tokio::test]
async fn credentials_that_are_no_token_are_refused() {
    let server = Running::start().await;
    let admin = &server.tokens.admin;
    for value in ["Basic b3BzOnNlc2FtZQ==", "Bearer", admin, &format!("Bearer{admin}"), &format!("Bearer \"{admin}\"")]
    {
        let answer = server.answer(request("GET", "/read", &[("Authorization", value)])).await;
        assert_eq!(answer.problem().status, 401, "{value}");
    }
    let header = ("Authorization", &*format!("Bearer {admin}"));
    let twice = server.answer(request("GET", "/read", &[header, header])).await;
    assert_eq!(twice.problem().status, 401);
}

#[tokio::test]
async fn a_token_gives_its_role_and_no_more() {
    let server = Running::start().await;
    let Tokens { read, admin } = &server.tokens;
    assert_eq!(server.answer(request_by(read, "GET", "/read")).await.body, "token read");
    assert_eq!(server.answer(request_by(admin, "GET", "/read")).await.body, "token admin");
    assert_eq!(server.answer(request_by(admin, "POST", "/admin")).await.body, "token admin 0");
    let refused = server.answer(request_by(read, "POST", "/admin")).await.problem();
    assert_eq!(refused.status, 403);
    assert_eq!(refused.detail.unwrap(), "token read has the role read, and this needs the role admin");
}

#[tokio::test]
async fn a_page_that_rebinds_its_name_to_this_machine_gets_nothing() {
    let server = Running::start().await;
    let token = format!("Bearer {}", server.tokens.read);
    let headers = [("Host", "evil.example:8479"), ("Authorization", token.as_str())];
    assert_eq!(server.answer(request("GET", "/read", &headers)).await.problem().status, 421);
    assert_eq!(server.answer(request("GET", "/open", &headers[..1])).await.problem().status, 421);
    let old = server.answer("GET /open HTTP/1.0\r\n\r\n").await;
    assert_eq!(old.problem().status, 421, "a request that names no host at all");
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing_even_with_a_token() {
    let server = Running::start().await;
    let token = format!("Bearer {}", server.tokens.admin);
    for header in [("Origin", "https://evil.example"), ("Origin", "null"), ("Sec-Fetch-Site", "cross-site")] {
        let headers = [("Authorization", token.as_str()), header];
        assert_eq!(server.answer(request("POST", "/admin", &headers)).await.problem().status, 403, "{header:?}");
    }
    let own = [("Authorization", token.as_str()), ("Origin", "http://localhost"), ("Sec-Fetch-Site", "same-origin")];
    assert_eq!(server.answer(request("POST", "/admin", &own)).await.status, 200);
}

#[tokio::test]
async fn every_answer_tells_browsers_to_be_careful() {
    let server = Running::start().await;
    for path in ["/open", "/read", "/nothing"] {
        let answer = server.answer(request("GET", path, &[])).await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("content-security-policy", "default-src 'self'"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
    }
}

#[tokio::test]
async fn what_the_routes_do_not_know_is_a_problem_document_too() {
    let server = Running::start().await;
    assert_eq!(server.answer(request("GET", "/nothing", &[])).await.problem().title, "Not Found");
    let wrong = server.answer(request("DELETE", "/open", &[])).await;
    assert_eq!((wrong.problem().status, wrong.header("allow")), (405, Some("GET,HEAD")));
    let unreadable = "POST /bytes HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 1\r\n\r\n\u{0}";
    let unreadable = [unreadable.trim_end_matches('\0').as_bytes(), b"\xff"].concat();
    let problem = server.answer(unreadable).await.problem();
    assert_eq!(problem.status, 400);
    assert!(problem.detail.unwrap().contains("UTF-8"));
}

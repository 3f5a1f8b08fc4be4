//! What keeps web pages from using the interface through the browser of somebody who may.
//!
//! A page on another site can make a browser send requests here. It cannot read the answers, as none of them allows
//! it to, but a change would be made all the same; and by DNS rebinding, where the name of its own site suddenly
//! means 127.0.0.1, it could read them too.

use axum::extract::Request;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::Problem;
use super::callers::Transport;

/// Refuses what only a browser would send that another site has led here.
///
/// # Errors
/// Status 421 for a name that is not this machine's, where a page could have rebound one, and 403 for a change that
/// another site asks for.
pub(super) fn check<B>(request: &Request<B>, transport: Transport) -> Result<(), Problem> {
    let host = host(request);
    // Certificates bind names to servers; at the Unix socket there are no browsers.
    if transport == Transport::Plain && !host.as_ref().is_some_and(is_this_machine) {
        let detail = "the header `Host` must name this machine: localhost, 127.0.0.1 or [::1], and a port";
        return Err(
            Problem::new(StatusCode::MISDIRECTED_REQUEST, "The host name is not this server's").with_detail(detail)
        );
    }
    let headers = request.headers();
    if is_change(request.method())
        && !(is_from_same_site(headers) && has_same_origin(headers, host.as_ref(), transport))
    {
        let detail = "a web page of another site, or of another port, may not change anything here";
        return Err(Problem::new(StatusCode::FORBIDDEN, "The request comes from another site").with_detail(detail));
    }
    Ok(())
}

fn is_change(method: &Method) -> bool {
    !method.is_safe()
}

/// What the request names as its server; `None` if it names none, or several.
fn host<B>(request: &Request<B>) -> Option<Authority> {
    if let Some(authority) = request.uri().authority() {
        return Some(authority.clone());
    }
    only(request.headers(), header::HOST)?.to_str().ok()?.parse().ok()
}

fn is_this_machine(host: &Authority) -> bool {
    let name = host.host();
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    match address.parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => name.eq_ignore_ascii_case("localhost"),
    }
}

/// What browsers say about the page that asks (Fetch Metadata). Other programs say nothing.
fn is_from_same_site(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all("sec-fetch-site").iter();
    sites.all(|site| site == "same-origin" || site == "none")
}

/// Whether the page that asks was loaded from here (RFC 6454). Older browsers say this at least.
fn has_same_origin(headers: &HeaderMap, host: Option<&Authority>, transport: Transport) -> bool {
    let scheme = if transport == Transport::Tls { "https" } else { "http" };
    headers.get_all(header::ORIGIN).iter().all(|origin| {
        let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        origin.zip(host).is_some_and(|((origin_scheme, origin_host), host)| {
            origin_scheme == scheme && origin_host.eq_ignore_ascii_case(host.as_str())
        })
    })
}

fn only(headers: &HeaderMap, name: http::HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_served_in_clear() {
        for host in ["localhost", "LOCALHOST:8479", "127.0.0.1:8479", "127.3.2.1", "[::1]:9"] {
            assert_eq!(checked("GET", &[("host", host)], Transport::Plain), Ok(()), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8479", "192.0.2.1", "", "a b"] {
            let refused = checked("GET", &[("host", host)], Transport::Plain);
            assert_eq!(refused, Err(StatusCode::MISDIRECTED_REQUEST), "{host}");
        }
        let two = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(checked("GET", &two, Transport::Plain), Err(StatusCode::MISDIRECTED_REQUEST));
        assert_eq!(checked("GET", &[], Transport::Plain), Err(StatusCode::MISDIRECTED_REQUEST));
    }

    #[test]
    fn the_target_of_a_request_counts_more_than_its_host() {
        let request = Request::get("http://evil.example/").header("host", "localhost").body(()).unwrap();
        assert!(check(&request, Transport::Plain).is_err());
    }

    #[test]
    fn with_tls_or_at_the_unix_socket_any_name_is_served() {
        for transport in [Transport::Tls, Transport::Unix] {
            assert_eq!(checked("GET", &[("host", "filter.example")], transport), Ok(()));
            assert_eq!(checked("PUT", &[], transport), Ok(()), "programs name no origin");
        }
    }

    #[test]
    fn a_page_from_here_may_change_things_and_one_from_elsewhere_may_not() {
        let host = ("host", "localhost:8479");
        for (origin, outcome) in [
            ("http://localhost:8479", Ok(())),
            ("http://localhost:8000", Err(StatusCode::FORBIDDEN)),
            ("https://localhost:8479", Err(StatusCode::FORBIDDEN)),
            ("http://evil.example", Err(StatusCode::FORBIDDEN)),
            ("null", Err(StatusCode::FORBIDDEN)),
        ] {
            assert_eq!(checked("POST", &[host, ("origin", origin)], Transport::Plain), outcome, "{origin}");
        }
        let refused = checked("POST", &[("host", "f.example"), ("origin", "http://f.example")], Transport::Tls);
        assert_eq!(refused, Err(StatusCode::FORBIDDEN), "a page that came in clear");
    }

    #[test]
    fn a_browser_that_says_it_asks_for_another_site_is_believed() {
        let host = ("host", "localhost:8479");
        for (site, outcome) in [
            ("same-origin", Ok(())),
            ("none", Ok(())),
            ("same-site", Err(StatusCode::FORBIDDEN)),
            ("cross-site", Err(StatusCode::FORBIDDEN)),
        ] {
            assert_eq!(checked("DELETE", &[host, ("sec-fetch-site", site)], Transport::Plain), outcome, "{site}");
        }
        assert_eq!(checked("GET", &[host, ("sec-fetch-site", "cross-site")], Transport::Plain), Ok(()), "a link");
    }

    fn checked(method: &str, headers: &[(&str, &str)], transport: Transport) -> Result<(), StatusCode> {
        let mut request = Request::builder().method(method).uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check(&request.body(()).unwrap(), transport).map_err(|problem| problem.status_code())
    }
}

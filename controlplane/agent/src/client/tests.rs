//! The client against servers of every kind: good, refusing, silent, endless and broken.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::extract::{Path as Segments, Query, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, StatusCode, header};
use photongate_net::http::{FieldProblem, Problem};
use tempfile::TempDir;
use tokio::net::{TcpListener, UnixListener};

use super::*;
use crate::api::*;
use crate::as_list::Format;
use crate::keys::Direction;

#[tokio::test]
async fn everything_is_asked_over_the_socket_and_over_tcp_alike() {
    let folder = tempfile::tempdir().unwrap();
    for client in [over_socket(&folder, filter()), over_tcp(filter()).await] {
        assert_eq!(client.log_settings().await.unwrap(), LogSettings { level: LogLevel::Info });
        assert_eq!(client.workers().await.unwrap(), [Worker { index: 3, busy: 0.5, ..Worker::default() }]);
    }
}

#[tokio::test]
async fn pages_of_peers_are_asked_for_with_what_is_wanted_and_nothing_else() {
    let client = over_tcp(filter()).await;
    let asked = PeersAsked {
        after: Some("1-ff00:0:110,3".to_owned()),
        limit: Some(7),
        degraded: true,
        search: Some("Zürich & more".to_owned()),
    };
    let echoed = client.peers(&asked).await.unwrap().next.unwrap();
    assert_eq!(echoed, "after=1-ff00:0:110,3 degraded=true limit=7 search=Zürich & more");
    assert_eq!(client.peers(&PeersAsked::default()).await.unwrap().next.unwrap(), "");
}

#[tokio::test]
async fn a_list_is_replaced_only_in_the_generation_it_was_compared_with() {
    let client = over_tcp(filter()).await;
    let shown = client.as_list(Format::Toml).await.unwrap();
    assert_eq!(shown, AsListText { text: "# application/toml".to_owned(), generation: 7 });
    let list = Bytes::from_static(b"# a list");
    assert_eq!(client.check_as_list(list.clone(), Format::Toml).await.unwrap().unchanged, list.len());
    assert_eq!(client.replace_as_list(list.clone(), Format::Toml, 7).await.unwrap().generation, 8);
    let refused = client.replace_as_list(list, Format::Toml, 6).await.unwrap_err();
    assert_eq!(refused.status(), Some(StatusCode::PRECONDITION_FAILED));
}

#[tokio::test]
async fn keys_are_revoked_for_the_peer_and_the_direction_that_are_named() {
    let client = over_tcp(filter()).await;
    let peer = PeerName { isd_as: "20-ff00:0:112".to_owned(), drkey_protocol: 3 };
    let outcome = client.revoke(&peer, Some(Direction::Outbound)).await.unwrap();
    assert_eq!(outcome.degraded.unwrap().reason, "20-ff00:0:112 3 Outbound");
    assert_eq!(client.revoke(&peer, None).await.unwrap().degraded.unwrap().reason, "20-ff00:0:112 3 both");
    assert_eq!(client.prefetch(&peer).await.unwrap().degraded.unwrap().reason, "20-ff00:0:112 3");
}

#[tokio::test]
async fn a_refused_document_is_told_with_each_mistake_and_where_it_is() {
    let mistakes = vec![
        FieldProblem {
            file: Some("as-list.toml".to_owned()),
            line: Some(12),
            column: Some(5),
            field: "peers[3].prefixes".to_owned(),
            message: "10.0.0.1/8 has bits behind its length: did you mean 10.0.0.0/8?".to_owned(),
        },
        FieldProblem { file: None, line: Some(20), column: None, field: String::new(), message: "no".to_owned() },
    ];
    let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "The AS list has mistakes")
        .with_detail("2 mistakes; nothing was changed")
        .with_fields(mistakes);
    let client = over_tcp(Router::new().fallback(|| async { problem })).await;
    let refused = client.reload().await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "The AS list has mistakes: 2 mistakes; nothing was changed\n  \
         as-list.toml:12:5: peers[3].prefixes: 10.0.0.1/8 has bits behind its length: did you mean 10.0.0.0/8?\n  \
         20: no"
    );
}

#[tokio::test]
async fn who_is_unknown_is_told_what_to_show() {
    let url = serve_tcp(filter().layer(middleware::from_fn(with_token_sesame))).await;
    let server: Server = url.parse().unwrap();
    let refused = Client::new(server.clone(), &ClientOptions::default()).unwrap().status().await.unwrap_err();
    assert_eq!(refused.status(), Some(StatusCode::UNAUTHORIZED));
    assert!(refused.to_string().contains("--token-file"), "{refused}");
    let token = Some("sesame\n".to_owned().into());
    let known = Client::new(server, &ClientOptions { token, ..ClientOptions::default() }).unwrap();
    assert_eq!(known.log_settings().await.unwrap().level, LogLevel::Info);
}

#[tokio::test]
async fn where_nobody_listens_the_message_says_where_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let client = Client::new(Server::socket(&path), &ClientOptions::default()).unwrap();
    let error = client.status().await.unwrap_err();
    assert!(matches!(error, ClientError::NotReached { .. }), "{error:?}");
    let message = error.to_string();
    assert!(message.contains(path.to_str().unwrap()) && message.contains("photongate filter"), "{message}");
    drop(UnixListener::bind(&path).unwrap());
    assert!(matches!(client.status().await.unwrap_err(), ClientError::NotReached { .. }), "a socket left behind");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = Client::new(url.parse().unwrap(), &ClientOptions::default()).unwrap();
    assert!(client.status().await.unwrap_err().to_string().starts_with(&format!("nobody answers at {url}")));
}

#[tokio::test]
async fn answers_of_other_programs_are_told_from_those_of_a_filter() {
    let page = Router::new().fallback(|| async { "<html>" });
    let error = over_tcp(page).await.status().await.unwrap_err();
    assert!(matches!(error, ClientError::NotOurs { .. }), "{error:?}");
    let gone = Router::new().fallback(|| async { (StatusCode::BAD_GATEWAY, "{}") });
    let error = over_tcp(gone).await.status().await.unwrap_err();
    assert!(error.to_string().contains("502"), "{error}");
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let endless =
        || async { Body::from_stream(stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from(vec![b' '; 1 << 20])))) };
    let error = over_tcp(Router::new().fallback(endless)).await.status().await.unwrap_err();
    assert!(matches!(error, ClientError::TooLarge { .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_announces_too_much_is_not_read() {
    let announced = || async {
        ([(header::CONTENT_LENGTH, "99999999999")], Body::from_stream(stream::pending::<Result<Bytes, Infallible>>()))
    };
    let error = over_tcp(Router::new().fallback(announced)).await.status().await.unwrap_err();
    assert!(matches!(error, ClientError::TooLarge { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_given_up() {
    let silent = || std::future::pending::<()>();
    let error = over_tcp(Router::new().fallback(silent)).await.status().await.unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_sends_a_byte_now_and_then_is_given_up_too() {
    let trickle = || async {
        Body::from_stream(stream::repeat(()).then(|()| async {
            tokio::time::sleep(SILENCE / 3).await;
            Ok::<_, Infallible>(Bytes::from_static(b" "))
        }))
    };
    let error = over_tcp(Router::new().fallback(trickle)).await.status().await.unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error:?}");
}

#[tokio::test]
async fn a_redirection_is_not_followed() {
    let elsewhere = || async { (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, "http://127.0.0.1:1/")]) };
    let error = over_tcp(Router::new().fallback(elsewhere)).await.status().await.unwrap_err();
    assert!(error.to_string().contains("307"), "{error}");
}

#[tokio::test]
async fn samples_go_on_after_the_stream_was_cut() {
    let event = format!("event: sample\ndata: {}\n\n", serde_json::to_string(&sample(1)).unwrap());
    // Each connection brings two samples and half of a third.
    let answer = format!(": hello\n\n{event}event: other\ndata: -\n\n{event}{}", &event[..20]);
    let client = over_tcp(events(move || Body::from(answer.clone()))).await;
    let mut samples = pin!(client.samples());
    for _ in 0..3 {
        assert_eq!(heard(&mut samples).await, "sample 1");
        assert_eq!(heard(&mut samples).await, "sample 1");
        assert!(heard(&mut samples).await.starts_with("lost"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_falls_silent_is_lost() {
    let event = format!("event: sample\ndata: {}\n\n", serde_json::to_string(&sample(1)).unwrap());
    let then_nothing = move || {
        let first = stream::iter([Ok::<_, Infallible>(Bytes::from(event.clone()))]);
        Body::from_stream(first.chain(stream::pending()))
    };
    let client = over_tcp(events(then_nothing)).await;
    let mut samples = pin!(client.samples());
    assert_eq!(heard(&mut samples).await, "sample 1");
    assert!(heard(&mut samples).await.contains("does not answer in time"));
}

#[tokio::test]
async fn events_that_are_too_long_or_make_no_sense_are_not_believed() {
    for answer in [vec![b'x'; (1 << 20) + 1], b"event: sample\ndata: {}\n\n".to_vec()] {
        let client = over_tcp(events(move || Body::from(answer.clone()))).await;
        let mut samples = pin!(client.samples());
        assert!(heard(&mut samples).await.contains("not like a photongate filter"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_filter_that_stays_away_is_asked_ever_more_rarely() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let absent = Router::new().fallback(move || async move {
        count.fetch_add(1, Ordering::Relaxed);
        StatusCode::SERVICE_UNAVAILABLE
    });
    let client = over_tcp(absent).await;
    let mut waits = Vec::new();
    let mut samples = pin!(client.samples());
    for _ in 0..7 {
        let Some(Heard::Lost { retry_after, .. }) = samples.next().await else { panic!("a sample") };
        waits.push(retry_after.as_millis());
    }
    assert_eq!(waits, [250, 500, 1000, 2000, 4000, 4000, 4000]);
    assert_eq!(asked.load(Ordering::Relaxed), 7);
}

#[test]
fn what_cannot_be_used_is_named_before_anything_is_sent() {
    let server: Server = "https://filter.example:8479".parse().unwrap();
    let unusable = |options: &ClientOptions| Client::new(server.clone(), options).unwrap_err().to_string();
    let authorities = Some(b"not a certificate".to_vec());
    assert!(unusable(&ClientOptions { authorities, ..ClientOptions::default() }).contains("certificate"));
    let identity = Some(b"neither".to_vec().into());
    assert!(unusable(&ClientOptions { identity, ..ClientOptions::default() }).contains("key"));
    let token = Some("two\nlines".to_owned().into());
    assert!(unusable(&ClientOptions { token, ..ClientOptions::default() }).contains("token"));
}

#[test]
fn a_token_is_not_shown_for_debugging() {
    let options = ClientOptions { token: Some("sesame".to_owned().into()), ..ClientOptions::default() };
    let client = Client::new(Server::socket(Path::new("/run/a")), &options).unwrap();
    assert!(!format!("{options:?}{client:?}").contains("sesame"));
}

/// A filter that answers in a way that shows what it was asked.
fn filter() -> Router {
    let degraded = |reason: String| {
        Some(Degraded {
            reason,
            since: String::new(),
            attempts: 1,
            next_attempt_at: None,
            dark_at: None,
            is_dark: false,
        })
    };
    let revoke = move |Segments((isd_as, protocol)): Segments<(String, u16)>, Json(request): Json<RevokeRequest>| async move {
        let direction = request.direction.map_or("both".to_owned(), |direction| format!("{direction:?}"));
        let degraded = degraded(format!("{isd_as} {protocol} {direction}"));
        Json(RevokeOutcome { revoked: Vec::new(), keys: PeerKeys::default(), grace_period_us: 1, degraded })
    };
    let prefetch = move |Segments((isd_as, protocol)): Segments<(String, u16)>| async move {
        Json(PrefetchOutcome { keys: PeerKeys::default(), degraded: degraded(format!("{isd_as} {protocol}")) })
    };
    let log_level = || async { Json(LogSettings { level: LogLevel::Info }) };
    let workers = || async { Json([Worker { index: 3, busy: 0.5, ..Worker::default() }]) };
    Router::new()
        .route("/api/v1/log-level", get(log_level))
        .route("/api/v1/workers", get(workers))
        .route("/api/v1/peers", get(peers))
        .route("/api/v1/peers/{isd_as}/{drkey_protocol}/revoke", post(revoke))
        .route("/api/v1/peers/{isd_as}/{drkey_protocol}/prefetch", post(prefetch))
        .route("/api/v1/as-list", get(show_list).put(replace_list))
        .route(
            "/api/v1/as-list/check",
            post(|body: String| async move { Json(Changes { unchanged: body.len(), ..Changes::default() }) }),
        )
}

async fn peers(Query(query): Query<BTreeMap<String, String>>) -> Json<PeersPage> {
    let query: Vec<_> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    Json(PeersPage { next: Some(query.join(" ")), ..PeersPage::default() })
}

async fn show_list(headers: HeaderMap) -> Response {
    ([(header::ETAG, "\"7\"")], format!("# {}", headers[header::ACCEPT].to_str().unwrap())).into_response()
}

async fn replace_list(headers: HeaderMap) -> Result<Json<Changes>, Problem> {
    assert_eq!(headers[CONTENT_TYPE], "application/toml");
    if headers[header::IF_MATCH] != "\"7\"" {
        return Err(Problem::of_status(StatusCode::PRECONDITION_FAILED));
    }
    Ok(Json(Changes { generation: 8, ..Changes::default() }))
}

async fn with_token_sesame(State(()): State<()>, request: Request, next: Next) -> Response {
    match request.headers().get(AUTHORIZATION) {
        Some(token) if token == "Bearer sesame" => next.run(request).await,
        _ => Problem::of_status(StatusCode::UNAUTHORIZED).into_response(),
    }
}

fn events(body: impl Fn() -> Body + Clone + Send + Sync + 'static) -> Router {
    let answer = move || async move { ([(CONTENT_TYPE, "text/event-stream")], body()) };
    Router::new().route("/api/v1/events", get(answer))
}

fn sample(generation: u64) -> Sample {
    Sample {
        at_unix_ms: 0,
        traffic: Traffic::default(),
        busy: vec![0.25],
        lost: 0,
        peers: PeerSummary::default(),
        as_list_generation: generation,
        ready: true,
        degraded: Vec::new(),
    }
}

async fn heard(samples: &mut (impl Stream<Item = Heard> + Unpin)) -> String {
    match samples.next().await.unwrap() {
        Heard::Sample(sample) => format!("sample {}", sample.as_list_generation),
        Heard::Lost { error, .. } => format!("lost: {error}"),
    }
}

async fn over_tcp(router: Router) -> Client {
    Client::new(serve_tcp(router).await.parse().unwrap(), &ClientOptions::default()).unwrap()
}

async fn serve_tcp(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, router).await });
    url
}

fn over_socket(folder: &TempDir, router: Router) -> Client {
    let path: PathBuf = folder.path().join("api.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async { axum::serve(listener, router).await });
    Client::new(Server::socket(&path), &ClientOptions::default()).unwrap()
}

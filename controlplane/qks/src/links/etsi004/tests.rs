//! Both ends, each with a module of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Value, json};

use super::super::Phase;
use super::super::testing::{Net, Running, Site, assert_same, serve};
use super::*;

#[tokio::test]
async fn both_ends_get_the_chunks_of_one_stream_as_blocks() {
    let modules = Modules::default();
    let (mut a, mut b) = run(&Net::new(), &modules).await;
    for number in 0..3 {
        let (of_a, of_b) = (a.block().await, b.block().await);
        assert_same(&of_a, &of_b);
        assert_eq!((of_a.number, of_a.origin, of_a.bytes.len()), (number, Origin::Qkd, 4 * 32));
    }
    let shared = modules.0.lock().unwrap();
    let [stream] = shared.streams.values().collect::<Vec<_>>()[..] else { panic!("one stream") };
    assert_eq!(stream.opened_by, ["qkd://a>qkd://b", "qkd://b>qkd://a"]);
}

#[tokio::test]
async fn a_module_may_offer_chunks_of_another_length() {
    let modules = Modules::default();
    modules.0.lock().unwrap().only_chunk = Some(16);
    let (mut a, mut b) = run(&Net::new(), &modules).await;
    let (of_a, of_b) = (a.block().await, b.block().await);
    assert_same(&of_a, &of_b);
    assert_eq!(of_a.bytes.len(), 4 * 16);
}

#[tokio::test]
async fn a_module_without_keys_is_waited_for_and_says_why() {
    let modules = Modules::default();
    modules.0.lock().unwrap().failure = Some(4);
    let (mut a, mut b) = run(&Net::new(), &modules).await;
    a.reason("the device of this end: status 4: there is no QKD connection").await;
    modules.0.lock().unwrap().failure = None;
    assert_same(&a.block().await, &b.block().await);
    a.phase(Phase::Producing).await;
}

#[tokio::test]
async fn modules_that_were_restarted_get_a_new_stream() {
    let modules = Modules::default();
    let (mut a, mut b) = run(&Net::new(), &modules).await;
    assert_same(&a.block().await, &b.block().await);
    modules.0.lock().unwrap().streams.clear();
    let mut number = 0;
    // Blocks that were ready before may come first.
    for _ in 0..20 {
        let (of_a, of_b) = (a.block().await, b.block().await);
        assert_same(&of_a, &of_b);
        assert!(of_a.number > number, "{} after {number}", of_a.number);
        number = of_a.number;
    }
    assert_eq!(modules.0.lock().unwrap().streams.len(), 1);
}

#[tokio::test]
async fn chunks_of_another_number_or_length_are_refused() {
    for change in [Change::Fewer, Change::Shorter, Change::OtherIndex] {
        let modules = Modules::default();
        modules.0.lock().unwrap().change = Some(change);
        let (mut a, mut b) = run(&Net::new(), &modules).await;
        b.reason("it gives other keys than it was asked for").await;
        assert!(a.blocks.try_recv().is_err() && b.blocks.try_recv().is_err());
    }
}

/// Two modules that share streams.
#[derive(Clone, Default)]
struct Modules(Arc<Mutex<Shared>>);

#[derive(Default)]
struct Shared {
    streams: BTreeMap<Uuid, Opened>,
    /// The only length of chunks there is.
    only_chunk: Option<u64>,
    /// The status of every call.
    failure: Option<u32>,
    change: Option<Change>,
}

struct Opened {
    chunk: u64,
    opened_by: Vec<String>,
}

#[derive(Clone, Copy)]
enum Change {
    Fewer,
    Shorter,
    OtherIndex,
}

fn router(modules: &Modules) -> Router {
    Router::new().route("/actions/{method}", post(answer)).with_state(modules.clone())
}

async fn answer(State(modules): State<Modules>, Path(method): Path<String>, Json(request): Json<Value>) -> Response {
    let mut shared = modules.0.lock().unwrap();
    let failed = |status| {
        let body = json!({ "status": status, "message": "no" });
        (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
    };
    if let Some(status) = shared.failure {
        return failed(status);
    }
    let stream = request["key_stream_ID"].as_str().map(|id| id.parse::<Uuid>().unwrap());
    if method == "open_connect" {
        let wanted = request["qos_parameters"]["Key_chunk_size"].as_u64().unwrap();
        if let Some(only) = shared.only_chunk.filter(|only| *only != wanted) {
            let offer = json!({ "status": 7, "qos_parameters": { "Key_chunk_size": only } });
            return (StatusCode::SERVICE_UNAVAILABLE, Json(offer)).into_response();
        }
        let id = stream.unwrap_or_else(Uuid::new_v4);
        let opened = shared.streams.entry(id).or_insert(Opened { chunk: wanted, opened_by: Vec::new() });
        let text = |field: &str| request[field].as_str().unwrap().to_owned();
        opened.opened_by.push(format!("{}>{}", text("source"), text("destination")));
        let status = u32::from(opened.opened_by.len() < 2);
        return Json(json!({ "status": status, "key_stream_ID": id })).into_response();
    }
    let stream = stream.unwrap();
    let Some(opened) = shared.streams.get(&stream) else { return failed(9) };
    if method == "close" {
        shared.streams.remove(&stream);
        return Json(json!({ "status": 0 })).into_response();
    }
    let mut indexes: Vec<_> =
        request["indexes"].as_array().unwrap().iter().map(|index| index.as_u64().unwrap()).collect();
    let chunk = |index: &u64| {
        let bytes = stream.as_bytes().iter().copied().cycle().take(opened.chunk as usize - 8);
        index.to_be_bytes().into_iter().chain(bytes).collect::<Vec<_>>()
    };
    let mut keys: Vec<_> = indexes.iter().map(chunk).collect();
    match shared.change {
        Some(Change::Fewer) => drop(keys.pop()),
        Some(Change::Shorter) => drop(keys[1].pop()),
        Some(Change::OtherIndex) => indexes[0] += 1,
        None => {}
    }
    let keys: Vec<_> = keys.iter().map(|key| BASE64_STANDARD.encode(key)).collect();
    Json(json!({ "status": 0, "indexes": indexes, "keys": keys })).into_response()
}

async fn run(net: &Net, modules: &Modules) -> (Running, Running) {
    let site = Site::new();
    let a = settings(&site, modules, ["qkd://a", "qkd://b"]).await;
    let b = settings(&site, modules, ["qkd://b", "qkd://a"]).await;
    (net.lead(a).with(&site), net.follow(b).with(&site))
}

async fn settings(site: &Site, modules: &Modules, [source, destination]: [&str; 2]) -> Etsi004 {
    let mut module = serve(site, router(modules)).await;
    module.url = module.url.join("actions").unwrap();
    let (source, destination) = (source.to_owned(), destination.to_owned());
    Etsi004 { module, source, destination, chunk_bytes: 32, chunks_per_block: 4, ttl_seconds: 60 }
}

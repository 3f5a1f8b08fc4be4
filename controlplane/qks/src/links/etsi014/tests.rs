//! Both ends, each with a device of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Value, json};

use super::super::Phase;
use super::super::testing::{Leg, Net, Running, Site, assert_same, serve};
use super::*;

#[tokio::test]
async fn both_ends_get_the_keys_of_their_devices_as_blocks() {
    let devices = Devices::default();
    let (mut a, mut b) = run(&Net::new(), &devices).await;
    for number in 0..3 {
        let (of_a, of_b) = (a.block().await, b.block().await);
        assert_same(&of_a, &of_b);
        assert_eq!((of_a.number, of_a.origin, of_a.bytes.len()), (number, Origin::Qkd, 3 * 16));
    }
    assert_eq!(devices.0.lock().unwrap().asked, ["/sae-b", "/sae-a"], "each names the other's application");
}

#[tokio::test]
async fn keys_that_were_drawn_wait_until_the_other_device_is_back() {
    let devices = Devices::default();
    devices.0.lock().unwrap().is_down = Some("dec_keys");
    let (mut a, mut b) = run(&Net::new(), &devices).await;
    a.reason("the device of the other end: the key server answers 503: down").await;
    b.reason("the device of this end: the key server answers 503: down").await;
    assert_eq!(devices.0.lock().unwrap().drawn, 3, "no more keys are drawn meanwhile");
    devices.0.lock().unwrap().is_down = None;
    let (of_a, of_b) = (a.block().await, b.block().await);
    assert_same(&of_a, &of_b);
    assert_eq!(of_a.number, 0);
    b.phase(Phase::Producing).await;
}

#[tokio::test]
async fn a_device_without_keys_is_waited_for() {
    let devices = Devices::default();
    devices.0.lock().unwrap().is_down = Some("enc_keys");
    let (mut a, mut b) = run(&Net::new(), &devices).await;
    a.reason("the device of this end: the key server answers 503: down").await;
    devices.0.lock().unwrap().is_down = None;
    assert_same(&a.block().await, &b.block().await);
    a.phase(Phase::Producing).await;
}

#[tokio::test]
async fn a_lost_answer_costs_no_block() {
    let (devices, net) = (Devices::default(), Net::new());
    let mut is_lost = false;
    net.wire(move |leg, message| (leg == Leg::Question || std::mem::replace(&mut is_lost, true)).then_some(message));
    let (mut a, mut b) = run(&net, &devices).await;
    let (of_a, of_b) = (a.block().await, b.block().await);
    assert_same(&of_a, &of_b);
    assert_eq!(of_a.number, 0);
}

#[tokio::test]
async fn keys_of_another_number_or_size_are_refused() {
    for change in [Change::Fewer, Change::Shorter, Change::Doubled] {
        let devices = Devices::default();
        devices.0.lock().unwrap().change = Some(change);
        let (mut a, mut b) = run(&Net::new(), &devices).await;
        a.reason("it gives other keys than it was asked for").await;
        assert!(a.blocks.try_recv().is_err() && b.blocks.try_recv().is_err());
    }
}

#[tokio::test]
async fn a_device_of_another_name_is_not_believed() {
    let (site, devices, net) = (Site::new(), Devices::default(), Net::new());
    let mut settings = settings(&site, &devices, "sae-b").await;
    settings.device.device = Some("CN=another".parse().unwrap());
    let mut a = net.lead(settings);
    a.reason("the server that answers is CN=device SAN:localhost, and not CN=another").await;
}

/// Two devices that share keys.
#[derive(Clone, Default)]
struct Devices(Arc<Mutex<Shared>>);

#[derive(Default)]
struct Shared {
    drawn: u64,
    keys: BTreeMap<Uuid, String>,
    /// The method that does not work.
    is_down: Option<&'static str>,
    change: Option<Change>,
    /// Applications that were named, each once.
    asked: Vec<String>,
}

#[derive(Clone, Copy)]
enum Change {
    Fewer,
    Shorter,
    Doubled,
}

impl Devices {
    fn router(&self) -> Router {
        Router::new().route("/api/v1/keys/{sae}/{method}", post(answer)).with_state(self.clone())
    }
}

async fn answer(
    State(devices): State<Devices>,
    Path((sae, method)): Path<(String, String)>,
    Json(request): Json<Value>,
) -> Response {
    let mut shared = devices.0.lock().unwrap();
    let sae = format!("/{sae}");
    if !shared.asked.contains(&sae) {
        shared.asked.push(sae);
    }
    if shared.is_down == Some(&*method) {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"message": "down"}))).into_response();
    }
    let mut keys = Vec::new();
    if method == "enc_keys" {
        let length = request["size"].as_u64().unwrap() as usize / 8;
        for _ in 0..request["number"].as_u64().unwrap() {
            let id = Uuid::new_v4();
            let key = BASE64_STANDARD.encode(id.as_bytes().iter().copied().cycle().take(length).collect::<Vec<_>>());
            shared.keys.insert(id, key.clone());
            shared.drawn += 1;
            keys.push(json!({"key_ID": id, "key": key}));
        }
        match shared.change {
            Some(Change::Fewer) => drop(keys.pop()),
            Some(Change::Shorter) => keys[1]["key"] = json!(BASE64_STANDARD.encode([1; 15])),
            Some(Change::Doubled) => keys[1] = keys[0].clone(),
            None => {}
        }
    } else {
        for id in request["key_IDs"].as_array().unwrap() {
            let id: Uuid = id["key_ID"].as_str().unwrap().parse().unwrap();
            let Some(key) = shared.keys.remove(&id) else {
                let message = "one or more keys specified are not found on KME";
                return (StatusCode::BAD_REQUEST, Json(json!({ "message": message }))).into_response();
            };
            keys.insert(0, json!({"key_ID": id, "key": key}));
        }
    }
    Json(json!({ "keys": keys })).into_response()
}

async fn run(net: &Net, devices: &Devices) -> (Running, Running) {
    let site = Site::new();
    let a = settings(&site, devices, "sae-b").await;
    let b = settings(&site, devices, "sae-a").await;
    (net.lead(a).with(&site), net.follow(b).with(&site))
}

async fn settings(site: &Site, devices: &Devices, peer_sae: &str) -> Etsi014 {
    let device = serve(site, devices.router()).await;
    Etsi014 { device, peer_sae: peer_sae.parse().unwrap(), key_size_bits: 128, keys_per_block: 3 }
}

//! Any bytes as what a neighbour says about routes: no word of it makes the server fall over, or believe in routes over itself.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use photongate_qks::ids::QksId;
use photongate_qks::routing::{LinkStock, Message, Routing, Seal, Settings, Signatures};
use photongate_wire::Nanos;

/// Believes everybody: what is not signed is refused before anything else is looked at.
#[derive(Debug)]
struct Trusting;

impl Signatures for Trusting {
    fn sign(&self, _: &[u8]) -> Option<Seal> {
        Some(Seal::default())
    }

    fn verify(&self, _: &QksId, _: &[u8], _: &Seal) -> bool {
        true
    }
}

fuzz_target!(|bytes: &[u8]| {
    let name = |text: &str| text.parse::<QksId>().expect("it is a name");
    let (local, neighbour) = (name("qks-a"), name("qks-b"));
    let settings = Settings { most_servers: 16, ..Settings::default() };
    let mut routing = Routing::new(local.clone(), 1, 1, settings, Arc::new(Trusting), Nanos(0));
    routing.set_link(&neighbour, LinkStock::default(), Nanos(0));
    routing.neighbour_up(&neighbour, Nanos(0));
    // A line is a message.
    for (second, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        if let Ok(message) = serde_json::from_slice::<Message>(line) {
            routing.on_message(&neighbour, message, Nanos::from_secs(second));
            routing.on_tick(Nanos::from_secs(second));
        }
        assert!(routing.servers() <= 16);
        let routes = routing.routes();
        for server in ["qks-b", "qks-c"].map(name) {
            if let Some(route) = routes.route(&server) {
                assert_eq!(route.path.first(), Some(&local));
                assert_eq!(route.path.iter().filter(|hop| **hop == local).count(), 1);
            }
        }
    }
});

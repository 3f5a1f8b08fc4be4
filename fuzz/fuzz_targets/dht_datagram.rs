//! Any bytes as a datagram to a node: what is understood can be written again, and the answer to a stranger is at most three times as long.

#![no_main]

use libfuzzer_sys::fuzz_target;
use photongate_dht::message::{LARGEST, Message};
use photongate_dht::node::{Input, Node, Output, Settings, Source};
use photongate_dht::{Contact, Id};
use photongate_wire::Nanos;

fuzz_target!(|bytes: &[u8]| {
    let Ok(message) = Message::decode(bytes) else { return };
    let written = message.encode();
    if written.len() <= LARGEST {
        assert_eq!(Message::decode(&written).as_ref(), Ok(&message));
    }
    let me = Contact { id: Id([0x5a; 32]), address: "192.0.2.1:6881".parse().expect("it is an address") };
    let stranger = Source { address: "198.51.100.1:6881".parse().expect("it is an address"), proven: None };
    let mut node = Node::new(Settings::default(), me, Box::new(|random| random.fill(0x5a)));
    let mut outputs = Vec::new();
    node.handle(Nanos(0), Input::Message { from: stranger, bytes: bytes.len(), message }, &mut outputs);
    for output in outputs {
        if let Output::Send { message: answer @ (Message::Answer(_) | Message::Error(_)), .. } = output {
            assert!(answer.encode().len() <= 3 * bytes.len());
        }
    }
});

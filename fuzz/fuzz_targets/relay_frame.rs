//! Any bytes as a frame between trusted relays: refused, or of a size and with a path that keep to the bounds, and not to be opened
//! with a key that did not seal it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use photongate_qks::relay::frame::{Frame, Role};
use photongate_qks::relay::{LONGEST_PATH, Secret};

fuzz_target!(|bytes: &[u8]| {
    let Ok(frame) = serde_json::from_slice::<Frame>(bytes) else { return };
    let hop = usize::from(frame.header.hop);
    let servers = [hop.checked_sub(1), Some(hop)].map(|place| frame.header.path.get(place?).cloned());
    let [Some(from), Some(local)] = servers else { return };
    let Ok(role) = frame.role(&local, &from) else { return };
    assert!((2..=LONGEST_PATH).contains(&frame.header.path.len()));
    match role {
        Role::Destination => assert_eq!(hop + 1, frame.header.path.len()),
        Role::Relay { next } => assert_eq!(next, frame.header.path[hop + 1]),
    }
    let key = Secret::new(vec![0x5a; frame.key.length().expect("it was checked")]);
    assert!(frame.open(key).is_err(), "nobody seals with this key");
});

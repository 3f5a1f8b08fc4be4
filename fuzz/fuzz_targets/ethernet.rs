//! Any bytes as an Ethernet frame: header and payload are the frame, and addresses change alone.

#![no_main]

use libfuzzer_sys::fuzz_target;
use photongate_wire::{Ethernet, EthernetMut};

fuzz_target!(|bytes: &[u8]| {
    let Ok(frame) = Ethernet::parse(bytes) else { return };
    assert_eq!(&bytes[frame.header_len()..], frame.payload());

    let mut turned = bytes.to_vec();
    EthernetMut::parse(&mut turned).expect("it was read above").swap_addresses();
    let turned = Ethernet::parse(&turned).expect("it was read above");
    assert_eq!((turned.destination(), turned.source()), (frame.source(), frame.destination()));
    assert_eq!((turned.ethertype(), turned.payload()), (frame.ethertype(), frame.payload()));
    assert!(turned.vlan_tags().eq(frame.vlan_tags()));
});

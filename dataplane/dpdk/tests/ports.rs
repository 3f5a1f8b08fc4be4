//! Packets through virtual devices.

mod support;

use photongate_dpdk::{Burst, Mbuf, Port, PortConfig};
use support::{burst, eal, pool};

#[test]
fn a_packet_sent_into_a_ring_comes_back_unchanged() {
    let pool = pool(2048);
    let mut port = Port::attach(eal(), "net_ring0").unwrap();
    port.configure(&PortConfig::default(), &pool).unwrap();
    let (mut rx, mut tx) = port.start().unwrap();

    let mut outgoing = burst(&pool, &[b"first", b"second"]);
    assert_eq!(tx[0].send(&mut outgoing), 2);
    assert!(outgoing.is_empty());

    let mut incoming = Burst::<64>::new();
    assert_eq!(rx[0].receive(&mut incoming), 2);
    let received: Vec<&[u8]> = incoming.iter().map(Mbuf::data).collect();
    assert_eq!(received, [&b"first"[..], b"second"]);
}

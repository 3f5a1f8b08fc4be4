//! Packets through virtual devices.

mod support;

use std::fs::File;
use std::time::Duration;

use pcap_file::pcap::{PcapPacket, PcapWriter};
use photongate_dpdk::port::Downgrade;
use photongate_dpdk::{Burst, Mbuf, Mempool, MempoolConfig, Port, PortConfig, PortError, RxQueue, TxQueue};
use support::{burst, eal, pool};

#[test]
fn a_packet_sent_into_a_ring_comes_back_unchanged() {
    let pool = pool(2048);
    let (_port, mut rx, mut tx) = ring("net_ring0");
    let mut outgoing = burst(&pool, &[b"first", b"second"]);
    assert_eq!(tx.send(&mut outgoing), 2);
    assert!(outgoing.is_empty());

    let mut incoming = Burst::<64>::new();
    assert_eq!(rx.receive(&mut incoming), 2);
    let received: Vec<&[u8]> = incoming.iter().map(Mbuf::data).collect();
    assert_eq!(received, [&b"first"[..], b"second"]);
}

#[test]
fn a_burst_receives_no_more_than_it_holds() {
    let pool = pool(2048);
    let (_port, mut rx, mut tx) = ring("net_ring1");
    tx.send(&mut burst(&pool, &[b"a", b"b", b"c"]));

    let mut incoming = Burst::<2>::new();
    assert_eq!((rx.receive(&mut incoming), incoming.len()), (2, 2));
    assert_eq!(rx.receive(&mut incoming), 0);
    incoming.clear();
    assert_eq!((rx.receive(&mut incoming), incoming[0].data()), (1, &b"c"[..]));
}

#[test]
fn what_a_full_queue_does_not_take_stays_in_the_burst_in_order() {
    let pool = large_pool();
    let (_port, _rx, mut tx) = ring("net_ring2");
    // Nobody receives, so the ring behind the device fills up.
    let mut outgoing = burst(&pool, &[b"-"; 60].map(|bytes| &bytes[..]));
    while tx.send(&mut outgoing) == 60 {
        outgoing = burst(&pool, &[b"-"; 60].map(|bytes| &bytes[..]));
    }
    outgoing.clear();

    let mut outgoing = burst(&pool, &[b"1", b"2", b"3"]);
    assert_eq!(tx.send(&mut outgoing), 0);
    let left: Vec<&[u8]> = outgoing.iter().map(Mbuf::data).collect();
    assert_eq!(left, [b"1", b"2", b"3"]);
}

#[test]
fn a_queue_with_some_room_takes_from_the_front() {
    let pool = large_pool();
    let (_port, mut rx, mut tx) = ring("net_ring12");
    while tx.send(&mut burst(&pool, &[b"-"])) == 1 {}
    rx.receive(&mut Burst::<2>::new());

    let mut outgoing = burst(&pool, &[b"1", b"2", b"3"]);
    assert_eq!(tx.send(&mut outgoing), 2);
    assert_eq!((outgoing.len(), outgoing[0].data()), (1, &b"3"[..]));
}

#[test]
fn dropping_a_burst_returns_its_buffers() {
    let pool = pool(2048);
    let before = pool.available();
    let packets = burst(&pool, &[b"a", b"b"]);
    assert_eq!(pool.available(), before - 2);
    drop(packets);
    assert_eq!(pool.available(), before);
}

#[test]
fn packets_of_a_capture_file_are_received_in_order_and_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("two.pcap");
    let mut writer = PcapWriter::new(File::create(&path).unwrap()).unwrap();
    for bytes in [&[1_u8; 60][..], &[2; 1514]] {
        writer.write_packet(&PcapPacket::new(Duration::ZERO, bytes.len() as u32, bytes)).unwrap();
    }
    drop(writer);

    let pool = pool(2048);
    let mut port = Port::attach(eal(), &format!("net_pcap0,rx_pcap={}", path.display())).unwrap();
    port.configure(&PortConfig::default(), &pool).unwrap();
    let (mut rx, _tx) = port.start().unwrap();
    let mut incoming = Burst::<64>::new();
    while rx[0].receive(&mut incoming) > 0 {}
    let received: Vec<&[u8]> = incoming.iter().map(Mbuf::data).collect();
    assert_eq!(received, [&[1; 60][..], &[2; 1514]]);
    assert!(incoming.iter().all(|packet| packet.port() == port.id()));
}

#[test]
fn a_packet_longer_than_a_buffer_arrives_in_several_and_can_be_joined() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jumbo.pcap");
    let bytes: Vec<u8> = (0..9000_u32).map(|number| number as u8).collect();
    let mut writer = PcapWriter::new(File::create(&path).unwrap()).unwrap();
    writer.write_packet(&PcapPacket::new(Duration::ZERO, bytes.len() as u32, &bytes)).unwrap();
    drop(writer);

    let (small, large) = (pool(2048), pool(9216));
    let mut port = Port::attach(eal(), &format!("net_pcap1,rx_pcap={}", path.display())).unwrap();
    port.configure(&PortConfig { mtu: Some(9000), ..PortConfig::default() }, &small).unwrap();
    let (mut rx, _tx) = port.start().unwrap();
    let mut incoming = Burst::<1>::new();
    assert_eq!(rx[0].receive(&mut incoming), 1);
    let packet = incoming.pop().unwrap();
    assert!(!packet.is_contiguous());
    assert_eq!(packet.segments().flatten().copied().collect::<Vec<u8>>(), bytes);

    let joined = packet.into_contiguous(&large).unwrap();
    assert_eq!((joined.is_contiguous(), joined.data()), (true, &bytes[..]));
    assert_eq!(small.available(), 255, "the chain's buffers are free again");
}

#[test]
fn a_device_that_can_do_little_is_granted_that_and_the_rest_is_told() {
    let mut port = Port::attach(eal(), "net_ring3").unwrap();
    let config = PortConfig { rx_queues: 100, tx_queues: 100, ..PortConfig::default() };
    let granted = port.configure(&config, &pool(2048)).unwrap().clone();
    assert!(granted.rx_queues >= 1 && granted.rx_queues < 100);
    assert!(granted.downgrades.contains(&Downgrade::RxQueues { wanted: 100, granted: granted.rx_queues }));
    assert!(granted.downgrades.contains(&Downgrade::TxUdpChecksum));
    assert!(!granted.rss_over_addresses && granted.downgrades.contains(&Downgrade::Rss));
}

#[test]
fn receive_side_scaling_is_not_missed_with_one_queue() {
    let mut port = Port::attach(eal(), "net_ring4").unwrap();
    let granted = port.configure(&PortConfig::default(), &pool(2048)).unwrap();
    assert!(!granted.downgrades.contains(&Downgrade::Rss));
}

#[test]
fn receive_side_scaling_is_granted_where_there_is_a_table_for_it() {
    let mut port = Port::attach(eal(), "net_null0").unwrap();
    assert!(port.info().rss_over_addresses && port.info().reta_size > 0);
    let config = PortConfig { rx_queues: 2, tx_queues: 2, ..PortConfig::default() };
    let granted = port.configure(&config, &pool(2048)).unwrap();
    assert!(granted.rx_queues < 2 || granted.rss_over_addresses);
}

#[test]
fn a_port_counts_its_packets() {
    let pool = pool(2048);
    let (port, mut rx, mut tx) = ring("net_ring5");
    tx.send(&mut burst(&pool, &[b"a", b"b"]));
    let mut incoming = Burst::<64>::new();
    rx.receive(&mut incoming);
    let stats = port.stats().unwrap();
    assert_eq!((stats.sent_packets, stats.received_packets), (2, 2));
    let extended = port.extended_stats().unwrap();
    assert!(extended.contains(&("rx_good_packets".to_owned(), 2)), "{extended:?}");
}

#[test]
fn a_started_port_is_up() {
    let (port, _rx, _tx) = ring("net_ring6");
    assert!(port.link().unwrap().is_up);
}

#[test]
fn a_port_has_one_owner_at_a_time() {
    let port = Port::attach(eal(), "net_ring7").unwrap();
    assert!(matches!(Port::find(eal(), "net_ring7"), Err(PortError::InUse { .. })));
    drop(port);
    assert!(Port::attach(eal(), "net_ring7").is_ok(), "the device is gone with its owner, and can be made anew");
}

#[test]
fn a_port_outlives_its_handle_as_long_as_a_queue_is_used() {
    let pool = pool(2048);
    let (port, mut rx, mut tx) = ring("net_ring8");
    drop(port);
    assert_eq!(tx.send(&mut burst(&pool, &[b"a"])), 1);
    assert_eq!(rx.receive(&mut Burst::<1>::new()), 1);
}

#[test]
fn a_port_stops_only_when_all_queues_are_given_back() {
    let pool = pool(2048);
    let mut port = Port::attach(eal(), "net_ring9").unwrap();
    port.configure(&PortConfig::default(), &pool).unwrap();
    let (rx, tx) = port.start().unwrap();
    let Err((error, rx_back, no_tx)) = port.stop(rx, Vec::new()) else { panic!("a queue is missing") };
    assert_eq!(error, PortError::QueuesInUse { name: "net_ring9".to_owned(), missing: 1 });
    assert!(no_tx.is_empty());
    assert!(matches!(port.configure(&PortConfig::default(), &pool), Err(PortError::Running { .. })));
    assert!(port.stop(rx_back, tx).is_ok());
    assert!(port.configure(&PortConfig::default(), &pool).is_ok(), "a stopped port can be set up again");
    assert!(port.start().is_ok());
}

#[test]
fn a_port_that_is_not_there_is_refused_with_a_list_of_those_that_are() {
    let _ring = Port::attach(eal(), "net_ring10").unwrap();
    let Err(PortError::NotFound { name, present }) = Port::find(eal(), "0000:3b:00.0") else {
        panic!("there is no such port");
    };
    assert_eq!(name, "0000:3b:00.0");
    assert!(present.contains(&"net_ring10".to_owned()));
}

#[test]
fn a_device_that_cannot_be_made_is_refused_with_what_dpdk_says() {
    let Err(PortError::Attach { device, log, .. }) = Port::attach(eal(), "net_pcap9,rx_pcap=/nonexistent.pcap") else {
        panic!("there is no such file");
    };
    assert_eq!(device, "net_pcap9,rx_pcap=/nonexistent.pcap");
    assert!(log.iter().any(|line| line.contains("/nonexistent.pcap")), "{log:?}");
}

#[test]
fn a_port_that_does_not_start_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("empty.pcap");
    drop(PcapWriter::new(File::create(&path).unwrap()).unwrap());
    let mut port = Port::attach(eal(), &format!("net_pcap2,rx_pcap={}", path.display())).unwrap();
    port.configure(&PortConfig::default(), &pool(2048)).unwrap();
    // What was found when the device was made is gone when it starts.
    let (rx, tx) = port.start().unwrap();
    assert!(port.stop(rx, tx).is_ok());
    std::fs::remove_file(&path).unwrap();
    let Err(PortError::Refused { log, .. }) = port.start() else { panic!("there is no file any more") };
    assert!(log.iter().any(|line| line.contains("empty.pcap")), "{log:?}");
}

#[test]
fn an_unknown_driver_is_refused() {
    assert!(matches!(Port::attach(eal(), "net_nothing0"), Err(PortError::Attach { .. })));
}

#[test]
fn a_port_does_not_start_before_it_is_configured() {
    let mut port = Port::attach(eal(), "net_ring11").unwrap();
    assert!(matches!(port.start(), Err(PortError::NotConfigured { .. })));
}

fn ring(name: &str) -> (Port, RxQueue, TxQueue) {
    let mut port = Port::attach(eal(), name).unwrap();
    port.configure(&PortConfig::default(), &pool(2048)).unwrap();
    let (mut rx, mut tx) = port.start().unwrap();
    (port, rx.remove(0), tx.remove(0))
}

/// More buffers than a ring device holds.
fn large_pool() -> Mempool {
    let config = MempoolConfig { buffers: 4095, cache: 0, data_room: 128, socket: None };
    Mempool::create(eal(), &config).unwrap()
}

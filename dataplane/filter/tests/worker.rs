//! A single worker, put together by hand.

mod support;

use arc_swap::ArcSwap;
use photongate_dpdk::ring;
use photongate_dpdk::{Burst, Mempool, MempoolConfig, Port, PortConfig};
use photongate_filter::{Dictionary, Egress, Outlet, Path, PortLinks, Timebase, Worker, WorkerParts};
use photongate_pipeline::limits::Limit;
use photongate_pipeline::timestamps::TimestampIssuer;
use photongate_pipeline::{Entry, MAX_BURST, Parts, PeerState, Pipeline, Verdict};
use std::sync::Arc;
use support::{LOCAL, PEER, TIMES, address, now, peer_key, rotation, udp};
use tempfile::TempDir;

#[test]
fn a_packet_that_arrives_in_several_buffers_is_judged_as_a_whole() {
    let (eal, _turn) = support::eal();
    let directory = TempDir::new().unwrap();
    let packet = udp(address("10.1.0.1"), address("10.2.0.1"), 1, 1200);
    let source = support::capture(directory.path(), "in.pcap", std::slice::from_ref(&packet));
    let output = directory.path().join("out.pcap");
    let device = format!("net_pcap_worker0,rx_pcap={},tx_pcap={}", source.display(), output.display());
    // The port receives into buffers much smaller than the packet.
    let pool = |data_room| Mempool::create(eal, &MempoolConfig { buffers: 511, data_room, ..MempoolConfig::default() });
    let (small, large) = (pool(256).unwrap(), pool(2048).unwrap());
    let mut port = Port::attach(eal, &device).unwrap();
    port.configure(&PortConfig { rx_descriptors: 64, tx_descriptors: 64, ..PortConfig::default() }, &small).unwrap();
    let (mut receive, mut transmit) = port.start().unwrap();

    let (dictionary, mut writer) = Dictionary::create(1, 1).unwrap();
    let peer = Arc::new(PeerState::new(peer_key(PEER), Limit::UNLIMITED, 1));
    writer.publish(Entry::new(peer, rotation(LOCAL, PEER, TIMES).key_set(now()))).unwrap();
    let settings = Arc::new(support::settings(LOCAL, PEER, "10.2.0.0/16", TIMES));
    let pipeline = Pipeline::new(Parts {
        settings: Arc::clone(&settings),
        backend: photongate_crypto::backend::detect(),
        duplicates: None,
        issuer: TimestampIssuer::new(0, 1, TIMES.time_threshold),
        worker: 0,
    });
    let links =
        |receive, path| PortLinks { receive, inbox: None, transmit: Outlet::new(Egress::new(path)), exception: None };
    let mut worker = Worker::new(WorkerParts {
        ports: vec![links(receive.pop(), Path::Nowhere), links(None, Path::Queue(transmit.pop().unwrap()))],
        pipeline,
        dictionary: dictionary.reader().unwrap(),
        settings: Arc::new(ArcSwap::new(settings)),
        handoff: None,
        reassembly: None,
        tap: None,
        pool: large,
        burst: 32,
        timebase: Timebase::start(),
    });

    assert_eq!(worker.poll(&mut ()), 1);
    let tally = worker.pipeline().counters().snapshot();
    assert_eq!(tally.of(Verdict::Outbound).packets, 1, "{tally:?}");
    drop((worker, port));
    let sent = support::captured(&output);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].len(), packet.len() + 64);
    assert_eq!(sent[0][14 + 20 + 64..], packet[14 + 20..]);
    // All buffers of the chain are free again.
    assert_eq!((small.available(), large.available()), (511, 511));
}

#[test]
fn a_port_that_is_never_silent_leaves_room_for_what_others_hand_over() {
    let (eal, _turn) = support::eal();
    let directory = TempDir::new().unwrap();
    let packets = vec![udp(address("10.1.0.1"), address("10.2.0.1"), 1, 100); 2 * MAX_BURST];
    let source = support::capture(directory.path(), "in.pcap", &packets);
    let pool = Mempool::create(eal, &MempoolConfig { buffers: 511, ..MempoolConfig::default() }).unwrap();
    let mut port = Port::attach(eal, &format!("net_pcap_worker1,rx_pcap={}", source.display())).unwrap();
    port.configure(&PortConfig { rx_descriptors: 64, tx_descriptors: 64, ..PortConfig::default() }, &pool).unwrap();
    let (mut receive, _transmit) = port.start().unwrap();
    let (handed_over, inbox) = ring::create(eal, 64, None).unwrap();
    let mut burst = Burst::<1>::new();
    burst.push(pool.allocate().unwrap()).unwrap();
    assert_eq!(handed_over.send(&mut burst), 1);

    let (dictionary, _writer) = Dictionary::create(1, 1).unwrap();
    let settings = Arc::new(support::settings(LOCAL, PEER, "10.2.0.0/16", TIMES));
    let pipeline = Pipeline::new(Parts {
        settings: Arc::clone(&settings),
        backend: photongate_crypto::backend::detect(),
        duplicates: None,
        issuer: TimestampIssuer::new(0, 1, TIMES.time_threshold),
        worker: 0,
    });
    let links = |receive, inbox| PortLinks {
        receive,
        inbox,
        transmit: Outlet::new(Egress::new(Path::Nowhere)),
        exception: None,
    };
    let mut worker = Worker::new(WorkerParts {
        ports: vec![links(receive.pop(), Some(inbox)), links(None, None)],
        pipeline,
        dictionary: dictionary.reader().unwrap(),
        settings: Arc::new(ArcSwap::new(settings)),
        handoff: None,
        reassembly: None,
        tap: None,
        pool,
        burst: MAX_BURST,
        timebase: Timebase::start(),
    });

    assert_eq!(worker.poll(&mut ()), MAX_BURST / 2 + 1);
}

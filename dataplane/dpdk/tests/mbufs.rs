//! Packet buffers: bounds, lengths, ownership.

mod support;

use photongate_dpdk::{Burst, HEADROOM, Mbuf, MbufError, Mempool, MempoolConfig, MempoolError, TxChecksums};
use support::{burst, eal, packet, pool};

#[test]
fn a_fresh_buffer_is_empty_with_headroom_before_and_the_data_room_behind() {
    let mut packet = pool(2048).allocate().unwrap();
    assert_eq!((packet.len(), packet.data_range()), (0, HEADROOM..HEADROOM));
    let (buffer, _) = packet.buffer_mut();
    assert_eq!(buffer.len(), HEADROOM + 2048);
}

#[test]
fn data_can_grow_to_both_ends_of_the_buffer() {
    let mut packet = packet(&pool(256), b"payload");
    packet.set_data_range(0..HEADROOM + 256).unwrap();
    assert_eq!(packet.len(), HEADROOM + 256);
    assert_eq!(&packet.data()[HEADROOM..HEADROOM + 7], b"payload");
}

#[test]
fn data_cannot_leave_the_buffer() {
    let mut packet = packet(&pool(256), b"payload");
    let end = HEADROOM + 256;
    let beyond = packet.set_data_range(10..end + 1);
    assert_eq!(beyond, Err(MbufError::OutOfBounds { start: 10, end: end + 1, buffer: end }));
    #[expect(clippy::reversed_empty_ranges, reason = "it is what is refused")]
    let reversed = packet.set_data_range(20..10);
    assert_eq!(reversed, Err(MbufError::OutOfBounds { start: 20, end: 10, buffer: end }));
    assert!(packet.set_data_range(usize::MAX..usize::MAX).is_err());
    assert_eq!(packet.data(), b"payload", "a refusal changes nothing");
}

#[test]
fn an_empty_pool_gives_no_buffer_until_one_is_returned() {
    let config = MempoolConfig { buffers: 2, cache: 0, data_room: 128, socket: None };
    let pool = Mempool::create(eal(), &config).unwrap();
    let first = pool.allocate().unwrap();
    let _second = pool.allocate().unwrap();
    assert!(pool.allocate().is_none());
    drop(first);
    assert!(pool.allocate().is_some());
}

#[test]
fn a_pool_fills_a_burst_or_leaves_it_alone() {
    let pool = pool(128);
    let mut packets = Burst::<64>::new();
    packets.push(pool.allocate().unwrap()).unwrap();
    assert_eq!((pool.allocate_burst(&mut packets), packets.len()), (63, 64));

    let mut keep: Vec<Burst<64>> = vec![packets];
    while pool.available() >= 64 {
        let mut packets = Burst::new();
        pool.allocate_burst(&mut packets);
        keep.push(packets);
    }
    let mut packets = Burst::<64>::new();
    assert_eq!((pool.allocate_burst(&mut packets), packets.len()), (0, 0));
}

#[test]
fn a_full_burst_gives_the_packet_back() {
    let pool = pool(128);
    let mut packets = Burst::<1>::new();
    packets.push(packet(&pool, b"first")).unwrap();
    let back = packets.push(packet(&pool, b"second")).unwrap_err();
    assert_eq!(back.data(), b"second");
}

#[test]
fn draining_a_burst_hands_out_its_packets_and_frees_the_rest() {
    let pool = pool(128);
    let mut packets = burst(&pool, &[b"1", b"2", b"3"]);
    let first = packets.drain().next().unwrap();
    assert_eq!((first.data(), packets.len()), (&b"1"[..], 0));
    assert_eq!(pool.available(), 254);
}

#[test]
fn a_packet_made_here_carries_nothing_a_port_would_have_found() {
    let mut packet = packet(&pool(128), b"x");
    assert_eq!((packet.rss_hash(), packet.stripped_vlan()), (None, None));
    assert_eq!(packet.ip_checksum(), photongate_dpdk::Checksum::Unknown);
    let wanted = TxChecksums { ip: true, udp: true, is_ipv6: false, ethernet_length: 14, ip_length: 20 };
    packet.set_tx_checksums(Some(wanted));
    packet.set_tx_checksums(None);
    assert_eq!(packet.data(), b"x");
}

#[test]
fn a_contiguous_packet_stays_where_it_is() {
    let pool = pool(128);
    let packet = packet(&pool, b"here");
    let address = packet.data().as_ptr();
    assert_eq!(packet.into_contiguous(&pool).unwrap().data().as_ptr(), address);
}

#[test]
fn packets_can_be_freed_on_another_thread() {
    let pool = pool(128);
    let packet = packet(&pool, b"moved");
    std::thread::spawn(move || drop(packet)).join().unwrap();
    assert_eq!(pool.available(), 255);
}

#[test]
fn a_pool_larger_than_the_memory_is_refused_with_its_size() {
    let config = MempoolConfig { buffers: 1 << 20, ..MempoolConfig::default() };
    let error = Mempool::create(eal(), &config).unwrap_err();
    assert!(matches!(error, MempoolError::NoMemory { buffers: 0x10_0000, needed_mib: 2000.., .. }), "{error}");
}

#[test]
fn a_buffer_too_large_for_sixteen_bits_is_refused() {
    let config = MempoolConfig { data_room: u16::MAX, ..MempoolConfig::default() };
    assert!(matches!(Mempool::create(eal(), &config), Err(MempoolError::DataRoom { .. })));
}

#[test]
fn an_mbuf_is_no_larger_than_a_pointer() {
    assert_eq!(size_of::<Option<Mbuf>>(), size_of::<usize>());
}

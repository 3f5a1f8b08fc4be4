use std::sync::Arc;

use super::*;

#[test]
fn a_limit_without_rates_lets_everything_pass() {
    assert!(Limit::UNLIMITED.check(u64::MAX, NOW) && Limit::UNLIMITED.take(u64::MAX, NOW));
    let unlimited = Limit::from_settings(&LimitSettings::default(), NOW);
    assert!(unlimited.check(u64::MAX, NOW) && unlimited.take(u64::MAX, NOW));
}

#[test]
fn asking_takes_nothing() {
    let limit = limit(2_000, 1);
    assert!(limit.check(2_000, NOW) && limit.check(2_000, NOW));
    assert!(limit.take(2_000, NOW) && !limit.check(1, NOW));
}

#[test]
fn bytes_are_not_charged_for_a_packet_too_many() {
    let limit = limit(3_000, 1);
    assert!(limit.take(1_000, NOW) && !limit.take(1_000, NOW));
    assert_eq!(bytes_left(&limit), 2_000);
}

#[test]
fn packets_are_not_charged_for_a_byte_too_many() {
    let limit = limit(2_000, 2);
    assert!(limit.take(1_500, NOW) && !limit.take(1_500, NOW));
    assert!(limit.take(500, NOW));
}

#[test]
fn all_limits_are_charged_or_none() {
    let (wide, narrow, wider) = (limit(10_000, 10), limit(2_000, 10), limit(20_000, 10));
    let all = [&wide, &narrow, &wider];
    assert!(take_all(&all, 1_500, NOW));
    assert!(!take_all(&all, 1_500, NOW));
    assert!(!take_all(&[&wider, &wide, &narrow], 1_500, NOW));
    assert_eq!(all.map(bytes_left), [8_500, 500, 18_500]);
    assert!(take_all(&[], 1_500, NOW));
}

#[test]
fn a_refund_gives_back_bytes_and_the_packet() {
    let limit = limit(2_000, 1);
    assert!(limit.take(2_000, NOW));
    limit.refund(2_000);
    assert!(limit.take(2_000, NOW));
}

#[test]
fn limits_do_not_share_cache_lines() {
    assert_eq!((size_of::<Limit>(), align_of::<Limit>()), (128, 128));
}

#[test]
fn the_longest_prefix_around_a_destination_limits_it() {
    let limits = [("10.0.0.0/8", 10_000), ("10.1.0.0/16", 20_000), ("fd00::/8", 30_000)];
    let limits = limits.map(|(prefix, bytes)| (prefix.parse().unwrap(), Arc::new(limit(bytes, 1))));
    let destinations = DestinationLimits::new(limits).unwrap();
    let left = |destination: &str| destinations.look_up(destination.parse().unwrap()).map(bytes_left);
    assert_eq!(left("10.9.0.1"), Some(10_000));
    assert_eq!(left("::ffff:10.1.0.1"), Some(20_000));
    assert_eq!(left("fd00::1"), Some(30_000));
    assert_eq!(left("192.0.2.1"), None);
    assert!(DestinationLimits::default().is_empty());
}

#[test]
fn a_prefix_limited_twice_is_refused() {
    let limits = ["10.0.0.0/8", "10.0.0.0/8"].map(|prefix| (prefix.parse().unwrap(), Arc::new(Limit::UNLIMITED)));
    let error = DestinationLimits::new(limits).unwrap_err();
    assert_eq!(error.to_string(), "prefix 10.0.0.0/8 is given twice");
}

/// A limit whose rates are too low to matter here.
fn limit(burst_bytes: u64, burst_packets: u64) -> Limit {
    let settings = LimitSettings {
        bits_per_second: Some(8),
        packets_per_second: Some(1),
        burst_bytes: Some(burst_bytes),
        burst_packets: Some(burst_packets),
    };
    Limit::from_settings(&settings, NOW)
}

fn bytes_left(limit: &Limit) -> u64 {
    let bucket = limit.bytes.as_ref().unwrap();
    (0..1 << 15).rev().find(|amount| bucket.available(*amount, NOW)).unwrap_or(0)
}

const NOW: UnixNanos = UnixNanos(1_800_000_000_000_000_000);

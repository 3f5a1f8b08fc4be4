use super::*;

#[test]
fn a_million_packets_per_second_at_one_in_a_million_take_thirteen_mebibytes() {
    let sizing = Sizing::new(1_000_000, 1e-6, Nanos::from_secs(1), 1 << 30, 1).unwrap();
    assert_eq!(sizing.memory_bytes() / (1 << 20), 12);
    assert_eq!(sizing.probes(), 14);
    assert_eq!(sizing.to_string(), "12.5 MiB (1 worker, 46.7 bits a packet, 14 of them set)");
}

#[test]
fn bits_per_key_agree_with_an_independent_computation() {
    // By a script that follows the same formula with a different search.
    for (rate, bits, probes) in
        [(1e-3, 18.5, 7), (1e-4, 26.1, 14), (1e-5, 35.0, 14), (1e-7, 61.0, 21), (1e-9, 99.3, 21)]
    {
        let sizing = Sizing::new(1_000_000, rate, Nanos::from_secs(1), 1 << 30, 1).unwrap();
        assert!((sizing.bits_per_key() - bits).abs() < 0.1, "{rate:e}: {}", sizing.bits_per_key());
        assert_eq!(sizing.probes(), probes, "{rate:e}");
    }
}

#[test]
fn more_workers_share_the_rate_with_twice_the_fair_share_as_margin() {
    let of = |workers| Sizing::new(1_000_000, 1e-6, Nanos::from_secs(1), 1 << 30, workers).unwrap();
    assert_eq!(of(2).memory_bytes(), of(1).memory_bytes() * 2);
    let growth = of(16).memory_bytes() as f64 / of(2).memory_bytes() as f64;
    assert!((0.99..1.01).contains(&growth), "{growth}");
}

#[test]
fn filters_that_do_not_fit_are_refused_with_what_would_fit() {
    let limit = 64 << 20;
    let size = |packets| Sizing::new(packets, 1e-6, Nanos::from_secs(1), limit, 1);
    let error = size(20_000_000).unwrap_err();
    let SizingError::TooLarge { needed_mib, limit_mib, fitting_packets_per_second, .. } = error else {
        panic!("{error}")
    };
    assert_eq!((needed_mib, limit_mib), (251, 64));
    let fitting = size(fitting_packets_per_second).unwrap();
    assert!(fitting.memory_bytes() > limit * 99 / 100, "{} of {limit} bytes used", fitting.memory_bytes());
    assert!(Sizing::new(20_000_000, 1e-6, Nanos::from_secs(1), needed_mib << 20, 1).is_ok());
    let text = error.to_string();
    assert!(text.contains("251 MiB") && text.contains("the limit is 64 MiB"), "{text}");
}

#[test]
fn senseless_values_are_refused_by_name() {
    let with = |packets, rate, threshold| Sizing::new(packets, rate, threshold, 1 << 30, 1).unwrap_err();
    let second = Nanos::from_secs(1);
    assert_eq!(with(0, 1e-6, second), SizingError::NoPackets);
    for rate in [0.0, -1.0, 1e-13, 0.2, 1.0, f64::INFINITY] {
        assert_eq!(with(1, rate, second), SizingError::FalsePositiveRate(rate));
    }
    assert!(with(1, f64::NAN, second).to_string().starts_with("false_positive_rate is NaN"));
    assert_eq!(with(1, 1e-6, Nanos(999_999)), SizingError::TimeThreshold(Nanos(999_999)));
}

#[test]
fn extreme_but_sensible_values_have_dimensions_or_an_error() {
    for rate in [MIN_RATE, MAX_RATE] {
        let sizing = Sizing::new(1, rate, Nanos::from_secs(180), 1 << 30, 128).unwrap();
        assert!(sizing.bits_per_key() > 5.0 && sizing.blocks_per_generation() > 0, "{rate:e}");
    }
    let error = Sizing::new(u64::MAX, 1e-6, Nanos(u64::MAX), u64::MAX, 1).unwrap_err();
    assert!(matches!(error, SizingError::TooLarge { .. }), "{error}");
}

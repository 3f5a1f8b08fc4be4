use super::*;

#[test]
fn bursts_are_a_tenth_of_a_second_but_no_less_than_one_jumbo_frame_or_32_packets() {
    for (bits, burst) in [(8_000_000, 100_000), (8_000, 9_216), (0, 9_216)] {
        let settings = LimitSettings { bits_per_second: Some(bits), ..Default::default() };
        assert_eq!(settings.bytes(), Some(Rate::of_bytes(bits, burst)));
        assert_eq!(settings.packets(), None);
    }
    for (packets, burst) in [(10_000, 1_000), (100, 32), (0, 32)] {
        let settings = LimitSettings { packets_per_second: Some(packets), ..Default::default() };
        assert_eq!(settings.packets(), Some(Rate::new(packets, burst)));
        assert_eq!(settings.bytes(), None);
    }
}

#[test]
fn configured_bursts_are_taken_as_they_are() {
    let settings = LimitSettings {
        bits_per_second: Some(8_000_000),
        packets_per_second: Some(1_000),
        burst_bytes: Some(2_000),
        burst_packets: Some(1),
    };
    assert_eq!(settings.validate(), Ok(()));
    assert_eq!(settings.bytes().unwrap().burst, 2_000);
    assert_eq!(settings.packets().unwrap().burst, 1);
}

#[test]
fn all_mistakes_are_named_at_once() {
    let settings = LimitSettings {
        bits_per_second: Some(200_000_000_000_000),
        packets_per_second: None,
        burst_bytes: Some(1_517),
        burst_packets: Some(5),
    };
    let problems = settings.validate().unwrap_err();
    let fields: Vec<_> = problems.iter().map(InvalidLimit::field).collect();
    assert_eq!(fields, ["bits_per_second", "burst_bytes", "burst_packets"]);
    assert_eq!(
        problems[1].to_string(),
        "burst_bytes is 1517: packets larger than the burst never pass, so give at least 1518"
    );
}

#[test]
fn no_limit_and_a_limit_of_zero_are_both_allowed() {
    assert_eq!(LimitSettings::default().validate(), Ok(()));
    let blocked = LimitSettings { bits_per_second: Some(0), burst_bytes: Some(0), ..Default::default() };
    assert_eq!(blocked.validate(), Ok(()));
}

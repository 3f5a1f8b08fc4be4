//! What each kind of value may look like, and what is said of one that does not.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use photongate_wire::{IsdAs, MacAddress, Nanos, UnixNanos};

use super::*;

#[test]
fn values_of_the_wrong_kind_are_refused() {
    let text = "a = \"yes\"\nb = 1\nc = 1.5\nd = \"x\"\n[e]\n";
    let problems = problems(text, |root| {
        let a = root.required::<bool>("a");
        let b = root.list::<bool>("b");
        let c = root.required::<u8>("c");
        let d = root.section("d", strict);
        let e = root.required::<String>("e");
        Ok((a?, b?, c?, d?, e?))
    });
    assert_eq!(
        problems,
        [
            "f.toml:1:5: a: \"yes\" is text: write true or false, without quotes",
            "f.toml:2:5: b: this is a whole number: write a list in brackets: [ … ]",
            "f.toml:3:5: c: 1.5 is a decimal number: write a whole number",
            "f.toml:4:5: d: this is text: write a table of fields",
            "f.toml:5:1: e: this is a table: write text in quotes",
        ]
    );
}

#[test]
fn numbers_beyond_all_types_are_too_large_or_too_small() {
    assert_eq!(refusal::<u64>("99999999999999999999"), "99999999999999999999 is too large: 0 to 18446744073709551615");
    assert!(refusal::<u64>(&"9".repeat(50)).contains("is too large"));
    assert_eq!(refusal::<u16>("-9223372036854775808"), "-9223372036854775808 is too small: 0 to 65535");
}

#[test]
fn a_share_outside_its_range_is_refused() {
    for text in ["1.5", "-1", "nan", "inf"] {
        let problems =
            problems(&format!("a = {text}"), |root| root.required_with("a", "0.1", |a| a.decimal(1e-9..=0.5)));
        assert_eq!(problems, [format!("f.toml:1:5: a: {text} is out of range: 1e-9 to 5e-1")]);
    }
}

#[test]
fn durations_need_a_whole_number_and_a_known_unit() {
    for (text, nanos) in
        [("1ns", 1), ("2us", 2_000), ("3 ms", 3_000_000), ("1m", 60_000_000_000), ("2h", 7_200_000_000_000)]
    {
        assert_eq!(value::<Nanos>(&format!("{text:?}")), Nanos(nanos));
    }
    let how = r#"write a whole number and a unit (ns, us, ms, s, m, h, d), like "500ms""#;
    for text in ["", "5", "s", "-5s", "1.5s", "5 weeks", "5ss"] {
        assert_eq!(refusal::<Nanos>(&format!("{text:?}")), format!("{text:?} is not a duration: {how}"));
    }
    assert_eq!(refusal::<Nanos>("5"), format!("5 has no unit: {how}"));
    assert_eq!(refusal::<Nanos>("\"213504d\""), "\"213504d\" is too long: at most 213503d");
}

#[test]
fn times_are_rfc_3339_or_utc_without_saying_so() {
    let leap_day = UnixNanos(1_709_210_096_000_000_000);
    assert_eq!(value::<UnixNanos>("\"2024-02-29T12:34:56\""), leap_day);
    assert_eq!(value::<UnixNanos>("2024-02-29T12:34:56"), leap_day);
    assert_eq!(value::<UnixNanos>("\"2024-02-29T12:34:56Z\""), leap_day);
    assert_eq!(value::<UnixNanos>("\"2024-02-29T14:34:56+02:00\""), leap_day);
}

#[test]
fn what_is_no_complete_time_is_refused() {
    for text in
        ["\"\"", "\"2023-02-29T12:34:56\"", "\"2024-02-29\"", "2024-02-29", "\"2024-02-29 12:34:56\"", "\"tomorrow\""]
    {
        assert_eq!(refusal::<UnixNanos>(text), format!("{text} is not a time: write it like 2026-01-01T00:00:00Z"));
    }
    assert_eq!(
        refusal::<UnixNanos>("1969-12-31T23:59:59Z"),
        "1969-12-31T23:59:59Z is before 1970: no key was valid then"
    );
    assert_eq!(refusal::<UnixNanos>("1"), "1 is a whole number: write a time, like \"2026-01-01T00:00:00Z\"");
}

#[test]
fn addresses_and_prefixes_that_do_not_read_are_refused() {
    let refusals = [
        (refusal::<IsdAs>("\"1\""), r#""1" is not an ISD-AS number: write it like 1-ff00:0:110 or 1-64512"#),
        (refusal::<MacAddress>("\"2:0\""), r#""2:0" is not an Ethernet address: write it like 02:00:00:00:00:01"#),
        (refusal::<IpAddr>("\"1.2.3\""), r#""1.2.3" is not an IP address: write it like 192.0.2.1 or 2001:db8::1"#),
        (
            refusal::<IpAddr>("\"::ffff:1.2.3.4\""),
            r#""::ffff:1.2.3.4" is an IPv4 address in IPv6 clothes: write 1.2.3.4"#,
        ),
        (
            refusal::<SocketAddr>("\"localhost:1\""),
            r#""localhost:1" is no address and port: write them like 127.0.0.1:8479 or [::1]:8479"#,
        ),
        (refusal::<SocketAddr>("\"::1\""), r#""::1" has no port: write [::1]:8479"#),
        (
            refusal::<IpNet>("\"1.2.3/4\""),
            r#""1.2.3/4" is not an IP prefix: write it like 192.0.2.0/24 or 2001:db8::/32"#,
        ),
        (refusal::<IpNet>("\"::1\""), r#""::1" has no prefix length: write ::1/128 for this one address"#),
        (
            refusal::<IpNet>("\"::ffff:1.2.3.0/120\""),
            r#""::ffff:1.2.3.0/120" is an IPv4 prefix in IPv6 clothes: write 1.2.3.0 and a length up to 32"#,
        ),
        (
            refusal::<IpNet>("\"10.0.0.1/8\""),
            r#""10.0.0.1/8" has bits beyond its length: write 10.0.0.0/8, or 10.0.0.1/32 for the one address"#,
        ),
    ];
    for (refusal, expected) in refusals {
        assert_eq!(refusal, expected);
    }
}

#[test]
fn a_word_that_is_no_choice_is_answered_with_the_choices() {
    let choices = [("keep", 0), ("drop", 1), ("forward", 2)];
    let problems = problems("a = \"dorp\"", |root| root.required_with("a", "\"keep\"", |a| a.choice(&choices)));
    assert_eq!(problems, [r#"f.toml:1:5: a: "dorp" is not a choice here: write "keep", "drop" or "forward""#]);
}

#[test]
fn paths_start_at_the_folder_of_the_file() {
    let paths = read_text("conf/f.toml".as_ref(), "a = \"x\"\nb = \"/x\"", |root| {
        Ok((root.required::<PathBuf>("a")?, root.required::<PathBuf>("b")?))
    });
    assert_eq!(paths.unwrap().config, (PathBuf::from("conf/x"), PathBuf::from("/x")));
    assert_eq!(refusal::<PathBuf>("\"\""), "\"\" is no path: write the name of a file");
}

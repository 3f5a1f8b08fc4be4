mod api;
mod lf_and_keys;
mod limits;
mod machine;
mod peers;
mod ports;
mod qks;

use std::collections::BTreeSet;

use photongate_pipeline::limits::LimitSettings;

use super::*;
use crate::reload;

#[test]
fn the_least_configuration_takes_its_defaults() {
    let config = FilterConfig::parse(FILE.as_ref(), MINIMAL).unwrap();
    assert_eq!(config.isd_as.to_string(), "1-ff00:0:111");
    assert_eq!((config.lf.port, config.lf.protocol.0), (49149, 3));
    assert_eq!(config.keys.times, photongate_drkey::KeyTimes::default());
    assert_eq!((config.workers.count, config.workers.burst), (1, 64));
    assert!(config.best_effort.is_none() && config.wireguard.is_none() && !config.outbound.reassemble);
    assert_eq!(config.limits.overall, LimitSettings::default());
    assert!(config.warnings.is_empty());
}

#[test]
fn the_example_configuration_is_valid() {
    let config = FilterConfig::load("config/filter.toml".as_ref()).unwrap();
    assert_eq!(config.peers.peers()[0].key.isd_as.to_string(), "20-ff00:0:112");
}

#[test]
fn whatever_becomes_of_the_text_there_is_an_answer_without_a_panic() {
    let example = include_str!("../../config/filter.toml");
    for (offset, character) in example.char_indices().step_by(97) {
        let (before, after) = (&example[..offset], &example[offset + character.len_utf8()..]);
        for text in
            [before.to_owned(), format!("{before}{after}"), format!("{before}\"{after}"), format!("{before}ä[{after}")]
        {
            if let Err(problems) = FilterConfig::parse(FILE.as_ref(), &text) {
                assert!(problems.iter().len() > 0, "refused without a reason:\n{text}");
                assert!(!problems.to_string().contains(&SECRET[..8]), "{problems}");
            }
        }
    }
}

#[test]
fn every_field_is_in_an_example_and_in_the_reference() {
    let examples = [include_str!("../../config/filter.toml"), include_str!("../../config/as-list.toml")];
    let fields = fields();
    assert!(fields.len() > 80, "only {} fields", fields.len());
    for field in &fields {
        let name = field.rsplit('.').next().unwrap();
        assert!(
            examples.iter().any(|example| mentions(example, name) || example.contains(&format!("[{field}]"))),
            "no example mentions {field}"
        );
        let described = [format!("`{name}`"), format!("`[{name}]`"), format!("`[[{name}]]`"), format!("`[{field}]`")];
        let reference = if field.starts_with("peers[]") { LIST_REFERENCE } else { REFERENCE };
        assert!(described.iter().any(|it| reference.contains(it)), "the reference does not describe {field}");
    }
}

#[test]
fn the_references_describe_no_field_that_there_is_not() {
    let fields = fields();
    let known: Vec<_> = fields.iter().map(|field| field.rsplit('.').next().unwrap()).collect();
    for reference in [REFERENCE, LIST_REFERENCE] {
        // A row of a table of fields begins with the field's name.
        for row in reference.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()) {
            assert!(known.contains(&row), "the reference describes `{row}`, which is no field");
        }
    }
}

#[test]
fn the_reference_says_of_every_field_whether_a_reload_takes_it_up() {
    let fields_behind = |heading: &str| -> Vec<&str> {
        let (_, rest) = REFERENCE.split_once(heading).expect("the reference has this list");
        let bullets = rest.lines().skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty());
        bullets.filter_map(|line| line.strip_prefix("- `")?.split('`').next()).collect()
    };
    let (live, restart) = (fields_behind("A reload takes up:"), fields_behind("These need a restart:"));
    assert_eq!(live, reload::LIVE);
    let within = |list: &[&str], field: &str| list.iter().any(|section| reload::is_within(field, section));
    for field in fields() {
        let is_section =
            live.iter().chain(&restart).any(|listed| *listed != field && reload::is_within(listed, &field));
        let said = (within(&live, &field), within(&restart, &field));
        assert!(is_section || said.0 != said.1, "{field}: taken up {}, needs a restart {}", said.0, said.1);
    }
}

#[test]
fn mistakes_in_different_sections_are_reported_at_once_with_their_lines() {
    let text = MINIMAL.replace("forward_to = \"inside\"", "forward_to = \"insde\"\nmtu = 20")
        + "[lf]\nprot = 1\n[workers]\nburst = 65\n[keys]\nepoch = \"10s\"\n";
    let problems = FilterConfig::parse(FILE.as_ref(), &text).unwrap_err().to_string();
    let expected = r#"filter.toml:13:14: ports[1].forward_to: "insde" is no port: the ports here are inside, outside
filter.toml:14:7: ports[1].mtu: 20 is too small: 576 to 9216 bytes
filter.toml:20:1: lf.prot: unknown field: did you mean `port`?
filter.toml:22:9: workers.burst: 65 is too large: 1 to 64 packets
filter.toml:24:9: keys.epoch: an epoch of 10s is too short: with prefetch 30s, grace 2s and time_threshold 1s it must be at least 33s"#;
    assert_eq!(problems, expected);
}

#[test]
fn what_every_file_must_have_is_asked_for() {
    let problems = FilterConfig::parse(FILE.as_ref(), "").unwrap_err().to_string();
    let expected = r#"filter.toml:1:1: isd_as: missing: add isd_as = "1-ff00:0:110"
filter.toml:1:1: ports: missing: add a [[ports]] section for each network port"#;
    assert_eq!(problems, expected);
}

/// Checks that `text` behind the least configuration has the one problem `expected`.
#[track_caller]
fn refused(text: &str, expected: &str) {
    assert_eq!(refusals(text), [expected]);
}

/// The problems of `text` behind the least configuration.
fn refusals(text: &str) -> Vec<String> {
    problems(&format!("{MINIMAL}{text}"))
}

/// The problems of the least configuration with `old` replaced by `new`.
fn edited(old: &str, new: &str) -> Vec<String> {
    assert!(MINIMAL.contains(old));
    problems(&MINIMAL.replacen(old, new, 1))
}

/// The problems of the least configuration with `line` in its first port.
fn refused_in_port(line: &str) -> Vec<String> {
    edited("role = \"inside\"", &format!("role = \"inside\"\n{line}"))
}

/// Field and message of each problem.
fn problems(text: &str) -> Vec<String> {
    let problems = FilterConfig::parse(FILE.as_ref(), text).expect_err("the configuration has mistakes");
    problems.iter().map(|problem| format!("{}: {}", problem.field, problem.message)).collect()
}

fn peer(isd_as: &str, prefix: &str) -> String {
    format!(
        "[[peers]]\nisd_as = \"{isd_as}\"\nprefixes = [\"{prefix}\"]\nshared_secrets = [{{ secret = \"{SECRET}\", {START} }}]\n"
    )
}

/// Every field that is read, like `ports[].mtu`.
fn fields() -> BTreeSet<String> {
    let fields =
        |text| config::read_text(FILE.as_ref(), text, |root| read(root, None, SecretFiles::Trust)).unwrap().fields;
    fields(EVERYTHING).into_iter().chain(fields(peers::WITH_LIST)).collect()
}

/// Whether a line of TOML, or of a comment in it, gives the field or opens the section.
fn mentions(toml: &str, name: &str) -> bool {
    let opens = [format!("[{name}]"), format!("[[{name}]]")];
    toml.lines().any(|line| line.contains(&format!("{name} =")) || opens.iter().any(|header| line.contains(header)))
}

const REFERENCE: &str = include_str!("../../docs/reference/filter.toml.md");
const LIST_REFERENCE: &str = include_str!("../../docs/reference/as-list.md");

const FILE: &str = "filter.toml";
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const START: &str = "not_before = \"2026-01-01T00:00:00Z\"";

const MINIMAL: &str = r#"isd_as = "1-ff00:0:111"
[[ports]]
name = "inside"
device = "net_tap0,iface=pg-in"
role = "inside"
forward_to = "outside"
# Lines are counted from one,
# and comments count.
[[ports]]
name = "outside"
device = "net_tap1,iface=pg-out"
role = "outside"
forward_to = "inside"
[[peers]]
isd_as = "20-ff00:0:112"
prefixes = ["10.248.2.0/24"]
shared_secrets = [{ secret = "0123456789abcdef0123456789abcdef", not_before = "2026-01-01T00:00:00Z" }]
"#;

/// A configuration with every section, so that reading it asks for every field.
const EVERYTHING: &str = r#"isd_as = "1-ff00:0:111"
[qks]
url = "https://qks.example:8443/"
other_urls = ["https://qks-2.example:8443/"]
ca = "ca.pem"
certificate = "filter.pem"
key = "filter-key.pem"
server = "CN=qks-a"
[[ports]]
name = "inside"
device = "net_tap0,iface=pg-in"
role = "auto"
forward_to = "inside"
[limits]
overall = { packets_per_second = 1 }
authenticated = { packets_per_second = 1 }
peer = { packets_per_second = 1 }
icmp_errors = { packets_per_second = 1 }
control = { packets_per_second = 1 }
destinations = [{ prefix = "10.0.0.0/8", limit = { packets_per_second = 1 } }]
[best_effort]
limit = { packets_per_second = 1 }
[wireguard]
handshake = { packets_per_second = 1 }
[[peers]]
isd_as = "20-ff00:0:112"
limit = { packets_per_second = 1 }
shared_secrets = [{ secret = "0123456789abcdef0123456789abcdef", not_before = "2026-01-01T00:00:00Z" }]
[api.tls]
certificate = "api.pem"
key = "api.key"
[api.oidc]
issuer = "https://login.example"
audience = "photongate"
jwks = "https://login.example/certs"
admins = ["run"]
"#;

//! Sources as an operator writes them.

use std::path::{Path, PathBuf};

use super::super::QksConfig;
use super::*;
use crate::links::bb84::{ChannelSettings, Endpoint, Parameters};
use crate::secrets::SecretRef;

#[test]
fn sources_have_defaults() {
    let sources = read(
        r#"
        [[links.sources]]
        kind = "keyfile"
        directory = "keys"
        [[links.sources]]
        kind = "mlkem"
    "#,
    );
    let files = KeyFiles { directory: PathBuf::from("/etc/keys"), period: Duration::from_secs(1) };
    let mlkem = MlKemSettings { interval: Duration::from_secs(1), exchanges_per_block: 16 };
    assert_eq!(sources.unwrap(), [SourceConfig::KeyFile(files), SourceConfig::MlKem(mlkem)]);
}

#[test]
fn a_hybrid_has_two_sources_of_which_none_is_a_hybrid() {
    let hybrid = |inner: &str| read(&format!("[[links.sources]]\nkind = \"hybrid\"\n{inner}"));
    let mlkem = "[[links.sources.of]]\nkind = \"mlkem\"\n";
    let of = Box::new([MlKemSettings::default(), MlKemSettings::default()].map(SourceConfig::MlKem));
    let both = HybridConfig { of, when_one_fails: WhenOneFails::Wait, patience: Duration::from_secs(30) };
    assert_eq!(hybrid(&mlkem.repeat(2)).unwrap(), [SourceConfig::Hybrid(both)]);
    for count in [0, 1, 3] {
        let problem = format!("links[0].sources[0].of: there are {count}: write [[links.sources.of]] twice");
        let problems = hybrid(&mlkem.repeat(count)).unwrap_err();
        assert!(problems.contains(&problem), "{problem} is not in\n{problems}");
    }
    let nested = hybrid(&format!("{mlkem}[[links.sources.of]]\nkind = \"hybrid\"\n")).unwrap_err();
    assert!(nested.contains("links[0].sources[0].of[1].kind: \"hybrid\" is not a choice here"), "{nested}");
}

#[test]
fn a_device_has_an_address_and_says_what_is_wrong_with_it() {
    let device = |url: &str, more: &str| {
        let files = "ca = \"ca.pem\"\ncertificate = \"app.pem\"\nkey = \"app.key\"\npeer_sae = \"qks-b\"";
        read(&format!("[[links.sources]]\nkind = \"etsi014\"\nurl = \"{url}\"\n{files}\n{more}"))
    };
    let sources = device("https://kme.example:8443/", "device = \"CN=kme\"").unwrap();
    let [SourceConfig::Etsi014(source)] = sources.as_slice() else { panic!("{sources:?}") };
    assert_eq!((source.key_size_bits, source.keys_per_block), (256, 64));
    assert_eq!(source.device.device, Some(SubjectPattern::CommonName("kme".to_owned())));
    assert_eq!(source.device.credentials.ca, PathBuf::from("/etc/ca.pem"));
    for (url, more, problem) in [
        ("http://kme.example/", "", "is not where a device is"),
        ("https://user:word@kme.example/", "", "is not where a device is"),
        ("https://kme.example/", "key_size_bits = 12", "12 is no multiple of 8 bits"),
        ("https://kme.example/", "device = \"kme\"", "names no subject of a certificate"),
    ] {
        let problems = device(url, more).unwrap_err();
        assert!(problems.contains(problem), "{problem} is not in\n{problems}");
    }
}

#[test]
fn a_simulated_link_has_one_address_a_secret_and_a_channel() {
    let bb84 = |more: &str| read(&format!("[[links.sources]]\nkind = \"bb84\"\n{more}"));
    let secret = "secret = { file = \"link-secret\" }";
    let sources = bb84(&format!("listen = \"127.0.0.1:8450\"\n{secret}\nloss_db = 3\neavesdropper = 0.5")).unwrap();
    let [SourceConfig::Bb84(source)] = sources.as_slice() else { panic!("{sources:?}") };
    assert_eq!(source.endpoint, Endpoint::Listen("127.0.0.1:8450".to_owned()));
    assert_eq!(source.secret, SecretRef::File(PathBuf::from("/etc/link-secret")));
    assert_eq!(source.parameters, Parameters::default());
    let channel = ChannelSettings { loss_db: 3.0, eavesdropper: 0.5, ..ChannelSettings::default() };
    assert_eq!(source.channel, channel);
    for (more, problem) in [
        ("connect = \"host:1\"", "secret: missing"),
        (secret, "listen: neither it nor connect is there"),
        ("listen = \"a:1\"\nconnect = \"b:1\"", "connect: is there beside listen"),
        ("connect = \"qks-b\"", "\"qks-b\" is no host and port"),
        ("connect = \"b:1\"\nloss_db = -1", "loss_db is -1, and has to be from 0 to 100"),
        ("connect = \"b:1\"\nblock_bits = 100", "block_bits is 100, and has to be from 4096 to 1048576"),
    ] {
        let problems = bb84(more).unwrap_err();
        assert!(problems.contains(problem), "{problem} is not in\n{problems}");
    }
}

#[test]
fn each_value_out_of_bounds_is_named() {
    let problems = read(
        r#"
        [[links.sources]]
        kind = "keyfile"
        directory = "keys"
        period = "0s"
        [[links.sources]]
        kind = "mlkem"
        interval = "2h"
        exchanges_per_block = 65
        [[links.sources]]
        kind = "quantum"
    "#,
    )
    .unwrap_err();
    for problem in [
        "links[0].sources[0].period: \"0s\" is out of bounds: 10ms to 3600s",
        "links[0].sources[1].interval: \"2h\" is out of bounds: 1ms to 3600s",
        "links[0].sources[1].exchanges_per_block: 65 is too large: 1 to 64 exchanges",
        "links[0].sources[2].kind: \"quantum\" is not a choice here",
    ] {
        assert!(problems.contains(problem), "{problem} is not in\n{problems}");
    }
}

/// The sources of a link, or all that is wrong with them.
fn read(sources: &str) -> Result<Vec<SourceConfig>, String> {
    let text = format!(
        r#"
        id = "qks-a"
        tls = {{ certificate = "a.pem", key = "a.key" }}
        sae = {{ client_ca = "ca.pem" }}
        peers = {{ ca = "ca.pem" }}
        secrets.master_key = {{ file = "master.key" }}
        [[neighbours]]
        id = "qks-b"
        url = "https://b.example:8444/"
        [[links]]
        name = "a-to-b"
        neighbour = "qks-b"
        {sources}
        "#
    );
    let config = QksConfig::parse(Path::new("/etc/qks.toml"), &text).map_err(|problems| problems.to_string())?;
    Ok(config.config.links.into_iter().flat_map(|link| link.sources).collect())
}

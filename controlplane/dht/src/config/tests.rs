use super::*;

#[test]
fn certificates_are_all_that_a_node_needs() {
    let config = DhtConfig::parse("dht.toml".as_ref(), TLS_ONLY).unwrap().config;
    assert_eq!(config.listen.to_string(), "0.0.0.0:8484");
    let Mode::Closed(closed) = config.mode else { panic!("{:?}", config.mode) };
    assert_eq!(closed.files.certificate, Path::new("1.pem"));
    assert_eq!((config.bootstrap.len(), config.limits.replicas), (0, 8));
}

#[test]
fn the_plain_mode_has_to_be_asked_for_twice_to_be_open_to_everybody() {
    let refused = DhtConfig::parse("d".as_ref(), "mode = \"plain\"\n").err().unwrap().to_string();
    assert!(refused.contains("listen: can be reached from elsewhere"), "{refused}");
    for text in ["mode = \"plain\"\nlisten = \"127.0.0.1:0\"", "mode = \"plain\"\nplain = { anywhere = true }"] {
        let config = DhtConfig::parse("d".as_ref(), text).unwrap().config;
        assert_eq!(config.mode, Mode::Plain(PlainConfig { ids: PlainIds::Address }));
    }
}

#[test]
fn each_mistake_is_told_with_its_place() {
    for (text, told) in [
        ("", "d:1:1: tls: missing: add tls = { certificate"),
        ("mode = \"open\"", "d:1:8: mode: \"open\" is not a choice here: write \"closed\" or \"plain\""),
        (&format!("{TLS_ONLY}[plain]\n"), "d:5:1: plain: is for mode = \"plain\""),
        (
            "mode = \"plain\"\nlisten = \"127.0.0.1:0\"\n[tls]\ncertificate = \"a\"\nkey = \"b\"\nca = \"c\"",
            "tls: is not used in",
        ),
        (&format!("{TLS_ONLY}names = [\"*\"]\n"), "tls.names[0]: \"*\" is no pattern of names"),
        (&format!("advertise = \"0.0.0.0\"\n{TLS_ONLY}"), "advertise: \"0.0.0.0\" is no address of one machine"),
        (&format!("bootstrap = [\"x_y:1\"]\n{TLS_ONLY}"), "bootstrap[0]: \"x_y:1\" is no address: write an IP"),
        (&format!("{TLS_ONLY}[limits]\nreplicas = 0\n"), "limits.replicas: 0 is too small: 1 to 20 nodes"),
    ] {
        let problems = DhtConfig::parse("d".as_ref(), text).err().unwrap().to_string();
        assert!(problems.contains(told), "{text}\n{problems}");
    }
}

#[test]
fn an_advertised_address_has_the_port_of_the_node_unless_it_says_another() {
    for (advertise, read) in [("192.0.2.7", "192.0.2.7:8484"), ("192.0.2.7:9", "192.0.2.7:9")] {
        let text = format!("advertise = {advertise:?}\n{TLS_ONLY}");
        let config = DhtConfig::parse("d".as_ref(), &text).unwrap().config;
        assert_eq!(config.advertise.unwrap().to_string(), read);
    }
}

const TLS_ONLY: &str = "[tls]\ncertificate = \"1.pem\"\nkey = \"1-key.pem\"\nca = \"ca.pem\"\n";

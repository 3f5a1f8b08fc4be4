use super::*;

#[test]
fn the_predecessors_configuration_is_all_that_a_node_needs() {
    let config = PxConfig::parse("node".as_ref(), PREDECESSOR).unwrap().config;
    assert_eq!(config.me.id, "px-1.example");
    assert_eq!(config.me.addr.to_string(), "127.0.0.1:9001");
    assert_eq!(config.me.tls.authority, Path::new("ca.pem"));
    assert_eq!(config.retry_delay, Duration::from_millis(250));
    let servers: Vec<_> = config.servers.iter().map(|s| (s.addr.to_string(), s.server_name.as_str())).collect();
    assert_eq!(servers, [("127.0.0.1:9002".into(), "px-2.example"), ("px-3.example:9001".into(), "px-3.example")]);
    assert_eq!((config.pipe, config.limits.pending_commands), (None, 4_096));
}

#[test]
fn toml_says_the_same_as_json() {
    let toml = r#"
        retry_delay = 250
        [me]
        id = "px-1.example"
        addr = "127.0.0.1:9001"
        tls_config_info = { cert_path = "1.pem", key_path = "1-key.pem", ca_cert_path = "ca.pem" }
        [[servers]]
        addr = "127.0.0.1:9002"
        server_name = "px-2.example"
        [[servers]]
        addr = "px-3.example"
        server_name = "px-3.example"
    "#;
    let toml = PxConfig::parse("node.toml".as_ref(), toml).unwrap().config;
    let json = PxConfig::parse("node.json".as_ref(), PREDECESSOR).unwrap().config;
    assert_eq!((toml.me, toml.servers, toml.retry_delay), (json.me, json.servers, json.retry_delay));
}

#[test]
fn one_list_of_servers_may_serve_all_nodes() {
    let text = PREDECESSOR.replace("px-2.example", "px-1.example");
    let servers = PxConfig::parse("node".as_ref(), &text).unwrap().config.servers;
    assert_eq!(servers.iter().map(|s| s.server_name.as_str()).collect::<Vec<_>>(), ["px-3.example"]);
}

#[test]
fn results_of_the_pipe_go_beside_it_or_where_they_are_wanted() {
    for (fields, results) in [
        (r#""pipe": "in""#, Some("in.out")),
        (r#""pipe": "in", "pipe_results": "answers""#, Some("answers")),
        (r#""pipe": "in", "pipe_results": "log""#, None),
    ] {
        let text = PREDECESSOR.replace(r#""retry_delay": 250"#, fields);
        let pipe = PxConfig::parse("node".as_ref(), &text).unwrap().config.pipe.unwrap();
        assert_eq!(pipe.results.as_deref(), results.map(Path::new), "{fields}");
    }
}

#[test]
fn each_mistake_is_told_with_its_place_and_what_to_do() {
    for (good, bad, message) in [
        (r#""id": "px-1.example", "#, "", "node:2:11: me.id: missing: add \"id\": \"px-1.example\""),
        ("px-1.example", "10.0.0.1", "node:2:18: me.id: \"10.0.0.1\" is no name of one node: write a domain name"),
        ("127.0.0.1:9001", "127.0.0.1", "node:2:42: me.addr: \"127.0.0.1\" is no address: write an IP address or host"),
        ("250", "0", "node:4:20: retry_delay: 0 is too small: 1 to 60000 milliseconds"),
        (
            "px-3.example\"}",
            "px-2.example\"}",
            "servers[1].server_name: \"px-2.example\" is the name of another server, too",
        ),
        ("\"servers\"", "\"server\"", "server: unknown field: did you mean `servers`?"),
        ("\"retry_delay\": 250", "\"pipe_results\": \"a\"", "pipe_results: has results of no pipe: add pipe"),
        ("\"retry_delay\": 250", "\"timing\": {\"ping\": \"2s\"}", "less than twice timing.ping, 2s"),
        (
            "\"retry_delay\": 250",
            "\"timing\": {\"tick\": \"1s\"}",
            "timing.heartbeat: 200ms is shorter than timing.tick",
        ),
    ] {
        assert!(PREDECESSOR.contains(good), "{good}");
        let text = PREDECESSOR.replace(good, bad);
        let problems = PxConfig::parse("node".as_ref(), &text).unwrap_err().to_string();
        assert!(problems.contains(message), "{bad}: {problems}");
    }
}

#[test]
fn a_cluster_of_one_is_none() {
    let text = r#"{"me": {"id": "a", "addr": "[::1]:1", "tls_config_info": {"cert_path": "a", "key_path": "b", "ca_cert_path": "c"}},
                   "servers": [{"addr": "b:2", "server_name": "a"}]}"#;
    let problems = PxConfig::parse("node".as_ref(), text).unwrap_err().to_string();
    assert!(problems.contains("servers: names no other node: a cluster has at least two"), "{problems}");
}

/// As the fields of other implementations are, and nothing else.
const PREDECESSOR: &str = r#"{
    "me": {"id": "px-1.example", "addr": "127.0.0.1:9001",
           "tls_config_info": {"cert_path": "1.pem", "key_path": "1-key.pem", "ca_cert_path": "ca.pem"}},
    "retry_delay": 250,
    "servers": [{"addr": "127.0.0.1:9002", "server_name": "px-2.example"},
                {"addr": "px-3.example", "server_name": "px-3.example"}]
}"#;

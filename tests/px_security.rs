//! What others try, and what is set up wrongly: certificates, names, garbage on the interfaces, disks that fail.

#[path = "px/mod.rs"]
mod px;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use px::{Cluster, name};
use serde_json::json;

#[test]
fn a_node_with_a_certificate_of_another_authority_takes_no_part() {
    let mut cluster = Cluster::prepare(3, json!({}));
    // The third has made its certificates itself.
    let site = format!("[[certificates]]\nname = \"{0}\"\nrole = \"px\"\nhosts = [\"{0}\"]\n", name(2));
    fs::write(cluster.path("other.toml"), site).unwrap();
    let made = Command::new(env!("CARGO_BIN_EXE_photongate"))
        .args(["pki", "init", "other.toml", "--out", "other"])
        .current_dir(cluster.folder.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let config = fs::read_to_string(cluster.config(2)).unwrap().replace("pki/", "other/");
    fs::write(cluster.config(2), config).unwrap();
    (0..3).for_each(|node| cluster.run(node));
    cluster.eventually("the operator is told why", |cluster| {
        cluster.log(0).contains("TLS fails") && cluster.log(2).contains("TLS fails")
    });
    for node in [0, 2] {
        let refused = cluster.ask(node, &json!({ "op": "put", "name": "a", "value": "x" }));
        assert_eq!(refused["error"], "not_a_member", "{refused}");
    }
}

#[test]
fn a_certificate_for_another_name_is_told_at_the_start() {
    let cluster = Cluster::prepare(3, json!({}));
    let config = fs::read_to_string(cluster.config(0)).unwrap();
    fs::write(cluster.config(0), config.replace("pki/px-0", "pki/px-1")).unwrap();
    let refused = Command::new(env!("CARGO_BIN_EXE_photongate")).arg("px").arg(cluster.config(0)).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("is not for \"px-0.example\", which is me.id, but for: CN=px-1.example"), "{said}");
}

#[test]
fn a_key_that_others_may_read_is_not_used() {
    let cluster = Cluster::prepare(3, json!({}));
    let key = cluster.path("pki/px-0.example-key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = Command::new(env!("CARGO_BIN_EXE_photongate")).arg("px").arg(cluster.config(0)).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(2) && said.contains("chmod 600"), "{said}");
}

#[test]
fn a_mistake_in_the_configuration_is_told_with_its_place() {
    let cluster = Cluster::prepare(3, json!({ "retry_dela": 5 }));
    let refused = Command::new(env!("CARGO_BIN_EXE_photongate")).arg("px").arg(cluster.config(0)).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        refused.status.code() == Some(2) && said.contains("retry_dela: unknown field: did you mean `retry_delay`?"),
        "{said}"
    );
}

#[test]
fn garbage_and_lines_without_an_end_on_the_socket_harm_nobody() {
    let cluster = Cluster::start(3);
    let mut connection = cluster.connect(0).unwrap();
    let long = json!({ "op": "put", "name": "a", "value": "x".repeat(1 << 20) });
    connection.send(&long).unwrap();
    assert_eq!(connection.receive().unwrap()["error"], "bad_command");
    connection.send(&json!("garbage")).unwrap();
    assert_eq!(connection.receive().unwrap()["error"], "bad_command");
    connection.send(&json!({ "op": "put", "name": "a", "value": "x".repeat(65_537), "id": 1 })).unwrap();
    let refused = connection.receive().unwrap();
    assert!(refused["detail"].as_str().unwrap().contains("at most 65536 are allowed"), "{refused}");
    cluster.put(0, "a", &"x".repeat(65_536));
}

#[test]
fn http_wants_a_token_even_from_this_machine() {
    let cluster = Cluster::start(3);
    cluster.put(0, "motd", "hello");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let token = fs::read_to_string(cluster.path("state-0/admin.token")).unwrap();
    runtime.block_on(async {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = cluster.api(0, "/api/v1/document?name=motd");
        assert_eq!(http.get(&url).send().await.unwrap().status(), 401);
        let read = http.get(&url).bearer_auth(token.trim()).send().await.unwrap();
        let document: serde_json::Value = read.json().await.unwrap();
        assert_eq!((&document["value"], &document["generation"]), (&json!("hello"), &json!(1)));
        let put = http.put(&url).bearer_auth(token.trim()).body("hi").send().await.unwrap();
        let made: serde_json::Value = put.json().await.unwrap();
        assert_eq!(made["generation"], 2, "{made}");
        let conflict = http.put(format!("{url}&expected=1")).bearer_auth(token.trim()).body("x").send().await.unwrap();
        assert_eq!(conflict.status(), 409);
        let metrics = http.get(cluster.api(0, "/metrics")).bearer_auth(token.trim()).send().await.unwrap();
        let metrics = metrics.text().await.unwrap();
        assert!(metrics.contains("photongate_px_commands_decided_total "), "{metrics}");
        assert_eq!(http.get(cluster.api(0, "/readyz")).send().await.unwrap().status(), 200);
    });
    let audit = fs::read_to_string(cluster.path("state-0/audit.log")).unwrap();
    assert!(audit.contains("\"document.put\"") && audit.contains("motd"), "{audit}");
}

//! Who votes: disks that are replaced, nodes that join and leave, while the cluster runs.

#[path = "px/mod.rs"]
mod px;

use std::fs;

use px::{Cluster, name};
use serde_json::json;

#[test]
fn a_node_that_lost_its_disk_waits_until_it_is_replaced_and_then_catches_up() {
    let mut cluster = Cluster::start(3);
    for number in 0..30 {
        cluster.put(0, &format!("document-{number}"), "x");
    }
    cluster.kill(2);
    fs::remove_dir_all(cluster.path("state-2")).unwrap();
    cluster.run(2);
    cluster.eventually("the operator is told what to do", |cluster| {
        let status = cluster.ask(0, &json!({ "op": "status" }));
        let because = status["because"].to_string();
        because.contains("the disk of px-2.example was replaced") && because.contains("member replace px-2.example")
    });
    // It does not vote, so it serves nothing; the others go on.
    let refused = cluster.ask(2, &json!({ "op": "put", "name": "a", "value": "x" }));
    assert_eq!(refused["error"], "not_a_member", "{refused}");
    cluster.put(1, "meanwhile", "x");

    let replaced = cluster.client(0, &["member", "replace", &name(2)]);
    assert!(replaced.status.success(), "{replaced:?}");
    assert!(String::from_utf8_lossy(&replaced.stdout).contains("4  px-2.example"), "{replaced:?}");
    cluster.eventually("it has caught up", |cluster| cluster.documents(2).len() == 31);
    // Its vote counts again.
    cluster.kill(1);
    cluster.put(2, "after", "x");
}

#[test]
fn a_node_joins_and_another_one_leaves() {
    let mut cluster = Cluster::start(3);
    for number in 0..10 {
        cluster.put(0, &format!("document-{number}"), "x");
    }
    // None of the others knows of the fourth, and none is started anew.
    cluster.configure(3, 4);
    cluster.run(3);
    let address = cluster.address(0, 3);
    let added = cluster.client(0, &["member", "add", &name(3), "--addr", &address]);
    let said = String::from_utf8_lossy(&added.stdout);
    assert!(added.status.success() && said.contains(&format!("at {address}")), "{added:?}");
    cluster.eventually("it knows everything", |cluster| cluster.documents(3).len() == 10);
    let removed = cluster.client(1, &["member", "remove", &name(0)]);
    assert!(removed.status.success(), "{removed:?}");
    cluster.kill(0);
    cluster.put(3, "after", "x");
    cluster.eventually("the new members are told", |cluster| {
        let members = cluster.client(3, &["member", "list"]);
        let members = String::from_utf8_lossy(&members.stdout).into_owned();
        !members.contains(&name(0)) && members.contains(&name(3))
    });
    // Who has asked for it is in the log of the node that was asked, and what came of it in that of every other.
    let (asked, other) = (cluster.log(1), cluster.log(2));
    assert!(asked.contains("members.change") && asked.contains("Remove px-0.example"), "{asked}");
    assert!(other.contains("the members changed"), "{other}");
}

#[test]
fn a_member_that_came_in_at_an_address_is_found_again_by_those_whose_configurations_lack_it() {
    let mut cluster = Cluster::start(2);
    cluster.put(0, "before", "x");
    cluster.configure(2, 3);
    cluster.run(2);
    let refused = cluster.client(0, &["member", "add", &name(2), "--addr", "nowhere"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("\"nowhere\" is no address"), "{refused:?}");
    let address = cluster.address(0, 2);
    let added = cluster.client(0, &["member", "add", &name(2), "--addr", &address]);
    assert!(added.status.success(), "{added:?}");
    cluster.eventually("it has caught up", |cluster| cluster.documents(2).len() == 1);
    // The second one was not asked, and starts anew. Without the first one it must find the third to agree on anything.
    assert!(cluster.stop(1).success(), "{}", cluster.log(1));
    cluster.run(1);
    cluster.kill(0);
    cluster.put(1, "after", "x");
    cluster.eventually("it is told of it", |cluster| cluster.documents(2).len() == 2);
}

#[test]
fn a_change_of_members_that_is_made_already_is_no_error_and_one_that_cannot_be_says_why() {
    let cluster = Cluster::start(3);
    for arguments in [["member", "remove", "px-9.example"], ["member", "add", "px-1.example"]] {
        let done = cluster.client(0, &arguments);
        assert!(done.status.success(), "{done:?}");
        assert_eq!(String::from_utf8_lossy(&done.stdout).lines().count(), 3, "{done:?}");
    }
    let refused = cluster.client(0, &["member", "add", "px-4.example"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("px-4.example is not connected to this node: start it"),
        "{refused:?}"
    );
}

//! Three nodes as processes: what they acknowledge stays, whoever dies.

#[path = "px/mod.rs"]
mod px;

use std::thread;
use std::time::{Duration, Instant};

use px::{Cluster, name};
use serde_json::json;

#[test]
fn what_is_written_at_one_node_is_read_at_every_other() {
    let cluster = Cluster::start(3);
    let written = cluster.put(0, "motd", "back at five");
    assert_eq!(written["generation"], 1);
    for node in 0..3 {
        let read = cluster.ask(node, &json!({ "op": "get", "name": "motd" }));
        assert_eq!((&read["value"], &read["generation"]), (&json!("back at five"), &json!(1)), "node {node}");
    }
    cluster.ask(1, &json!({ "op": "delete", "name": "motd" }));
    assert_eq!(cluster.ask(2, &json!({ "op": "get", "name": "motd" }))["error"], "not_found");
}

#[test]
fn of_two_who_expect_the_same_generation_one_wins() {
    let cluster = Cluster::start(3);
    cluster.put(0, "counter", "0");
    let raise =
        |node: usize| cluster.ask(node, &json!({ "op": "put", "name": "counter", "value": "1", "expected": 1 }));
    let answers = thread::scope(|scope| {
        [0, 1, 2].map(|node| scope.spawn(move || raise(node))).map(|asked| asked.join().unwrap())
    });
    assert_eq!(answers.iter().filter(|answer| answer["ok"] == true).count(), 1, "{answers:?}");
    let lost: Vec<_> = answers.iter().filter(|answer| answer["ok"] == false).collect();
    assert!(lost.iter().all(|answer| answer["error"] == "conflict" && answer["generation"] == 2), "{lost:?}");
}

#[test]
fn a_watch_sees_changes_in_order_and_from_any_revision_that_is_remembered() {
    let cluster = Cluster::start(3);
    let mut watch = cluster.connect(2).unwrap();
    let first = cluster.put(0, "a/1", "x");
    watch
        .send(&json!({ "op": "watch", "prefix": "a/", "from": first["revision"].as_u64().unwrap() - 1, "id": "w" }))
        .unwrap();
    cluster.put(1, "b/1", "x");
    cluster.put(1, "a/2", "x");
    cluster.ask(1, &json!({ "op": "delete", "name": "a/1" }));
    let seen: Vec<_> = (0..3).map(|_| watch.receive().unwrap()).collect();
    let told: Vec<_> = seen.iter().map(|change| (change["change"].clone(), change["name"].clone())).collect();
    assert_eq!(told, [(json!("put"), json!("a/1")), (json!("put"), json!("a/2")), (json!("delete"), json!("a/1"))]);
    assert!(seen.iter().all(|change| change["id"] == "w"));
}

#[test]
fn after_the_leader_is_killed_writes_go_on_and_nothing_acknowledged_is_lost() {
    let mut cluster = Cluster::start(3);
    for round in 0..3 {
        let leader = cluster.wait_for_leader();
        let other = (leader + 1) % 3;
        for number in 0..20 {
            cluster.put(other, &format!("{round}/{number}"), "x");
        }
        cluster.kill(leader);
        cluster.put(other, &format!("{round}/after"), "x");
        cluster.run(leader);
    }
    cluster.wait_for_leader();
    for node in 0..3 {
        for round in 0..3 {
            let list = cluster.eventually_some("a list", |cluster| {
                let list = cluster.ask(node, &json!({ "op": "list", "prefix": format!("{round}/") }));
                (list["ok"] == true).then_some(list)
            });
            assert_eq!(list["documents"].as_array().unwrap().len(), 21, "node {node}, round {round}");
        }
    }
}

#[test]
fn without_a_majority_writes_are_refused_in_time_stale_reads_say_so_and_it_heals_by_itself() {
    let mut cluster = Cluster::start_with(3, json!({ "timing": { "command": "1s" } }));
    cluster.put(0, "motd", "old");
    cluster.kill(1);
    cluster.kill(2);
    let begun = Instant::now();
    let refused = cluster.ask(0, &json!({ "op": "put", "name": "motd", "value": "new" }));
    assert_eq!(refused["ok"], false, "{refused}");
    assert!(["unknown", "no_majority"].contains(&refused["error"].as_str().unwrap()), "{refused}");
    let read = cluster.ask(0, &json!({ "op": "get", "name": "motd" }));
    assert_eq!(read["error"], "no_majority", "{read}");
    // Bounded: far from the patience of this test.
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    let stale = cluster.ask(0, &json!({ "op": "get", "name": "motd", "stale": true }));
    assert_eq!(stale["ok"], true, "{stale}");
    assert!(stale["age_ticks"].is_u64() && stale["known_up_to"].is_u64(), "{stale}");
    let get = cluster.client(0, &["get", "motd", "--stale"]);
    assert_eq!(String::from_utf8_lossy(&get.stdout), "old", "{get:?}");
    assert!(String::from_utf8_lossy(&get.stderr).contains("this may be old"), "{get:?}");
    cluster.eventually("the status says so", |cluster| {
        let status = cluster.client(0, &["status"]);
        status.status.code() == Some(1) && String::from_utf8_lossy(&status.stdout).contains("no majority")
    });

    cluster.run(1);
    cluster.put(0, "motd", "newer");
    cluster.run(2);
    cluster.eventually("the third knows it, too", |cluster| {
        cluster.ask(2, &json!({ "op": "get", "name": "motd", "stale": true }))["value"] == "newer"
    });
}

#[test]
fn a_cluster_that_was_stopped_or_cut_off_its_power_as_a_whole_has_kept_everything() {
    let mut cluster = Cluster::start(3);
    for number in 0..50 {
        cluster.put(number % 3, &format!("document-{number}"), &number.to_string());
    }
    for orderly in [true, false] {
        for node in 0..3 {
            if orderly {
                assert!(cluster.stop(node).success(), "{}", cluster.log(node));
            } else {
                cluster.kill(node);
            }
        }
        (0..3).for_each(|node| cluster.run(node));
        cluster.wait_for_leader();
        for number in 0..50 {
            assert_eq!(cluster.get(number % 3, &format!("document-{number}")), json!(number.to_string()));
        }
    }
}

#[test]
fn a_leader_that_is_told_to_stop_hands_over_first() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.wait_for_leader();
    cluster.put(leader, "motd", "x");
    assert!(cluster.stop(leader).success(), "{}", cluster.log(leader));
    let next = cluster.wait_for_leader();
    assert_ne!(next, leader);
    cluster.put(next, "motd", "y");
}

#[test]
fn one_command_sent_twice_with_the_same_number_is_made_once() {
    let mut cluster = Cluster::start(3);
    let client = cluster.eventually_some("a client", |cluster| {
        let registered = cluster.ask(0, &json!({ "op": "register" }));
        registered["client"].as_str().map(str::to_owned)
    });
    let put = json!({ "op": "put", "name": "a", "value": "x", "client": client, "sequence": 1 });
    let first = cluster
        .eventually_some("it is made", |cluster| Some(cluster.ask(0, &put)).filter(|answer| answer["ok"] == true));
    assert_eq!(first["generation"], 1);
    let leader = cluster.wait_for_leader();
    cluster.kill(leader);
    let other = (leader + 1) % 3;
    let again = cluster.eventually_some("it is answered", |cluster| {
        Some(cluster.ask(other, &put)).filter(|answer| answer["ok"] == true)
    });
    assert_eq!(again, first);
    assert_eq!(cluster.ask(other, &json!({ "op": "get", "name": "a" }))["generation"], 1);
}

#[test]
fn the_program_is_a_client_of_its_own() {
    let cluster = Cluster::start(3);
    let put = cluster.client(0, &["put", "motd", "--value", "back at five"]);
    assert_eq!(String::from_utf8_lossy(&put.stdout), "generation 1\n", "{put:?}");
    let get = cluster.client(1, &["get", "motd"]);
    assert_eq!(String::from_utf8_lossy(&get.stdout), "back at five");
    let conflict = cluster.client(1, &["put", "motd", "--value", "x", "--expected", "7"]);
    assert_eq!(conflict.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&conflict.stderr).contains("conflict: the document has generation 1"),
        "{conflict:?}"
    );
    let list = cluster.client(2, &["list"]);
    assert!(String::from_utf8_lossy(&list.stdout).starts_with("motd  generation 1"), "{list:?}");
    let status = cluster.client(2, &["status"]);
    let said = String::from_utf8_lossy(&status.stdout);
    assert!(status.status.success() && said.contains("up, round trip ") && said.contains(&name(1)), "{status:?}");
    let log = cluster.log(2);
    assert!(log.lines().any(|line| line.contains("connected") && line.contains("round_trip=")), "{log}");
    let missing = cluster.client(2, &["get", "nothing"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(cluster.client(2, &["delete", "motd"]).status.success());
    let gone = cluster.client(0, &["get", "motd", "--json"]);
    assert!(String::from_utf8_lossy(&gone.stdout).contains("\"error\": \"not_found\""), "{gone:?}");
}

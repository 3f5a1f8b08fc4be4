//! The named pipe: commands of another application, each applied once, whoever dies.

#[path = "px/mod.rs"]
mod px;

use std::collections::{BTreeSet, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use px::{Cluster, PATIENCE};
use serde_json::{Value, json};

#[test]
fn a_hundred_thousand_commands_are_each_applied_once_while_the_leader_is_killed_twice() {
    let mut cluster = Cluster::start(3);
    // The application writes to a node that does not lead at first; whoever leads is killed.
    let leader = cluster.wait_for_leader();
    let reader = (leader + 1) % 3;
    let results = results(&cluster.path(&format!("{reader}.pipe.out")));
    let pipe = cluster.path(&format!("{reader}.pipe"));
    let done = AtomicUsize::new(0);
    let mut killed = 0;
    thread::scope(|scope| {
        let done = &done;
        scope.spawn(move || {
            let mut pipe = OpenOptions::new().write(true).open(pipe).unwrap();
            for batch in 0..COMMANDS / 1_000 {
                let lines: String = (0..1_000)
                    .map(|number| {
                        let number = batch * 1_000 + number;
                        let document = format!("document-{}", number % DOCUMENTS);
                        format!(
                            "{}\n",
                            json!({ "op": "put", "name": document, "value": number.to_string(), "id": number })
                        )
                    })
                    .collect();
                pipe.write_all(lines.as_bytes()).unwrap();
            }
        });
        let counted = scope.spawn(move || {
            let mut answered = BTreeSet::new();
            while answered.len() < COMMANDS {
                let result = results.recv_timeout(PATIENCE).expect("a result");
                assert_eq!(result["ok"], true, "{result}");
                assert!(answered.insert(result["id"].as_u64().unwrap()), "twice: {result}");
                done.store(answered.len(), Ordering::Relaxed);
            }
        });
        while killed < 2 {
            assert!(!counted.is_finished(), "the leader was killed {killed} times only");
            if done.load(Ordering::Relaxed) > COMMANDS / 4 * (killed + 1) {
                let leader = cluster.wait_for_leader();
                if leader == reader {
                    // Who has the pipe leads: it is asked to let another one lead, by being held up for a moment.
                    cluster.signal(reader, "-STOP");
                    thread::sleep(std::time::Duration::from_millis(500));
                    cluster.signal(reader, "-CONT");
                    continue;
                }
                cluster.kill(leader);
                killed += 1;
                let before = done.load(Ordering::Relaxed);
                cluster.eventually("it goes on without", |_| done.load(Ordering::Relaxed) > before);
                cluster.run(leader);
            }
            thread::sleep(std::time::Duration::from_millis(5));
        }
        counted.join().unwrap();
    });
    let expected = (COMMANDS / DOCUMENTS) as u64;
    for node in 0..3 {
        cluster.eventually(&format!("node {node} has everything"), |cluster| {
            let documents = cluster.documents(node);
            // Each was written as often as there are commands for it, and the last command was the last: none twice, none lost, none late.
            documents.len() == DOCUMENTS
                && documents.iter().all(|document| {
                    let value: usize = document["value"].as_str().unwrap().parse().unwrap();
                    document["generation"] == expected && value >= COMMANDS - DOCUMENTS
                })
        });
    }
    assert_eq!(cluster.documents(0), cluster.documents(1));
    assert_eq!(cluster.documents(1), cluster.documents(2));
}

#[test]
fn an_application_that_counts_its_commands_may_send_them_again_after_its_own_node_was_killed() {
    let mut cluster = Cluster::start(3);
    let client = cluster.eventually_some("a client", |cluster| {
        cluster.ask(0, &json!({ "op": "register" }))["client"].as_str().map(str::to_owned)
    });
    let command = |sequence: u64| json!({ "op": "put", "name": format!("document-{}", sequence % 7), "value": "x", "client": client, "sequence": sequence });
    let mut next = 1;
    for round in 0..3 {
        let results = results(&cluster.path("0.pipe.out"));
        let mut pipe = OpenOptions::new().write(true).open(cluster.path("0.pipe")).unwrap();
        for sequence in next..=300 {
            let mut command = command(sequence);
            command["id"] = json!(sequence);
            writeln!(pipe, "{command}").unwrap();
        }
        let until = if round == 2 { 300 } else { 100 * (round + 1) };
        while next <= until {
            let result = results.recv_timeout(PATIENCE).expect("a result");
            // What was made before the node was killed, and not told.
            assert!(result["ok"] == true || result["error"] == "superseded", "{result}");
            next = next.max(result["id"].as_u64().unwrap() + 1);
        }
        drop(pipe);
        if round < 2 {
            cluster.kill(0);
            // What nobody read is gone with the reader: the pipes are made anew, as a machine that starts would.
            std::fs::remove_file(cluster.path("0.pipe")).unwrap();
            std::fs::remove_file(cluster.path("0.pipe.out")).unwrap();
            cluster.run(0);
            cluster.wait_for_leader();
        }
    }
    let generations: u64 = cluster.documents(0).iter().map(|document| document["generation"].as_u64().unwrap()).sum();
    assert_eq!(generations, 300);
}

#[test]
fn writers_come_and_go_and_garbage_is_reported_and_skipped() {
    let cluster = Cluster::start(3);
    let results = results(&cluster.path("1.pipe.out"));
    let write = |text: &str| {
        OpenOptions::new().write(true).open(cluster.path("1.pipe")).unwrap().write_all(text.as_bytes()).unwrap();
    };
    let next = || results.recv_timeout(PATIENCE).expect("a result");
    write("{\"op\":\"put\",\"name\":\"a\",\"value\":\"1\",\"id\":1}\n");
    assert_eq!(next()["ok"], true);
    write("garbage\n\n{\"op\":\"get\",\"name\":\"a\",\"id\":2}\n");
    let both: HashMap<_, _> =
        [next(), next()].into_iter().map(|result| (result["line"].as_u64().unwrap(), result)).collect();
    assert_eq!((&both[&2]["error"], &both[&3]["value"]), (&json!("bad_command"), &json!("1")), "{both:?}");
    write("{\"op\":\"put\",\"name\":\"a\",\"val");
    let partial = next();
    assert!(partial["detail"].as_str().unwrap().contains("in the middle of a line: 27 bytes"), "{partial}");
    write("{\"op\":\"get\",\"name\":\"a\",\"id\":4}\n");
    assert_eq!(next()["generation"], 1);
}

/// The results of a pipe, as they come.
fn results(path: &Path) -> mpsc::Receiver<Value> {
    let (tell, results) = mpsc::channel();
    let path = path.to_owned();
    thread::spawn(move || {
        let lines = BufReader::new(File::open(path).unwrap()).lines();
        for line in lines.map_while(Result::ok) {
            if tell.send(serde_json::from_str(&line).unwrap()).is_err() {
                return;
            }
        }
    });
    results
}

const COMMANDS: usize = 100_000;
const DOCUMENTS: usize = 500;

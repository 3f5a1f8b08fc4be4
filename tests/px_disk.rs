//! Disks that fail, and disks that never come to an end: a node without its disk must not go on, and must not hold up the others.

#[path = "px/mod.rs"]
mod px;

use std::fs;

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use px::{Cluster, PATIENCE};
use serde_json::json;

#[test]
fn a_node_whose_disk_fails_ends_loudly_and_the_others_go_on() {
    let mut cluster = Cluster::prepare(3, json!({}));
    // A file that may not grow any further fails as a full disk does.
    cluster.run_with_files_up_to(0, 8 << 20);
    (1..3).for_each(|node| cluster.run(node));
    cluster.wait_for_leader();
    // The failing node is asked, too: what it acknowledges must be so.
    let mut acknowledged = Vec::new();
    for number in 0.. {
        if cluster.try_ask(0, &json!({ "op": "status" })).is_none() {
            break;
        }
        assert!(number < 2_000, "so many documents, and no file became too large");
        let name = format!("document-{number}");
        let put = json!({ "op": "put", "name": name, "value": "x".repeat(60_000) });
        if cluster.try_ask(number % 3, &put).is_some_and(|answer| answer["ok"] == true) {
            acknowledged.push(name);
        }
    }
    let status = cluster.ended(0);
    assert_eq!(status.code(), Some(1), "{}", cluster.log(0));
    assert!(cluster.log(0).contains("the disk fails"), "{}", cluster.log(0));
    cluster.put(1, "after", "x");
    for name in acknowledged {
        assert_ne!(cluster.get(2, &name), json!(null), "{name}");
    }
}

#[test]
fn a_leader_whose_disk_never_ends_what_it_has_begun_hands_over_and_ends() {
    let mut cluster = Cluster::start_with(3, json!({ "timing": { "disk": "1s" } }));
    cluster.put(0, "before", "x");
    let leader = cluster.wait_for_leader();
    let disk = HeldThread::of(cluster.pid(leader), "disk");
    // Its own disk is busy with it for ever; the others have theirs.
    let other = (leader + 1) % 3;
    cluster.put(other, "meanwhile", "x");
    disk.wait_for_end();
    assert_eq!(cluster.ended(leader).code(), Some(1), "{}", cluster.log(leader));
    assert!(cluster.log(leader).contains("the disk has not written a batch within 1s"), "{}", cluster.log(leader));
    assert_ne!(cluster.wait_for_leader(), leader);
    cluster.put(other, "after", "x");

    // With a disk that works it is a member as before.
    cluster.run(leader);
    cluster.eventually("it has caught up", |cluster| cluster.documents(leader).len() == 3);
}

/// A thread of a child that stands still, as in a system call that does not return, while the others go on.
struct HeldThread(Pid);

impl HeldThread {
    /// Holds the thread of this name.
    fn of(process: u32, name: &str) -> Self {
        let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap().map(Result::unwrap);
        let is_named = |thread: &fs::DirEntry| fs::read_to_string(thread.path().join("comm")).unwrap().trim() == name;
        let thread = threads.into_iter().find(is_named).expect("there is such a thread");
        let thread = Pid::from_raw(thread.file_name().to_str().unwrap().parse().unwrap());
        ptrace::seize(thread, ptrace::Options::empty()).unwrap();
        ptrace::interrupt(thread).unwrap();
        let stopped = waitpid(thread, Some(WaitPidFlag::__WALL)).unwrap();
        assert!(matches!(stopped, WaitStatus::PtraceEvent(..) | WaitStatus::Stopped(..)), "{stopped:?}");
        Self(thread)
    }

    /// Waits until it has ended with its process, which only ends when who holds the thread knows that.
    fn wait_for_end(self) {
        let begun = std::time::Instant::now();
        loop {
            match waitpid(self.0, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG)).unwrap() {
                WaitStatus::Exited(..) | WaitStatus::Signaled(..) => return,
                other => assert!(begun.elapsed() < PATIENCE, "it does not end: {other:?}"),
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

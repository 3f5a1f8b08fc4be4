//! The two ends as two processes, over TCP.

use std::process::Stdio;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use photongate_bb84::{ChannelSettings, Control, Link, Parameters, Secret, Status};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::{mpsc, watch};
use zeroize::Zeroizing;

/// The test starts itself again, twice, and both copies come to the same function: they are the ends.
#[tokio::test]
async fn two_processes_make_the_same_keys_and_find_one_another_again_after_a_crash() {
    if let Ok(address) = std::env::var(ADDRESS) {
        return run_end(&address).await;
    }
    let (_lead, mut from_lead) = start("listen");
    let address = said(&mut from_lead, "address").await;
    let (mut follower, mut from_follower) = start(&address);
    let mut last = String::new();
    for _ in 0..5 {
        last = said(&mut from_lead, "block").await;
        assert_eq!(said(&mut from_follower, "block").await, last);
    }

    follower.kill().await.unwrap();
    let (_follower, mut from_follower) = start(&address);
    let first = said(&mut from_follower, "block").await;
    let stream = |block: &str| block.split(' ').next().unwrap().to_owned();
    assert_ne!(stream(&first), stream(&last), "what has forgotten all must not go on with an old stream");
    // The lead may have been some blocks ahead, and have made some for the follower that was killed.
    while said(&mut from_lead, "block").await != first {}
    for _ in 0..5 {
        assert_eq!(said(&mut from_follower, "block").await, said(&mut from_lead, "block").await);
    }
}

/// Starts an end: the lead, which listens, or the other one.
fn start(address: &str) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "two_processes_make_the_same_keys_and_find_one_another_again_after_a_crash", "--nocapture"])
        .env(ADDRESS, address)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

/// The next thing an end says under this heading.
async fn said(lines: &mut Lines<BufReader<ChildStdout>>, heading: &str) -> String {
    loop {
        let line = lines.next_line().await.unwrap().expect("the end runs on");
        // The test harness may have begun the line.
        if let Some((_, rest)) = line.split_once(&format!("{heading}: ")) {
            return rest.to_owned();
        }
    }
}

async fn run_end(address: &str) {
    let (blocks, mut made) = mpsc::channel(1);
    let link = Link {
        lead: address == "listen",
        secret: Secret::new(Zeroizing::new(vec![9; 32])).unwrap(),
        parameters: Parameters { block_bits: 1 << 15, ..Parameters::default() },
        patience: Duration::from_secs(20),
        control: Control::new(ChannelSettings::default()).unwrap(),
        blocks,
        status: watch::Sender::new(Status::default()),
    };
    tokio::spawn(async move {
        while let Some(block) = made.recv().await {
            let stream = u128::from_be_bytes(block.id.stream);
            println!("block: {stream:x} {} {:?}", block.id.number, digest(&SHA256, &block.key));
        }
    });
    if link.lead {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("address: {}", listener.local_addr().unwrap());
        link.listen(listener).await.unwrap();
    } else {
        link.connect(address).await.unwrap();
    }
}

/// Tells a copy of this process that it is an end, and of which address.
const ADDRESS: &str = "PHOTONGATE_BB84_TEST_END";

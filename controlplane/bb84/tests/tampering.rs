//! Two ends over TCP with somebody in between who meddles with what they say.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use photongate_bb84::random::Random;
use photongate_bb84::{ChannelSettings, Control, KeyBlock, Link, Parameters, Phase, Secret, Status};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use zeroize::Zeroizing;

#[tokio::test]
async fn every_changed_byte_ends_a_session_and_no_keys_ever_differ() {
    let (mut lead, address) = listen().await;
    let meddler = meddle(address, b'c').await;
    let mut follower = connect(meddler);
    let (mut ours, mut theirs) = (BTreeMap::new(), BTreeMap::new());
    let (mut common, mut broken) = (0, 0);
    while common < 10 || broken < 5 {
        tokio::select! {
            changed = follower.status.changed() => {
                changed.unwrap();
                broken += u32::from(matches!(follower.status.borrow_and_update().phase, Phase::Connecting(Some(_))));
            }
            block = lead.blocks.recv() => keep(&mut ours, block.unwrap()),
            block = follower.blocks.recv() => keep(&mut theirs, block.unwrap()),
        }
        common = ours.keys().filter(|name| theirs.contains_key(*name)).count();
        for (name, key) in &ours {
            assert!(theirs.get(name).is_none_or(|other| other == key), "keys differ");
        }
    }
}

#[tokio::test]
async fn a_changed_train_is_noise_that_costs_a_block_and_no_more() {
    let (mut lead, address) = listen().await;
    let mut follower = connect(meddle(address, b'q').await);
    for _ in 0..3 {
        let (here, there) = (lead.blocks.recv().await.unwrap(), follower.blocks.recv().await.unwrap());
        assert!(here.id == there.id && here.key == there.key);
    }
    let statistics = lead.status.borrow().statistics;
    assert!(statistics.discarded_blocks >= 1 && statistics.probes >= 3, "{statistics:?}");
}

#[tokio::test]
async fn connections_that_say_nothing_or_nonsense_hold_nobody_up() {
    let (mut lead, address) = listen().await;
    let mut idle = Vec::new();
    for index in 0..40 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        if index % 2 == 0 {
            stream.write_all(&[index; 100]).await.unwrap();
        }
        idle.push(stream);
    }
    let mut follower = connect(address);
    assert_eq!(lead.blocks.recv().await.unwrap().id, follower.blocks.recv().await.unwrap().id);
}

#[tokio::test]
async fn an_end_that_starts_again_takes_the_place_of_its_old_connection() {
    let (mut lead, address) = listen().await;
    let mut follower = connect(address);
    assert_eq!(lead.blocks.recv().await.unwrap().id, follower.blocks.recv().await.unwrap().id);
    // The old one has not gone: to the lead it looks as if it were alive.
    let mut newer = connect(address);
    let first = newer.blocks.recv().await.unwrap();
    assert_eq!(first.id.number, 0);
    let found = async {
        loop {
            let block = lead.blocks.recv().await.unwrap();
            if block.id == first.id {
                return block;
            }
        }
    };
    assert!(found.await.key == first.key);
}

struct End {
    blocks: mpsc::Receiver<KeyBlock>,
    status: watch::Receiver<Status>,
}

async fn listen() -> (End, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (link, end) = link(true);
    tokio::spawn(link.listen(listener));
    (end, address)
}

fn connect(address: SocketAddr) -> End {
    let (link, end) = link(false);
    tokio::spawn(async move { link.connect(&address.to_string()).await });
    end
}

fn link(lead: bool) -> (Link, End) {
    let (blocks, made) = mpsc::channel(4);
    let (status, seen) = watch::channel(Status::default());
    let link = Link {
        lead,
        secret: Secret::new(Zeroizing::new(vec![9; 32])).unwrap(),
        parameters: Parameters { block_bits: 1 << 14, sample: 0.25, probe_pause_ms: 10, ..Parameters::default() },
        patience: Duration::from_secs(2),
        control: Control::new(ChannelSettings { loss_db: 1.0, ..ChannelSettings::default() }).unwrap(),
        blocks,
        status,
    };
    (link, End { blocks: made, status: seen })
}

/// Passes connections on to `target`. In every one that is of this kind, one bit is turned over, in one of both directions.
async fn meddle(target: SocketAddr, kind: u8) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut random = Random::from_seed(&[13; 32]);
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut far = TcpStream::connect(target).await.unwrap();
            // Of a train it is a bit of its seed, with which all of it turns into another one.
            let (from_lead, at) = match kind {
                b'c' => (random.bit(), random.below(300_000)),
                _ => (true, 20 + random.below(25)),
            };
            let mask = 1 << random.below(8);
            tokio::spawn(async move {
                let mut preamble = [0; 25];
                if near.read_exact(&mut preamble).await.is_err() || far.write_all(&preamble).await.is_err() {
                    return;
                }
                let attack = (preamble[8] == kind).then_some((at as usize, mask));
                let ((near_read, near_write), (far_read, far_write)) = (near.split(), far.split());
                tokio::select! {
                    () = pass(near_read, far_write, attack.filter(|_| !from_lead)) => {}
                    () = pass(far_read, near_write, attack.filter(|_| from_lead)) => {}
                }
            });
        }
    });
    address
}

async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, attack: Option<(usize, u8)>) {
    let (mut buffer, mut passed) = (vec![0; 65_536], 0);
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if let Some((at, mask)) = attack
            && (passed..passed + count).contains(&at)
        {
            buffer[at - passed] ^= mask;
        }
        passed += count;
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

fn keep(blocks: &mut BTreeMap<([u8; 16], u64), Zeroizing<Vec<u8>>>, block: KeyBlock) {
    let replaced = blocks.insert((block.id.stream, block.id.number), block.key);
    assert!(replaced.is_none(), "a name was used twice");
}

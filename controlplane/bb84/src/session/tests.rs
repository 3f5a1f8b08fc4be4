use std::collections::BTreeMap;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::*;
use crate::ChannelSettings;

const CHANNEL: ChannelSettings = ChannelSettings {
    pulses_per_second: 10_000_000,
    loss_db: 3.0,
    detector_efficiency: 0.5,
    dark_count_probability: 1e-6,
    misalignment: 0.01,
    eavesdropper: 0.0,
};

/// Small blocks, so that there are many of them.
const SMALL: Parameters = Parameters {
    block_bits: 1 << 14,
    sample: 0.25,
    qber_threshold: 0.08,
    probe_bits: 1 << 12,
    probes: 3,
    probe_pause_ms: 5000,
    security: 1e-9,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// One end, outside of any session.
struct End {
    memory: Memory,
    control: Control,
    secret: Secret,
    blocks: mpsc::Sender<KeyBlock>,
}

/// What its owner sees of an end.
struct View {
    control: Control,
    blocks: mpsc::Receiver<KeyBlock>,
    status: watch::Receiver<Status>,
}

fn end(lead: bool, room: usize) -> (End, View) {
    let (status, status_view) = watch::channel(Status::default());
    let (blocks, blocks_view) = mpsc::channel(room);
    let control = Control::new(CHANNEL).unwrap();
    let mut memory = Memory::new(lead, SMALL, status).unwrap();
    memory.random = Random::from_seed(&[u8::from(lead) + 1; 32]);
    let secret = Secret::new(Zeroizing::new(vec![7; 32])).unwrap();
    let view = View { control: control.clone(), blocks: blocks_view, status: status_view };
    (End { memory, control, secret, blocks }, view)
}

/// Runs an end over two connections until its session ends.
async fn session(end: &mut End, classical: DuplexStream, quantum: DuplexStream) -> SessionError {
    let (lead, control) = (end.memory.lead, end.control.clone());
    match greet(classical, quantum, lead, &end.secret, control, PATIENCE).await {
        Ok(greeted) => run(greeted, &mut end.memory, &end.blocks).await,
        Err(error) => error,
    }
}

fn start(mut end: End, classical: DuplexStream, quantum: DuplexStream) -> JoinHandle<(End, SessionError)> {
    tokio::spawn(async move {
        let error = session(&mut end, classical, quantum).await;
        (end, error)
    })
}

const BUFFER: usize = 1 << 20;

/// Two ends that are joined.
fn joined(room: usize) -> (View, View) {
    let ((lead, lead_view), (follower, follower_view)) = (end(true, room), end(false, room));
    let ((classical, other_classical), (quantum, other_quantum)) = (duplex(BUFFER), duplex(BUFFER));
    start(lead, classical, quantum);
    start(follower, other_classical, other_quantum);
    (lead_view, follower_view)
}

async fn block(view: &mut View) -> KeyBlock {
    view.blocks.recv().await.expect("the end runs")
}

async fn phase(view: &mut View, wanted: impl Fn(&Phase) -> bool) -> Status {
    view.status.wait_for(|status| wanted(&status.phase)).await.unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn both_ends_get_the_same_blocks_under_the_same_names() {
    let (mut lead, mut follower) = joined(8);
    let mut bytes = 0;
    for number in 0..5 {
        let (here, there) = (block(&mut lead).await, block(&mut follower).await);
        assert_eq!((here.id, here.id.number), (there.id, number));
        assert!(here.key == there.key, "block {number} differs");
        bytes += here.key.len() as u64;
    }
    let statistics = lead.status.borrow().statistics;
    assert!(bytes > 1000 && statistics.secret_bits >= 8 * bytes, "{bytes} bytes, {statistics:?}");
    assert!((0.003..0.02).contains(&statistics.qber), "{statistics:?}");
    assert!((0.24..0.26).contains(&(statistics.clicks as f64 / statistics.pulses as f64)), "{statistics:?}");
    assert!((0.48..0.52).contains(&(statistics.sifted_bits as f64 / statistics.clicks as f64)), "{statistics:?}");
    assert!(statistics.sifted_bits_per_second > 0.0 && statistics.secret_bits_per_second > 0.0, "{statistics:?}");
    let theirs = follower.status.borrow().statistics;
    assert_eq!(statistics.leaked_bits / statistics.blocks, theirs.leaked_bits / theirs.blocks);
}

#[tokio::test(start_paused = true)]
async fn an_eavesdropper_raises_the_alarm_and_its_end_ends_it() {
    let (mut lead, mut follower) = joined(8);
    block(&mut lead).await;
    lead.control.set(ChannelSettings { eavesdropper: 1.0, ..CHANNEL }).unwrap();
    let status = phase(&mut lead, |phase| matches!(phase, Phase::Alarm { .. })).await;
    // The block that was under way when she came may be heard in part only; the first probe is heard whole.
    let probe = lead.status.wait_for(|status| status.statistics.probes == 1).await.unwrap().clone();
    let Phase::Alarm { qber, threshold, probes_due } = probe.phase else { panic!("{probe:?}") };
    assert!((0.22..0.29).contains(&qber) && threshold == 0.08 && probes_due == 3, "{probe:?}");
    assert_eq!(probe.statistics.blocks, status.statistics.blocks);
    assert!(status.statistics.discarded_blocks >= 1);
    phase(&mut follower, |phase| matches!(phase, Phase::Alarm { .. })).await;

    // For minutes nothing is delivered but what was made before.
    sleep(Duration::from_secs(120)).await;
    assert_eq!(lead.status.borrow().statistics.blocks, status.statistics.blocks);
    assert_eq!(follower.status.borrow().statistics.blocks, status.statistics.blocks);

    lead.control.set(CHANNEL).unwrap();
    phase(&mut lead, |phase| *phase == Phase::Producing).await;
    for _ in 1..status.statistics.blocks + 2 {
        block(&mut lead).await;
    }
    let mut ids = vec![];
    for _ in 0..status.statistics.blocks + 2 {
        ids.push(block(&mut follower).await.id.number);
    }
    assert!(ids.iter().copied().eq(0..status.statistics.blocks + 2), "{ids:?}");
}

#[tokio::test(start_paused = true)]
async fn noise_that_leaves_nothing_secret_is_no_alarm_but_gives_no_key() {
    let (lead, follower) = joined(8);
    for view in [&lead, &follower] {
        view.control.set(ChannelSettings { misalignment: 0.07, ..CHANNEL }).unwrap();
    }
    let mut status = lead.status.clone();
    let status = status.wait_for(|status| status.statistics.discarded_blocks > 2).await.unwrap();
    assert_eq!((status.statistics.blocks, &status.phase), (0, &Phase::Producing));
}

#[tokio::test(start_paused = true)]
async fn the_follower_can_change_the_channel_as_well() {
    let (mut lead, mut follower) = joined(8);
    block(&mut lead).await;
    follower.control.set(ChannelSettings { eavesdropper: 0.5, ..CHANNEL }).unwrap();
    block(&mut follower).await;
    phase(&mut lead, |phase| matches!(phase, Phase::Alarm { .. })).await;
    assert_eq!(lead.control.settings().eavesdropper, 0.5);
}

#[tokio::test(start_paused = true)]
async fn a_full_stock_is_waited_for_as_long_as_it_takes() {
    let (mut lead, mut follower) = joined(1);
    phase(&mut lead, |phase| *phase == Phase::Full).await;
    phase(&mut follower, |phase| *phase == Phase::Full).await;
    sleep(Duration::from_secs(3600)).await;
    for number in 0..4 {
        assert_eq!(block(&mut lead).await.id.number, number);
        assert_eq!(block(&mut follower).await.id.number, number);
    }
}

#[tokio::test(start_paused = true)]
async fn another_secret_ends_the_session_at_once() {
    let ((mut lead, _), (mut follower, _)) = (end(true, 1), end(false, 1));
    follower.secret = Secret::new(Zeroizing::new(vec![8; 32])).unwrap();
    let ((classical, other_classical), (quantum, other_quantum)) = (duplex(BUFFER), duplex(BUFFER));
    let (here, there) =
        tokio::join!(session(&mut lead, classical, quantum), session(&mut follower, other_classical, other_quantum));
    // Whoever notices first closes the connection.
    let noticed = |error: &SessionError| matches!(error, SessionError::NotAuthentic { number: 0 });
    assert!(noticed(&here) || noticed(&there), "{here} / {there}");
}

#[tokio::test(start_paused = true)]
async fn two_ends_that_lead_are_told_so() {
    let ((mut one, _), (mut other, _)) = (end(true, 1), end(true, 1));
    let ((classical, other_classical), (quantum, other_quantum)) = (duplex(BUFFER), duplex(BUFFER));
    let (here, _) =
        tokio::join!(session(&mut one, classical, quantum), session(&mut other, other_classical, other_quantum));
    assert_eq!(here.to_string(), "both ends lead");
}

#[tokio::test(start_paused = true)]
async fn an_end_that_falls_silent_is_given_up() {
    let ((mut lead, _), (classical, _other_classical), (quantum, _other_quantum)) =
        (end(true, 1), duplex(BUFFER), duplex(BUFFER));
    assert!(matches!(session(&mut lead, classical, quantum).await, SessionError::Silent(_)));
}

/// What somebody in between does to the classical connection.
#[derive(Clone, Copy, Debug)]
enum Attack {
    /// Changes the byte at that place.
    Change { at: usize, by: u8 },
    /// Closes the connection there.
    Cut { at: usize },
    /// Closes it instead of passing on the first frame with a message of this kind.
    CutBefore { kind: u8 },
    /// Sends the frame of that number twice.
    Repeat { frame: usize },
    /// Leaves it out.
    Omit { frame: usize },
    /// Swaps it with the next one.
    Swap { frame: usize },
}

/// Carries what is sent one way, with an attack. Returns when either side is gone.
async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, attack: Option<Attack>) {
    let (mut passed, mut number, mut kept) = (0, 0, None);
    loop {
        let mut frame = vec![0; 4];
        if from.read_exact(&mut frame).await.is_err() {
            return;
        }
        frame.resize(4 + u32::from_be_bytes(frame[..4].try_into().unwrap()) as usize, 0);
        if from.read_exact(&mut frame[4..]).await.is_err() {
            return;
        }
        let mut frames = vec![frame.clone()];
        match attack {
            Some(Attack::Change { at, by }) if (passed..passed + frame.len()).contains(&at) => {
                frames[0][at - passed] ^= by;
            }
            Some(Attack::Cut { at }) if (passed..passed + frame.len()).contains(&at) => {
                let _ = to.write_all(&frame[..at - passed]).await;
                return;
            }
            // Behind the length and the number, which a hello does not have: that is no such message either.
            Some(Attack::CutBefore { kind }) if number > 0 && frame[12] == kind => return,
            Some(Attack::Repeat { frame: at }) if at == number => frames.push(frame.clone()),
            Some(Attack::Omit { frame: at }) if at == number => frames.clear(),
            Some(Attack::Swap { frame: at }) if at == number => kept = frames.pop(),
            Some(Attack::Swap { frame: at }) if at + 1 == number => frames.extend(kept.take()),
            _ => {}
        }
        passed += frame.len();
        number += 1;
        for frame in frames {
            if to.write_all(&frame).await.is_err() {
                return;
            }
        }
    }
}

/// Runs a session with somebody in between, who attacks what one of the ends says. Returns how it ended at both.
async fn attacked(lead: &mut End, follower: &mut End, attack: Attack, on_lead: bool) -> (SessionError, SessionError) {
    let ((at_lead, to_lead), (at_follower, to_follower), (quantum, other_quantum)) =
        (duplex(BUFFER), duplex(BUFFER), duplex(BUFFER));
    let between = async move {
        let ((lead_read, lead_write), (follower_read, follower_write)) = (split(to_lead), split(to_follower));
        tokio::select! {
            () = carry(lead_read, follower_write, on_lead.then_some(attack)) => {}
            () = carry(follower_read, lead_write, (!on_lead).then_some(attack)) => {}
        }
    };
    let (here, there, ()) =
        tokio::join!(session(lead, at_lead, quantum), session(follower, at_follower, other_quantum), between);
    (here, there)
}

/// Everything an end has delivered so far, by stream and number.
fn delivered(view: &mut View) -> BTreeMap<([u8; 16], u64), Zeroizing<Vec<u8>>> {
    let blocks = std::iter::from_fn(|| view.blocks.try_recv().ok());
    let named = blocks.map(|block| ((block.id.stream, block.id.number), block.key)).collect::<Vec<_>>();
    let count = named.len();
    let named = BTreeMap::from_iter(named);
    assert_eq!(named.len(), count, "a name was used twice");
    named
}

#[tokio::test(start_paused = true)]
async fn whatever_is_changed_repeated_left_out_or_swapped_is_noticed_and_no_keys_differ() {
    let mut random = Random::from_seed(&[11; 32]);
    for round in 0..40 {
        let ((mut lead, mut lead_view), (mut follower, mut follower_view)) = (end(true, 1000), end(false, 1000));
        let on_lead = random.bit();
        let frame = 2 + random.below(40) as usize;
        let attack = match round % 4 {
            0 => Attack::Repeat { frame },
            1 => Attack::Omit { frame },
            2 => Attack::Swap { frame },
            _ => Attack::Change { at: random.below(60_000) as usize, by: 1 << random.below(8) },
        };
        let (here, there) = attacked(&mut lead, &mut follower, attack, on_lead).await;
        let victim = if on_lead { &there } else { &here };
        let noticed = match attack {
            Attack::Repeat { .. } => matches!(victim, SessionError::OutOfOrder { .. }),
            // In lockstep nothing follows what is left out or held back, so that its victim waits in vain.
            Attack::Omit { .. } | Attack::Swap { .. } => {
                matches!(victim, SessionError::OutOfOrder { .. } | SessionError::Silent(_) | SessionError::Closed)
            }
            _ => matches!(
                victim,
                SessionError::NotAuthentic { .. }
                    | SessionError::OutOfOrder { .. }
                    | SessionError::TooLong { .. }
                    | SessionError::Silent(_)
                    | SessionError::Closed
                    | SessionError::Malformed(_)
                    | SessionError::OtherProtocol
                    | SessionError::SameRole { .. }
            ),
        };
        assert!(noticed, "{attack:?} on {on_lead}: {here} / {there}");
        let (ours, theirs) = (delivered(&mut lead_view), delivered(&mut follower_view));
        for (name, key) in &ours {
            assert!(theirs.get(name).is_none_or(|other| other == key), "{attack:?}: keys differ");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn however_often_the_connection_breaks_both_ends_have_the_same_blocks() {
    let mut random = Random::from_seed(&[12; 32]);
    let ((mut lead, mut lead_view), (mut follower, mut follower_view)) = (end(true, 1000), end(false, 1000));
    let mut pending = 0;
    for round in 0..40 {
        let attack = match round % 4 {
            0 => Attack::CutBefore { kind: Message::Done.encode()[0] },
            1 => Attack::CutBefore { kind: Message::Verdict(true).encode()[0] },
            _ => Attack::Cut { at: random.below(50_000) as usize },
        };
        attacked(&mut lead, &mut follower, attack, round % 4 == 0 || random.bit()).await;
        pending += u32::from(follower.memory.pending.is_some());
    }
    // Let a last session settle what the last break has left open.
    lead.memory.parameters.block_bits = 1 << 20;
    attacked(&mut lead, &mut follower, Attack::Cut { at: 20_000 }, false).await;
    let (ours, theirs) = (delivered(&mut lead_view), delivered(&mut follower_view));
    assert!(ours.len() > 10 && pending >= 10, "{} blocks, {pending} were pending", ours.len());
    assert!(ours == theirs, "{} blocks here, {} there", ours.len(), theirs.len());
    assert!(ours.keys().map(|(stream, _)| stream).all(|stream| *stream == lead.memory.next.stream));
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_has_forgotten_everything_gets_a_new_stream() {
    let ((mut lead, mut lead_view), (mut follower, _follower_view)) = (end(true, 1000), end(false, 1000));
    attacked(&mut lead, &mut follower, Attack::Cut { at: 200_000 }, false).await;
    let first = lead_view.blocks.try_recv().unwrap().id;
    let (mut follower, mut follower_view) = end(false, 1000);
    attacked(&mut lead, &mut follower, Attack::Cut { at: 200_000 }, false).await;
    let second = follower_view.blocks.try_recv().unwrap().id;
    assert_ne!(first.stream, second.stream);
    assert_eq!(second.number, 0);
}

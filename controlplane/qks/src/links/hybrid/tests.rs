//! Both ends of a hybrid, over sources that the tests feed.

use std::collections::VecDeque;

use tokio::time::sleep;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::super::testing::{Leg, Net, assert_same};
use super::pool::{GRACE, MOST_BLOCKS};
use super::*;
use crate::ids::StreamId;

#[tokio::test(start_paused = true)]
async fn both_ends_make_the_same_blocks_of_sources_that_give_unlike_blocks() {
    let net = Net::new();
    let (qkd, pqc) = (Script::qkd(&[(0, 100), (1, 300), (2, 90)]), Script::pqc(&[(0, 250), (1, 250)]));
    let mut a = net.lead(hybrid([qkd.clone(), pqc.clone()], WhenOneFails::Wait));
    let mut b = net.follow(hybrid([qkd.late(Duration::from_secs(3)), pqc], WhenOneFails::Wait));
    let mut length = 0;
    while length < 480 {
        let (of_a, of_b) = (a.block().await, b.block().await);
        assert_same(&of_a, &of_b);
        assert_eq!(of_a.origin, Origin::Hybrid);
        length += of_a.bytes.len();
    }
    assert_eq!(length, 480, "whole units of 490 and 500 bytes");
}

#[tokio::test(start_paused = true)]
async fn a_block_is_made_of_both_sources_as_the_derivation_says() {
    let net = Net::new();
    let (qkd, pqc) = (Script::qkd(&[(0, 64)]), Script::pqc(&[(0, 64)]));
    let mut a = net.lead(hybrid([qkd.clone(), pqc.clone()], WhenOneFails::Wait));
    let _b = net.follow(hybrid([qkd.clone(), pqc.clone()], WhenOneFails::Wait));
    let block = a.block().await;
    let pieces = |script: &Script| {
        let numbers = [0, 0, 64_u64].map(u64::to_be_bytes);
        [script.stream.0.as_bytes().as_slice(), numbers.as_flattened()].concat()
    };
    let names = super::super::talk::Names { link: "a-to-b".parse().unwrap(), leader: name("a"), follower: name("b") };
    let stream = block.stream.0.as_bytes().as_slice();
    let parts: [&[u8]; 6] = [b"script", b"script", stream, &[0; 8], &pieces(&qkd), &pieces(&pqc)];
    let expected = derivation::derive(&names.hash(&parts), &qkd.bytes(0, 64), &pqc.bytes(0, 64)).unwrap();
    assert!(block.bytes == expected);
}

#[tokio::test(start_paused = true)]
async fn a_link_that_waits_makes_nothing_while_one_source_stalls() {
    let net = Net::new();
    let stalled = || Script::qkd(&[]).saying("the fibre is cut");
    let mut a = net.lead(hybrid([stalled(), Script::pqc(&[(0, 64)])], WhenOneFails::Wait));
    let mut b = net.follow(hybrid([stalled(), Script::pqc(&[(0, 64)])], WhenOneFails::Wait));
    sleep(STALL * 10).await;
    assert!(a.blocks.try_recv().is_err() && b.blocks.try_recv().is_err());
    a.reason("script waits: the fibre is cut").await;
    assert_eq!(a.state.borrow().phase, Phase::Waiting);
    b.reason("script waits: the fibre is cut").await;
}

#[tokio::test(start_paused = true)]
async fn a_link_that_carries_on_makes_blocks_of_the_other_source_and_says_so() {
    let net = Net::new();
    let ends = || {
        let qkd = Script::qkd(&[(0, 64), (1, 64)]).pausing_before(1, STALL * 20);
        [qkd, Script::pqc(&[(0, 64), (1, 64), (2, 64)]).pausing_before(2, STALL * 20)]
    };
    let mut a = net.lead(hybrid(ends(), WhenOneFails::CarryOn));
    let mut b = net.follow(hybrid(ends(), WhenOneFails::CarryOn));
    for origin in [Origin::Hybrid, Origin::Pqc, Origin::Hybrid] {
        let (of_a, of_b) = (a.block().await, b.block().await);
        assert_same(&of_a, &of_b);
        assert_eq!(of_a.origin, origin);
        assert!(of_a.bytes.as_slice() != ends()[1].bytes(of_a.number, 64), "the bytes are those of the source");
        if origin == Origin::Pqc {
            a.reason("keys are those of script alone").await;
            assert_eq!(a.state.borrow().phase, Phase::Producing);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn ends_that_would_not_do_the_same_make_nothing() {
    let net = Net::new();
    let sources = || [Script::qkd(&[(0, 64)]), Script::pqc(&[(0, 64)])];
    let mut a = net.lead(hybrid(sources(), WhenOneFails::CarryOn));
    let mut b = net.follow(hybrid(sources(), WhenOneFails::Wait));
    a.reason("when_one_fails is not the same at both ends").await;
    b.reason("when_one_fails is not the same at both ends").await;
    assert!(a.blocks.try_recv().is_err() && b.blocks.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn an_alarm_of_a_source_is_shown_while_the_link_carries_on() {
    let net = Net::new();
    let sources = || [Script::qkd(&[]).alarmed(), Script::pqc(&[(0, 64)])];
    let mut a = net.lead(hybrid(sources(), WhenOneFails::CarryOn));
    let mut b = net.follow(hybrid(sources(), WhenOneFails::CarryOn));
    assert_same(&a.block().await, &b.block().await);
    assert!(a.phase(Phase::Alarm).await.contains("has an alarm"));
    assert!(b.phase(Phase::Alarm).await.contains("has an alarm"));
    assert_eq!(a.state.borrow().quality, Some(super::super::Quality::default()));
}

#[tokio::test(start_paused = true)]
async fn lost_messages_neither_double_a_block_nor_lose_one() {
    let net = Net::new();
    let mut count = 0;
    net.wire(move |_, message| {
        count += 1;
        (count % 3 != 0).then_some(message)
    });
    let all: Vec<_> = (0..8).map(|number| (number, 64)).collect();
    let mut a = net.lead(hybrid([Script::qkd(&all), Script::pqc(&all)], WhenOneFails::Wait));
    let mut b = net.follow(hybrid([Script::qkd(&all), Script::pqc(&all)], WhenOneFails::Wait));
    let mut length = 0;
    while length < 8 * 64 {
        let (of_a, of_b) = (a.block().await, b.block().await);
        assert_same(&of_a, &of_b);
        length += of_a.bytes.len();
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_that_was_killed_after_it_made_a_block_gets_no_other_block_of_that_name() {
    let net = Net::new();
    let sources = |blocks: &[(u64, usize)]| [Script::qkd(blocks), Script::pqc(blocks)];
    let all = || sources(&[(0, 64), (1, 64)]).map(|script| script.pausing_before(1, STALL));
    let mut a = net.lead(hybrid(all(), WhenOneFails::Wait));
    let mut b = net.follow(hybrid(all(), WhenOneFails::Wait));
    // Both agree on a block, but the leading end does not hear of it.
    let is_done = |message: &Bytes| message.windows(6).any(|word| word == b"\"done\"");
    net.wire(move |leg, message| (leg == Leg::Question || !is_done(&message)).then_some(message));
    let only_b = b.block().await;
    a.reason("the wire is cut").await;
    b.kill().await;
    net.wire(|_, message| Some(message));
    let mut b = net.follow(hybrid(sources(&[(1, 64)]), WhenOneFails::Wait));
    let (of_a, of_b) = (a.block().await, b.block().await);
    assert_same(&of_a, &of_b);
    assert_ne!(of_a.stream, only_b.stream);
}

#[tokio::test(start_paused = true)]
async fn what_only_one_end_has_is_given_up_after_a_while() {
    let net = Net::new();
    let stale: Vec<_> = (0..MOST_BLOCKS as u64).map(|number| (number, 64)).collect();
    let good = (MOST_BLOCKS as u64, 64);
    let with_stale = Script::qkd(&[stale.as_slice(), &[good]].concat());
    let mut a = net.lead(hybrid([with_stale, Script::pqc(&[(0, 64)])], WhenOneFails::Wait));
    let mut b = net.follow(hybrid([Script::qkd(&[good]), Script::pqc(&[(0, 64)])], WhenOneFails::Wait));
    sleep(GRACE / 2).await;
    assert!(a.blocks.try_recv().is_err(), "the pool is full of what the other end does not have");
    assert_same(&a.block().await, &b.block().await);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_used_while_nobody_takes_blocks() {
    let net = Net::new();
    let all: Vec<_> = (0..30).map(|number| (number, 64)).collect();
    let sources = || [Script::qkd(&all), Script::pqc(&all)];
    let mut a = net.lead(hybrid(sources(), WhenOneFails::CarryOn));
    let mut b = net.follow(hybrid(sources(), WhenOneFails::CarryOn));
    sleep(GRACE * 10).await;
    let mut length = 0;
    while length < 30 * 64 {
        let (of_a, of_b) = (a.block().await, b.block().await);
        assert_same(&of_a, &of_b);
        assert_eq!(of_a.origin, Origin::Hybrid, "a full stock is no failure of a source");
        length += of_a.bytes.len();
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_hears_that_its_block_is_kept_once_all_of_it_is() {
    let net = Net::new();
    let sources = || [Script::qkd(&[(0, 128)]), Script::pqc(&[(0, 64), (1, 64)]).pausing_before(1, STALL * 3)];
    let mut a = net.lead(hybrid(sources(), WhenOneFails::Wait));
    let mut b = net.follow(hybrid(sources(), WhenOneFails::Wait));
    let (first, _) = (a.block().await, b.block().await);
    first.kept.unwrap().send(()).unwrap();
    a.reason("pqc 0 is kept").await;
    assert!(!a.state.borrow().reason.as_ref().unwrap().contains("qkd 0 is kept"), "half of it still waits");
    let (second, _) = (a.block().await, b.block().await);
    second.kept.unwrap().send(()).unwrap();
    a.reason("qkd 0 is kept").await;
}

/// A source that gives what it was told to.
#[derive(Clone)]
struct Script {
    origin: Origin,
    stream: StreamId,
    blocks: VecDeque<(u64, usize)>,
    late: Duration,
    pause: Option<(u64, Duration)>,
    state: SourceState,
}

impl Script {
    /// Blocks by number and length.
    fn qkd(blocks: &[(u64, usize)]) -> Self {
        Self::new(Origin::Qkd, 1, blocks)
    }

    fn pqc(blocks: &[(u64, usize)]) -> Self {
        Self::new(Origin::Pqc, 2, blocks)
    }

    fn new(origin: Origin, stream: u128, blocks: &[(u64, usize)]) -> Self {
        let stream = StreamId(Uuid::from_u128(stream));
        let blocks = blocks.iter().copied().collect();
        Self { origin, stream, blocks, late: Duration::ZERO, pause: None, state: SourceState::default() }
    }

    fn late(self, late: Duration) -> Self {
        Self { late, ..self }
    }

    fn pausing_before(self, number: u64, pause: Duration) -> Self {
        Self { pause: Some((number, pause)), ..self }
    }

    fn saying(self, reason: &str) -> Self {
        let state = SourceState { phase: Phase::Waiting, reason: Some(reason.to_owned()), quality: None };
        Self { state, ..self }
    }

    fn alarmed(self) -> Self {
        let quality = Some(super::super::Quality::default());
        Self { state: SourceState { phase: Phase::Alarm, reason: None, quality }, ..self }
    }

    fn bytes(&self, number: u64, length: usize) -> Vec<u8> {
        let seed = [self.stream.0.as_bytes().as_slice(), &number.to_be_bytes()].concat();
        seed.iter().copied().cycle().take(length).collect()
    }
}

impl LinkSource for Script {
    fn kind(&self) -> &'static str {
        "script"
    }

    fn origin(&self) -> Origin {
        self.origin
    }

    fn run(self: Box<Self>, end: LinkEnd) -> Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send>> {
        Box::pin(async move {
            end.state.send_replace(self.state.clone());
            sleep(self.late).await;
            for (number, length) in &self.blocks {
                if let Some((_, pause)) = self.pause.filter(|(before, _)| before == number) {
                    sleep(pause).await;
                }
                let bytes = Zeroizing::new(self.bytes(*number, *length));
                let (kept, is_kept) = tokio::sync::oneshot::channel();
                let block =
                    Block { stream: self.stream, number: *number, bytes, origin: self.origin, kept: Some(kept) };
                if end.blocks.send(block).await.is_err() {
                    return Ok(());
                }
                let (state, news) = (end.state.clone(), format!("{} {number} is kept", self.origin));
                tokio::spawn(async move {
                    if is_kept.await.is_ok() {
                        state.send_modify(|state| state.reason = Some(news));
                    }
                });
            }
            end.blocks.closed().await;
            Ok(())
        })
    }

    fn again(&self) -> Box<dyn LinkSource> {
        Box::new(self.clone())
    }
}

fn hybrid(of: [Script; 2], when_one_fails: WhenOneFails) -> Hybrid {
    let of = of.map(|script| Box::new(script) as Box<dyn LinkSource>);
    Hybrid { of, when_one_fails, patience: STALL }
}

fn name(text: &str) -> crate::ids::QksId {
    text.parse().unwrap()
}

const STALL: Duration = Duration::from_secs(30);

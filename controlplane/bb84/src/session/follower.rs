//! The follower's part: Bob, and the channel before him.

use std::convert::Infallible;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::OwnedPermit;

use super::wires::Pulse;
use super::{KeyBlock, Memory, Session, SessionError, compute};
use crate::authentication::{FINGERPRINT_BITS, fingerprint};
use crate::bits::Bits;
use crate::cascade::Corrector;
use crate::channel::{ChannelSettings, Clicks, transmit};
use crate::message::{Begin, Check, Message};
use crate::monitor::Judgement;
use crate::random::Random;
use crate::sifting::{Split, split};
use crate::toeplitz::amplify;

impl<S: AsyncRead + AsyncWrite + Unpin> Session<'_, S> {
    pub(super) async fn follow(mut self) -> Result<Infallible, SessionError> {
        self.join().await?;
        loop {
            let permit = self.room().await?;
            self.wires.send(&Message::Ready).await?;
            let sifted = self.measure().await?;
            self.reconcile(sifted, permit).await?;
        }
    }

    /// Agrees on what comes next, and learns what became of a block that was under way when the last session ended.
    async fn join(&mut self) -> Result<(), SessionError> {
        let known = self.memory.pending.as_ref().map(|block| block.id).or(self.memory.delivered);
        self.wires.send(&Message::Known(known)).await?;
        let Begin { next, delivered, probes_due, parameters } = match self.wires.receive().await? {
            Message::Begin(begin) => begin,
            other => return Err(SessionError::unexpected("begin", &other)),
        };
        if let Some(block) = self.memory.pending.take_if(|block| Some(block.id) == delivered) {
            let permit = self.room().await?;
            self.memory.deliver(block, permit);
        }
        self.memory.pending = None;
        if self.memory.delivered.is_some_and(|had| had.stream == next.stream && had.number >= next.number) {
            return Err(SessionError::Contradiction("it begins with a block that was delivered already"));
        }
        let memory = &mut *self.memory;
        (memory.next, memory.parameters) = (next, parameters);
        memory.monitor.adopt(parameters.qber_threshold, parameters.probes, probes_due);
        Ok(())
    }

    /// Measures pulses until enough of them were measured as they were prepared.
    async fn measure(&mut self) -> Result<Bits, SessionError> {
        let wanted = self.memory.wanted();
        let mut sifted = Bits::with_capacity(wanted * 2);
        while sifted.len() < wanted {
            let (train, settings) = self.wires.receive_train().await?;
            self.compare_settings(settings).await?;
            let (number, pulses) = (train.number, train.pulses);
            let seed = self.memory.random.seed();
            let clicks = compute(move || transmit(&train, &settings, MOST_CLICKS, &mut Random::from_seed(&seed))).await;
            let Clicks { pulses: clicked, bases, bits } = clicks;
            let count = clicked.len();
            self.wires.send(&Message::Clicks { train: number, pulses: clicked, bases }).await?;
            let kept = match self.wires.receive().await? {
                Message::Kept(kept) if kept.len() == count => kept,
                other => return Err(SessionError::unexpected("kept", &other)),
            };
            let bits = bits.select(&kept, true);
            self.memory.count_train(pulses, count, bits.len());
            sifted.extend(&bits);
        }
        sifted.truncate(wanted);
        Ok(sifted)
    }

    /// Takes the lead's settings over; or, if they were changed at this end, tells the lead.
    async fn compare_settings(&mut self, theirs: ChannelSettings) -> Result<(), SessionError> {
        let (revision, own) = self.wires.control.revision();
        if revision == self.memory.revision {
            self.wires.control.follow(theirs);
        } else {
            self.wires.send_pulse(&Pulse::Settings(own)).await?;
            self.memory.revision = revision;
        }
        Ok(())
    }

    /// Makes the lead's key of sifted bits, unless too many are wrong.
    async fn reconcile(&mut self, sifted: Bits, permit: OwnedPermit<KeyBlock>) -> Result<(), SessionError> {
        let (seed, theirs) = match self.wires.receive().await? {
            Message::Sample { seed, bits } if bits.len() == self.memory.sample_bits() => (seed, bits),
            other => return Err(SessionError::unexpected("sample", &other)),
        };
        let sample_bits = theirs.len();
        let Split { sample, rest } = compute(move || split(&sifted, sample_bits, &seed)).await;
        let errors = sample.distance(&theirs);
        self.wires.send(&Message::Errors(errors as u32)).await?;
        if self.memory.judge(errors, sample_bits) != Judgement::Use {
            return Ok(());
        }
        let key = self.correct(rest, errors as f64 / sample_bits as f64).await?;
        let Check { point, fingerprint: theirs, seed, key_len } = match self.wires.receive().await? {
            Message::Check(check) => check,
            other => return Err(SessionError::unexpected("check", &other)),
        };
        let bits = key_len as usize * 8;
        if bits > key.len() {
            return Err(SessionError::Contradiction("it wants a longer key than the one it was made of"));
        }
        let equal = fingerprint(&key, point).matches(&theirs);
        if !equal || key_len == 0 {
            self.wires.send(&Message::Verdict(equal)).await?;
            self.memory.count_discarded();
            return Ok(());
        }
        let key = compute(move || amplify(&key, bits, &seed).to_bytes()).await;
        // From the verdict on the lead may deliver the block: if its answer is lost, the next session tells.
        self.wires.send(&Message::Verdict(true)).await?;
        let key = self.share_out(&key);
        let id = self.memory.next;
        self.memory.pending = Some(KeyBlock { id, key });
        match self.wires.receive().await? {
            Message::Done => {}
            other => return Err(SessionError::unexpected("done", &other)),
        }
        let block = self.memory.pending.take().expect("it was put there above");
        self.memory.next.number += 1;
        self.memory.deliver(block, permit);
        Ok(())
    }

    /// Asks for parities until the key is the lead's.
    async fn correct(&mut self, key: Bits, qber: f64) -> Result<Bits, SessionError> {
        let seed = match self.wires.receive().await? {
            Message::Correct(seed) => seed,
            other => return Err(SessionError::unexpected("correct", &other)),
        };
        let mut corrector = compute(move || Corrector::new(key, &seed, qber)).await;
        loop {
            let questions = corrector.questions();
            if questions.is_empty() {
                break;
            }
            let questions = Message::Questions(questions.to_vec());
            self.wires.send(&questions).await?;
            match self.wires.receive().await? {
                Message::Answers(answers) => corrector.answers(&answers)?,
                other => return Err(SessionError::unexpected("answers", &other)),
            }
        }
        let corrected = corrector.corrected();
        let statistics = &mut self.memory.status.statistics;
        statistics.leaked_bits += (corrector.told() + FINGERPRINT_BITS) as u64;
        statistics.corrected_bits += corrected as u64;
        self.wires.send(&Message::Corrected(corrected as u32)).await?;
        Ok(corrector.into_key())
    }
}

impl Memory {
    pub(super) fn count_train(&mut self, pulses: u32, clicks: usize, sifted: usize) {
        let statistics = &mut self.status.statistics;
        statistics.pulses += u64::from(pulses);
        statistics.clicks += clicks as u64;
        statistics.sifted_bits += sifted as u64;
        self.show_work();
    }

    pub(super) fn count_discarded(&mut self) {
        self.status.statistics.discarded_blocks += 1;
        self.status.end_block();
        self.show_work();
    }

    pub(super) fn deliver(&mut self, block: KeyBlock, permit: OwnedPermit<KeyBlock>) {
        self.delivered = Some(block.id);
        let statistics = &mut self.status.statistics;
        statistics.blocks += 1;
        statistics.secret_bits += 8 * block.key.len() as u64;
        permit.send(block);
        self.status.end_block();
        self.show_work();
    }
}

/// How many clicks of one train are recorded.
const MOST_CLICKS: usize = 1 << 22;

//! The lead's part: Alice.

use std::convert::Infallible;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::OwnedPermit;
use tokio::time::{Instant, sleep, sleep_until};

use super::wires::Pulse;
use super::{KeyBlock, Session, SessionError, compute, new_stream};
use crate::authentication::{FINGERPRINT_BITS, fingerprint};
use crate::bits::Bits;
use crate::cascade::Reference;
use crate::channel::{ChannelSettings, Train};
use crate::estimate::{Corrected, secret_bits};
use crate::message::{Begin, BlockId, Check, Message};
use crate::monitor::Judgement;
use crate::sifting::{Sifted, Split, sift, split};
use crate::toeplitz::amplify;

impl<S: AsyncRead + AsyncWrite + Unpin> Session<'_, S> {
    pub(super) async fn lead(mut self) -> Result<Infallible, SessionError> {
        self.begin().await?;
        let mut emission = Emission { free_at: Instant::now(), trains: 0 };
        loop {
            let permit = self.room().await?;
            match self.wires.receive().await? {
                Message::Ready => {}
                other => return Err(SessionError::unexpected("ready", &other)),
            }
            if self.memory.monitor.probes_due() > 0 {
                let pause = Duration::from_millis(self.memory.parameters.probe_pause_ms.into());
                self.wires.idle(sleep(pause)).await?;
            }
            let sifted = self.prepare(&mut emission).await?;
            self.distil(sifted, permit).await?;
        }
    }

    /// Agrees on what comes next.
    async fn begin(&mut self) -> Result<(), SessionError> {
        let known = match self.wires.receive().await? {
            Message::Known(known) => known,
            other => return Err(SessionError::unexpected("known", &other)),
        };
        let memory = &mut *self.memory;
        // A follower that does not know the stream has forgotten it, and may have delivered the block whose number is next.
        if memory.next.number > 0 && known.is_none_or(|known| known.stream != memory.next.stream) {
            memory.next = BlockId { stream: new_stream(&mut memory.random), number: 0 };
        }
        let begin = Begin {
            next: memory.next,
            delivered: memory.delivered,
            probes_due: memory.monitor.probes_due(),
            parameters: memory.parameters,
        };
        self.wires.send(&Message::Begin(begin)).await
    }

    /// Sends pulses until enough of them were measured as they were prepared.
    async fn prepare(&mut self, emission: &mut Emission) -> Result<Bits, SessionError> {
        let wanted = self.memory.wanted();
        let mut sifted = Bits::with_capacity(wanted * 2);
        while sifted.len() < wanted {
            let settings = self.wires.control.settings();
            let pulses = emission.next(&settings, wanted - sifted.len()).await;
            let train = Train { number: emission.trains, pulses, seed: self.memory.random.seed() };
            emission.trains += 1;
            let copy = Train { seed: train.seed.clone(), ..train };
            self.wires.send_pulse(&Pulse::Train(copy, settings)).await?;
            let (clicks, bases) = match self.wires.receive().await? {
                Message::Clicks { train: number, pulses, bases } if number == train.number => (pulses, bases),
                other => return Err(SessionError::unexpected("clicks", &other)),
            };
            let count = clicks.len();
            let Sifted { kept, bits } = compute(move || sift(&train, &clicks, &bases))
                .await
                .ok_or(SessionError::Contradiction("it saw clicks where no pulses were"))?;
            self.wires.send(&Message::Kept(kept)).await?;
            self.memory.count_train(pulses, count, bits.len());
            sifted.extend(&bits);
        }
        sifted.truncate(wanted);
        Ok(sifted)
    }

    /// Makes a key of sifted bits, unless too many are wrong.
    async fn distil(&mut self, sifted: Bits, permit: OwnedPermit<KeyBlock>) -> Result<(), SessionError> {
        let seed = self.memory.random.seed();
        let sample_bits = self.memory.sample_bits();
        let drawn = seed.clone();
        let Split { sample, rest } = compute(move || split(&sifted, sample_bits, &drawn)).await;
        self.wires.send(&Message::Sample { seed, bits: sample }).await?;
        let sample_errors = match self.wires.receive().await? {
            Message::Errors(errors) if errors as usize <= sample_bits => errors as usize,
            other => return Err(SessionError::unexpected("errors", &other)),
        };
        if self.memory.judge(sample_errors, sample_bits) != Judgement::Use {
            return Ok(());
        }
        let leaked_bits = self.answer(&rest).await?;
        let outcome = Corrected {
            key_bits: rest.len(),
            sample_bits,
            sample_errors,
            leaked_bits,
            verification_bits: FINGERPRINT_BITS,
        };
        let key_len = secret_bits(&outcome, self.memory.parameters.security) / 8;
        self.memory.status.statistics.leaked_bits += (leaked_bits + FINGERPRINT_BITS) as u64;
        let (seed, mut point) = (self.memory.random.seed(), [0; 16]);
        self.memory.random.fill(&mut point);
        let check =
            Check { point, fingerprint: fingerprint(&rest, point), seed: seed.clone(), key_len: key_len as u32 };
        self.wires.send(&Message::Check(check)).await?;
        let equal = match self.wires.receive().await? {
            Message::Verdict(equal) => equal,
            other => return Err(SessionError::unexpected("verdict", &other)),
        };
        if !equal || key_len == 0 {
            self.memory.count_discarded();
            return Ok(());
        }
        let key = compute(move || amplify(&rest, key_len * 8, &seed).to_bytes()).await;
        let key = self.share_out(&key);
        let id = self.memory.next;
        self.memory.next.number += 1;
        self.memory.deliver(KeyBlock { id, key }, permit);
        self.wires.send(&Message::Done).await
    }

    /// Tells parities as long as the follower wants them. Returns how many it was told.
    async fn answer(&mut self, key: &Bits) -> Result<usize, SessionError> {
        let seed = self.memory.random.seed();
        self.wires.send(&Message::Correct(seed.clone())).await?;
        let key = key.clone();
        let mut reference = compute(move || Reference::new(&key, &seed)).await;
        loop {
            match self.wires.receive().await? {
                Message::Questions(questions) => {
                    let answers = reference.answer(&questions)?;
                    self.wires.send(&Message::Answers(answers)).await?;
                }
                Message::Corrected(count) => {
                    self.memory.status.statistics.corrected_bits += u64::from(count);
                    return Ok(reference.told());
                }
                other => return Err(SessionError::unexpected("questions", &other)),
            }
        }
    }
}

/// When pulses are emitted, and how many at a time.
struct Emission {
    /// When the laser has emitted all that was asked of it.
    free_at: Instant,
    trains: u64,
}

impl Emission {
    /// Waits until the next train has been emitted, and returns how many pulses it has: so many that `missing` sifted bits
    /// come of it, if that does not take too long.
    async fn next(&mut self, settings: &ChannelSettings, missing: usize) -> u32 {
        let clicks = settings.click_probability().max(f64::MIN_POSITIVE);
        // Some more than are missing, so that it is seldom that a few have to follow.
        let enough = (2.0 * missing as f64 + 8.0 * (missing as f64).sqrt() + 16.0) / clicks;
        let in_time = settings.pulses_per_second as f64 * LONGEST_TRAIN.as_secs_f64();
        let pulses = enough.min(in_time).min(f64::from(u32::MAX)).max(1.0) as u32;
        let time = Duration::from_secs_f64(f64::from(pulses) / settings.pulses_per_second as f64);
        // While other work is done, the laser goes on; but nobody can store more than some of its light.
        let now = Instant::now();
        self.free_at = self.free_at.max(now.checked_sub(LONGEST_TRAIN).unwrap_or(now)) + time;
        sleep_until(self.free_at).await;
        pulses
    }
}

/// How long one train may take.
const LONGEST_TRAIN: Duration = Duration::from_millis(500);

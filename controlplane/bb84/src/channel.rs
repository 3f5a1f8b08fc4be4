//! The quantum channel, simulated: single photons in four polarisations, lost, disturbed and perhaps overheard on their way.
//!
//! Only pulses that make a detector click cost anything: how many pass before the next click is drawn from the geometric
//! distribution. The model and its formulas: `docs/protocol/bb84.md`, "The quantum channel".

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::bits::Bits;
use crate::random::{Random, Seed, Stream};
use crate::setting::{BadSetting, within};

/// What the channel is like, and who listens. All of it may change while the link runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChannelSettings {
    /// Pulses that the sender emits in a second, 1 to 10^10.
    pub pulses_per_second: u64,
    /// Loss between the two, in dB, 0 to 100. Fibre has about 0.2 dB per kilometre.
    pub loss_db: f64,
    /// Probability that a detector notices a photon that reaches it, 0 to 1.
    pub detector_efficiency: f64,
    /// Probability that one detector clicks for nothing during one pulse, 0 to 0.1.
    pub dark_count_probability: f64,
    /// Probability that a photon measured as it was prepared ends in the wrong detector, 0 to 0.5.
    pub misalignment: f64,
    /// Fraction of the pulses that an eavesdropper measures and sends on as measured (intercept and resend), 0 to 1.
    pub eavesdropper: f64,
}

impl Default for ChannelSettings {
    fn default() -> Self {
        Self {
            pulses_per_second: 50_000_000,
            loss_db: 5.0,
            detector_efficiency: 0.2,
            dark_count_probability: 1e-6,
            misalignment: 0.01,
            eavesdropper: 0.0,
        }
    }
}

impl ChannelSettings {
    /// Checks that every value is within its bounds.
    ///
    /// # Errors
    /// If one is not; the error names it.
    pub fn check(&self) -> Result<(), BadSetting> {
        within("pulses_per_second", self.pulses_per_second as f64, 1.0, 1e10)?;
        within("loss_db", self.loss_db, 0.0, 100.0)?;
        within("detector_efficiency", self.detector_efficiency, 0.0, 1.0)?;
        within("dark_count_probability", self.dark_count_probability, 0.0, 0.1)?;
        within("misalignment", self.misalignment, 0.0, 0.5)?;
        within("eavesdropper", self.eavesdropper, 0.0, 1.0)
    }

    /// Probability that a photon is noticed, if only it was sent.
    pub fn transmittance(&self) -> f64 {
        10_f64.powf(-self.loss_db / 10.0) * self.detector_efficiency
    }

    /// Probability that a pulse makes a detector click, for its photon or for nothing.
    pub fn click_probability(&self) -> f64 {
        1.0 - (1.0 - self.transmittance()) * (1.0 - self.dark_count_probability).powi(2)
    }

    /// The ratio of wrong bits to expect in the sifted key. It is 0.5 if nothing ever clicks.
    pub fn expected_qber(&self) -> f64 {
        let (photon, dark, wrong) = (self.transmittance(), self.dark_count_probability, self.misalignment);
        // Half of the intercepted photons were measured in the other basis, and half of those then give the wrong bit.
        let photon_wrong = wrong + self.eavesdropper / 4.0 * (1.0 - 2.0 * wrong);
        let by_photon = photon * ((1.0 - dark) * photon_wrong + dark / 2.0);
        let by_nothing = (1.0 - photon) * (1.0 - (1.0 - dark).powi(2)) / 2.0;
        let clicks = self.click_probability();
        if clicks > 0.0 { (by_photon + by_nothing) / clicks } else { 0.5 }
    }
}

/// A run of pulses, each with a random bit in a random basis. The seed stands for the photons: it says how each was prepared.
pub struct Train {
    /// Counts the trains of a session.
    pub number: u64,
    /// How many pulses it has.
    pub pulses: u32,
    /// What the preparation of every pulse follows from.
    pub seed: Seed,
}

/// How a photon is polarised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polarisation {
    /// Rectilinear is `false`, diagonal `true`.
    pub basis: bool,
    /// The bit it stands for in this basis.
    pub bit: bool,
}

/// Reads how the pulses of a train were prepared.
pub struct Preparation {
    stream: Stream,
    chunk: Zeroizing<[u8; CHUNK]>,
    at: Option<u32>,
}

impl Preparation {
    /// Of the train with that seed.
    pub fn new(seed: &Seed) -> Self {
        Self { stream: Stream::new(seed), chunk: Zeroizing::new([0; CHUNK]), at: None }
    }

    /// How pulse number `pulse` was prepared. It is quickest in the pulses' order.
    pub fn of(&mut self, pulse: u32) -> Polarisation {
        let chunk = pulse / PULSES_PER_CHUNK;
        if self.at != Some(chunk) {
            self.stream.fill(u64::from(chunk) * (CHUNK / 16) as u64, self.chunk.as_mut_slice());
            self.at = Some(chunk);
        }
        let within = pulse % PULSES_PER_CHUNK;
        let both = self.chunk[within as usize / 4] >> (within % 4 * 2);
        Polarisation { basis: both & 1 == 1, bit: both & 2 == 2 }
    }
}

/// What the receiver saw of a train.
#[derive(Clone, Default)]
pub struct Clicks {
    /// The pulses with which a detector clicked, in their order.
    pub pulses: Vec<u32>,
    /// For each, the basis it was measured in.
    pub bases: Bits,
    /// For each, the bit that was measured.
    pub bits: Bits,
}

/// Sends a train through the channel and measures what arrives, each pulse in a random basis. At most `most` clicks are
/// recorded; a receiver whose memory is full sees nothing more of the train.
pub fn transmit(train: &Train, channel: &ChannelSettings, most: usize, random: &mut Random) -> Clicks {
    let click = channel.click_probability();
    let expected = ((f64::from(train.pulses) * click * 1.1) as usize + 64).min(most);
    let mut clicks = Clicks {
        pulses: Vec::with_capacity(expected),
        bases: Bits::with_capacity(expected),
        bits: Bits::with_capacity(expected),
    };
    let mut preparation = Preparation::new(&train.seed);
    let by_photon = channel.transmittance() / click;
    let mut pulse = pulses_until_click(click, random);
    while pulse < u64::from(train.pulses) && clicks.pulses.len() < most {
        let sent = preparation.of(pulse as u32);
        let basis = random.bit();
        let bit = if random.happens(by_photon) { measure(sent, basis, channel, random) } else { random.bit() };
        clicks.pulses.push(pulse as u32);
        clicks.bases.push(basis);
        clicks.bits.push(bit);
        pulse = pulse.saturating_add(1).saturating_add(pulses_until_click(click, random));
    }
    clicks
}

/// How many pulses pass without a click before the next one that clicks.
fn pulses_until_click(click: f64, random: &mut Random) -> u64 {
    if click >= 1.0 {
        return 0;
    }
    // Beyond any train if clicks are impossible: the quotient is then infinite, and the conversion saturates.
    (random.fraction().ln() / (-click).ln_1p()) as u64
}

/// What the receiver reads from a photon that reached a detector.
fn measure(sent: Polarisation, basis: bool, channel: &ChannelSettings, random: &mut Random) -> bool {
    let arrives = if random.happens(channel.eavesdropper) { resend(sent, random) } else { sent };
    let bit = if arrives.basis == basis { arrives.bit ^ random.happens(channel.misalignment) } else { random.bit() };
    // If the other detector clicks as well, for nothing, the receiver cannot tell which is right, and guesses.
    if random.happens(channel.dark_count_probability) { random.bit() } else { bit }
}

/// What an eavesdropper sends on who measures in a basis of her own.
fn resend(sent: Polarisation, random: &mut Random) -> Polarisation {
    let basis = random.bit();
    Polarisation { basis, bit: if basis == sent.basis { sent.bit } else { random.bit() } }
}

/// Bytes of preparation that are read at a time.
const CHUNK: usize = 1024;
/// Two bits for each pulse.
const PULSES_PER_CHUNK: u32 = CHUNK as u32 * 4;

#[cfg(test)]
mod tests;

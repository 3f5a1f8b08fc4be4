//! How blocks are made: what an operator can choose.

use serde::{Deserialize, Serialize};

use crate::message::{Malformed, Reader};
use crate::setting::{BadSetting, within};

/// What both ends do alike. The lead's are in force at both.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    /// Sifted bits of a block, 4,096 to 1,048,576. Larger blocks yield more: less is lost to what a sample cannot tell.
    pub block_bits: u32,
    /// Part of a block that is given away to estimate its errors, 0.01 to 0.5.
    pub sample: f64,
    /// Ratio of wrong bits above which there is an alarm, 0.001 to 0.25.
    pub qber_threshold: f64,
    /// Sifted bits of a probe, 256 to 1,048,576.
    pub probe_bits: u32,
    /// Good probes in a row that end an alarm, 1 to 1000.
    pub probes: u32,
    /// Milliseconds to wait before each probe, 0 to 3,600,000.
    pub probe_pause_ms: u32,
    /// Probability with which a key may be known or wrong after all, 10^-15 to 10^-3.
    pub security: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            block_bits: 1 << 18,
            sample: 0.125,
            qber_threshold: 0.08,
            probe_bits: 1 << 13,
            probes: 3,
            probe_pause_ms: 5000,
            security: 1e-9,
        }
    }
}

impl Parameters {
    /// Checks that every value is within its bounds.
    ///
    /// # Errors
    /// If one is not; the error names it.
    pub fn check(&self) -> Result<(), BadSetting> {
        within("block_bits", self.block_bits, 1 << 12, 1 << 20)?;
        within("sample", self.sample, 0.01, 0.5)?;
        within("qber_threshold", self.qber_threshold, 0.001, 0.25)?;
        within("probe_bits", self.probe_bits, 256, 1 << 20)?;
        within("probes", self.probes, 1, 1000)?;
        within("probe_pause_ms", self.probe_pause_ms, 0, 3_600_000)?;
        within("security", self.security, 1e-15, 1e-3)
    }

    /// How many bits of a block are the sample.
    pub(crate) fn sample_bits(&self) -> usize {
        (f64::from(self.block_bits) * self.sample) as usize
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        [self.block_bits, self.probe_bits, self.probes, self.probe_pause_ms]
            .iter()
            .for_each(|number| out.extend(number.to_be_bytes()));
        [self.sample, self.qber_threshold, self.security].iter().for_each(|number| out.extend(number.to_be_bytes()));
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut numbers = [0; 4];
        for number in &mut numbers {
            *number = u32::from_be_bytes(reader.array()?);
        }
        let [block_bits, probe_bits, probes, probe_pause_ms] = numbers;
        let (sample, qber_threshold, security) = (reader.float()?, reader.float()?, reader.float()?);
        let parameters = Self { block_bits, sample, qber_threshold, probe_bits, probes, probe_pause_ms, security };
        parameters.check().map(|()| parameters).map_err(|_| Malformed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parameters_survive_the_way(block_bits in 1_u32 << 12..=1 << 20, sample in 0.01..=0.5, probes in 1_u32..1000) {
            let parameters = Parameters { block_bits, sample, probes, ..Parameters::default() };
            let mut bytes = Vec::new();
            parameters.encode(&mut bytes);
            prop_assert_eq!(Parameters::decode(&mut Reader(&bytes)), Ok(parameters));
        }
    }

    #[test]
    fn parameters_out_of_bounds_are_refused() {
        for parameters in [
            Parameters { block_bits: 1 << 30, ..Parameters::default() },
            Parameters { sample: f64::NAN, ..Parameters::default() },
            Parameters { security: 0.0, ..Parameters::default() },
            Parameters { probes: 0, ..Parameters::default() },
        ] {
            let mut bytes = Vec::new();
            parameters.encode(&mut bytes);
            assert_eq!(Parameters::decode(&mut Reader(&bytes)), Err(Malformed), "{parameters:?}");
        }
    }
}

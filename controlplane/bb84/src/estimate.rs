//! How much of a corrected key an eavesdropper may know, and so how long a key can be that she knows nothing of.
//!
//! Tomamichel, Lim, Gisin, Renner: "Tight finite-key analysis for quantum cryptography", Nature Communications 3, 634 (2012).
//! The sample there is of the other basis; why a sample of both serves a key of both is argued in
//! `docs/protocol/bb84.md`, "How long the key is".

/// What is known of a block when its errors are corrected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Corrected {
    /// Bits of the corrected key.
    pub key_bits: usize,
    /// Bits of the sample.
    pub sample_bits: usize,
    /// Bits of the sample that were wrong.
    pub sample_errors: usize,
    /// Bits that were told while correcting.
    pub leaked_bits: usize,
    /// Bits that were told to compare the result.
    pub verification_bits: usize,
}

/// The length of the key that may be taken from a block, in bits: 0 if nothing of it is surely secret.
///
/// `security` is the probability with which the key may be known or wrong after all.
pub fn secret_bits(block: &Corrected, security: f64) -> usize {
    if block.sample_bits == 0 {
        return 0;
    }
    let unknown = 1.0 - binary_entropy(phase_error_bound(block, security));
    let margin = (2.0 / (security * security)).log2();
    let told = (block.leaked_bits + block.verification_bits) as f64;
    // A negative number becomes 0 in the conversion.
    (block.key_bits as f64 * unknown - told - margin).floor() as usize
}

/// The largest ratio of errors that the key has to be reckoned with, had it been measured in the other basis: that of the
/// sample, and what a random sample may be wrong by (Serfling's inequality).
pub fn phase_error_bound(block: &Corrected, security: f64) -> f64 {
    let (key, sample) = (block.key_bits as f64, block.sample_bits as f64);
    let deviation = ((key + sample) / (key * sample) * ((sample + 1.0) / sample) * (4.0 / security).ln()).sqrt();
    (block.sample_errors as f64 / sample + deviation).min(0.5)
}

/// The uncertainty of a bit that is 1 with this probability, in bits.
pub fn binary_entropy(probability: f64) -> f64 {
    let term = |part: f64| if part > 0.0 { -part * part.log2() } else { 0.0 };
    term(probability) + term(1.0 - probability)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: Corrected = Corrected {
        key_bits: 100_000,
        sample_bits: 20_000,
        sample_errors: 400,
        leaked_bits: 17_000,
        verification_bits: 64,
    };

    #[test]
    fn the_length_is_that_of_the_formula() {
        // By hand: sqrt(120000 / 2e9 * 20001 / 20000 * ln(4e9)) = 0.036420, and h(0.05642) = 0.31305.
        assert!((phase_error_bound(&BLOCK, 1e-9) - 0.056_420).abs() < 1e-5);
        let length = secret_bits(&BLOCK, 1e-9);
        assert!((51_550..51_600).contains(&length), "{length}");
    }

    #[test]
    fn entropy_is_none_at_the_ends_and_whole_in_the_middle() {
        assert_eq!((binary_entropy(0.0), binary_entropy(1.0), binary_entropy(0.5)), (0.0, 0.0, 1.0));
        assert!((binary_entropy(0.11) - 0.499_916).abs() < 1e-5);
    }

    #[test]
    fn more_errors_more_told_or_a_smaller_sample_make_the_key_shorter() {
        let length = secret_bits(&BLOCK, 1e-9);
        assert!(secret_bits(&Corrected { sample_errors: 500, ..BLOCK }, 1e-9) < length);
        assert_eq!(secret_bits(&Corrected { leaked_bits: 17_100, ..BLOCK }, 1e-9), length - 100);
        assert!(secret_bits(&Corrected { sample_bits: 10_000, sample_errors: 200, ..BLOCK }, 1e-9) < length);
        assert!(secret_bits(&BLOCK, 1e-12) < length);
    }

    #[test]
    fn nothing_is_left_of_a_block_with_a_quarter_wrong_or_without_a_sample() {
        assert_eq!(secret_bits(&Corrected { sample_errors: 5000, ..BLOCK }, 1e-9), 0);
        assert_eq!(secret_bits(&Corrected { sample_bits: 0, sample_errors: 0, ..BLOCK }, 1e-9), 0);
    }
}

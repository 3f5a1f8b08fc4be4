//! The keys of a hybrid: secret as long as either of what they are made of is.
//!
//! Units of 32 bytes of one source and of the other give a unit of 32 bytes each, by the one-step key derivation of NIST SP 800-56C
//! Rev. 2, section 4, option 1 with SHA-256. Its secret is `Z' = Z || T`, as section 2 there has it for hybrids, which is the CatKDF of
//! ETSI TS 103 744, clause 8.2, too. Both halves are always 32 bytes long, so no pair of units is read as another.
//!
//! One extraction over whole blocks would not do: a block would have no more than 256 bits of secrecy, however much the sources gave.
//! Unit by unit, as much comes out as went in. A plain XOR would do that too, but would bind the keys neither to the link nor to their
//! place in it, and bytes that a device hands out twice would show.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::kdf::{SskdfDigestAlgorithmId, get_sskdf_digest_algorithm, sskdf_digest};
use zeroize::Zeroizing;

/// The bytes of a combined block from as many bytes of each source that takes part; one that does not gives an empty slice. `context`
/// is what the keys are bound to.
///
/// # Errors
/// Only if the library has no SHA-256.
///
/// # Panics
/// If what takes part is not equally long.
pub(super) fn derive(context: &[u8; 32], first: &[u8], second: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
    assert!(first.len() == second.len() || first.is_empty() || second.is_empty(), "sources give equally much");
    let algorithm = get_sskdf_digest_algorithm(SskdfDigestAlgorithmId::Sha256).ok_or(Unspecified)?;
    let length = first.len().max(second.len());
    let mut derived = Zeroizing::new(vec![0; length]);
    let mut secret = Zeroizing::new(Vec::with_capacity(2 * UNIT_BYTES));
    for (index, unit) in (0_u64..).zip(derived.chunks_mut(UNIT_BYTES)) {
        let from = usize::try_from(index).map_err(|_| Unspecified)? * UNIT_BYTES;
        secret.clear();
        for source in [first, second].into_iter().filter(|source| !source.is_empty()) {
            secret.extend_from_slice(&source[from..from + unit.len()]);
        }
        let info = [LABEL, context, &index.to_be_bytes()].concat();
        sskdf_digest(algorithm, &secret, &info, unit)?;
    }
    Ok(derived)
}

/// Of a unit: what SHA-256 gives at once.
pub(super) const UNIT_BYTES: usize = 32;

const LABEL: &[u8] = b"photongate hybrid";

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest::{SHA256, digest};

    use super::*;

    #[test]
    fn a_unit_is_the_hash_that_the_standard_describes() {
        let (a, b) = ([1; 64], [2; 64]);
        let derived = derive(&[3; 32], &a, &b).unwrap();
        // Option 1: SHA-256 of the counter 1 in 32 bits, the secret and the fixed information.
        let message = [&1_u32.to_be_bytes(), &a[..32], &b[..32], LABEL, &[3; 32], &1_u64.to_be_bytes()].concat();
        assert_eq!(&derived[32..], digest(&SHA256, &message).as_ref());
    }

    #[test]
    fn each_bit_of_either_source_and_of_the_context_counts() {
        let (a, b, context) = ([1; 32], [2; 32], [3; 32]);
        let whole = derive(&context, &a, &b).unwrap();
        for bit in 0..256 {
            let mut flipped = [a, b, context];
            for which in 0..3 {
                flipped[which][bit / 8] ^= 1 << (bit % 8);
                let other = derive(&flipped[2], &flipped[0], &flipped[1]).unwrap();
                assert!(other != whole, "bit {bit} of {which}");
                flipped[which][bit / 8] ^= 1 << (bit % 8);
            }
        }
    }

    #[test]
    fn one_source_alone_gives_other_keys_than_its_bytes() {
        let alone = derive(&[3; 32], &[1; 32], &[]).unwrap();
        assert!(alone.as_slice() != [1; 32]);
        assert!(alone != derive(&[3; 32], &[1; 32], &[1; 32]).unwrap());
    }
}

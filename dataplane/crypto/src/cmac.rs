//! AES-128-CMAC (NIST SP 800-38B, RFC 4493): a MAC over inputs of any length, safe also when they differ under one key.

use zeroize::Zeroizing;

use crate::cbc_mac::{Block, absorb};
use crate::key::Schedule;

/// The CMAC of `head` and then `data`.
pub fn cmac(schedule: &Schedule, head: &[Block], data: &[u8]) -> Block {
    let mut state = [0; 16];
    // The last block is treated in a way of its own. It is the last of `head` if no data follow.
    let (head, first) = if data.is_empty() { split_last(head) } else { (head, None) };
    absorb(schedule, &mut state, head);
    let (body, rest) = split_last_chunk(data);
    absorb(schedule, &mut state, body);
    let last = last_block(&Subkeys::new(schedule), first.map_or(rest, Block::as_slice));
    absorb(schedule, &mut state, std::slice::from_ref(&last));
    state
}

/// `data` as whole blocks, and a rest that is the last block: 1 to 16 bytes, or none if there are no data at all.
pub(crate) fn split_last_chunk(data: &[u8]) -> (&[Block], &[u8]) {
    let (body, _) = data.as_chunks();
    let body = &body[..data.len().saturating_sub(1) / 16];
    (body, &data[body.as_flattened().len()..])
}

/// The last block as it is chained into the state: `rest` filled up, with a subkey added.
pub(crate) fn last_block(subkeys: &Subkeys, rest: &[u8]) -> Block {
    let mut block = [0; 16];
    let subkey = if rest.len() == block.len() { &subkeys.whole } else { &subkeys.padded };
    block[..rest.len()].copy_from_slice(rest);
    if let Some(end) = block.get_mut(rest.len()) {
        *end = 0x80;
    }
    for (byte, mask) in block.iter_mut().zip(subkey.iter()) {
        *byte ^= mask;
    }
    block
}

/// What is added to the last block, so that no MAC is an intermediate state of another: `K1` and `K2` of the standard.
pub(crate) struct Subkeys {
    whole: Zeroizing<Block>,
    padded: Zeroizing<Block>,
}

impl Subkeys {
    fn new(schedule: &Schedule) -> Self {
        let mut cipher_of_zero = Zeroizing::new([0; 16]);
        schedule.encrypt(&mut cipher_of_zero);
        let whole = doubled(&cipher_of_zero);
        let padded = doubled(&whole);
        Self { whole, padded }
    }
}

/// Twice `block` in GF(2^128), without a branch on what it is.
fn doubled(block: &Block) -> Zeroizing<Block> {
    const REDUCTION: u128 = 0x87;
    let value = Zeroizing::new(u128::from_be_bytes(*block));
    Zeroizing::new(((*value << 1) ^ ((*value >> 127) * REDUCTION)).to_be_bytes())
}

fn split_last(blocks: &[Block]) -> (&[Block], Option<&Block>) {
    blocks.split_last().map_or((blocks, None), |(last, before)| (before, Some(last)))
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::key::Key;

    #[test]
    fn the_tags_are_those_of_rfc_4493_and_sp_800_38b() {
        // RFC 4493, section 4; the same as SP 800-38B, appendix D.1. 20 bytes: NIST's example values of 2016.
        for (length, tag) in [
            (0, hex!("bb1d6929e95937287fa37d129b756746")),
            (16, hex!("070a16b46b4d4144f79bdd9dd04a287c")),
            (20, hex!("7d85449ea6ea19c823a7bf78837dfade")),
            (40, hex!("dfa66747de9ae63030ca32611497c827")),
            (64, hex!("51f0bebf7e3b9d92fc49741779363cfe")),
        ] {
            assert_eq!(cmac(&schedule(), &[], &MESSAGE[..length]), tag, "{length} bytes");
        }
    }

    #[test]
    fn the_subkeys_are_those_of_rfc_4493() {
        let subkeys = Subkeys::new(&schedule());
        assert_eq!(*subkeys.whole, hex!("fbeed618357133667c85e08f7236a8de"));
        assert_eq!(*subkeys.padded, hex!("f7ddac306ae266ccf90bc11ee46d513b"));
    }

    #[test]
    fn where_the_head_ends_does_not_matter() {
        let (blocks, _) = MESSAGE.as_chunks();
        for length in 0..=MESSAGE.len() {
            let expected = cmac(&schedule(), &[], &MESSAGE[..length]);
            for split in 0..=length / 16 {
                let tag = cmac(&schedule(), &blocks[..split], &MESSAGE[16 * split..length]);
                assert_eq!(tag, expected, "{length} bytes, {split} blocks of them in the head");
            }
        }
    }

    fn schedule() -> Schedule {
        Schedule::new(&Key::from_bytes(hex!("2b7e151628aed2a6abf7158809cf4f3c")))
    }

    const MESSAGE: [u8; 64] = hex!(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
        "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
    );
}

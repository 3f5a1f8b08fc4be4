//! AES-128-CBC-MAC over whole blocks: the pseudo-random function of DRKey and the MAC of the LF header.
//!
//! Zero initialisation vector, no length block, no truncation: the last block of an AES-CBC encryption (NIST SP 800-38A,
//! section 6.2). Such a MAC is safe only over inputs of one length per key. DRKey and the LF header keep to that: the
//! type byte and the address type fix an input's length, and each key has one use. It is not AES-CMAC.

use crate::key::Schedule;

/// One AES block.
pub type Block = [u8; 16];

/// The CBC-MAC of `blocks`; all zero when there are none.
pub fn cbc_mac(schedule: &Schedule, blocks: &[Block]) -> Block {
    let mut state = [0; 16];
    absorb(schedule, &mut state, blocks);
    state
}

/// Chains `blocks` into `state`, in place, so that a state that is a key leaves no copies behind.
pub(crate) fn absorb(schedule: &Schedule, state: &mut Block, blocks: &[Block]) {
    for block in blocks {
        for (byte, input) in state.iter_mut().zip(block) {
            *byte ^= input;
        }
        schedule.encrypt(state);
    }
}

/// What a key is derived from: one or two blocks, filled up with zeroes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    blocks: [Block; 2],
    count: u8,
}

impl Input {
    /// `bytes`, filled up to one block, or to two when they are more than 16.
    ///
    /// More than 32 bytes, or none, do not compile.
    #[inline]
    #[must_use]
    pub const fn new<const N: usize>(bytes: &[u8; N]) -> Self {
        Self::concat(bytes, &[])
    }

    /// `head` and then `tail`, filled up like the bytes of [`Input::new`].
    #[inline]
    #[must_use]
    pub const fn concat<const H: usize, const T: usize>(head: &[u8; H], tail: &[u8; T]) -> Self {
        const { assert!(0 < H + T && H + T <= 32, "an input is one or two blocks") };
        let mut blocks = [[0; 16]; 2];
        let (filled, _) = blocks.as_flattened_mut().split_at_mut(H + T);
        let (first, second) = filled.split_at_mut(H);
        first.copy_from_slice(head);
        second.copy_from_slice(tail);
        Self { blocks, count: if H + T <= 16 { 1 } else { 2 } }
    }

    /// `head`, of at most seven bytes, and then `len` bytes, at most 16, which `tail` has as two little-endian numbers, filled up with
    /// zeroes.
    ///
    /// Such an input is put together in registers. A kernel that reads a whole block would have to wait for bytes that were written one
    /// by one.
    #[inline(always)]
    #[must_use]
    pub const fn with_tail<const H: usize>(head: &[u8; H], tail: [u64; 2], len: usize) -> Self {
        const { assert!(0 < H && H < 8, "there is a head, and it is less than a number") };
        let (mut start, mut n) = (0, 0);
        while n < H {
            start |= (head[n] as u64) << (8 * n);
            n += 1;
        }
        let (bits, rest) = (8 * H, 64 - 8 * H);
        let [low, high] = tail;
        let first = block(start | low << bits, low >> rest | high << bits);
        Self { blocks: [first, block(high >> rest, 0)], count: if H + len <= 16 { 1 } else { 2 } }
    }

    /// The first block.
    #[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_endian = "little")))]
    pub(crate) fn first(&self) -> &Block {
        &self.blocks[0]
    }

    /// The second block, if there is one.
    #[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_endian = "little")))]
    pub(crate) fn second(&self) -> Option<&Block> {
        (self.count == 2).then_some(&self.blocks[1])
    }

    /// The blocks: one or two.
    pub fn blocks(&self) -> &[Block] {
        let [first, _] = &self.blocks;
        if self.count == 1 { std::slice::from_ref(first) } else { &self.blocks }
    }
}

/// The block that two little-endian numbers make.
#[inline(always)]
const fn block(low: u64, high: u64) -> Block {
    ((high as u128) << 64 | low as u128).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::key::Key;

    #[test]
    fn the_mac_is_the_last_block_of_the_cbc_encryption_in_sp_800_38a() {
        // Section F.2.1, with its initialisation vector folded into the first block, because ours is zero.
        let schedule = Schedule::new(&Key::from_bytes(hex!("2b7e151628aed2a6abf7158809cf4f3c")));
        let vector = hex!("000102030405060708090a0b0c0d0e0f");
        let mut plain = [
            hex!("6bc1bee22e409f96e93d7e117393172a"),
            hex!("ae2d8a571e03ac9c9eb76fac45af8e51"),
            hex!("30c81c46a35ce411e5fbc1191a0a52ef"),
            hex!("f69f2445df4f9b17ad2b417be66c3710"),
        ];
        for (byte, initial) in plain[0].iter_mut().zip(vector) {
            *byte ^= initial;
        }
        let cipher = [
            hex!("7649abac8119b246cee98e9b12e9197d"),
            hex!("5086cb9b507219ee95db113a917678b2"),
            hex!("73bed6b8e3c1743b7116e69e22229516"),
            hex!("3ff1caa1681fac09120eca307586e1a7"),
        ];
        for length in 1..=4 {
            assert_eq!(cbc_mac(&schedule, &plain[..length]), cipher[length - 1]);
        }
    }

    #[test]
    fn an_input_of_up_to_sixteen_bytes_is_one_block_and_a_longer_one_is_two() {
        assert_eq!(Input::new(&[7]).blocks(), [hex!("07000000000000000000000000000000")]);
        assert_eq!(Input::new(&[7; 16]).blocks(), [[7; 16]]);
        assert_eq!(Input::new(&[7; 17]).blocks(), [[7; 16], hex!("07000000000000000000000000000000")]);
        assert_eq!(Input::new(&[7; 32]).blocks(), [[7; 16]; 2]);
    }

    #[test]
    fn an_input_in_two_parts_is_the_same_as_in_one() {
        assert_eq!(Input::concat(&[1, 2], &[3; 15]), Input::new(&hex!("0102 030303030303030303030303030303")));
    }

    #[test]
    fn an_input_with_a_short_tail_is_the_same_as_of_its_bytes() {
        let four = u64::from(u32::from_le_bytes([7, 8, 9, 10]));
        assert_eq!(Input::with_tail(&[1, 2, 3], [four, 0], 4), Input::concat(&[1, 2, 3], &[7, 8, 9, 10]));
        let sixteen = hex!("101112131415161718191a1b1c1d1e1f");
        let (low, high) = sixteen.split_at(8);
        let tail = [low, high].map(|half| u64::from_le_bytes(half.try_into().unwrap()));
        assert_eq!(Input::with_tail(&[1, 2], tail, 16), Input::concat(&[1, 2], &sixteen));
    }

    #[test]
    fn a_derived_key_is_the_mac_of_its_input() {
        let schedule = Schedule::new(&Key::from_bytes([9; 16]));
        let input = Input::new(&[5; 20]);
        assert_eq!(*schedule.derive(&input).as_bytes(), cbc_mac(&schedule, input.blocks()));
    }
}

//! The Internet checksum: whole, incremental, and over pseudo-headers (RFC 1071, RFC 1624).

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::IpProtocol;

/// A running one's complement sum. Pieces are added in the order in which they stand in the packet.
#[derive(Clone, Copy, Debug)]
pub struct Sum {
    /// In the byte order of this machine: the sum comes out right in either (RFC 1071 section 2 (B)).
    words: u64,
    /// Whether an odd number of bytes went in, so that the next piece starts in the low half of a word.
    odd: bool,
}

impl Sum {
    /// The sum of nothing.
    pub const ZERO: Self = Self { words: 0, odd: false };

    /// The sum with `bytes` appended.
    #[inline(always)]
    #[must_use]
    pub fn add_bytes(self, bytes: &[u8]) -> Self {
        self.append(Self { words: sum_words(bytes), odd: !bytes.len().is_multiple_of(2) })
    }

    /// The sum with one big-endian 16-bit word appended.
    #[inline(always)]
    #[must_use]
    pub fn add_u16(self, word: u16) -> Self {
        self.append(Self { words: u64::from(word.to_be()), odd: false })
    }

    /// The sum with one big-endian 64-bit number appended.
    #[inline(always)]
    #[must_use]
    pub fn add_u64(self, number: u64) -> Self {
        self.append(Self { words: number.to_be(), odd: false })
    }

    /// The sum with what `other` is the sum of appended.
    #[inline(always)]
    #[must_use]
    pub fn append(self, other: Self) -> Self {
        let words = if self.odd { u64::from(fold(other.words).swap_bytes()) } else { other.words };
        Self { words: add(self.words, words), odd: self.odd ^ other.odd }
    }

    /// The sum folded to 16 bits and not complemented: what NICs that compute the checksum of TCP or UDP want to find
    /// in its field, taken over the pseudo-header.
    #[inline(always)]
    #[must_use]
    pub fn folded(self) -> u16 {
        u16::from_be(fold(self.words))
    }

    /// The checksum: the complement of the folded sum, in host order.
    #[inline(always)]
    #[must_use]
    pub fn checksum(self) -> u16 {
        !self.folded()
    }
}

/// The Internet checksum of `bytes` (RFC 1071). Over bytes that contain their own, right checksum it is 0.
#[inline]
#[must_use]
pub fn internet(bytes: &[u8]) -> u16 {
    Sum::ZERO.add_bytes(bytes).checksum()
}

/// The checksum after one 16-bit word under it changed from `old` to `new` (RFC 1624, equation 3).
///
/// A wrong checksum stays wrong by as much. For a word that stands at an odd offset, swap the bytes of `old` and `new`.
#[inline]
#[must_use]
pub fn update(checksum: u16, old: u16, new: u16) -> u16 {
    update_all(checksum, [(old, new)])
}

/// As [`update`], after several words changed, each from its first value to its second.
#[inline]
#[must_use]
pub fn update_all<const N: usize>(checksum: u16, words: [(u16, u16); N]) -> u16 {
    let changes = words.into_iter().map(|(old, new)| u32::from(!old) + u32::from(new));
    let sum = u32::from(!checksum) + changes.sum::<u32>();
    // A few words do not carry more than twice.
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    !(sum as u16)
}

/// The sum of IPv4's pseudo-header (RFC 768, RFC 9293 section 3.1).
///
/// `length` counts the bytes of the IP payload, the header of TCP or UDP included.
#[inline]
#[must_use]
pub fn pseudo_header_v4(source: Ipv4Addr, destination: Ipv4Addr, protocol: IpProtocol, length: u16) -> Sum {
    let addresses = u64::from(source.to_bits()) << 32 | u64::from(destination.to_bits());
    Sum::ZERO.add_u64(addresses).add_u16(u16::from(protocol.0)).add_u16(length)
}

/// The sum of IPv6's pseudo-header (RFC 8200 section 8.1).
///
/// `length` counts the bytes of the upper-layer packet, its own header included.
#[inline]
#[must_use]
pub fn pseudo_header_v6(source: Ipv6Addr, destination: Ipv6Addr, protocol: IpProtocol, length: u32) -> Sum {
    Sum::ZERO
        .add_bytes(&source.octets())
        .add_bytes(&destination.octets())
        .add_bytes(&length.to_be_bytes())
        .add_u16(u16::from(protocol.0))
}

/// The checksum of a TCP or ICMPv6 packet whose checksum field holds 0. With the field filled, 0 says that it is right.
#[inline]
#[must_use]
pub fn layer4(pseudo_header: Sum, packet: &[u8]) -> u16 {
    pseudo_header.add_bytes(packet).checksum()
}

/// As [`layer4`], for a UDP datagram: never 0, which in UDP says "no checksum" (RFC 768).
#[inline]
#[must_use]
pub fn udp(pseudo_header: Sum, datagram: &[u8]) -> u16 {
    udp_of(pseudo_header.add_bytes(datagram))
}

/// As [`udp`], of what has been summed.
#[inline]
#[must_use]
pub fn udp_of(sum: Sum) -> u16 {
    match sum.checksum() {
        0 => u16::MAX,
        checksum => checksum,
    }
}

/// Sums `bytes` eight at a time, in the byte order of this machine; a last odd byte is the first half of its word.
///
/// No addition may carry into the next, so that the compiler can use vector registers: beside the sum of all words, of which the
/// carries are lost, stands that of their upper halves. The sum of the lower halves follows from both, and neither half's carries
/// before 32 GiB.
#[inline]
fn sum_words(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let (mut all, mut high) = (0_u64, 0_u64);
    for word in words {
        let word = u64::from_ne_bytes(*word);
        all = all.wrapping_add(word);
        high += word >> 32;
    }
    let low = all.wrapping_sub(high << 32);
    let mut sum = add(low, high);
    let mut rest = rest;
    if let Some((half, behind)) = rest.split_first_chunk() {
        (sum, rest) = (add(sum, u64::from(u32::from_ne_bytes(*half))), behind);
    }
    if rest.is_empty() {
        return sum;
    }
    let mut last = [0; 8];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    add(sum, u64::from_ne_bytes(last))
}

/// One's complement addition: what is carried out at the top comes in at the bottom.
#[inline]
fn add(sum: u64, word: u64) -> u64 {
    let (sum, carry) = sum.overflowing_add(word);
    sum + u64::from(carry)
}

#[inline]
fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    sum as u16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::hex;

    #[test]
    fn the_example_of_rfc_1071_sums_as_printed_there() {
        assert_eq!(Sum::ZERO.add_bytes(&hex("0001f203f4f5f6f7")).folded(), 0xddf2);
    }

    #[test]
    fn a_captured_ipv4_header_sums_to_zero_with_its_checksum() {
        assert_eq!(internet(&hex("45000094f5db400040112b8c0af801010af80201")), 0);
        assert_eq!(internet(&hex("45000094f5db4000401100000af801010af80201")), 0x2b8c);
    }

    #[test]
    fn an_incremental_update_may_yield_zero() {
        // The example of RFC 1624 section 4, where the formula of RFC 1141 goes wrong.
        assert_eq!(update(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    #[test]
    fn a_udp_checksum_is_never_zero() {
        let pseudo_header = Sum::ZERO.add_u16(u16::MAX);
        assert_eq!(layer4(pseudo_header, &[]), 0);
        assert_eq!(udp(pseudo_header, &[]), u16::MAX);
    }

    proptest! {
        #[test]
        fn the_checksum_is_that_of_a_word_by_word_sum(bytes: Vec<u8>) {
            prop_assert_eq!(internet(&bytes), naive(&bytes));
        }

        #[test]
        fn long_runs_of_ones_carry_right(length in 0_usize..70_000, head: u8) {
            let mut bytes = vec![0xff; length];
            bytes.insert(0, head);
            prop_assert_eq!(internet(&bytes), naive(&bytes));
        }

        #[test]
        fn the_sum_does_not_depend_on_where_the_pieces_are_cut(bytes: Vec<u8>, cuts: [prop::sample::Index; 2]) {
            let mut cuts = cuts.map(|cut| cut.index(bytes.len() + 1));
            cuts.sort_unstable();
            let (head, tail) = bytes.split_at(cuts[1]);
            let (head, middle) = head.split_at(cuts[0]);
            let pieces = Sum::ZERO.add_bytes(head).add_bytes(middle).add_bytes(tail);
            prop_assert_eq!(pieces.checksum(), naive(&bytes));
            let appended = Sum::ZERO.add_bytes(head).append(Sum::ZERO.add_bytes(middle)).append(Sum::ZERO.add_bytes(tail));
            prop_assert_eq!(appended.checksum(), naive(&bytes));
        }

        #[test]
        fn an_incremental_update_agrees_with_summing_again(
            mut words in prop::collection::vec(any::<u16>(), 2..40),
            at: prop::sample::Index,
            new: u16,
        ) {
            // One's complement has two zeros; a sum over at least one word other than zero is never the positive one.
            words[0] = words[0].max(1);
            let at = 1 + at.index(words.len() - 1);
            let before = internet(&bytes_of(&words));
            let old = std::mem::replace(&mut words[at], new);
            prop_assert_eq!(update(before, old, new), internet(&bytes_of(&words)));
        }

        #[test]
        fn several_words_are_updated_as_one_after_the_other(checksum: u16, words: [(u16, u16); 3]) {
            let one_by_one = words.iter().fold(checksum, |checksum, (old, new)| update(checksum, *old, *new));
            prop_assert_eq!(update_all(checksum, words), one_by_one);
        }

        #[test]
        fn pseudo_headers_sum_as_their_layout_in_the_rfc(
            source: [u8; 16], destination: [u8; 16], protocol: u8, length: u16,
        ) {
            let v6 = [&source[..], &destination, &u32::from(length).to_be_bytes(), &[0, 0, 0, protocol]].concat();
            let ours = pseudo_header_v6(source.into(), destination.into(), IpProtocol(protocol), length.into());
            prop_assert_eq!(ours.checksum(), naive(&v6));

            let [source, destination]: [[u8; 4]; 2] = [&source, &destination].map(|a| *a.first_chunk().unwrap());
            let v4 = [&source[..], &destination, &[0, protocol], &length.to_be_bytes()].concat();
            let ours = pseudo_header_v4(source.into(), destination.into(), IpProtocol(protocol), length);
            prop_assert_eq!(ours.checksum(), naive(&v4));
        }
    }

    /// The definition, word by word.
    fn naive(bytes: &[u8]) -> u16 {
        let mut sum = 0_u32;
        for word in bytes.chunks(2) {
            sum += u32::from(word[0]) << 8 | u32::from(word.get(1).copied().unwrap_or(0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    fn bytes_of(words: &[u16]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }
}

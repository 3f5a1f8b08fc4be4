//! TCP header as far as a filter looks into it: ports, flags, and the maximum segment size (RFC 9293).

use crate::{Malformed, checksum};

/// Bytes known to start with a whole TCP header, its options included.
#[derive(Clone, Copy, Debug)]
pub struct Tcp<'p> {
    fixed: &'p [u8; HEADER_LEN],
    options: &'p [u8],
    payload: &'p [u8],
}

impl<'p> Tcp<'p> {
    /// Reads the header at the start of `segment`, the payload of an IP packet.
    ///
    /// # Errors
    /// - [`Malformed::Truncated`]: the bytes end inside the header or its options.
    /// - [`Malformed::HeaderLength`]: a header of less than 20 bytes.
    #[inline]
    pub fn parse(segment: &'p [u8]) -> Result<Self, Malformed> {
        let (fixed, rest) = segment.split_first_chunk().ok_or(Malformed::Truncated)?;
        let (options, payload) = rest.split_at_checked(options_len(fixed)?).ok_or(Malformed::Truncated)?;
        Ok(Self { fixed, options, payload })
    }

    /// The sender's port.
    #[inline]
    pub const fn source_port(&self) -> u16 {
        u16::from_be_bytes([self.fixed[0], self.fixed[1]])
    }

    /// The receiver's port.
    #[inline]
    pub const fn destination_port(&self) -> u16 {
        u16::from_be_bytes([self.fixed[2], self.fixed[3]])
    }

    /// The control bits.
    #[inline]
    pub const fn flags(&self) -> TcpFlags {
        TcpFlags(self.fixed[FLAGS])
    }

    /// The checksum as it stands there.
    #[inline]
    pub const fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.fixed[CHECKSUM], self.fixed[CHECKSUM + 1]])
    }

    /// The largest segment that the sender wants to receive, if the header says so. Means something with SYN only.
    #[inline]
    pub fn max_segment_size(&self) -> Option<u16> {
        options(self.options).find_map(|option| option.max_segment_size(self.options))
    }

    /// The data behind the header.
    #[inline]
    pub const fn payload(&self) -> &'p [u8] {
        self.payload
    }
}

/// The control bits of a TCP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// The sender has no more data.
    pub const FIN: Self = Self(0x01);
    /// A connection opens.
    pub const SYN: Self = Self(0x02);
    /// The connection is reset.
    pub const RST: Self = Self(0x04);
    /// The acknowledgement number counts.
    pub const ACK: Self = Self(0x10);

    /// Whether all bits of `other` are set.
    #[inline]
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Lowers the maximum segment size of a SYN to `limit` bytes, and corrects the checksum. Whether anything was changed.
///
/// Segments without SYN, without the option, or that are no TCP are left alone. A wrong checksum stays wrong.
pub fn clamp_max_segment_size(segment: &mut [u8], limit: u16) -> bool {
    let Some((fixed, rest)) = segment.split_first_chunk_mut::<HEADER_LEN>() else { return false };
    let Ok(options_len) = options_len(fixed) else { return false };
    let Some(bytes) = rest.get_mut(..options_len) else { return false };
    if !TcpFlags(fixed[FLAGS]).contains(TcpFlags::SYN) {
        return false;
    }
    let mut changed = false;
    let mut walk = Walk { at: 0 };
    // Every one that is there: which of several counts, receivers disagree about.
    while let Some(option) = walk.step(bytes) {
        let Some(size) = option.max_segment_size(bytes).filter(|size| *size > limit) else { continue };
        let Some(value) = bytes.get_mut(option.value_at..).and_then(<[u8]>::first_chunk_mut) else { continue };
        *value = limit.to_be_bytes();
        // A value at an odd offset spans two words of the checksum, its halves swapped.
        let (old, new) =
            if option.value_at.is_multiple_of(2) { (size, limit) } else { (size.swap_bytes(), limit.swap_bytes()) };
        let before = u16::from_be_bytes([fixed[CHECKSUM], fixed[CHECKSUM + 1]]);
        [fixed[CHECKSUM], fixed[CHECKSUM + 1]] = checksum::update(before, old, new).to_be_bytes();
        changed = true;
    }
    changed
}

/// One option, as offsets into the options.
#[derive(Clone, Copy)]
struct OptionAt {
    kind: u8,
    value_at: usize,
    end: usize,
}

impl OptionAt {
    fn max_segment_size(self, options: &[u8]) -> Option<u16> {
        if self.kind != MAX_SEGMENT_SIZE {
            return None;
        }
        let value: [u8; 2] = options.get(self.value_at..self.end)?.try_into().ok()?;
        Some(u16::from_be_bytes(value))
    }
}

/// Walks options whose bytes may change between the steps.
struct Walk {
    at: usize,
}

impl Walk {
    /// The next option that has a length; `None` at the end of the list, and where the rest makes no sense.
    fn step(&mut self, options: &[u8]) -> Option<OptionAt> {
        while *options.get(self.at)? == NO_OPERATION {
            self.at += 1;
        }
        let kind = *options.get(self.at)?;
        let length = usize::from(*options.get(self.at + 1)?);
        let end = self.at + length;
        if kind == END_OF_OPTIONS || length < 2 || end > options.len() {
            return None;
        }
        let value_at = self.at + 2;
        self.at = end;
        Some(OptionAt { kind, value_at, end })
    }
}

fn options(options: &[u8]) -> impl Iterator<Item = OptionAt> {
    let mut walk = Walk { at: 0 };
    std::iter::from_fn(move || walk.step(options))
}

#[inline]
fn options_len(fixed: &[u8; HEADER_LEN]) -> Result<usize, Malformed> {
    let header_len = usize::from(fixed[DATA_OFFSET] >> 4) * 4;
    header_len.checked_sub(HEADER_LEN).ok_or(Malformed::HeaderLength)
}

/// Bytes of the header without options.
pub const HEADER_LEN: usize = 20;

const DATA_OFFSET: usize = 12;
const FLAGS: usize = 13;
const CHECKSUM: usize = 16;

const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;
const MAX_SEGMENT_SIZE: u8 = 2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::hex;

    #[test]
    fn a_syn_shows_ports_flags_and_segment_size() {
        let bytes = syn("020405b4 0402 080a0000000100000000 01 030307");
        let tcp = Tcp::parse(&bytes).unwrap();
        assert_eq!((tcp.source_port(), tcp.destination_port()), (50_000, 443));
        assert!(tcp.flags().contains(TcpFlags::SYN) && !tcp.flags().contains(TcpFlags::ACK));
        assert_eq!((tcp.max_segment_size(), tcp.payload()), (Some(1460), &[][..]));
    }

    #[test]
    fn the_data_begin_behind_the_options() {
        let bytes = [syn("020405b4"), b"data".to_vec()].concat();
        assert_eq!(Tcp::parse(&bytes).unwrap().payload(), b"data");
    }

    #[test]
    fn headers_that_contradict_themselves_are_refused() {
        let whole = syn("020405b4");
        for length in 0..whole.len() {
            assert_eq!(Tcp::parse(&whole[..length]).unwrap_err(), Malformed::Truncated, "{length} bytes");
        }
        let mut short = whole;
        short[DATA_OFFSET] = 0x40;
        assert_eq!(Tcp::parse(&short).unwrap_err(), Malformed::HeaderLength);
        assert!(!clamp_max_segment_size(&mut short, 536));
    }

    #[test]
    fn options_that_make_no_sense_hide_no_panic_and_no_segment_size() {
        for options in
            ["00000000 020405b4", "02010000", "0200ffff", "01010102", "0303ff02", "0205 05b400 010101", "02ff05b4"]
        {
            assert_eq!(Tcp::parse(&syn(options)).unwrap().max_segment_size(), None, "{options}");
        }
        assert_eq!(Tcp::parse(&syn("01020405b4010101")).unwrap().max_segment_size(), Some(1460));
    }

    #[test]
    fn a_segment_size_above_the_limit_is_lowered() {
        let mut bytes = syn("020405b4 01010402");
        assert!(clamp_max_segment_size(&mut bytes, 1396));
        assert_eq!(bytes, syn("02040574 01010402"));
    }

    #[test]
    fn a_segment_size_at_an_odd_offset_keeps_the_checksum_right() {
        let mut bytes = syn("01 020405b4 010402");
        assert!(clamp_max_segment_size(&mut bytes, 1396));
        assert_eq!(bytes, syn("01 02040574 010402"));
    }

    #[test]
    fn every_segment_size_in_a_header_is_lowered() {
        let mut bytes = syn("020405b4 02040100 0204ffff");
        assert!(clamp_max_segment_size(&mut bytes, 1396));
        assert_eq!(bytes, syn("02040574 02040100 02040574"));
    }

    #[test]
    fn a_segment_size_within_the_limit_is_left_alone() {
        let mut bytes = syn("020405b4");
        assert!(!clamp_max_segment_size(&mut bytes, 1460));
        assert_eq!(bytes, syn("020405b4"));
    }

    #[test]
    fn segments_without_syn_are_left_alone() {
        let mut bytes = syn("020405b4");
        bytes[FLAGS] = TcpFlags::ACK.0;
        let before = bytes.clone();
        assert!(!clamp_max_segment_size(&mut bytes, 536));
        assert_eq!(bytes, before);
    }

    proptest! {
        #[test]
        fn clamping_any_options_keeps_the_sum(options in any_options(), flags: u8, limit: u16) {
            let mut bytes = [hex("c350 01bb 00000001 00000000 f000 ffff 1234 0000"), options].concat();
            bytes[FLAGS] = flags;
            let (before, sum) = (bytes.clone(), checksum::internet(&bytes));
            if clamp_max_segment_size(&mut bytes, limit) {
                prop_assert_ne!(&bytes, &before);
                prop_assert_eq!(checksum::internet(&bytes), sum);
            } else {
                prop_assert_eq!(&bytes, &before);
            }
            let size = Tcp::parse(&bytes).unwrap().max_segment_size();
            let is_syn = TcpFlags(flags).contains(TcpFlags::SYN);
            prop_assert!(!is_syn || size.is_none_or(|size| size <= limit));
        }
    }

    /// Forty bytes that start as a list of options, some of them sizes at odd offsets, and some nonsense.
    fn any_options() -> impl Strategy<Value = Vec<u8>> {
        let size = any::<[u8; 2]>().prop_map(|[high, low]| vec![MAX_SEGMENT_SIZE, 4, high, low]);
        let option = prop_oneof![
            4 => size,
            4 => Just(vec![NO_OPERATION]),
            1 => any::<[u8; 8]>().prop_map(|value| [&[8, 10], &value[..]].concat()),
            1 => any::<[u8; 2]>().prop_map(Vec::from),
        ];
        prop::collection::vec(option, 0..12).prop_map(|options| {
            let mut options = options.concat();
            options.resize(40, END_OF_OPTIONS);
            options
        })
    }

    /// A SYN with these options, and with a checksum that makes it sum to zero.
    fn syn(options: &str) -> Vec<u8> {
        let options = hex(options);
        let mut bytes = hex("c350 01bb 00000001 00000000 0002 ffff 0000 0000");
        bytes[DATA_OFFSET] = ((HEADER_LEN + options.len()) as u8 / 4) << 4;
        bytes.extend(options);
        let sum = checksum::internet(&bytes).to_be_bytes();
        bytes[CHECKSUM..CHECKSUM + 2].copy_from_slice(&sum);
        bytes
    }
}

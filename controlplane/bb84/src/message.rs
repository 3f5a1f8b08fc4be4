//! What the two ends say to one another on the classical channel, as bytes. Formats: `docs/protocol/bb84.md`, "Messages".

use crate::authentication::{TAG_LEN, Tag};
use crate::bits::Bits;
use crate::cascade::Question;
use crate::parameters::Parameters;
use crate::random::Seed;

/// One message. They come in a fixed order; which end sends which is told in each.
pub enum Message {
    /// Both: the sender has the secret.
    Proof,
    /// Follower: the last block it has.
    Known(Option<BlockId>),
    /// Lead: what comes next, and how it is made.
    Begin(Begin),
    /// Follower: it has room for a block.
    Ready,
    /// Follower: where detectors clicked, and in which bases they measured.
    Clicks {
        /// The train.
        train: u64,
        /// The pulses.
        pulses: Vec<u32>,
        /// A basis for each.
        bases: Bits,
    },
    /// Lead: which of the clicks were measured in the right basis.
    Kept(Bits),
    /// Lead: which bits are the sample, and what was sent for them.
    Sample {
        /// What the places follow from.
        seed: Seed,
        /// The bits.
        bits: Bits,
    },
    /// Follower: how many bits of the sample it has otherwise.
    Errors(u32),
    /// Lead: what the orders of error correction follow from.
    Correct(Seed),
    /// Follower: parities it wants.
    Questions(Vec<Question>),
    /// Lead: the parities.
    Answers(Bits),
    /// Follower: it has no more questions, and so many bits were corrected.
    Corrected(u32),
    /// Lead: by what the corrected keys are compared, and what becomes of them.
    Check(Check),
    /// Follower: whether its key is the same.
    Verdict(bool),
    /// Lead: it has delivered the block.
    Done,
}

/// How the lead begins a session.
pub struct Begin {
    /// The next block's name.
    pub next: BlockId,
    /// The last block that it delivered.
    pub delivered: Option<BlockId>,
    /// How many good probes have to come before the next block.
    pub probes_due: u32,
    /// What holds for both ends.
    pub parameters: Parameters,
}

/// How keys are compared and shortened.
pub struct Check {
    /// The point of the fingerprint.
    pub point: [u8; 16],
    /// The lead's fingerprint.
    pub fingerprint: Tag,
    /// What the matrix of the privacy amplification follows from.
    pub seed: Seed,
    /// How many bytes the key is to have.
    pub key_len: u32,
}

/// The name of a block of key: a stream, and the place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockId {
    /// 16 random bytes.
    pub stream: [u8; 16],
    /// Counted from 0.
    pub number: u64,
}

impl Message {
    /// What it is, for those who read logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Proof => "proof",
            Self::Known(_) => "known",
            Self::Begin(_) => "begin",
            Self::Ready => "ready",
            Self::Clicks { .. } => "clicks",
            Self::Kept(_) => "kept",
            Self::Sample { .. } => "sample",
            Self::Errors(_) => "errors",
            Self::Correct(_) => "correct",
            Self::Questions(_) => "questions",
            Self::Answers(_) => "answers",
            Self::Corrected(_) => "corrected",
            Self::Check(_) => "check",
            Self::Verdict(_) => "verdict",
            Self::Done => "done",
        }
    }

    /// The bytes of it.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Proof => out.push(0),
            Self::Known(block) => {
                out.push(1);
                put_block(&mut out, *block);
            }
            Self::Begin(begin) => {
                out.push(2);
                put_block(&mut out, Some(begin.next));
                put_block(&mut out, begin.delivered);
                out.extend(begin.probes_due.to_be_bytes());
                begin.parameters.encode(&mut out);
            }
            Self::Ready => out.push(3),
            Self::Clicks { train, pulses, bases } => {
                out.reserve(pulses.len() * 2);
                out.push(4);
                out.extend(train.to_be_bytes());
                put_bits(&mut out, bases);
                let mut next = 0;
                for &pulse in pulses {
                    put_number(&mut out, pulse - next);
                    next = pulse.saturating_add(1);
                }
            }
            Self::Kept(bits) => put(&mut out, 5, bits),
            Self::Sample { seed, bits } => {
                out.push(6);
                out.extend_from_slice(seed.as_slice());
                put_bits(&mut out, bits);
            }
            Self::Errors(count) => {
                out.push(7);
                out.extend(count.to_be_bytes());
            }
            Self::Correct(seed) => {
                out.push(8);
                out.extend_from_slice(seed.as_slice());
            }
            Self::Questions(questions) => {
                out.push(9);
                out.extend((questions.len() as u32).to_be_bytes());
                for question in questions {
                    out.push(question.pass);
                    put_number(&mut out, question.start);
                    put_number(&mut out, question.len);
                }
            }
            Self::Answers(bits) => put(&mut out, 10, bits),
            Self::Corrected(count) => {
                out.push(11);
                out.extend(count.to_be_bytes());
            }
            Self::Check(check) => {
                out.push(12);
                out.extend(check.point);
                out.extend(check.fingerprint.to_bytes());
                out.extend_from_slice(check.seed.as_slice());
                out.extend(check.key_len.to_be_bytes());
            }
            Self::Verdict(equal) => out.extend([13, u8::from(*equal)]),
            Self::Done => out.push(14),
        }
        out
    }

    /// Reads a message.
    ///
    /// # Errors
    /// If the bytes are none, or more than one.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(bytes);
        let message = match reader.byte()? {
            0 => Self::Proof,
            1 => Self::Known(reader.block()?),
            2 => Self::Begin(Begin {
                next: reader.block()?.ok_or(Malformed)?,
                delivered: reader.block()?,
                probes_due: u32::from_be_bytes(reader.array()?),
                parameters: Parameters::decode(&mut reader)?,
            }),
            3 => Self::Ready,
            4 => {
                let train = u64::from_be_bytes(reader.array()?);
                let bases = reader.bits()?;
                Self::Clicks { train, pulses: reader.pulses(bases.len())?, bases }
            }
            5 => Self::Kept(reader.bits()?),
            6 => Self::Sample { seed: reader.seed()?, bits: reader.bits()? },
            7 => Self::Errors(u32::from_be_bytes(reader.array()?)),
            8 => Self::Correct(reader.seed()?),
            9 => Self::Questions(reader.questions()?),
            10 => Self::Answers(reader.bits()?),
            11 => Self::Corrected(u32::from_be_bytes(reader.array()?)),
            12 => Self::Check(Check {
                point: reader.array()?,
                fingerprint: Tag::new(reader.array::<TAG_LEN>()?),
                seed: reader.seed()?,
                key_len: u32::from_be_bytes(reader.array()?),
            }),
            13 => Self::Verdict(reader.flag()?),
            14 => Self::Done,
            _ => return Err(Malformed),
        };
        reader.end().map(|()| message)
    }
}

/// Bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message is malformed")]
pub struct Malformed;

/// Reads fields from the front.
pub(crate) struct Reader<'b>(pub(crate) &'b [u8]);

impl<'b> Reader<'b> {
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (field, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*field)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn flag(&mut self) -> Result<bool, Malformed> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }

    pub(crate) fn float(&mut self) -> Result<f64, Malformed> {
        self.array().map(f64::from_be_bytes)
    }

    pub(crate) fn seed(&mut self) -> Result<Seed, Malformed> {
        self.array().map(Seed::new)
    }

    pub(crate) fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }

    fn block(&mut self) -> Result<Option<BlockId>, Malformed> {
        if !self.flag()? {
            return Ok(None);
        }
        Ok(Some(BlockId { stream: self.array()?, number: u64::from_be_bytes(self.array()?) }))
    }

    fn bits(&mut self) -> Result<Bits, Malformed> {
        let len = u32::from_be_bytes(self.array()?) as usize;
        let (bytes, rest) = self.0.split_at_checked(len.div_ceil(8)).ok_or(Malformed)?;
        self.0 = rest;
        Bits::from_bytes(bytes, len).ok_or(Malformed)
    }

    /// A number of up to 32 bits, seven in each byte, the lowest first.
    fn number(&mut self) -> Result<u32, Malformed> {
        let mut number = 0_u64;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(number).map_err(|_| Malformed);
            }
        }
        Err(Malformed)
    }

    fn pulses(&mut self, count: usize) -> Result<Vec<u32>, Malformed> {
        // Every one takes a byte at least, so that no more room is taken than was paid for.
        if count > self.0.len() {
            return Err(Malformed);
        }
        let mut pulses = Vec::with_capacity(count);
        let mut next = 0_u32;
        for index in 0..count {
            let pulse = next.checked_add(self.number()?).ok_or(Malformed)?;
            pulses.push(pulse);
            if index + 1 < count {
                next = pulse.checked_add(1).ok_or(Malformed)?;
            }
        }
        Ok(pulses)
    }

    fn questions(&mut self) -> Result<Vec<Question>, Malformed> {
        let count = u32::from_be_bytes(self.array()?) as usize;
        if count > self.0.len() / 3 {
            return Err(Malformed);
        }
        (0..count).map(|_| Ok(Question { pass: self.byte()?, start: self.number()?, len: self.number()? })).collect()
    }
}

fn put(out: &mut Vec<u8>, kind: u8, bits: &Bits) {
    out.push(kind);
    put_bits(out, bits);
}

fn put_bits(out: &mut Vec<u8>, bits: &Bits) {
    out.extend((bits.len() as u32).to_be_bytes());
    out.extend_from_slice(&bits.to_bytes());
}

fn put_block(out: &mut Vec<u8>, block: Option<BlockId>) {
    out.push(u8::from(block.is_some()));
    if let Some(block) = block {
        out.extend(block.stream);
        out.extend(block.number.to_be_bytes());
    }
}

fn put_number(out: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::Random;

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0_u8..16) {
            let bytes = [&[kind], &bytes[..]].concat();
            if let Ok(message) = Message::decode(&bytes) {
                // Numbers may be written longer than needed, so the bytes need not be the same; the message is.
                let again = Message::decode(&message.encode()).unwrap();
                prop_assert_eq!(again.encode(), message.encode());
            }
        }

        #[test]
        fn clicks_survive_the_way(mut pulses in prop::collection::btree_set(any::<u32>(), 0..200), seed in any::<[u8; 32]>()) {
            pulses.extend([0, u32::MAX]);
            let pulses = pulses.into_iter().collect::<Vec<_>>();
            let bases = Bits::random(pulses.len(), &mut Random::from_seed(&seed));
            let sent = Message::Clicks { train: 7, pulses: pulses.clone(), bases: bases.clone() };
            let Ok(Message::Clicks { train: 7, pulses: read, bases: read_bases }) = Message::decode(&sent.encode()) else {
                return Err(TestCaseError::fail("no clicks"));
            };
            prop_assert_eq!(read, pulses);
            prop_assert_eq!(read_bases.words(), bases.words());
        }
    }

    #[test]
    fn every_message_survives_the_way_and_none_survives_being_cut_or_prolonged() {
        let mut random = Random::from_seed(&[1; 32]);
        let block = BlockId { stream: [3; 16], number: 9 };
        let messages = [
            Message::Proof,
            Message::Known(None),
            Message::Known(Some(block)),
            Message::Begin(Begin {
                next: block,
                delivered: Some(block),
                probes_due: 2,
                parameters: Parameters::default(),
            }),
            Message::Ready,
            Message::Clicks { train: 1, pulses: vec![0, 1, 300, 70_000], bases: Bits::random(4, &mut random) },
            Message::Kept(Bits::random(77, &mut random)),
            Message::Sample { seed: random.seed(), bits: Bits::random(64, &mut random) },
            Message::Errors(5),
            Message::Correct(random.seed()),
            Message::Questions(vec![Question { pass: 3, start: 1000, len: 1 << 20 }]),
            Message::Answers(Bits::random(13, &mut random)),
            Message::Corrected(6),
            Message::Check(Check { point: [1; 16], fingerprint: Tag::new([2; 8]), seed: random.seed(), key_len: 7 }),
            Message::Verdict(true),
            Message::Done,
        ];
        for message in messages {
            let bytes = message.encode();
            assert_eq!(Message::decode(&bytes).unwrap().encode(), bytes, "{}", message.name());
            assert!((0..bytes.len()).all(|len| Message::decode(&bytes[..len]).is_err()), "{} cut", message.name());
            assert!(Message::decode(&[&bytes[..], &[0]].concat()).is_err(), "{} prolonged", message.name());
        }
    }
}

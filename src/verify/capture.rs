//! Packets out of capture files: pcap in both byte orders and resolutions, and pcapng.
//!
//! The `pcap-file` crate takes the files apart into records and blocks. The packets in them are read here, because the
//! crate ignores the resolution of pcapng's timestamps and refuses packets that are longer than what was kept of them.

use std::fs::File;
use std::io::{self, Cursor, ErrorKind, Read};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::PcapNgReader;
use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};
use pcap_file::pcapng::blocks::{ENHANCED_PACKET_BLOCK, PACKET_BLOCK, SIMPLE_PACKET_BLOCK};
use pcap_file::{DataLink, Endianness, PcapError, TsResolution};
use photongate_wire::UnixNanos;

/// A capture file that is being read.
pub(crate) struct Capture {
    reader: Reader,
    /// Packets read so far.
    count: u64,
}

/// One packet of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Its place in the file, from 1.
    pub(crate) number: u64,
    /// When it was captured; `None` in pcapng's simple packets, which do not say.
    pub(crate) time: Option<UnixNanos>,
    /// The packet as far as it was kept.
    pub(crate) data: Vec<u8>,
    /// How long the packet was.
    pub(crate) original_len: usize,
}

impl Record {
    /// Whether a part of the packet was not kept.
    pub(crate) fn is_cut(&self) -> bool {
        self.data.len() < self.original_len
    }
}

impl Capture {
    /// Opens the capture at `path`; `-` is standard input.
    ///
    /// # Errors
    /// It cannot be opened, is no capture, or not one of Ethernet.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let source: Source = if path.as_os_str() == "-" {
            Box::new(io::stdin().lock())
        } else {
            Box::new(File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?)
        };
        Self::read_from(source).with_context(|| path.display().to_string())
    }

    fn read_from(mut source: Source) -> Result<Self> {
        let mut magic = Vec::with_capacity(4);
        source.by_ref().take(4).read_to_end(&mut magic).context("cannot be read")?;
        let is_pcapng = magic == PCAPNG_MAGIC;
        let whole = Cursor::new(magic).chain(source);
        let reader = if is_pcapng {
            Reader::PcapNg(PcapNgReader::new(whole).map_err(|error| unreadable(&error, "the first section"))?)
        } else {
            let reader = PcapReader::new(whole).map_err(|error| match error {
                PcapError::InvalidField(_) => anyhow!("is neither pcap nor pcapng"),
                other => unreadable(&other, "the file header"),
            })?;
            // The upper half tells of checksums behind the frames, which to us are like padding.
            check_link_type(DataLink::from(u32::from(reader.header().datalink) & 0xffff))?;
            Reader::Pcap(reader)
        };
        Ok(Self { reader, count: 0 })
    }

    /// The next packet; `None` behind the last one.
    ///
    /// # Errors
    /// The file is broken here, or this packet is not of Ethernet. Reading on makes no sense.
    pub(crate) fn next_record(&mut self) -> Result<Option<Record>> {
        let number = self.count + 1;
        let record = match &mut self.reader {
            Reader::Pcap(reader) => next_of_pcap(reader, number),
            Reader::PcapNg(reader) => next_of_pcapng(reader, number),
        };
        self.count = number;
        record.with_context(|| format!("record {number}"))
    }
}

type Source = Box<dyn Read>;
type Whole = io::Chain<Cursor<Vec<u8>>, Source>;

enum Reader {
    Pcap(PcapReader<Whole>),
    PcapNg(PcapNgReader<Whole>),
}

fn next_of_pcap(reader: &mut PcapReader<Whole>, number: u64) -> Result<Option<Record>> {
    let nanos_per_tick = match reader.header().ts_resolution {
        TsResolution::MicroSecond => 1_000,
        TsResolution::NanoSecond => 1,
    };
    let Some(packet) = reader.next_raw_packet() else { return Ok(None) };
    let packet = packet.map_err(|error| unreadable(&error, "it"))?;
    check_length(packet.data.len())?;
    let time = u64::from(packet.ts_sec) * NANOS_PER_SECOND + u64::from(packet.ts_frac) * nanos_per_tick;
    Ok(Some(record(number, Some(UnixNanos(time)), &packet.data, packet.orig_len)))
}

fn next_of_pcapng(reader: &mut PcapNgReader<Whole>, number: u64) -> Result<Option<Record>> {
    loop {
        let Some(block) = reader.next_raw_block() else { return Ok(None) };
        let block = block.map_err(|error| unreadable(&error, "it"))?;
        let kind = block.type_;
        if ![ENHANCED_PACKET_BLOCK, PACKET_BLOCK, SIMPLE_PACKET_BLOCK].contains(&kind) {
            continue;
        }
        // Owned, because the reader is asked for byte order and interfaces next.
        let body = block.body.into_owned();
        let fields = Fields { body: &body, endianness: reader.section().endianness };
        return packet_of_block(kind, &fields, reader.interfaces(), number).map(Some);
    }
}

/// Reads a packet block (draft-ietf-opsawg-pcapng, sections 4.3, 4.4 and appendix A).
fn packet_of_block(
    kind: u32,
    fields: &Fields<'_>,
    interfaces: &[InterfaceDescriptionBlock<'_>],
    number: u64,
) -> Result<Record> {
    let interface_number = match kind {
        ENHANCED_PACKET_BLOCK => fields.word(0)?,
        PACKET_BLOCK => u32::from(fields.half_word(0)?),
        _ => 0,
    };
    let interface = interfaces
        .get(interface_number as usize)
        .ok_or_else(|| anyhow!("names interface {interface_number}, which the file does not describe"))?;
    check_link_type(interface.linktype)?;
    if kind == SIMPLE_PACKET_BLOCK {
        let original_len = fields.word(0)?;
        let kept = if interface.snaplen == 0 { original_len } else { original_len.min(interface.snaplen) };
        return Ok(record(number, None, fields.bytes(4, kept)?, original_len));
    }
    let ticks = u64::from(fields.word(4)?) << 32 | u64::from(fields.word(8)?);
    let time = time_of(ticks, interface).ok_or_else(|| anyhow!("has a time before 1970 or after 2554"))?;
    let (kept, original_len) = (fields.word(12)?, fields.word(16)?);
    Ok(record(number, Some(time), fields.bytes(20, kept)?, original_len))
}

/// When `ticks` of the interface's clock are.
fn time_of(ticks: u64, interface: &InterfaceDescriptionBlock<'_>) -> Option<UnixNanos> {
    let (mut resolution, mut offset_seconds) = (MICROSECONDS, 0);
    for option in &interface.options {
        match option {
            InterfaceDescriptionOption::IfTsResol(value) => resolution = *value,
            // The crate takes the number for unsigned, the format says that it is signed.
            InterfaceDescriptionOption::IfTsOffset(value) => offset_seconds = value.cast_signed(),
            _ => {}
        }
    }
    let exponent = u32::from(resolution & 0x7f);
    let base: u128 = if resolution & 0x80 == 0 { 10 } else { 2 };
    let ticks_per_second = base.checked_pow(exponent)?;
    let nanos = u128::from(ticks) * u128::from(NANOS_PER_SECOND) / ticks_per_second;
    let offset = i128::from(offset_seconds) * i128::from(NANOS_PER_SECOND);
    u64::try_from(i128::try_from(nanos).ok()? + offset).ok().map(UnixNanos)
}

/// The body of a block, by offset.
struct Fields<'b> {
    body: &'b [u8],
    endianness: Endianness,
}

impl<'b> Fields<'b> {
    fn word(&self, offset: usize) -> Result<u32> {
        let bytes = *self.body.get(offset..).and_then(<[u8]>::first_chunk).ok_or_else(too_short)?;
        Ok(if self.endianness.is_big() { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn half_word(&self, offset: usize) -> Result<u16> {
        let bytes = *self.body.get(offset..).and_then(<[u8]>::first_chunk).ok_or_else(too_short)?;
        Ok(if self.endianness.is_big() { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn bytes(&self, offset: usize, len: u32) -> Result<&'b [u8]> {
        check_length(len as usize)?;
        self.body.get(offset..).and_then(|rest| rest.get(..len as usize)).ok_or_else(too_short)
    }
}

fn record(number: u64, time: Option<UnixNanos>, data: &[u8], original_len: u32) -> Record {
    // Some programs that rewrite captures forget to adapt the original length.
    Record { number, time, data: data.to_vec(), original_len: data.len().max(original_len as usize) }
}

fn check_length(len: usize) -> Result<()> {
    if len > LONGEST {
        bail!("is broken: it claims to hold a packet of {len} bytes");
    }
    Ok(())
}

fn check_link_type(link_type: DataLink) -> Result<()> {
    if link_type == DataLink::ETHERNET {
        return Ok(());
    }
    let number = u32::from(link_type);
    bail!("was captured with link type {link_type:?} ({number}), not Ethernet: capture on one interface, not on `any`")
}

fn unreadable(error: &PcapError, what: &str) -> anyhow::Error {
    match error {
        PcapError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            anyhow!("{what} is cut off: the file ends early, or a length in it is wrong")
        }
        PcapError::IoError(error) => anyhow!("{what} cannot be read: {error}"),
        other => anyhow!("{what} is broken: {other}"),
    }
}

fn too_short() -> anyhow::Error {
    anyhow!("is broken: it is shorter than what it claims to hold")
}

/// What a section header starts with, the same in either byte order.
const PCAPNG_MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// More than any network carries, and what `tcpdump` keeps at most.
const LONGEST: usize = 262_144;

/// `if_tsresol` of an interface that says nothing: 10^-6 seconds.
const MICROSECONDS: u8 = 6;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests;

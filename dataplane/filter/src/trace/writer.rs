//! Traces as pcapng: one interface per port, and the verdict as a comment of the packet.

use crate::trace::record::{About, Record};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};
use pcap_file::pcapng::blocks::interface_statistics::{InterfaceStatisticsBlock, InterfaceStatisticsOption};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::{DataLink, Endianness, PcapError};
use photongate_pipeline::DropReason;
use photongate_wire::UnixNanos;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

/// Writes one trace.
pub(crate) struct TraceWriter<W: Write> {
    blocks: PcapNgWriter<W>,
    ports: usize,
}

impl<W: Write> TraceWriter<W> {
    /// Writes the beginning of the file, with the names of the ports.
    pub(crate) fn new(output: W, ports: &[String], snap_len: u32) -> io::Result<Self> {
        let program = SectionHeaderOption::UserApplication(concat!("photongate ", env!("CARGO_PKG_VERSION")).into());
        // The library writes the time in a block of statistics as one number, where the format has the upper half
        // first: the two agree in this byte order.
        let section =
            SectionHeaderBlock { endianness: Endianness::Big, options: vec![program], ..SectionHeaderBlock::default() };
        let mut blocks = PcapNgWriter::with_section_header(output, section).map_err(io_error)?;
        for port in ports {
            let name = InterfaceDescriptionOption::IfName(Cow::Borrowed(port.as_str()));
            let nanoseconds = InterfaceDescriptionOption::IfTsResol(9);
            let options = vec![name, nanoseconds];
            let block = InterfaceDescriptionBlock { linktype: DataLink::ETHERNET, snaplen: snap_len, options };
            blocks.write_pcapng_block(block).map_err(io_error)?;
        }
        Ok(Self { blocks, ports: ports.len() })
    }

    /// Writes one packet.
    pub(crate) fn write(&mut self, record: &Record) -> io::Result<()> {
        let about = &record.about;
        let comment = EnhancedPacketOption::Comment(comment(about).into());
        let block = EnhancedPacketBlock {
            interface_id: about.port.0.into(),
            timestamp: Duration::from_nanos(about.time.0),
            original_len: u32::try_from(about.original_len).unwrap_or(u32::MAX),
            data: record.bytes().into(),
            options: vec![comment],
        };
        self.blocks.write_pcapng_block(block).map(drop).map_err(io_error)
    }

    /// Writes the end of the file, how many packets were left out because they came too fast, and returns the output.
    pub(crate) fn finish(mut self, left_out: u64, now: UnixNanos) -> io::Result<W> {
        if self.ports > 0 {
            let options = vec![InterfaceStatisticsOption::IsbOsDrop(left_out)];
            let block = InterfaceStatisticsBlock { interface_id: 0, timestamp: now.0, options };
            self.blocks.write_pcapng_block(block).map_err(io_error)?;
        }
        self.flush()?;
        Ok(self.blocks.into_inner())
    }

    /// Hands on what is buffered.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.blocks.get_mut().flush()
    }
}

/// The verdict in words: `dropped bad_mac peer=20-ff00:0:112 worker=0`.
fn comment(about: &About) -> String {
    let mut comment = about.verdict.name().to_owned();
    if let Some(reason) = about.verdict.reason().map(DropReason::name) {
        comment = format!("{comment} {reason}");
    }
    if let Some(peer) = about.peer {
        let _ = write!(comment, " peer={peer}");
    }
    let _ = write!(comment, " worker={}", about.worker);
    comment
}

fn io_error(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use photongate_drkey::Protocol;
    use photongate_pipeline::{PeerKey, PortIndex, Verdict};
    use std::process::Command;

    fn about(verdict: Verdict, port: u8) -> About {
        let peer = PeerKey { isd_as: "20-ff00:0:112".parse().unwrap(), protocol: Protocol(3) };
        let time = UnixNanos(1_795_230_000_123_456_789);
        About { time, port: PortIndex(port), worker: 2, verdict, peer: Some(peer), original_len: 1_400 }
    }

    #[test]
    fn tshark_shows_verdict_port_time_and_length_of_each_packet() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let ports = ["inside".to_owned(), "outside".to_owned()];
        let mut writer = TraceWriter::new(file.reopen().unwrap(), &ports, 64).unwrap();
        let mut record = Record::with_capacity(64);
        record.fill(1, about(Verdict::Dropped(DropReason::BadMac), 1), &[0x45; 100]);
        writer.write(&record).unwrap();
        record.fill(1, About { peer: None, ..about(Verdict::BestEffort, 0) }, &[0x45; 61]);
        writer.write(&record).unwrap();
        writer.finish(17, UnixNanos(0)).unwrap();

        let fields = ["frame.comment", "frame.interface_name", "frame.time_epoch", "frame.cap_len", "frame.len"];
        let mut tshark = Command::new("tshark");
        tshark.args(["-n", "-T", "fields", "-r"]).arg(file.path());
        for field in fields {
            tshark.args(["-e", field]);
        }
        let output = tshark.output().expect("tshark is needed for this test: run scripts/setup.sh");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            lines,
            "dropped bad_mac peer=20-ff00:0:112 worker=2\toutside\t1795230000.123456789\t64\t1400\n\
             best_effort worker=2\tinside\t1795230000.123456789\t61\t1400\n"
        );
    }
}

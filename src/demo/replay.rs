//! The demo without root: the same filters and attacks, but the network is capture files that DPDK reads and writes.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::libc::O_NONBLOCK;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use pcap_file::pcap::{PcapPacket, PcapReader, PcapWriter};

use super::attack::Overheard;
use super::frames;
use super::keys;
use super::lab::{Filter, Flow, Patience, Place, ask};
use super::ledger::{Account, Ledger, Row};
use super::plan::{A, B, BEST_EFFORT_PER_SECOND, Common, LF_PORT, Site};
use super::screen::Screen;

/// Plays the demo. Whether everything added up.
///
/// # Errors
/// Something does not work as it should, or the process was asked to stop. Nothing is left behind either way.
pub(crate) fn play(program: &Path, patience: &Patience, screen: &Screen) -> Result<bool> {
    let directory = tempfile::tempdir().context("a directory for the demo's files")?;
    let [a, b, c, d, light] = free_addresses()?;
    let places = [Place { filters: a, servers: b }, Place { filters: c, servers: d }];
    let common = Common::new(TIME_THRESHOLD, places, light)?;
    let commands = [Command::new(program), Command::new(program)];
    let key_servers = keys::start(&common, directory.path(), commands, patience, screen)?;
    let mut stage = Replay { program, patience, common, directory: directory.path(), accounts: Vec::new() };

    let early: Vec<_> = datagrams(port::STALE).collect();
    let early = stage.begin("filter A, earlier", &A)?.take(&mut stage, &early)?;
    let early_at = Instant::now();
    screen.step("packets of host A through filter A, kept for later", &format!("{} out", early.len()));
    let left = (TIME_THRESHOLD + Duration::from_millis(500)).saturating_sub(early_at.elapsed());
    patience.sleep(left)?;

    // It is to be running when host A sends: a filter refuses what was sent before it began to remember.
    let filter_b = stage.begin("filter B", &B)?;
    let plain: Vec<_> = [port::UDP, port::HEADER, port::PAYLOAD].into_iter().flat_map(datagrams).collect();
    let fresh = stage.begin("filter A", &A)?.take(&mut stage, &plain)?;
    screen.step("packets of host A through filter A", &format!("{} of {} out", fresh.len(), plain.len()));

    let acts = attacks(&overheard(fresh), &overheard(early))?;
    let frames: Vec<_> = acts.iter().flat_map(|act| act.frames.iter().cloned()).collect();
    let arrived = filter_b.take(&mut stage, &frames)?;
    screen
        .step("the same, and the attacker's, through filter B", &format!("{} of {} out", arrived.len(), frames.len()));

    let mut refused = stage.accounts.last().map(|account| account.counters.dropped.clone()).unwrap_or_default();
    let mut ledger = Ledger::default();
    for act in acts {
        let here = |frame: &&Vec<u8>| act.flow == Flow::of(frame) && act.may_arrive;
        let refused = act.reason.and_then(|reason| Some((reason.to_owned(), refused.remove(reason)?)));
        ledger.add(Row {
            class: act.class,
            is_attack: act.reason.is_some(),
            sent: act.frames.len() as u64,
            arrived: arrived.iter().filter(here).count() as u64,
            refused: refused.into_iter().collect::<BTreeMap<_, _>>(),
        });
    }
    key_servers.stop(patience)?;
    ensure!(refused.is_empty(), "filter B refused packets for reasons that nobody gave it: {refused:?}");
    screen.line("");
    ledger.print(&stage.accounts, screen);
    Ok(ledger.adds_up(&stage.accounts))
}

struct Replay<'s> {
    program: &'s Path,
    patience: &'s Patience,
    common: Common,
    directory: &'s Path,
    accounts: Vec<Account>,
}

/// A filter that has its keys, and reads the packets of one port from a pipe.
struct Waiting {
    name: String,
    filter: Filter,
    pipe: File,
    output: PathBuf,
}

impl Waiting {
    /// Lets it have `frames`, and stops it; what left by its other port.
    fn take(self, stage: &mut Replay<'_>, frames: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        let Self { name, filter, mut pipe, output } = self;
        let mut bytes = capture(frames)?.split_off(CAPTURE_HEADER);
        stage.patience.until(&format!("{name} to read"), TIMEOUT, || match pipe.write(&bytes) {
            Ok(written) => {
                bytes.drain(..written);
                Ok(bytes.is_empty().then_some(()))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error).with_context(|| format!("{name} does not read")),
        })?;
        // The end of the capture, without which the filter would wait for more.
        drop(pipe);
        stage.finish(&name, filter, frames.len())?;
        read(&output)
    }
}

impl Replay<'_> {
    /// Starts the filter of `site`. Filter A waits for packets from inside, filter B for packets from outside.
    fn begin(&self, name: &str, site: &Site) -> Result<Waiting> {
        let (pipe, nothing) = (self.file(site, "pipe"), self.file(site, "nothing"));
        let (output, back) = (self.file(site, "out"), self.file(site, "back"));
        fs::write(&nothing, capture(&[])?)?;
        mkfifo(&pipe, Mode::S_IRUSR | Mode::S_IWUSR).context("a pipe")?;
        // With both ends open here, neither this process nor the filter waits for the other to open its own.
        let both_ends = OpenOptions::new().read(true).write(true).open(&pipe)?;
        (&both_ends).write_all(&capture(&[])?)?;
        let (inside, outside) = if *site == A {
            (device(0, &pipe, &back), device(1, &nothing, &output))
        } else {
            (device(0, &nothing, &output), device(1, &pipe, &back))
        };
        let filter = self.start(site, &inside, &outside).context(name.to_owned())?;
        let pipe = OpenOptions::new().write(true).custom_flags(O_NONBLOCK).open(&pipe)?;
        Ok(Waiting { name: name.to_owned(), filter, pipe, output })
    }

    fn start(&self, site: &Site, inside: &str, outside: &str) -> Result<Filter> {
        let name = format!("pg-demo-{}-{}{}", std::process::id(), self.accounts.len(), site.letter);
        let config = self.common.filter_toml(&name, site, inside, outside);
        let command = Command::new(self.program);
        let filter = Filter::start(command, self.directory, &name, &config, self.patience)?;
        let socket = self.directory.join(format!("{name}-api.sock"));
        // Not until it is ready: its worker sits and waits for the pipe.
        self.patience.until("the filter to have its keys", Filter::KEYS_TIMEOUT, || {
            let status = ask(&socket, "GET", "/api/v1/status", None).ok();
            Ok(status.filter(|(_, status)| status["peers"]["dark"] == 0))
        })?;
        Ok(filter)
    }

    /// Stops a filter once it has judged `frames` packets, and keeps its account.
    fn finish(&mut self, name: &str, filter: Filter, frames: usize) -> Result<()> {
        let all = self.patience.until("the filter to read the capture", TIMEOUT, || {
            Ok(Some(filter.counters()?).filter(|counters| counters.received >= frames as u64))
        });
        let counters = all.context(name.to_owned())?;
        let ended = filter.stop(self.patience)?;
        ensure!(ended.with(0), "{name} ended with {}:\n{}", ended.status, ended.output);
        self.accounts.push(Account { filter: name.to_owned(), counters });
        Ok(())
    }

    /// A file of the filter that is about to start at `site`.
    fn file(&self, site: &Site, what: &str) -> PathBuf {
        self.directory.join(format!("{}{}-{what}.pcap", self.accounts.len(), site.letter))
    }
}

/// Five addresses of this machine that nobody listens at.
fn free_addresses() -> Result<[SocketAddr; 5]> {
    // All are held until all are known, or some would be the same.
    let listeners = [(); 5].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); 5];
    for (address, listener) in addresses.iter_mut().zip(listeners) {
        *address = listener.and_then(|listener| listener.local_addr()).context("a port on this machine")?;
    }
    Ok(addresses)
}

/// A port that reads a capture and writes another.
fn device(index: u8, receive: &Path, transmit: &Path) -> String {
    format!("net_pcap{index},rx_pcap={},tx_pcap={}", receive.display(), transmit.display())
}

/// One kind of traffic towards filter B.
struct Act {
    class: String,
    flow: Flow,
    frames: Vec<Vec<u8>>,
    /// Why filter B refuses it; the traffic that is not an attack has none. No two have the same.
    reason: Option<&'static str>,
    /// Whether what arrives with this UDP port is counted here: replays have that of what they repeat.
    may_arrive: bool,
}

fn attacks(fresh: &[Overheard], early: &[Overheard]) -> Result<Vec<Act>> {
    let of = |port| fresh.iter().filter(move |packet| packet.flow() == Flow::Udp(port));
    let whole = |packet: &Overheard| packet.frame().to_vec();
    let act = |class: &str, port, frames: Vec<_>, reason| Act {
        class: class.to_owned(),
        flow: Flow::Udp(port),
        frames,
        reason: Some(reason),
        may_arrive: reason != "duplicate",
    };
    let repeated =
        of(port::UDP).map(whole).chain(of(port::UDP).zip(1024..).map(|(packet, n)| packet.with_source_port(n)));
    let header = of(port::HEADER).enumerate().map(|(index, packet)| Ok(packet.with_header_bit_flipped(index)));
    let forged = of(port::HEADER).zip(0..).map(|(packet, number)| packet.imitated(number, port::HEADER));
    let payload = of(port::PAYLOAD).enumerate().map(|(index, packet)| packet.with_payload_bit_flipped(index));
    let plain = |from, port| (0..2 * DATAGRAMS).map(move |_| frames::udp(from, B.v4.into(), port, b"trust me"));
    let flood = (0..FLOOD).map(|_| frames::udp(frames::NOWHERE, B.v4.into(), port::FLOOD, b"flood"));
    Ok(vec![
        Act { reason: None, ..act("UDP", port::UDP, of(port::UDP).map(whole).collect(), "") },
        act("replayed at once, from any UDP port", port::UDP, repeated.collect(), "duplicate"),
        act(
            "forged, or one bit flipped in the header",
            port::HEADER,
            header.chain(forged).collect::<Result<_>>()?,
            "bad_mac",
        ),
        act("one bit flipped in the payload", port::PAYLOAD, payload.collect(), "bad_hash"),
        act(
            &format!("from {}, without a proof of origin", A.v4),
            port::PLAIN,
            plain(A.v4.into(), port::PLAIN).collect(),
            "best_effort_refused",
        ),
        act(
            &format!("flood from nowhere, limit {BEST_EFFORT_PER_SECOND} packets/s"),
            port::FLOOD,
            flood.collect(),
            "rate_limit_best_effort",
        ),
        act(
            &format!("replayed {} seconds later", TIME_THRESHOLD.as_secs()),
            port::STALE,
            early.iter().map(whole).collect(),
            "timestamp_too_old",
        ),
    ])
}

fn overheard(frames: Vec<Vec<u8>>) -> Vec<Overheard> {
    frames.into_iter().filter_map(|frame| Overheard::recognise(frame, LF_PORT)).collect()
}

/// Plain datagrams of host A's, over IPv4 and IPv6.
fn datagrams(port: u16) -> impl Iterator<Item = Vec<u8>> {
    (0..DATAGRAMS).flat_map(move |number| {
        let text = format!("datagram {number:05} from host A to host B");
        [(A.v4.into(), B.v4.into()), (A.v6.into(), B.v6.into())]
            .map(|(source, destination)| frames::udp(source, destination, port, text.as_bytes()))
    })
}

/// A pcap file.
fn capture(frames: &[Vec<u8>]) -> Result<Vec<u8>> {
    let mut writer = PcapWriter::new(Vec::new())?;
    for frame in frames {
        let length = u32::try_from(frame.len())?;
        writer.write_packet(&PcapPacket::new(Duration::ZERO, length, frame))?;
    }
    Ok(writer.into_writer())
}

fn read(path: &Path) -> Result<Vec<Vec<u8>>> {
    let mut reader = PcapReader::new(File::open(path).with_context(|| path.display().to_string())?)?;
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet() {
        frames.push(packet?.data.into_owned());
    }
    Ok(frames)
}

/// The UDP port inside tells the kinds of traffic apart.
mod port {
    pub(super) const UDP: u16 = 7001;
    pub(super) const HEADER: u16 = 7002;
    pub(super) const PAYLOAD: u16 = 7003;
    pub(super) const PLAIN: u16 = 7005;
    pub(super) const FLOOD: u16 = 7006;
    pub(super) const STALE: u16 = 7007;
}

/// Longer than the second filter takes to start, even on a busy machine.
const TIME_THRESHOLD: Duration = Duration::from_secs(10);

const TIMEOUT: Duration = Duration::from_secs(20);

/// Over each of IPv4 and IPv6.
const DATAGRAMS: usize = 100;

/// Bytes before the first packet of a pcap file.
const CAPTURE_HEADER: usize = 24;

const FLOOD: usize = 3_000;

//! The demo in network namespaces: real hosts, real filters, and an attacker between them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::attack::Overheard;
use super::frames;
use super::host;
use super::keys;
use super::lab::{
    self, Direction, FIBRE, Filter, Flow, HOST_INTERFACE, INSIDE, Internet, KeyServers, OUTSIDE, Patience, Place,
    RawSocket, Side, Watch,
};
use super::ledger::{Account, Ledger, Row};
use super::plan::{A, B, BEST_EFFORT_PER_SECOND, Common, LF_PORT, Site};
use super::screen::Screen;

/// Plays the demo. Whether everything added up.
///
/// # Errors
/// Something does not work as it should, or the process was asked to stop. Nothing is left behind either way.
pub(crate) fn play(program: &Path, patience: &Patience, screen: &Screen) -> Result<bool> {
    lab::remove_leftovers();
    let started = Instant::now();
    let mut stage = Stage::build(program, patience.clone(), screen)?;
    screen.step("two hosts, two filters, and the Internet between them", "up");
    for act in
        [ping, tcp, udp, replay, another_port, flip_header_bits, flip_payload_bits, forge, no_proof, flood, stale]
    {
        let row = act(&mut stage)?;
        let who = if row.is_attack { "attacker:  " } else { "host A:    " };
        screen.step(&format!("{who}{}", row.class), &outcome(&row, screen));
        stage.ledger.add(row);
    }
    let (ledger, accounts) = stage.strike()?;
    screen.line("");
    ledger.print(&accounts, screen);
    screen.line(
        &screen
            .dim(&format!("All processes and namespaces are gone again. It took {} s.", started.elapsed().as_secs())),
    );
    Ok(ledger.adds_up(&accounts))
}

/// How a row of the table reads as it is made.
fn outcome(row: &Row, screen: &Screen) -> String {
    let text = match row.arrived {
        0 => format!("all {} refused", row.all_refused()),
        arrived if arrived == row.sent => format!("all {arrived} arrived"),
        arrived => format!("{arrived} of {} arrived", row.sent),
    };
    let as_expected = row.adds_up() && (row.is_attack || row.arrived == row.sent);
    if as_expected { screen.green(&text) } else { screen.red(&text) }
}

struct Stage {
    patience: Patience,
    ledger: Ledger,
    filters: [Filter; 2],
    /// What each filter lost while its ports were being connected.
    lost_at_first: [u64; 2],
    key_servers: KeyServers,
    watches: [Watch; 2],
    attacker: RawSocket,
    /// What the attacker heard of the UDP traffic, and when the last of it was sent.
    overheard: Vec<Overheard>,
    overheard_at: Instant,
    // Dropped last: what is in the namespaces must be gone before they are.
    sides: [Side; 2],
    internet: Internet,
    _directory: tempfile::TempDir,
}

impl Stage {
    fn build(program: &Path, patience: Patience, screen: &Screen) -> Result<Self> {
        let directory = tempfile::tempdir().context("a directory for the demo's files")?;
        let places = FIBRE.map(|there| Place {
            filters: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 8443),
            servers: SocketAddr::new(there, 8444),
        });
        let common = Common::new(TIME_THRESHOLD, places, SocketAddr::new(FIBRE[0], 8450))?;
        let internet = Internet::create()?;
        let sides = [Side::create('a')?, Side::create('b')?];
        sides[0].join(&sides[1])?;
        let commands = sides.each_ref().map(|side| side.filter.command(program));
        let key_servers = keys::start(&common, directory.path(), commands, &patience, screen)?;
        let start = |side: &Side, site: &Site| {
            let name = format!("pg-demo-{}-{}", std::process::id(), side.letter);
            let (inside, outside) = (format!("net_tap0,iface={INSIDE}"), format!("net_tap1,iface={OUTSIDE}"));
            let config = common.filter_toml(&name, site, &inside, &outside);
            let filter = Filter::start(side.filter.command(program), directory.path(), &name, &config, &patience)
                .with_context(|| format!("filter {}", side.letter.to_ascii_uppercase()))?;
            internet.connect(side)?;
            side.connect_host(&site.addresses().each_ref().map(String::as_str))?;
            Ok::<_, anyhow::Error>(filter)
        };
        let filters = [start(&sides[0], &A)?, start(&sides[1], &B)?];
        let watch = |side: &Side| Watch::start(&side.host, HOST_INTERFACE);
        let watches = [watch(&sides[0])?, watch(&sides[1])?];
        let attacker = internet.attacker_socket()?;
        let mut stage = Self {
            patience,
            ledger: Ledger::default(),
            filters,
            lost_at_first: [0; 2],
            key_servers,
            watches,
            attacker,
            overheard: Vec::new(),
            overheard_at: Instant::now(),
            sides,
            internet,
            _directory: directory,
        };
        stage.patience.until("host A to reach host B", Filter::KEYS_TIMEOUT, || {
            Ok(host::ping(&stage.sides[0].host, B.v4.into(), 1)
                .and(host::ping(&stage.sides[0].host, B.v6.into(), 1))
                .ok())
        })?;
        stage.lost_at_first = [stage.filters[0].counters()?.lost, stage.filters[1].counters()?.lost];
        Ok(stage)
    }

    /// Stops filters and key servers, and takes everything down.
    fn strike(self) -> Result<(Ledger, Vec<Account>)> {
        let mut accounts = Vec::new();
        for ((filter, site), lost) in self.filters.into_iter().zip([A, B]).zip(self.lost_at_first) {
            let name = format!("filter {}", site.letter.to_ascii_uppercase());
            let mut counters = filter.counters()?;
            counters.lost -= lost;
            let ended = filter.stop(&self.patience)?;
            ensure!(ended.with(0), "{name} ended with {}:\n{}", ended.status, ended.output);
            accounts.push(Account { filter: name, counters });
        }
        self.key_servers.stop(&self.patience)?;
        Ok((self.ledger, accounts))
    }

    /// Counts what `act` leads to. It tells how many packets the attacker sent, if it is an attack.
    fn measure(&mut self, class: &str, flow: Flow, act: impl FnOnce(&mut Self) -> Result<Option<u64>>) -> Result<Row> {
        let seen = |stage: &Self, direction| stage.watches.each_ref().map(|watch| watch.count(direction, flow));
        let counters = |stage: &Self| -> Result<_> { Ok([stage.filters[0].counters()?, stage.filters[1].counters()?]) };
        let since = |now: [u64; 2], then: [u64; 2]| now.iter().sum::<u64>() - then.iter().sum::<u64>();
        let before = (seen(self, Direction::Out), seen(self, Direction::In), counters(self)?);
        let attacked = act(self)?;
        let look = |stage: &Self| -> Result<Row> {
            let mut refused = std::collections::BTreeMap::new();
            for (now, then) in counters(stage)?.iter().zip(&before.2) {
                for (reason, count) in now.dropped_since(then) {
                    *refused.entry(reason).or_default() += count;
                }
            }
            let sent = attacked.unwrap_or_else(|| since(seen(stage, Direction::Out), before.0));
            let arrived = since(seen(stage, Direction::In), before.1);
            Ok(Row { class: class.to_owned(), is_attack: attacked.is_some(), sent, arrived, refused })
        };
        // Packets are under way for a moment. If the sum is not right in the end, the table says so.
        let start = Instant::now();
        let mut row = look(self)?;
        while !row.adds_up() && start.elapsed() < SETTLE_TIMEOUT {
            self.patience.sleep(Duration::from_millis(20))?;
            row = look(self)?;
        }
        Ok(row)
    }

    /// Sends what the attacker has made to filter B.
    fn attack(&self, frames: impl IntoIterator<Item = Vec<u8>>) -> Result<Option<u64>> {
        // On a hub everybody hears everything, and filter A would refuse it all once more.
        self.internet.set_connected(&self.sides[0], false)?;
        let sent = self.send(frames);
        self.internet.set_connected(&self.sides[0], true)?;
        sent.map(Some)
    }

    /// Sends frames at a pace that filter B keeps up with.
    fn send(&self, frames: impl IntoIterator<Item = Vec<u8>>) -> Result<u64> {
        let before = self.filters[1].counters()?.received;
        let mut sent = 0;
        for frame in frames {
            self.attacker.send(&frame)?;
            sent += 1;
            if sent % PACE == 0 {
                // A TAP interface's queue holds a thousand packets, and what does not fit is lost without a trace.
                self.patience.until("filter B to take the attacker's packets", SETTLE_TIMEOUT, || {
                    Ok((self.filters[1].counters()?.received >= before + sent).then_some(()))
                })?;
            }
        }
        Ok(sent)
    }

    /// What passes the attacker by of the datagrams that `act` sends to `port`.
    fn overhear(&self, port: u16, act: impl FnOnce() -> Result<()>) -> Result<Vec<Overheard>> {
        self.attacker.drain()?;
        act()?;
        let mut overheard = Vec::new();
        self.patience.until("the attacker to overhear what host A sends", SETTLE_TIMEOUT, || {
            while let Some((direction, frame)) = self.attacker.receive()? {
                let packet = Overheard::recognise(frame, LF_PORT).filter(|packet| packet.flow() == Flow::Udp(port));
                overheard.extend(packet.filter(|_| direction == Direction::In));
                if overheard.len() == 2 * DATAGRAMS {
                    return Ok(Some(()));
                }
            }
            Ok(None)
        })?;
        Ok(overheard)
    }

    /// Packets of host A's that never get to filter B, since the attacker has cut the wire for as long as they are sent.
    fn intercept(&self, port: u16) -> Result<Vec<Overheard>> {
        self.internet.set_connected(&self.sides[1], false)?;
        let overheard = self.overhear(port, || host::udp(&self.sides[0].host, &host_b(), port, DATAGRAMS));
        self.internet.set_connected(&self.sides[1], true)?;
        overheard
    }
}

fn ping(stage: &mut Stage) -> Result<Row> {
    stage.measure("ping, both ways", Flow::Echo, |stage| {
        for address in host_b() {
            host::ping(&stage.sides[0].host, address, PINGS)?;
        }
        Ok(None)
    })
}

fn tcp(stage: &mut Stage) -> Result<Row> {
    stage.measure("TCP, a connection over each of IPv4 and IPv6", Flow::Tcp, |stage| {
        for address in host_b() {
            host::tcp(&stage.sides[0].host, &stage.sides[1].host, address, TCP_BYTES)?;
        }
        Ok(None)
    })
}

fn udp(stage: &mut Stage) -> Result<Row> {
    let _listening = host::listen_udp(&stage.sides[1].host, &host_b(), port::UDP)?;
    stage.measure("UDP", Flow::Udp(port::UDP), |stage| {
        stage.overheard =
            stage.overhear(port::UDP, || host::udp(&stage.sides[0].host, &host_b(), port::UDP, DATAGRAMS))?;
        stage.overheard_at = Instant::now();
        Ok(None)
    })
}

fn replay(stage: &mut Stage) -> Result<Row> {
    stage.measure("replayed at once", Flow::Udp(port::UDP), |stage| {
        stage.attack(stage.overheard.iter().map(|packet| packet.frame().to_vec()))
    })
}

fn another_port(stage: &mut Stage) -> Result<Row> {
    stage.measure("replayed from another UDP port", Flow::Udp(port::UDP), |stage| {
        stage.attack(stage.overheard.iter().zip(1024..).map(|(packet, port)| packet.with_source_port(port)))
    })
}

fn flip_header_bits(stage: &mut Stage) -> Result<Row> {
    let packets = stage.intercept(port::HEADER)?;
    stage.measure("one bit flipped in the header", Flow::Udp(port::HEADER), |stage| {
        stage.attack(packets.iter().enumerate().map(|(index, packet)| packet.with_header_bit_flipped(index)))
    })
}

fn flip_payload_bits(stage: &mut Stage) -> Result<Row> {
    let packets = stage.intercept(port::PAYLOAD)?;
    stage.measure("one bit flipped in the payload", Flow::Udp(port::PAYLOAD), |stage| {
        stage.attack(packets.iter().enumerate().map(|(index, packet)| packet.with_payload_bit_flipped(index)))
    })
}

fn forge(stage: &mut Stage) -> Result<Row> {
    let class = format!("forged, as if from AS {}", A.isd_as);
    stage.measure(&class, Flow::Udp(port::FORGED), |stage| {
        let forged = stage.overheard.iter().zip(0..).map(|(packet, number)| packet.imitated(number, port::FORGED));
        let forged: Vec<_> = forged.collect::<Result<_>>()?;
        stage.attack(forged)
    })
}

fn no_proof(stage: &mut Stage) -> Result<Row> {
    let class = format!("from {}, without a proof of origin", A.v4);
    stage.measure(&class, Flow::Udp(port::PLAIN), |stage| {
        stage.attack((0..2 * DATAGRAMS).map(|_| frames::udp(A.v4.into(), B.v4.into(), port::PLAIN, b"trust me")))
    })
}

fn flood(stage: &mut Stage) -> Result<Row> {
    let _listening = host::listen_udp(&stage.sides[1].host, &host_b(), port::FLOOD)?;
    let class = format!("flood from nowhere, limit {BEST_EFFORT_PER_SECOND} packets/s");
    stage.measure(&class, Flow::Udp(port::FLOOD), |stage| {
        stage.attack((0..FLOOD).map(|_| frames::udp(frames::NOWHERE, B.v4.into(), port::FLOOD, b"flood")))
    })
}

fn stale(stage: &mut Stage) -> Result<Row> {
    let left = (TIME_THRESHOLD + Duration::from_millis(500)).saturating_sub(stage.overheard_at.elapsed());
    stage.patience.sleep(left)?;
    let class = format!("replayed {} seconds later", TIME_THRESHOLD.as_secs());
    stage.measure(&class, Flow::Udp(port::UDP), |stage| {
        stage.attack(stage.overheard.iter().map(|packet| packet.frame().to_vec()))
    })
}

fn host_b() -> [IpAddr; 2] {
    [B.v4.into(), B.v6.into()]
}

/// The UDP port inside tells the kinds of traffic apart.
mod port {
    pub(super) const UDP: u16 = 7001;
    pub(super) const HEADER: u16 = 7002;
    pub(super) const PAYLOAD: u16 = 7003;
    pub(super) const FORGED: u16 = 7004;
    pub(super) const PLAIN: u16 = 7005;
    pub(super) const FLOOD: u16 = 7006;
}

/// Long enough that replays are replays even on a machine that is busy with something else.
const TIME_THRESHOLD: Duration = Duration::from_secs(5);

/// By how much packets may be late.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);

const PINGS: u32 = 20;
const TCP_BYTES: usize = 500_000;

/// Over each of IPv4 and IPv6.
const DATAGRAMS: usize = 100;

const FLOOD: usize = 3_000;

/// Packets that the attacker sends before it looks whether they were taken.
const PACE: u64 = 200;

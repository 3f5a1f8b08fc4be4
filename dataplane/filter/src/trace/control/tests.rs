use super::*;
use crate::trace::{Tap, Tracer};
use pcap_file::pcapng::{Block, PcapNgReader};
use photongate_pipeline::{Frame, Outcome, PortIndex};
use photongate_wire::UnixNanos;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};
use tempfile::TempDir;

#[test]
fn only_the_filters_own_user_may_open_the_socket() {
    let server = Server::start();
    let mode = fs::metadata(server.socket.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn status_is_what_the_filter_says() {
    let server = Server::start();
    let mut client = server.connect();
    assert_eq!(client.ask(r#"{"request":"status"}"#), r#"{"ok":true,"status":{"received":42}}"#);
}

#[test]
fn a_bad_request_is_answered_with_what_is_wrong() {
    let server = Server::start();
    for (request, expected) in [
        ("", "the request cannot be understood: EOF"),
        ("nonsense", "the request cannot be understood: expected"),
        (r#"{"request":"stop"}"#, "unknown variant `stop`, expected `trace` or `status`"),
        (r#"{"request":"trace","snap_len":0}"#, "snap_len is 0: it must be from 1 to 9728"),
        (r#"{"request":"trace","reasons":["x"]}"#, "there is no reason"),
    ] {
        let answer = server.connect().ask(request);
        assert!(answer.starts_with(r#"{"error":""#) && answer.contains(expected), "{request}: {answer}");
    }
    let endless = server.connect().ask(&"x".repeat(LONGEST_LINE));
    assert!(endless.contains("one line of up to"), "{endless}");
}

#[test]
fn a_trace_ends_after_as_many_packets_as_were_asked_for() {
    let mut server = Server::start();
    let mut client = server.connect();
    assert_eq!(client.ask(r#"{"request":"trace","packets":3}"#), r#"{"ok":true}"#);
    server.send_packets(5);
    assert_eq!(packets(&client.rest()), 3);
}

#[test]
fn a_trace_ends_after_its_time_and_after_its_bytes() {
    let mut server = Server::start();
    let mut client = server.connect();
    client.ask(r#"{"request":"trace","duration_ms":30}"#);
    let started = Instant::now();
    assert_eq!(packets(&client.rest()), 0);
    assert!(started.elapsed() < Duration::from_secs(5));

    let mut client = server.connect();
    client.ask(r#"{"request":"trace","bytes":100}"#);
    server.send_packets(4);
    assert_eq!(packets(&client.rest()), 2, "of 60 bytes each");
}

#[test]
fn a_full_trace_does_not_count_what_came_behind_its_last_packet() {
    let mut server = Server::start();
    let mut client = server.connect();
    client.ask(r#"{"request":"trace","packets":3}"#);
    for _ in 0..100 {
        server.send_packets(32);
    }
    let file = client.rest();
    assert_eq!(packets(&file), 3);
    let statistics = format!("{:?}", blocks(&file).last());
    assert!(statistics.contains("IsbOsDrop(0)"), "{statistics}");
}

#[test]
fn a_client_that_closes_its_side_gets_the_rest_of_the_file() {
    let mut server = Server::start();
    let mut client = server.connect();
    client.ask(r#"{"request":"trace"}"#);
    server.send_packets(2);
    client.stream.shutdown(Shutdown::Write).unwrap();
    let file = client.rest();
    assert_eq!(packets(&file), 2);
    assert!(ends_with_statistics(&file));
    server.wait_until_idle();
}

#[test]
fn a_client_that_vanishes_ends_its_trace() {
    let server = Server::start();
    let mut client = server.connect();
    client.ask(r#"{"request":"trace"}"#);
    assert!(server.tap.is_active());
    drop(client);
    server.wait_until_idle();
}

#[test]
fn a_client_that_does_not_read_holds_up_nobody() {
    let mut server = Server::start();
    let mut deaf = server.connect();
    deaf.ask(r#"{"request":"trace"}"#);
    let mut other = server.connect();
    other.ask(r#"{"request":"trace","packets":20000}"#);
    let reader = thread::spawn(move || packets(&other.rest()));
    let started = Instant::now();
    while !reader.is_finished() {
        server.send_packets(32);
        assert!(started.elapsed() < Duration::from_secs(60), "the other client gets its packets");
    }
    assert_eq!(reader.join().unwrap(), 20_000);
    drop(server);
}

#[test]
fn more_clients_than_there_are_places_for_are_told_so() {
    let server = Server::start();
    let mut clients: Vec<_> = (0..MAX_CLIENTS).map(|_| server.connect()).collect();
    for client in &mut clients[..4] {
        assert_eq!(client.ask(r#"{"request":"trace"}"#), r#"{"ok":true}"#);
    }
    assert!(clients[4].ask(r#"{"request":"trace"}"#).contains("as many traces run already"));
    let mut waiting = server.connect();
    let answer = waiting.line();
    assert!(answer.contains("as many clients as it can") || answer.contains("cannot be"), "{answer}");
}

#[test]
fn when_the_filter_stops_the_file_is_complete_and_the_socket_gone() {
    let mut server = Server::start();
    let mut client = server.connect();
    client.ask(r#"{"request":"trace"}"#);
    server.send_packets(1);
    let path = server.socket.path().to_owned();
    let Server { socket, _folder, .. } = server;
    drop(socket);
    assert!(!path.exists());
    let file = client.rest();
    assert_eq!(packets(&file), 1);
    assert!(ends_with_statistics(&file));
}

#[test]
fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("filter.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "left behind");
    let (tracer, _) = Tracer::new(1);
    let first = ControlSocket::open(options(&path, &tracer)).unwrap();
    let second = ControlSocket::open(options(&path, &tracer));
    assert!(matches!(second, Err(ControlError(SocketError::InUse { .. }))), "{second:?}");
    drop(first);
    fs::write(&path, "precious").unwrap();
    let third = ControlSocket::open(options(&path, &tracer));
    assert!(matches!(third, Err(ControlError(SocketError::NotASocket { .. }))), "{third:?}");
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

#[test]
fn the_folder_is_made_if_its_parent_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let (tracer, _) = Tracer::new(1);
    let path = folder.path().join("photongate").join("filter.sock");
    let socket = ControlSocket::open(options(&path, &tracer)).unwrap();
    assert!(socket.path().exists());
    let far = folder.path().join("not").join("there").join("filter.sock");
    let refused = ControlSocket::open(options(&far, &tracer));
    assert!(matches!(refused, Err(ControlError(SocketError::Refused { .. }))), "{refused:?}");
}

#[test]
fn a_path_too_long_for_a_socket_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (tracer, _) = Tracer::new(1);
    let error = ControlSocket::open(options(&folder.path().join("x".repeat(120)), &tracer)).unwrap_err();
    assert!(error.to_string().contains("longer than a socket's may be"), "{error}");
}

struct Server {
    socket: ControlSocket,
    tap: Tap,
    _folder: TempDir,
}

struct Client {
    stream: UnixStream,
    reader: BufReader<UnixStream>,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (tracer, mut taps) = Tracer::new(1);
        let socket = ControlSocket::open(options(&folder.path().join("filter.sock"), &tracer)).unwrap();
        Self { socket, tap: taps.pop().unwrap(), _folder: folder }
    }

    fn connect(&self) -> Client {
        let stream = UnixStream::connect(self.socket.path()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        Client { stream, reader }
    }

    /// Has the worker see packets of 60 bytes, all of which it drops.
    fn send_packets(&mut self, count: usize) {
        let mut buffers = vec![[9; 60]; count];
        let frames: Vec<_> = buffers.iter_mut().map(|buffer| Frame::new(buffer, 0, 60, PortIndex(0))).collect();
        self.tap.before(&frames, UnixNanos(1));
        self.tap.after(&vec![Outcome::UNDECIDED; count]);
    }

    fn wait_until_idle(&self) {
        let started = Instant::now();
        while self.tap.is_active() {
            assert!(started.elapsed() < Duration::from_secs(10), "the trace still runs");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Client {
    fn ask(&mut self, request: &str) -> String {
        // The other side may have hung up already: then its answer says why.
        let _ = writeln!(self.stream, "{request}");
        self.line()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn rest(&mut self) -> Vec<u8> {
        let mut file = Vec::new();
        self.reader.read_to_end(&mut file).unwrap();
        file
    }
}

fn options(path: &Path, tracer: &Arc<Tracer>) -> ControlOptions {
    ControlOptions {
        path: path.to_owned(),
        traces: Arc::new(TraceDesk::new(Arc::clone(tracer), vec!["inside".to_owned()])),
        status: Box::new(|| serde_json::json!({ "received": 42 })),
    }
}

fn packets(file: &[u8]) -> usize {
    blocks(file).iter().filter(|block| matches!(block, Block::EnhancedPacket(_))).count()
}

fn ends_with_statistics(file: &[u8]) -> bool {
    matches!(blocks(file).last(), Some(Block::InterfaceStatistics(_)))
}

fn blocks(file: &[u8]) -> Vec<Block<'static>> {
    let mut reader = PcapNgReader::new(file).unwrap();
    let mut blocks = Vec::new();
    while let Some(block) = reader.next_block() {
        blocks.push(block.unwrap().into_owned());
    }
    blocks
}

const LONGEST_LINE: usize = 40 << 10;

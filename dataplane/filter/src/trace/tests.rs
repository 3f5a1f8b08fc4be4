use super::*;
use crate::trace::writer::TraceWriter;
use pcap_file::pcapng::{Block, PcapNgReader};
use photongate_pipeline::{Action, DropReason, Frame, MAX_BURST, Outcome, PortIndex, Verdict};
use photongate_wire::UnixNanos;
use std::io::Cursor;
use std::thread;

const NOW: UnixNanos = UnixNanos(1_795_230_000_000_000_000);
const BAD_MAC: Verdict = Verdict::Dropped(DropReason::BadMac);

fn plan(request: &TraceRequest) -> Plan {
    request.plan().unwrap()
}

fn everything() -> Plan {
    plan(&TraceRequest::default())
}

fn outcome(verdict: Verdict) -> Outcome {
    Outcome { verdict, action: Action::Discard, ..Outcome::UNDECIDED }
}

/// Sends a burst through the tap as a worker does: what the pipeline does to the frames is to wipe them.
fn burst(tap: &mut Tap, packets: &[(&[u8], Verdict)]) {
    if !tap.is_active() {
        return;
    }
    let mut buffers: Vec<Vec<u8>> = packets.iter().map(|(bytes, _)| bytes.to_vec()).collect();
    let mut frames: Vec<Frame<'_>> = buffers
        .iter_mut()
        .map(|buffer| {
            let end = buffer.len();
            Frame::new(buffer, 0, end, PortIndex(1))
        })
        .collect();
    tap.before(&frames, NOW);
    frames.iter_mut().for_each(|frame| frame.bytes_mut().fill(0xee));
    let outcomes: Vec<Outcome> = packets.iter().map(|(_, verdict)| outcome(*verdict)).collect();
    tap.after(&outcomes);
}

/// What the trace has so far: verdict and bytes of each packet.
fn taken(trace: &Trace<'_>) -> Vec<(Verdict, Vec<u8>)> {
    std::iter::from_fn(|| trace.take(|record| (record.about.verdict, record.bytes().to_vec()))).collect()
}

fn one_tap() -> (Arc<Tracer>, Tap) {
    let (tracer, mut taps) = Tracer::new(1);
    (tracer, taps.pop().unwrap())
}

#[test]
fn a_tap_is_active_exactly_while_a_trace_runs() {
    let (tracer, tap) = one_tap();
    assert!(!tap.is_active());
    let (first, second) = (tracer.start(&everything()).unwrap(), tracer.start(&everything()).unwrap());
    drop(first);
    assert!(tap.is_active());
    drop(second);
    assert!(!tap.is_active());
}

#[test]
fn packets_are_traced_as_they_arrived_with_what_became_of_them() {
    let (tracer, mut tap) = one_tap();
    let trace = tracer.start(&everything()).unwrap();
    burst(&mut tap, &[(b"first", Verdict::Accepted), (b"second", BAD_MAC)]);
    let about = trace.take(|record| record.about).unwrap();
    assert_eq!((about.time, about.port, about.worker, about.original_len), (NOW, PortIndex(1), 0, 5));
    assert_eq!(taken(&trace), [(BAD_MAC, b"second".to_vec())]);
}

#[test]
fn only_wanted_verdicts_are_traced() {
    let (tracer, mut tap) = one_tap();
    let reasons = vec!["bad_mac".to_owned()];
    let trace = tracer.start(&plan(&TraceRequest { reasons, ..TraceRequest::default() })).unwrap();
    burst(&mut tap, &[(b"a", Verdict::Accepted), (b"b", BAD_MAC), (b"c", Verdict::Dropped(DropReason::BadHash))]);
    assert_eq!(taken(&trace), [(BAD_MAC, b"b".to_vec())]);
    assert_eq!(trace.left_out(), 0);
}

#[test]
fn long_packets_are_cut_to_what_each_trace_wants() {
    let (tracer, mut tap) = one_tap();
    let short = tracer.start(&plan(&TraceRequest { snap_len: 3, ..TraceRequest::default() })).unwrap();
    let long = tracer.start(&plan(&TraceRequest { snap_len: 9_728, ..TraceRequest::default() })).unwrap();
    let jumbo = [7; 9_728];
    let packets: Vec<(&[u8], Verdict)> = vec![(&jumbo, Verdict::Accepted); MAX_BURST];
    burst(&mut tap, &packets);
    assert_eq!(short.take(|record| (record.bytes().len(), record.about.original_len)), Some((3, 9_728)));
    let long = taken(&long);
    assert_eq!(long.len(), MAX_BURST, "there is room for a whole burst of the longest packets");
    assert!(long.iter().all(|(_, bytes)| bytes == &jumbo));
}

#[test]
fn a_sample_has_about_its_share_of_the_packets() {
    let (tracer, mut tap) = one_tap();
    let trace = tracer.start(&plan(&TraceRequest { sample: 10, ..TraceRequest::default() })).unwrap();
    for _ in 0..1_000 {
        burst(&mut tap, &[(&b"x"[..], Verdict::Accepted); 4]);
    }
    let count = taken(&trace).len();
    assert!((300..500).contains(&count), "{count} of 4000");
}

#[test]
fn what_the_client_is_too_slow_for_is_left_out_and_counted() {
    let (tracer, mut tap) = one_tap();
    let trace = tracer.start(&everything()).unwrap();
    for _ in 0..RECORDS / 2 + 5 {
        burst(&mut tap, &[(b"1", Verdict::Accepted), (b"2", Verdict::Accepted)]);
    }
    assert_eq!(trace.left_out(), 10);
    assert_eq!(taken(&trace).len(), RECORDS);
    burst(&mut tap, &[(b"3", Verdict::Accepted)]);
    assert_eq!(taken(&trace), [(Verdict::Accepted, b"3".to_vec())], "and goes on when there is room again");
}

#[test]
fn a_new_trace_shows_nothing_of_the_one_before() {
    let (tracer, mut tap) = one_tap();
    let trace = tracer.start(&everything()).unwrap();
    burst(&mut tap, &[(b"seen", Verdict::Accepted)]);
    let mut buffer = b"in between".to_vec();
    let frames = [Frame::new(&mut buffer, 0, 10, PortIndex(0))];
    tap.before(&frames, NOW);
    drop(trace);
    let trace = tracer.start(&everything()).unwrap();
    tap.after(&[outcome(Verdict::Accepted)]);
    assert!(taken(&trace).is_empty());
    burst(&mut tap, &[(b"new", Verdict::Accepted)]);
    assert_eq!(taken(&trace), [(Verdict::Accepted, b"new".to_vec())]);
}

#[test]
fn there_are_only_so_many_traces_at_a_time() {
    let (tracer, _) = one_tap();
    let traces: Vec<_> = (0..MAX_TRACES).map(|_| tracer.start(&everything()).unwrap()).collect();
    assert!(tracer.start(&everything()).is_none());
    drop(traces);
    assert!(tracer.start(&everything()).is_some());
}

#[test]
fn packets_go_from_two_workers_to_a_pcapng_file_without_loss_or_mixture() {
    let (tracer, taps) = Tracer::new(2);
    let trace = tracer.start(&everything()).unwrap();
    let mut file = TraceWriter::new(Vec::new(), &["inside".to_owned(), "outside".to_owned()], 256).unwrap();
    let mut written = 0;
    thread::scope(|scope| {
        let workers: Vec<_> = taps.into_iter().map(|tap| scope.spawn(|| run_worker(tap))).collect();
        let mut left_out = 0;
        while written + left_out < 2 * PACKETS {
            match trace.take(|record| file.write(record)) {
                Some(result) => {
                    result.unwrap();
                    written += 1;
                }
                None => {
                    left_out = trace.left_out();
                    thread::yield_now();
                }
            }
        }
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
    let counts = packets_by_verdict(file);
    assert_eq!(counts.iter().sum::<u64>(), written);
}

const PACKETS: u64 = 20_000;

fn run_worker(mut tap: Tap) {
    for number in 0..PACKETS / 2 {
        let [accepted, refused] = [[1; 64], [2; 64]];
        burst(&mut tap, &[(&accepted, Verdict::Accepted), (&refused, BAD_MAC)]);
        if number % 64 == 0 {
            thread::yield_now();
        }
    }
}

/// Counts the packets of a file by verdict, and compares each packet's bytes with its verdict.
fn packets_by_verdict(file: TraceWriter<Vec<u8>>) -> [u64; 2] {
    let bytes = file.finish(0, NOW).unwrap();
    let mut reader = PcapNgReader::new(Cursor::new(bytes)).unwrap();
    let mut counts = [0; 2];
    while let Some(block) = reader.next_block() {
        if let Block::EnhancedPacket(packet) = block.unwrap() {
            let comment = format!("{:?}", packet.options);
            let kind = usize::from(comment.contains("dropped bad_mac"));
            assert!(packet.data.iter().all(|byte| usize::from(*byte) == kind + 1), "{comment}: {:?}", packet.data);
            counts[kind] += 1;
        }
    }
    counts
}

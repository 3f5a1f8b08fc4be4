use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use tempfile::TempDir;
use tokio::io::AsyncReadExt;

use super::*;
use crate::testing::MemoryPath;

#[tokio::test]
async fn a_trace_can_be_fetched_when_it_has_ended() {
    let (_folder, traces) = desk();
    let info = traces.start(TraceRequest { packets: Some(3), ..TraceRequest::default() }, "token admin").unwrap();
    assert_eq!((info.id, info.started_by.as_str(), info.state), (1, "token admin", TraceState::Running));
    let info = traces.stop(1).await.unwrap();
    assert_eq!(info.state, TraceState::Finished);
    let (mut file, size) = traces.file(1).await.unwrap();
    let mut content = Vec::new();
    file.read_to_end(&mut content).await.unwrap();
    assert_eq!((content.len() as u64, info.size_bytes), (size, size));
    assert!(size > 0);
}

#[tokio::test]
async fn only_the_owner_can_read_a_trace() {
    let (folder, traces) = desk();
    traces.start(TraceRequest::default(), "ops").unwrap();
    let mode = |path: &str| fs::metadata(folder.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("traces"), mode("traces/trace-1.pcapng")), (0o700, 0o600));
    traces.stop_all();
}

#[tokio::test]
async fn a_trace_that_runs_has_no_file_yet() {
    let (_folder, traces) = desk();
    traces.start(TraceRequest::default(), "ops").unwrap();
    assert!(matches!(traces.file(1).await, Err(TraceRefused::Running(1))));
    traces.stop_all();
}

#[tokio::test]
async fn no_more_traces_run_than_there_are_places_for() {
    let (_folder, traces) = desk();
    for _ in 0..MOST_RUNNING {
        traces.start(TraceRequest::default(), "ops").unwrap();
    }
    assert!(matches!(traces.start(TraceRequest::default(), "ops"), Err(TraceRefused::TooMany)));
    traces.stop(2).await.unwrap();
    assert!(traces.start(TraceRequest::default(), "ops").is_ok());
    traces.stop_all();
}

#[tokio::test]
async fn the_oldest_ended_trace_makes_room_for_a_new_one() {
    let (folder, traces) = desk();
    for id in 1..=MOST_KEPT as u64 + 1 {
        traces.start(TraceRequest::default(), "ops").unwrap();
        traces.stop(id).await.unwrap();
    }
    let kept: Vec<_> = traces.list().iter().map(|trace| trace.id).collect();
    assert_eq!(kept, (2..=17).collect::<Vec<_>>());
    assert_eq!(fs::read_dir(folder.path().join("traces")).unwrap().count(), MOST_KEPT);
}

#[tokio::test]
async fn numbers_of_deleted_traces_are_not_used_again() {
    let (folder, traces) = desk();
    traces.start(TraceRequest::default(), "ops").unwrap();
    traces.delete(1).await.unwrap();
    assert!(matches!(traces.one(1), Err(TraceRefused::Unknown(1))));
    assert!(!folder.path().join("traces/trace-1.pcapng").exists());
    assert_eq!(traces.start(TraceRequest::default(), "ops").unwrap().id, 2);
    traces.stop_all();
}

#[tokio::test]
async fn traces_of_an_earlier_run_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("trace-7.pcapng"), "left behind").unwrap();
    fs::write(folder.path().join("notes.txt"), "somebody else's").unwrap();
    Traces::at(folder.path().to_owned(), Arc::new(MemoryPath::default())).unwrap();
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["notes.txt"]);
}

#[tokio::test]
async fn a_trace_ends_when_its_time_is_over() {
    let (_folder, traces) = desk();
    let begun = Instant::now();
    traces.start(TraceRequest { duration_ms: Some(20), ..TraceRequest::default() }, "ops").unwrap();
    while traces.one(1).unwrap().state == TraceState::Running {
        assert!(begun.elapsed() < Duration::from_secs(10), "it does not end");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(traces.one(1).unwrap().state, TraceState::Finished);
}

#[tokio::test]
async fn a_trace_that_breaks_down_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let traces = Traces::at(folder.path().join("traces"), Arc::new(Broken)).unwrap();
    traces.start(TraceRequest::default(), "ops").unwrap();
    let info = traces.stop(1).await.unwrap();
    assert_eq!(info.state, TraceState::Failed);
    assert_eq!(info.error.as_deref(), Some("the trace cannot be written: the trace has broken down"));
    assert!(matches!(traces.file(1).await, Err(TraceRefused::Failed(1, _))));
}

#[test]
fn a_full_file_ends_its_trace() {
    let (size, stop) = (Arc::new(AtomicU64::new(MOST_BYTES - 10)), Arc::new(AtomicBool::new(false)));
    let mut output = Bounded { output: io::sink(), size, stop: Arc::clone(&stop) };
    output.write_all(&[0; 9]).unwrap();
    assert!(!stop.load(Ordering::Relaxed));
    output.write_all(&[0; 1]).unwrap();
    assert!(stop.load(Ordering::Relaxed));
}

fn desk() -> (TempDir, Traces) {
    let folder = tempfile::tempdir().unwrap();
    let traces = Traces::at(folder.path().join("traces"), Arc::new(MemoryPath::default())).unwrap();
    (folder, traces)
}

/// An observer whose traces panic.
struct Broken;

impl Observer for Broken {
    fn workers(&self) -> Vec<crate::api::Worker> {
        Vec::new()
    }

    fn ports(&self) -> Vec<crate::api::Port> {
        Vec::new()
    }

    fn tally(&self) -> photongate_pipeline::Tally {
        photongate_pipeline::Tally::default()
    }

    fn trace(&self, _: &TraceRequest, _: &mut dyn Write, _: &AtomicBool) -> Result<TraceEnd, TraceError> {
        panic!("as the test wants it");
    }
}

//! What a burst costs in each backend: MACs from the AS-AS key down, and SHA-1 at three payload lengths.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use photongate_crypto::{Digest, HashJob, Input, Key, MacJob, Schedule, Tag, backend};

criterion_group!(kernels, macs, sha1);
criterion_main!(kernels);

/// Packets in a burst.
const BURST: usize = 32;

fn macs(criterion: &mut Criterion) {
    // A key per packet, as when a burst comes from many peers.
    let schedules: [Schedule; BURST] = std::array::from_fn(|n| Schedule::new(&Key::from_bytes([n as u8; 16])));
    let jobs = schedules.each_ref().map(|schedule| MacJob {
        schedule,
        host_as: Input::new(&[2, 0, 3, 0, 10, 248, 2, 1]),
        host_host: Input::new(&[3, 0, 10, 248, 1, 1]),
        message: [[0x5a; 16]; 2],
    });
    let mut tags = [Tag::default(); BURST];
    let mut group = criterion.benchmark_group("macs");
    group.throughput(Throughput::Elements(BURST as u64));
    for backend in backend::available() {
        group.bench_function(backend.name(), |bencher| bencher.iter(|| backend.macs(&jobs, &mut tags)));
    }
}

fn sha1(criterion: &mut Criterion) {
    let mut digests = [Digest::default(); BURST];
    let mut group = criterion.benchmark_group("sha1");
    for length in [64, 512, 1400] {
        let payloads: [Vec<u8>; BURST] = std::array::from_fn(|n| vec![n as u8; length]);
        let jobs = payloads.each_ref().map(|data| HashJob { data });
        group.throughput(Throughput::Bytes((BURST * length) as u64));
        for backend in backend::available() {
            group.bench_function(BenchmarkId::new(backend.name(), length), |bencher| {
                bencher.iter(|| backend.sha1(&jobs, &mut digests));
            });
        }
    }
}

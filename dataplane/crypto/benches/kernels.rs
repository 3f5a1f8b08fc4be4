//! What a burst costs in each backend: MACs from the AS-AS key down, and SHA-1 and AES-CMAC at three payload lengths.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use photongate_crypto::{CmacJob, Digest, HashJob, Input, Key, MacJob, Tag, backend};

criterion_group!(kernels, macs, sha1, cmacs);
criterion_main!(kernels);

/// Packets in a burst.
const BURST: usize = 32;

/// As between two filters.
const LENGTHS: [usize; 3] = [64, 512, 1400];

fn macs(criterion: &mut Criterion) {
    let keys = keys();
    let jobs =
        keys.each_ref().map(|as_as| MacJob { as_as, host_as: HOST_AS, host_host: HOST_HOST, message: [[0x5a; 16]; 2] });
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
    for length in LENGTHS {
        let payloads = payloads(length);
        let jobs = payloads.each_ref().map(|data| HashJob { data });
        group.throughput(Throughput::Bytes((BURST * length) as u64));
        for backend in backend::available() {
            group.bench_function(BenchmarkId::new(backend.name(), length), |bencher| {
                bencher.iter(|| backend.sha1(&jobs, &mut digests));
            });
        }
    }
}

/// With the derivations of the keys.
fn cmacs(criterion: &mut Criterion) {
    let keys = keys();
    let mut tags = [Tag::default(); BURST];
    let mut group = criterion.benchmark_group("cmacs");
    for length in LENGTHS {
        let payloads = payloads(length);
        let jobs: [CmacJob<'_>; BURST] = std::array::from_fn(|n| CmacJob {
            as_as: &keys[n],
            host_as: HOST_AS,
            host_host: HOST_HOST,
            head: [[0x5a; 16]; 2],
            data: &payloads[n],
        });
        group.throughput(Throughput::Bytes((BURST * length) as u64));
        for backend in backend::available() {
            group.bench_function(BenchmarkId::new(backend.name(), length), |bencher| {
                bencher.iter(|| backend.cmacs(&jobs, &mut tags));
            });
        }
    }
}

/// A key per packet, as when a burst comes from many peers.
fn keys() -> [Key; BURST] {
    std::array::from_fn(|n| Key::from_bytes([n as u8; 16]))
}

fn payloads(length: usize) -> [Vec<u8>; BURST] {
    std::array::from_fn(|n| vec![n as u8; length])
}

/// Between two IPv4 hosts.
const HOST_AS: Input = Input::new(&[2, 0, 3, 0, 10, 248, 2, 1]);
const HOST_HOST: Input = Input::new(&[3, 0, 10, 248, 1, 1]);

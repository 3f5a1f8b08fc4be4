//! What the packet path's state machines cost per packet: duplicate filter, token buckets, routes, steering.
//!
//! `cargo bench -p photongate-pipeline --bench state`. Results are per burst of 32 packets.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ipnet::IpNet;
use photongate_pipeline::duplicates::{DuplicateFilter, Seen, Sizing};
use photongate_pipeline::limits::{Limit, LimitSettings, take_all};
use photongate_pipeline::routes::RouteTable;
use photongate_pipeline::steering::{Over, Steering};
use photongate_pipeline::timestamps::TimestampIssuer;
use photongate_wire::{Nanos, UnixNanos};

criterion_group!(benches, duplicates, limits, routes, steering, timestamps);
criterion_main!(benches);

/// Hot: a filter that fits the second-level cache. Cold: one of 250 MiB, each packet in another line.
fn duplicates(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("duplicates");
    group.throughput(Throughput::Elements(BURST as u64));
    for (name, packets_per_second) in [("hot", 10_000), ("cold", 20_000_000)] {
        let sizing = Sizing::new(packets_per_second, 1e-6, Nanos::from_secs(1), 1 << 30, 1).unwrap();
        let mut filter = DuplicateFilter::new(&sizing, [1, 2]);
        let mut random = Random(1);
        let mut packets =
            || std::array::from_fn::<_, BURST, _>(|_| (random.bytes(), START.saturating_add(random.below_second())));
        filter.advance(START);
        group.bench_function(format!("{name}/contains"), |bencher| {
            bencher.iter_batched(
                &mut packets,
                |packets| packets.iter().filter(|(tag, sent)| filter.contains(tag, *sent) == Seen::Fresh).count(),
                criterion::BatchSize::SmallInput,
            );
        });
        group.bench_function(format!("{name}/prefetch and contains"), |bencher| {
            bencher.iter_batched(
                &mut packets,
                |packets| {
                    packets.iter().for_each(|(tag, sent)| filter.prefetch(&filter.locate(tag, *sent)));
                    packets.iter().filter(|(tag, sent)| filter.contains(tag, *sent) == Seen::Fresh).count()
                },
                criterion::BatchSize::SmallInput,
            );
        });
        group.bench_function(format!("{name}/prefetch and insert"), |bencher| {
            bencher.iter_batched(
                &mut packets,
                |packets| {
                    packets.iter().for_each(|(tag, sent)| filter.prefetch(&filter.locate(tag, *sent)));
                    packets.iter().filter(|(tag, sent)| filter.insert(tag, *sent) == Seen::Fresh).count()
                },
                criterion::BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn limits(criterion: &mut Criterion) {
    let settings = LimitSettings {
        bits_per_second: Some(100_000_000_000),
        packets_per_second: Some(100_000_000),
        ..Default::default()
    };
    let limits: [Limit; 3] = std::array::from_fn(|_| Limit::from_settings(&settings, START));
    let mut group = criterion.benchmark_group("limits");
    group.throughput(Throughput::Elements(BURST as u64));
    let mut now = START;
    let mut burst = |judge: &dyn Fn(UnixNanos) -> bool| {
        now = now.saturating_add(Nanos(1_000));
        (0..BURST).filter(|_| judge(black_box(now))).count()
    };
    let all = limits.each_ref();
    group.bench_function("check", |bencher| bencher.iter(|| burst(&|now| limits[0].check(64, now))));
    group.bench_function("take", |bencher| bencher.iter(|| burst(&|now| limits[0].take(64, now))));
    group.bench_function("take of three", |bencher| bencher.iter(|| burst(&|now| take_all(&all, 64, now))));
    group.finish();
}

/// Prefixes of lengths that routing tables have, destinations that mostly fall into one of them.
fn routes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("routes");
    group.throughput(Throughput::Elements(BURST as u64));
    for count in [10, 1_000, 100_000] {
        for family in ["IPv4", "IPv6"] {
            let mut random = Random(1);
            let prefixes: Vec<IpNet> = (0..count).map(|_| random.prefix(family)).collect();
            let distinct: std::collections::BTreeSet<_> = prefixes.iter().copied().collect();
            let table = RouteTable::new(distinct.into_iter().zip(0_u32..)).unwrap();
            let destinations: Vec<IpAddr> = (0..1 << 16)
                .map(|_| {
                    let prefix = prefixes[random.next() as usize % prefixes.len()];
                    random.address(prefix)
                })
                .collect();
            let mut bursts = destinations.chunks_exact(BURST).cycle();
            group.bench_function(format!("{count} {family}"), |bencher| {
                bencher
                    .iter(|| bursts.next().unwrap().iter().filter_map(|address| table.look_up(*address)).sum::<u32>());
            });
        }
    }
    group.finish();
}

fn steering(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("steering");
    group.throughput(Throughput::Elements(BURST as u64));
    let steering = Steering::new(4, Over::Both);
    for family in ["IPv4", "IPv6"] {
        let mut random = Random(1);
        let pairs: [_; BURST] = std::array::from_fn(|_| (random.any(family), random.any(family)));
        group.bench_function(family, |bencher| {
            bencher.iter(|| {
                black_box(&pairs)
                    .iter()
                    .map(|(source, destination)| steering.owner(*source, *destination))
                    .sum::<usize>()
            });
        });
    }
    group.finish();
}

fn timestamps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("timestamps");
    group.throughput(Throughput::Elements(BURST as u64));
    let mut issuer = TimestampIssuer::new(1, 3, Nanos::from_secs(1));
    let mut now = START;
    group.bench_function("issue", |bencher| {
        bencher.iter(|| {
            now = now.saturating_add(Nanos(1_000));
            (0..BURST).fold(0, |sum, _| sum ^ issuer.issue(black_box(now)).0)
        });
    });
    group.finish();
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn wide(&mut self) -> u128 {
        (u128::from(self.next()) << 64) | u128::from(self.next())
    }

    fn bytes(&mut self) -> [u8; 16] {
        self.wide().to_le_bytes()
    }

    fn below_second(&mut self) -> Nanos {
        Nanos(self.next() % 1_000_000_000)
    }

    fn any(&mut self, family: &str) -> IpAddr {
        if family == "IPv4" { Ipv4Addr::from(self.next() as u32).into() } else { Ipv6Addr::from(self.wide()).into() }
    }

    fn prefix(&mut self, family: &str) -> IpNet {
        let address = match self.any(family) {
            IpAddr::V6(address) => Ipv6Addr::from((address.to_bits() >> 4) | (2 << 124)).into(),
            IpAddr::V4(address) => address.into(),
        };
        let length = if family == "IPv4" { 8 + self.next() % 17 } else { 24 + self.next() % 41 };
        IpNet::new(address, length as u8).unwrap().trunc()
    }

    /// One that lies in the prefix.
    fn address(&mut self, prefix: IpNet) -> IpAddr {
        match prefix {
            IpNet::V4(net) => {
                Ipv4Addr::from_bits(net.network().to_bits() | (self.next() as u32 & net.hostmask().to_bits())).into()
            }
            IpNet::V6(net) => {
                Ipv6Addr::from_bits(net.network().to_bits() | (self.wide() & net.hostmask().to_bits())).into()
            }
        }
    }
}

const BURST: usize = 32;
const START: UnixNanos = UnixNanos(1_800_000_000_000_000_000);

//! The one environment of a test process: no hugepages, no network card.

#![allow(dead_code, reason = "each test file uses what it needs")]

use std::sync::OnceLock;

use photongate_dpdk::eal::{CpuSet, Memory};
use photongate_dpdk::{Burst, Eal, EalConfig, Mempool, MempoolConfig};

/// The environment, with one worker lcore.
pub(crate) fn eal() -> Eal {
    static EAL: OnceLock<Eal> = OnceLock::new();
    *EAL.get_or_init(|| {
        let worker_cpus = CpuSet::usable().iter().take(1).collect();
        let config = EalConfig { worker_cpus, memory: Memory::Ordinary { mib: 256 }, ..EalConfig::default() };
        Eal::init(config).expect("an environment without hugepages and devices comes up anywhere")
    })
}

/// A pool of its own for a test.
pub(crate) fn pool(data_room: u16) -> Mempool {
    let config = MempoolConfig { buffers: 255, cache: 0, data_room, socket: None };
    Mempool::create(eal(), &config).expect("256 MiB are enough for the tests' pools")
}

/// A packet of these bytes.
pub(crate) fn packet(pool: &Mempool, bytes: &[u8]) -> photongate_dpdk::Mbuf {
    let mut packet = pool.allocate().expect("the pool has buffers");
    let start = packet.data_range().start;
    packet.set_data_range(start..start + bytes.len()).expect("the bytes fit");
    let (buffer, range) = packet.buffer_mut();
    buffer[range].copy_from_slice(bytes);
    packet
}

/// A burst of packets of these bytes.
pub(crate) fn burst(pool: &Mempool, packets: &[&[u8]]) -> Burst<64> {
    let mut burst = Burst::new();
    for bytes in packets {
        assert!(burst.push(packet(pool, bytes)).is_ok(), "the burst has room");
    }
    burst
}

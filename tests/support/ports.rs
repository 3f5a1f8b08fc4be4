//! Ports for the servers that tests start.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A TCP port of loopback that nobody uses. It is none of those that Linux gives to connections by itself: one of them could have it by the
/// time that the server starts. The port after it is nobody's either: OpenBao takes that too, without being told.
///
/// # Panics
/// All are in use.
pub(crate) fn free_port() -> u16 {
    // Others begin elsewhere: programs that run at the same time, and modules of one program that include this file for themselves.
    static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(RandomState::new().hash_one(0) >> 1));
    let mut candidates = (0..COUNT).map(|_| {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        FIRST + 2 * u16::try_from(step % u64::from(COUNT)).unwrap()
    });
    candidates.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()).expect("no port is free")
}

const FIRST: u16 = 10_000;
/// Up to where the kernel's own choice begins, every other one.
const COUNT: u16 = (32_768 - FIRST) / 2;

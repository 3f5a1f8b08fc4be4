//! No backend leaves a derived key, or a round key of one, on the stack below its caller.
//!
//! The crate is optimised in all profiles: what the compiler does with keys that find no register is what is looked for here. In a
//! release its frames are smaller, and no more than they need is overwritten.

#![cfg(target_arch = "x86_64")]

use std::arch::asm;
use std::collections::HashMap;
use std::thread;

use hex_literal::hex;
use photongate_crypto::{Backend, Block, CmacJob, Input, Key, MacJob, Schedule, Tag, backend};

#[test]
fn no_backend_leaves_keys_on_the_stack() {
    // A thread has its whole stack from the beginning.
    let stack_size = 16 * DEPTH;
    thread::Builder::new().stack_size(stack_size).spawn(look_below_all_backends).unwrap().join().unwrap();
}

fn look_below_all_backends() {
    let between_v4 = (Input::new(&[2, 0, 3, 0, 10, 248, 2, 1]), Input::new(&[3, 0, 10, 248, 1, 1]));
    let between_v6 = (Input::new(&[7; 20]), Input::new(&[9; 18]));
    let mut below = vec![0; DEPTH];
    for backend in backend::every_kind() {
        for (host_as, host_host) in [between_v4, between_v6] {
            for count in [1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 17, 31, 32, 33, 64] {
                let burst = Burst::new(count, host_as, host_host);
                let secrets = burst.secrets();
                for (name, use_backend) in [("macs", Burst::macs as fn(&Burst, &dyn Backend)), ("cmacs", Burst::cmacs)]
                {
                    fill_below();
                    use_backend(&burst, &*backend);
                    copy_below(&mut below);
                    let found = below.windows(16).find_map(|bytes| secrets.get(bytes));
                    assert_eq!(found, None, "{backend:?}, {count} packets, {name}");
                }
            }
        }
    }
}

/// Packets of different lengths, each under a key of its own.
struct Burst {
    keys: Vec<Key>,
    payloads: Vec<Vec<u8>>,
    host_as: Input,
    host_host: Input,
}

impl Burst {
    fn new(count: usize, host_as: Input, host_host: Input) -> Self {
        let keys = (0..count).map(|n| Key::from_bytes([n as u8 * 3 + 1; 16])).collect();
        let payloads = (0..count).map(|n| vec![n as u8; n * 37 % 300]).collect();
        Self { keys, payloads, host_as, host_host }
    }

    fn macs(&self, backend: &dyn Backend) {
        let (host_as, host_host) = (self.host_as, self.host_host);
        let message = [[0x5a; 16]; 2];
        let jobs: Vec<_> = self.keys.iter().map(|as_as| MacJob { as_as, host_as, host_host, message }).collect();
        backend.macs(&jobs, &mut vec![Tag::default(); jobs.len()]);
    }

    fn cmacs(&self, backend: &dyn Backend) {
        let (host_as, host_host) = (self.host_as, self.host_host);
        let head = [[0x5a; 16]; 2];
        let packets = self.keys.iter().zip(&self.payloads);
        let jobs: Vec<_> = packets.map(|(as_as, data)| CmacJob { as_as, host_as, host_host, head, data }).collect();
        backend.cmacs(&jobs, &mut vec![Tag::default(); jobs.len()]);
    }

    /// All that must not be found, and what it is.
    fn secrets(&self) -> HashMap<[u8; 16], String> {
        let mut secrets = HashMap::new();
        for as_as in &self.keys {
            let host_as = Schedule::new(as_as).derive(&self.host_as);
            let host_host = Schedule::new(&host_as).derive(&self.host_host);
            for (name, key) in [("AS-AS", as_as), ("HOST-AS", &host_as), ("HOST-HOST", &host_host)] {
                for (round, key) in expand(key.as_bytes()).into_iter().enumerate() {
                    secrets.insert(key, format!("the {name} key of round {round}"));
                }
            }
        }
        secrets
    }
}

/// The round keys of AES-128 (FIPS 197, section 5.2).
fn expand(key: &Block) -> [Block; 11] {
    let mut keys = [*key; 11];
    let mut constant = 1_u8;
    for round in 1..11 {
        let before = keys[round - 1];
        let mut word = [13, 14, 15, 12].map(|byte| substitute(before[byte]));
        word[0] ^= constant;
        constant = double(constant);
        for (words, before) in keys[round].chunks_mut(4).zip(before.chunks(4)) {
            for ((byte, before), word) in words.iter_mut().zip(before).zip(&mut word) {
                *word ^= before;
                *byte = *word;
            }
        }
    }
    keys
}

/// The inverse in GF(2^8), which is the 254th power, and the affine transformation (section 5.1.1).
fn substitute(byte: u8) -> u8 {
    let inverse = (0..254).fold(1, |power, _| multiply(power, byte));
    (1..5).fold(inverse, |sum, bits| sum ^ inverse.rotate_left(bits)) ^ 0x63
}

fn multiply(a: u8, b: u8) -> u8 {
    let mut multiple = a;
    let mut product = 0;
    for bit in 0..8 {
        product ^= if b >> bit & 1 == 1 { multiple } else { 0 };
        multiple = double(multiple);
    }
    product
}

fn double(byte: u8) -> u8 {
    (byte << 1) ^ if byte & 0x80 == 0 { 0 } else { 0x1b }
}

#[test]
fn keys_are_expanded_as_in_fips_197() {
    // Appendix A.1.
    let keys = expand(&hex!("2b7e151628aed2a6abf7158809cf4f3c"));
    assert_eq!(keys[1], hex!("a0fafe1788542cb123a339392a6c7605"));
    assert_eq!(keys[10], hex!("d014f9a8c9ee2589e13f0cc8b6630ca6"));
}

/// Overwrites what is below the stack.
#[inline(never)]
fn fill_below() {
    // SAFETY: there is so much stack below, and nobody needs what is there: without the option `nostack` the compiler keeps
    // nothing below the stack pointer.
    unsafe {
        asm!("lea rdi, [rsp - {depth}]", "rep stosb", depth = const DEPTH, in("al") 0xa5_u8,
            inout("rcx") DEPTH => _, out("rdi") _);
    }
}

/// Copies what is below the stack.
#[inline(never)]
fn copy_below(bytes: &mut [u8]) {
    assert_eq!(bytes.len(), DEPTH);
    // SAFETY: there is so much stack below, and so much room in `bytes`.
    unsafe {
        asm!("lea rsi, [rsp - {depth}]", "rep movsb", depth = const DEPTH, inout("rcx") DEPTH => _,
            inout("rdi") bytes.as_mut_ptr() => _, out("rsi") _);
    }
}

/// More than any backend needs.
const DEPTH: usize = 64 << 10;

//! Every backend that this machine can run gives the results of the standards, and the same for a burst as one by one.

use std::sync::LazyLock;

use hex_literal::hex;
use photongate_crypto::{
    Backend, Block, CmacJob, Digest, HashJob, Input, Key, MacJob, Schedule, Tag, backend, cbc_mac, cmac,
};
use proptest::prelude::*;

#[test]
fn sha1_has_the_digests_of_the_standard() {
    // The examples that NIST publishes with FIPS 180-4.
    assert_digest(b"abc", hex!("a9993e364706816aba3e25717850c26c9cd0d89d"));
    assert_digest(
        b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        hex!("84983e441c3bd26ebaae4aa1f95129e5e54670f1"),
    );
    assert_digest(&vec![b'a'; 1_000_000], hex!("34aa973cd4c4daa4f61eeb2bdbad27316534016f"));
}

#[test]
fn sha1_pads_right_at_every_length_around_a_block() {
    // Computed with `openssl dgst -sha1`.
    for (length, digest) in [
        (0, hex!("da39a3ee5e6b4b0d3255bfef95601890afd80709")),
        (1, hex!("5ba93c9db0cff93f52b521d7420e43f6eda2784f")),
        (55, hex!("8ae2d46729cfe68ff927af5eec9c7d1b66d65ac2")),
        (56, hex!("636e2ec698dac903498e648bd2f3af641d3c88cb")),
        (63, hex!("6d942da0c4392b123528f2905c713a3ce28364bd")),
        (64, hex!("c6138d514ffa2135bfce0ed0b8fac65669917ec7")),
        (65, hex!("69bd728ad6e13cd76ff19751fde427b00e395746")),
        (1400, hex!("a58c944e53047d47114dd44e0b1cbd4cb87351ea")),
    ] {
        let data: Vec<u8> = (0..=250).cycle().take(length).collect();
        assert_digest(&data, digest);
    }
}

#[test]
fn messages_of_one_length_each_have_their_own_digest() {
    let reference = backend::by_name("portable").unwrap();
    for length in [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 1400] {
        let messages: Vec<Vec<u8>> = (0..64).map(|n| (0..length).map(|at| (n * 31 + at * 7) as u8).collect()).collect();
        for count in [15, 16, 17, 32, 50, 64] {
            let jobs: Vec<_> = messages[..count].iter().map(|data| HashJob { data }).collect();
            let expected: Vec<_> = messages[..count].iter().map(|data| reference.sha1_of(data)).collect();
            for backend in KINDS.iter() {
                let mut digests = vec![Digest::default(); count];
                backend.sha1(&jobs, &mut digests);
                assert_eq!(digests, expected, "{backend:?}, {count} of {length} bytes");
            }
        }
    }
}

#[test]
#[should_panic(expected = "one tag for each job")]
fn a_job_without_room_for_its_tag_is_refused() {
    let key = Key::from_bytes([1; 16]);
    let input = Input::new(&[0]);
    let job = MacJob { as_as: &key, host_as: input, host_host: input, message: [[0; 16]; 2] };
    backend::detect().macs(&[job], &mut []);
}

proptest! {
    #[test]
    fn a_burst_of_macs_is_what_three_chained_cbc_macs_give_one_by_one(packets in bursts_of(packet())) {
        let keys: Vec<_> = packets.iter().map(|packet| Key::from_bytes(packet.key)).collect();
        let jobs: Vec<_> = packets.iter().zip(&keys).map(|(packet, key)| packet.job(key)).collect();
        let expected: Vec<_> = jobs.iter().map(chained).collect();
        for backend in KINDS.iter() {
            let mut tags = vec![Tag::default(); jobs.len()];
            backend.macs(&jobs, &mut tags);
            prop_assert_eq!(tags.iter().map(|tag| *tag.as_bytes()).collect::<Vec<_>>(), expected.clone());
            let alone: Vec<_> = jobs.iter().map(|job| *backend.mac(job).as_bytes()).collect();
            prop_assert_eq!(&alone, &expected);
        }
    }

    #[test]
    fn a_burst_of_cmacs_is_what_two_cbc_macs_and_a_cmac_give_one_by_one(
        packets in bursts_of((packet(), payload()))
    ) {
        let keys: Vec<_> = packets.iter().map(|(packet, _)| Key::from_bytes(packet.key)).collect();
        let jobs: Vec<_> = packets.iter().zip(&keys).map(|((packet, data), as_as)| {
            let Packet { host_as, host_host, message: head, .. } = *packet;
            CmacJob { as_as, host_as, host_host, head, data }
        }).collect();
        let expected: Vec<_> = jobs.iter().map(|job| {
            cmac(&host_host_key(job.as_as, &job.host_as, &job.host_host), &job.head, job.data)
        }).collect();
        for backend in KINDS.iter() {
            let mut tags = vec![Tag::default(); jobs.len()];
            backend.cmacs(&jobs, &mut tags);
            prop_assert_eq!(tags.iter().map(|tag| *tag.as_bytes()).collect::<Vec<_>>(), expected.clone());
            let alone: Vec<_> = jobs.iter().map(|job| *backend.cmac(job).as_bytes()).collect();
            prop_assert_eq!(&alone, &expected);
        }
    }

    #[test]
    fn a_burst_of_digests_is_the_same_in_every_backend_and_one_by_one(
        payloads in bursts_of(payload())
    ) {
        let jobs: Vec<_> = payloads.iter().map(|data| HashJob { data }).collect();
        let reference = backend::by_name("portable").unwrap();
        let expected: Vec<_> = payloads.iter().map(|data| reference.sha1_of(data)).collect();
        for backend in KINDS.iter() {
            let mut digests = vec![Digest::default(); jobs.len()];
            backend.sha1(&jobs, &mut digests);
            prop_assert_eq!(&digests, &expected);
        }
    }
}

/// What the MAC of one packet is computed from.
#[derive(Clone, Debug)]
struct Packet {
    key: [u8; 16],
    host_as: Input,
    host_host: Input,
    message: [Block; 2],
}

impl Packet {
    fn job<'k>(&self, as_as: &'k Key) -> MacJob<'k> {
        MacJob { as_as, host_as: self.host_as, host_host: self.host_host, message: self.message }
    }
}

/// A packet between two IPv4 or two IPv6 hosts, as far as the lengths of the inputs tell.
fn packet() -> impl Strategy<Value = Packet> {
    let short = any::<([u8; 8], [u8; 6])>().prop_map(|(level2, level3)| (Input::new(&level2), Input::new(&level3)));
    let long = any::<([u8; 20], [u8; 18])>().prop_map(|(level2, level3)| (Input::new(&level2), Input::new(&level3)));
    let mixed = any::<([u8; 8], [u8; 18])>().prop_map(|(level2, level3)| (Input::new(&level2), Input::new(&level3)));
    (any::<[u8; 16]>(), prop_oneof![short, long, mixed], any::<[Block; 2]>())
        .prop_map(|(key, (host_as, host_host), message)| Packet { key, host_as, host_host, message })
}

/// Mostly short, at times as long as the largest frame; one length for many, or each its own.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![8 => 0..200_usize, 4 => Just(64_usize), 2 => 0..1500_usize, 1 => 0..9001_usize];
    // A seed and a length: filling thousands of bytes at random is what would take the time.
    (any::<u8>(), length).prop_map(|(seed, length)| {
        (0..length).map(|position| seed.wrapping_add((position / 7 + position * 31) as u8)).collect()
    })
}

/// Up to one more than the largest burst, so that every remainder of every vector width occurs.
fn bursts_of<T: std::fmt::Debug>(packet: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<T>> {
    prop::collection::vec(packet, 0..=65)
}

/// The definition of a [`MacJob`]'s tag.
fn chained(job: &MacJob<'_>) -> [u8; 16] {
    cbc_mac(&host_host_key(job.as_as, &job.host_as, &job.host_host), &job.message)
}

fn host_host_key(as_as: &Key, host_as: &Input, host_host: &Input) -> Schedule {
    let host_as = Schedule::new(&Key::from_bytes(cbc_mac(&Schedule::new(as_as), host_as.blocks())));
    Schedule::new(&Key::from_bytes(cbc_mac(&host_as, host_host.blocks())))
}

fn assert_digest(data: &[u8], digest: Digest) {
    for backend in KINDS.iter() {
        assert_eq!(backend.sha1_of(data), digest, "{backend:?}, {} bytes", data.len());
    }
}

/// Also those that this machine would choose only if it lacked a feature.
static KINDS: LazyLock<Vec<Box<dyn Backend>>> = LazyLock::new(backend::every_kind);

use proptest::prelude::*;

use super::*;

/// Source, destination, and hash of the verification suite in Microsoft's "Verifying the RSS Hash Calculation", the
/// columns without ports. DPDK checks `rte_softrss` against the same.
const VERIFICATION: [(&str, &str, u32); 8] = [
    ("66.9.149.187", "161.142.100.80", 0x323e_8fc2),
    ("199.92.111.2", "65.69.140.83", 0xd718_262a),
    ("24.19.198.95", "12.22.207.184", 0xd2d0_a5de),
    ("38.27.205.30", "209.142.163.6", 0x8298_9176),
    ("153.39.163.191", "202.188.127.2", 0x5d18_09c5),
    ("3ffe:2501:200:1fff::7", "3ffe:2501:200:3::1", 0x2cc1_8cd5),
    ("3ffe:501:8::260:97ff:fe40:efab", "ff02::1", 0x0f0c_461c),
    ("3ffe:1900:4545:3:200:f8ff:fe21:67cf", "fe80::200:f8ff:fe21:67cf", 0x4b61_e985),
];

#[test]
fn the_hash_is_microsofts() {
    for (source, destination, hash) in VERIFICATION {
        assert_eq!(hash_pair(ip(source), ip(destination)), hash, "{source} to {destination}");
    }
}

#[test]
fn the_owner_is_found_in_the_table_by_the_low_bits_of_the_hash() {
    for workers in [1, 2, 3, 7, 64, 128] {
        let steering = Steering::new(workers, Over::Both);
        for (source, destination, hash) in VERIFICATION {
            let owner = steering.owner(ip(source), ip(destination));
            assert_eq!(owner, usize::from(steering.reta()[(hash & 0x7f) as usize]));
            assert!(owner < workers);
        }
    }
}

#[test]
fn the_table_gives_every_worker_the_same_share() {
    assert_eq!(Steering::new(3, Over::Both).reta()[..7], [0, 1, 2, 0, 1, 2, 0]);
    let steering = Steering::new(4, Over::Both);
    for worker in 0..4 {
        assert_eq!(steering.reta().iter().filter(|queue| **queue == worker).count(), RETA_LEN / 4);
    }
}

#[test]
fn the_source_alone_decides_where_the_destination_is_not_authenticated() {
    let steering = Steering::new(8, Over::SourceOnly);
    let of = |source, destination| steering.owner(ip(source), ip(destination));
    assert_eq!(of("10.0.0.1", "192.0.2.1"), of("10.0.0.1", "198.51.100.77"));
    assert_eq!(of("fd00::1", "192.0.2.1"), of("fd00::1", "fd00::99"));
    assert_eq!(of("::ffff:10.0.0.1", "fd00::99"), of("10.0.0.1", "192.0.2.1"));
    let owners: std::collections::HashSet<_> =
        (0..64).map(|host| steering.owner([10, 0, 0, host].into(), ip("192.0.2.1"))).collect();
    assert_eq!(owners.len(), 8);
}

#[test]
fn regular_addresses_load_no_worker_much_beyond_twice_its_share() {
    type Pattern = fn(u8) -> (IpAddr, IpAddr);
    let patterns: [(&str, Pattern); 6] = [
        ("many clients, one server", |host| ([10, 1, 0, host].into(), [10, 2, 0, 1].into())),
        ("one client, many servers", |host| ([10, 1, 0, 1].into(), [10, 2, 0, host].into())),
        ("many sites, one server", |site| ([10, site, 0, 1].into(), [10, 2, 0, 1].into())),
        ("hosts in pairs", |host| ([10, 1, 0, host].into(), [10, 2, 0, host].into())),
        ("many IPv6 clients", |host| (ipv6(1, 0, host), ipv6(2, 0, 1))),
        ("IPv6 hosts in pairs", |host| (ipv6(1, 0, host), ipv6(2, 0, host))),
    ];
    for workers in [2, 3, 4, 6, 8, 12, 16] {
        let steering = Steering::new(workers, Over::Both);
        for (name, addresses) in patterns {
            let mut packets = vec![0_u32; workers];
            for n in 0..=255 {
                let (source, destination) = addresses(n);
                packets[steering.owner(source, destination)] += 1;
            }
            let busiest = f64::from(*packets.iter().max().unwrap()) * workers as f64 / 256.0;
            assert!(busiest < 2.1, "{name}: {packets:?}");
        }
    }
}

proptest! {
    #[test]
    fn the_tables_agree_with_the_definition(source: [u8; 16], destination: [u8; 16]) {
        let hash = hash_pair(source.into(), destination.into());
        prop_assert_eq!(hash, bit_by_bit(&[source, destination].concat()));
        let [source, destination] = [source, destination].map(|address| *address.first_chunk::<4>().unwrap());
        let hash = hash_pair(source.into(), destination.into());
        prop_assert_eq!(hash, bit_by_bit(&[source, destination].concat()));
    }

    #[test]
    fn both_forms_of_an_ipv4_packet_meet_the_same_worker(
        source: [u8; 4],
        destination: [u8; 4],
        workers in 1..64_usize,
    ) {
        let mapped = |address: [u8; 4]| as_ipv6(address.into()).into();
        let steering = Steering::new(workers, Over::Both);
        let owner = steering.owner(source.into(), destination.into());
        prop_assert_eq!(steering.owner(mapped(source), mapped(destination)), owner);
    }
}

/// For each bit set in the input, from the left: the 32 bits of the key that begin there.
fn bit_by_bit(input: &[u8]) -> u32 {
    let mut window = KEY.iter().flat_map(|byte| (0..8).map(move |bit| u32::from(byte >> (7 - bit) & 1)));
    let mut key = window.by_ref().take(32).fold(0, |key, bit| key << 1 | bit);
    let mut hash = 0;
    for byte in input {
        for bit in (0..8).rev() {
            if byte >> bit & 1 == 1 {
                hash ^= key;
            }
            key = key << 1 | window.next().unwrap();
        }
    }
    hash
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn ipv6(site: u16, network: u16, host: u8) -> IpAddr {
    [0xfd00, site, 0, network, 0, 0, 0, u16::from(host)].into()
}

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

#[test]
fn the_longest_prefix_around_the_destination_wins() {
    let table = table(&["10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "0.0.0.0/0", "fd00::/8", "fd00:1::/32", "::1/128"]);
    for (destination, index) in [
        ("10.1.2.3", Some(2)),
        ("10.1.3.3", Some(1)),
        ("10.2.2.3", Some(0)),
        ("192.0.2.1", Some(3)),
        ("fd00:1::7", Some(5)),
        ("fd00:2::7", Some(4)),
        ("::1", Some(6)),
        ("::2", None),
    ] {
        assert_eq!(table.look_up(destination.parse().unwrap()), index, "{destination}");
    }
}

#[test]
fn mapped_addresses_and_prefixes_are_ipv4() {
    let table = table(&["::ffff:10.1.0.0/112", "10.2.0.0/16", "::/0"]);
    for (destination, index) in [("10.1.9.9", 0), ("::ffff:10.1.9.9", 0), ("::ffff:10.2.9.9", 1), ("::10.2.9.9", 2)] {
        assert_eq!(table.look_up(destination.parse().unwrap()), Some(index), "{destination}");
    }
    assert_eq!(table.look_up("::ffff:10.3.9.9".parse().unwrap()), None);
}

#[test]
fn prefixes_at_both_ends_of_the_address_space_end_where_it_ends() {
    let table = table(&["255.0.0.0/8", "255.255.255.255/32", "0.0.0.0/32", "ff00::/8", "::/0"]);
    for (destination, index) in [
        ("254.255.255.255", None),
        ("255.0.0.0", Some(0)),
        ("255.255.255.254", Some(0)),
        ("255.255.255.255", Some(1)),
        ("0.0.0.0", Some(2)),
        ("0.0.0.1", None),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Some(3)),
        ("fe00::", Some(4)),
        ("::", Some(4)),
    ] {
        assert_eq!(table.look_up(destination.parse().unwrap()), index, "{destination}");
    }
}

#[test]
fn all_bad_prefixes_are_reported_at_once() {
    let routes = ["10.0.0.0/8", "10.0.0.1/24", "10.0.0.0/8", "fd00::1/64", "::ffff:10.0.0.0/104", "fd00::/64"];
    let error = RouteTable::new(routes.iter().map(|route| (prefix(route), ()))).unwrap_err();
    assert_eq!(
        error,
        InvalidRoutes(vec![
            InvalidRoute::HostBits(prefix("10.0.0.1/24")),
            InvalidRoute::Duplicate(prefix("10.0.0.0/8")),
            InvalidRoute::HostBits(prefix("fd00::1/64")),
            InvalidRoute::Duplicate(prefix("::ffff:10.0.0.0/104")),
        ])
    );
    assert!(error.to_string().starts_with(
        "10.0.0.1/24 has bits set behind its prefix length: the network is 10.0.0.0/24; \
         prefix 10.0.0.0/8 is given twice; "
    ));
}

#[test]
fn an_empty_table_routes_nothing() {
    let table = RouteTable::<u8>::default();
    assert!(table.is_empty());
    assert_eq!(table.look_up("10.0.0.1".parse().unwrap()), None);
}

#[test]
fn thousands_of_prefixes_are_told_apart_one_by_one_and_many_at_once() {
    // Every other network of 256 addresses, so that each begins a range, and so does what lies between.
    let network = |n: u32| 10 << 24 | n << 9;
    let prefixes = (0..5_000).map(|n| (IpNet::V4(Ipv4Net::new(network(n).into(), 24).unwrap()), n));
    let table = RouteTable::new(prefixes).unwrap();
    for n in 0..5_000 {
        for (address, expected) in
            [(network(n), Some(n)), (network(n) + 255, Some(n)), (network(n) + 256, None), (network(n) + 511, None)]
        {
            assert_eq!(table.look_up(Ipv4Addr::from_bits(address).into()), expected, "{address:x}");
        }
    }
    let some: Vec<u32> = (0..64).map(|n| network(n * 78) + 256 * (n % 3 / 2)).collect();
    let expected: Vec<_> = (0..64).map(|n| (n % 3 != 2).then_some(n * 78)).collect();
    assert_eq!(all_v4(&table, &some), expected);
    assert_eq!(all_v4(&table, &[u32::MAX, 0]), [None, None]);
}

proptest! {
    #[test]
    fn look_ups_agree_with_a_search_through_all_prefixes(
        prefixes in prop::collection::btree_set(any_prefix(), 0..60),
        destinations in prop::collection::vec(any_address(), 1..60),
    ) {
        let prefixes: Vec<IpNet> = prefixes.into_iter().collect();
        let table = RouteTable::new(prefixes.iter().copied().zip(0_usize..)).unwrap();
        prop_assert_eq!(table.len(), prefixes.len());
        for destination in destinations {
            let around = prefixes.iter().enumerate().filter(|(_, prefix)| prefix.contains(&destination));
            let longest = around.max_by_key(|(_, prefix)| prefix.prefix_len()).map(|(index, _)| index);
            prop_assert_eq!(table.look_up(destination), longest, "{}", destination);
            let at_once = match destination {
                IpAddr::V4(destination) => all_v4(&table, &[destination.to_bits()]),
                IpAddr::V6(destination) => all_v6(&table, &[destination.to_bits()]),
            };
            prop_assert_eq!(at_once, [longest]);
        }
    }
}

/// What many look-ups at once find.
fn all_v4<T: Copy>(table: &RouteTable<T>, addresses: &[u32]) -> Vec<Option<T>> {
    let mut places = [0; 64];
    table.find_v4(addresses, &mut places);
    places[..addresses.len()].iter().map(|place| table.value_v4(*place).copied()).collect()
}

fn all_v6<T: Copy>(table: &RouteTable<T>, addresses: &[u128]) -> Vec<Option<T>> {
    let mut places = [0; 64];
    table.find_v6(addresses, &mut places);
    places[..addresses.len()].iter().map(|place| table.value_v6(*place).copied()).collect()
}

/// Few enough different bits that prefixes nest and addresses fall into them.
fn any_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::from((bits & 0x8101_0103).to_be_bytes())),
        any::<u128>().prop_map(|bits| IpAddr::from((bits & (0x8001_0001_u128 << 96 | 0x0100_0000_0103)).to_be_bytes())),
    ]
}

fn any_prefix() -> impl Strategy<Value = IpNet> {
    (any_address(), 0..=128_u8).prop_map(|(address, length)| {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        IpNet::new(address, length.min(longest)).unwrap().trunc()
    })
}

/// Each prefix leads to its index.
fn table(prefixes: &[&str]) -> RouteTable<usize> {
    RouteTable::new(prefixes.iter().map(|text| prefix(text)).zip(0..)).unwrap()
}

fn prefix(text: &str) -> IpNet {
    text.parse().unwrap()
}

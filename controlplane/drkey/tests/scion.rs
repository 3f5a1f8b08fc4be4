//! The golden keys of scionproto, and keys computed in the same way for addresses that it has no golden keys for.

mod vectors;

use std::net::IpAddr;

use photongate_crypto::{Input, Key, Schedule};
use photongate_drkey::{
    Epoch, HostAddress, Protocol, as_host_input, host_as_input, host_host_input, level1_input, secret_value,
    specific_as_host_input, specific_host_as_input,
};
use photongate_wire::{IsdAs, UnixNanos};
use serde_json::Value;
use vectors::{array, bytes, key, number, read, text};

#[test]
fn secret_values_are_those_of_scion() {
    for vector in golden()["sv"].as_array().unwrap() {
        let secret = secret_value(&bytes(&vector["as_secret"]), protocol(vector), first_second()).unwrap();
        assert_eq!(*secret.as_bytes(), array(&vector["sv"]), "{vector}");
    }
}

#[test]
fn level_1_keys_are_those_of_scion() {
    for vector in golden()["level1"].as_array().unwrap() {
        let slow = IsdAs::from_be_bytes(array(&vector["dst_ia"]));
        assert_derived(&key(&vector["sv"]), level1_input(slow), vector);
    }
}

#[test]
fn keys_of_niche_protocols_are_those_of_scion() {
    let vectors = &golden()["generic"];
    let protocol = protocol(vectors);
    let secret = secret_value(&bytes(&vectors["as_secret"]), protocol.level1(), first_second()).unwrap();
    assert_eq!(*secret.as_bytes(), array(&vectors["sv_proto0"]));
    let level1 = derive(&secret, level1_input(isd_as(&vectors["dst_ia"])));
    assert_eq!(*level1.as_bytes(), array(&vectors["level1"]));

    let as_host = &vectors["as_host"];
    assert_derived(&level1, as_host_input(protocol, host(&as_host["dst_host"])), as_host);
    let host_as = &vectors["host_as"];
    assert_derived(&level1, host_as_input(protocol, host(&host_as["src_host"])), host_as);
    let host_host = &vectors["host_host"];
    assert_derived(&key(&host_as["key"]), host_host_input(host(&host_host["dst_host"])), host_host);
}

#[test]
fn keys_of_predefined_protocols_are_those_of_scion() {
    let vectors = &golden()["specific"];
    let protocol = protocol(vectors);
    let secret = secret_value(&bytes(&vectors["as_secret"]), protocol.level1(), first_second()).unwrap();
    assert_eq!(*secret.as_bytes(), array(&vectors["sv"]));
    let level1 = derive(&secret, level1_input(isd_as(&vectors["dst_ia"])));
    assert_eq!(*level1.as_bytes(), array(&vectors["level1"]));

    let as_host = &vectors["as_host"];
    assert_derived(&level1, specific_as_host_input(host(&as_host["dst_host"])), as_host);
    let host_as = &vectors["host_as"];
    assert_derived(&level1, specific_host_as_input(host(&host_as["src_host"])), host_as);
    let host_host = &vectors["host_host"];
    assert_derived(&key(&host_as["key"]), host_host_input(host(&host_host["dst_host"])), host_host);
}

#[test]
fn keys_of_ipv6_hosts_and_services_follow_from_two_blocks_and_one() {
    let golden = golden();
    let [as_host, host_as, service, host_host] = golden["own_extra"].as_array().unwrap().as_slice() else {
        panic!("four vectors");
    };
    let source = HostAddress::from("2001:db8::1".parse::<IpAddr>().unwrap());
    let destination = HostAddress::from("2001:db8::2".parse::<IpAddr>().unwrap());
    for (vector, input) in [
        (as_host, as_host_input(protocol(as_host), destination)),
        (host_as, host_as_input(protocol(host_as), source)),
        (service, host_as_input(protocol(service), HostAddress::service(2))),
        (host_host, host_host_input(destination)),
    ] {
        assert_derived(&key(&vector["upper_key"]), input, vector);
    }
}

#[test]
fn a_mapped_ipv4_address_derives_what_the_ipv4_address_does() {
    let mapped = HostAddress::v6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1]);
    let plain = HostAddress::v4([127, 0, 0, 1]);
    assert_eq!(host_as_input(Protocol(3), mapped), host_as_input(Protocol(3), plain));
    assert_eq!(host_host_input(mapped), host_host_input(plain));
}

fn golden() -> Value {
    read(include_str!("vectors/scion_drkey.json"))
}

/// The epoch of every golden secret value.
fn first_second() -> Epoch {
    Epoch { start: UnixNanos(0), end: UnixNanos(1_000_000_000) }
}

fn derive(upper: &Key, input: Input) -> Key {
    Schedule::new(upper).derive(&input)
}

/// That `input` and the key under it are those of `vector`.
fn assert_derived(upper: &Key, input: Input, vector: &Value) {
    assert_eq!(input.blocks().as_flattened(), bytes(&vector["input"]), "{vector}");
    assert_eq!(*derive(upper, input).as_bytes(), array(&vector["key"]), "{vector}");
}

fn protocol(vector: &Value) -> Protocol {
    Protocol(number(&vector["proto"]).try_into().unwrap())
}

fn isd_as(value: &Value) -> IsdAs {
    text(value).parse().unwrap()
}

fn host(value: &Value) -> HostAddress {
    text(value).parse::<IpAddr>().unwrap().into()
}

//! Keys of packets captured between two running LightningFilter instances, and of its own unit test.

mod vectors;

use std::net::{IpAddr, Ipv4Addr};

use photongate_crypto::Schedule;
use photongate_drkey::{
    AsPair, HostAddress, KeyTimes, Protocol, Rotation, SharedSecret, SharedSecrets, host_as_input, host_host_input,
    shared_secret_input,
};
use photongate_wire::{EpochNanos, IsdAs, Nanos, UnixNanos};
use serde_json::Value;
use vectors::{array, bytes, key, number, read, text};

#[test]
fn each_key_of_a_captured_packet_follows_from_the_one_above() {
    for packet in packets() {
        let pair = AsPair { fast: isd_as(&packet["receiver"]), slow: isd_as(&packet["sender"]) };
        let input = shared_secret_input(pair, instant(&packet["epoch_start_ns"]));
        assert_eq!(input.blocks().as_flattened(), bytes(&packet["as_as_input"]));
        let as_as = Schedule::new(&key(&packet["secret"])).derive(&input);
        assert_eq!(*as_as.as_bytes(), array(&packet["as_as_key"]));

        let input = host_as_input(protocol(&packet), host(&packet["receiver_host"]));
        assert_eq!(input.blocks().as_flattened(), bytes(&packet["host_as_input"]));
        let host_as = Schedule::new(&as_as).derive(&input);
        assert_eq!(*host_as.as_bytes(), array(&packet["host_as_key"]));

        let input = host_host_input(host(&packet["sender_host"]));
        assert_eq!(input.blocks().as_flattened(), bytes(&packet["host_host_input"]));
        let host_host = Schedule::new(&host_as).derive(&input);
        assert_eq!(*host_host.as_bytes(), array(&packet["host_host_key"]));
    }
}

#[test]
fn the_receiver_holds_the_key_of_a_captured_packet_when_it_arrives() {
    for packet in packets() {
        let arrival = instant(&packet["capture_time_ns"]);
        let keys = rotation(&packet, "receiver", "sender").key_set(arrival);
        let timestamp = EpochNanos(number(&packet["timestamp"]));
        let (found, sent) = keys.inbound_for(timestamp, arrival, &KeyTimes::default()).unwrap();
        assert_eq!(sent, instant(&packet["sent_ns"]));
        assert_eq!(*found.key.as_bytes(), array(&packet["as_as_key"]));
    }
}

#[test]
fn the_sender_sends_with_the_key_of_a_captured_packet_and_its_timestamp() {
    for packet in packets() {
        let sent = instant(&packet["sent_ns"]);
        let keys = rotation(&packet, "sender", "receiver").key_set(sent);
        let found = keys.outbound(sent).unwrap();
        assert_eq!(*found.key.as_bytes(), array(&packet["as_as_key"]));
        assert_eq!(sent.since_epoch(found.epoch.start), Some(EpochNanos(number(&packet["timestamp"]))));
    }
}

#[test]
fn host_keys_are_those_of_its_own_unit_test() {
    for vector in golden()["keymanager_test3"].as_array().unwrap() {
        let address = |side: &str| HostAddress::from(text(&vector[side]).parse::<IpAddr>().unwrap());
        let host_as =
            Schedule::new(&key(&vector["as_as_key"])).derive(&host_as_input(protocol(vector), address("fast")));
        assert_eq!(*host_as.as_bytes(), array(&vector["host_as_key"]));
        let host_host = Schedule::new(&host_as).derive(&host_host_input(address("slow")));
        assert_eq!(*host_host.as_bytes(), array(&vector["host_host_key"]));
    }
}

#[test]
fn a_key_of_a_secret_is_the_one_computed_from_its_formula() {
    let vector = &golden()["as_as_formula"];
    let pair = AsPair { fast: text(&vector["fast"]).parse().unwrap(), slow: text(&vector["slow"]).parse().unwrap() };
    let input = shared_secret_input(pair, instant(&vector["epoch_start_ns"]));
    assert_eq!(input.blocks().as_flattened(), bytes(&vector["input"]));
    assert_eq!(*Schedule::new(&key(&vector["secret"])).derive(&input).as_bytes(), array(&vector["key"]));
}

/// The schedule of the filter at `local`. As in the captures, there are an older and a later secret beside the packet's.
fn rotation(packet: &Value, local: &str, peer: &str) -> Rotation {
    let not_before = instant(&packet["not_before_ns"]);
    let year = Nanos::from_secs(365 * 24 * 60 * 60);
    let older = SharedSecret::new(key(&packet["as_as_key"]), not_before.saturating_sub(year)).unwrap();
    let used = SharedSecret::new(key(&packet["secret"]), not_before).unwrap();
    let later = SharedSecret::new(key(&packet["host_as_key"]), not_before.saturating_add(Nanos(50 * year.0))).unwrap();
    let secrets = SharedSecrets::new(vec![later, used, older]);
    Rotation::new(isd_as(&packet[local]), isd_as(&packet[peer]), secrets, KeyTimes::default()).unwrap()
}

fn packets() -> Vec<Value> {
    golden()["packets"].as_array().unwrap().clone()
}

fn golden() -> Value {
    read(include_str!("vectors/lightning_filter.json"))
}

fn instant(value: &Value) -> UnixNanos {
    UnixNanos(number(value))
}

fn isd_as(value: &Value) -> IsdAs {
    IsdAs::from_be_bytes(array(value))
}

fn host(value: &Value) -> HostAddress {
    Ipv4Addr::from(array::<4>(value)).into()
}

fn protocol(vector: &Value) -> Protocol {
    Protocol(number(&vector["drkey_protocol"]).try_into().unwrap())
}

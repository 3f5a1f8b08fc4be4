//! The first packet of a capture, key by key. `README.md` beside this file says where it comes from.

use hex_literal::hex;
use photongate_crypto::{Block, Input, Key, MacJob, Schedule, backend, cbc_mac};

#[test]
fn each_key_of_a_captured_packet_follows_from_the_one_above() {
    let host_as = Schedule::new(&Key::from_bytes(AS_AS)).derive(&host_as_input());
    assert_eq!(*host_as.as_bytes(), hex!("534778f3721d1bc4cae98c07a282c9bf"));
    let host_host = Schedule::new(&host_as).derive(&host_host_input());
    assert_eq!(*host_host.as_bytes(), hex!("0c74c76051cfd8e8e26a21e63c9c7a1d"));
    let host_host = Schedule::new(&host_host);
    assert_eq!(cbc_mac(&host_host, &MESSAGE[..1]), hex!("e628a53fc31e3efabc220834955317d5"));
    assert_eq!(cbc_mac(&host_host, &MESSAGE), MAC);
}

#[test]
fn every_backend_computes_the_mac_of_a_captured_packet() {
    let as_as = Key::from_bytes(AS_AS);
    let job = MacJob { as_as: &as_as, host_as: host_as_input(), host_host: host_host_input(), message: MESSAGE };
    for backend in backend::every_kind() {
        assert_eq!(*backend.mac(&job).as_bytes(), MAC, "{backend:?}");
    }
}

#[test]
fn every_backend_computes_the_hash_of_a_captured_payload() {
    let payload = hex!(
        "08002f3c3d7e0001dafd006b00000000f008010000000000101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f"
        "3031323334353637"
    );
    for backend in backend::every_kind() {
        assert_eq!(backend.sha1_of(&payload), hex!("eab4bd835219a9e5cb9606457bd3bcc603b8706d"), "{backend:?}");
    }
}

fn host_as_input() -> Input {
    Input::new(&hex!("02 0003 00 0af80201"))
}

fn host_host_input() -> Input {
    Input::new(&hex!("03 00 0af80101"))
}

const AS_AS: [u8; 16] = hex!("839ae8826550a1b45bd9649adac1aedc");
const MESSAGE: [Block; 2] = [hex!("00000001004000010000a4580bc0d0a5"), hex!("eab4bd835219a9e5cb9606457bd3bcc6")];
const MAC: [u8; 16] = hex!("7817e20928f9b109cdfe357c05e79c23");

//! Any bytes as an `lf2` header and its payload: written as they were read, unless the version is another.

#![no_main]

use libfuzzer_sys::fuzz_target;
use photongate_wire::{Lf2, Lf2Header, lf2};

fuzz_target!(|bytes: &[u8]| {
    let Ok((header, payload)) = Lf2::split(bytes) else {
        assert!(bytes.len() < lf2::HEADER_LEN || bytes[0] != lf2::VERSION);
        return;
    };
    assert_eq!([header.as_bytes(), payload].concat(), bytes);

    let payload_len = payload.len() as u16;
    let head = lf2::tag_head(header.as_bytes(), payload_len);
    let expected = [&bytes[..20], &payload_len.to_be_bytes(), &[0; 10]].concat();
    assert_eq!(head.as_flattened(), expected);

    let mut written = [0xff; lf2::HEADER_LEN];
    Lf2Header::parse(header.as_bytes()).expect("the version was checked").emit(&mut written);
    assert_eq!(&written, header.as_bytes());
});

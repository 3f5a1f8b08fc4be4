//! Any bytes as an LF header and its payload: written as they were read, unless the reserved byte is set.

#![no_main]

use libfuzzer_sys::fuzz_target;
use photongate_wire::{Lf, LfHeader, lf};

fuzz_target!(|bytes: &[u8]| {
    let Ok((header, payload)) = Lf::split(bytes) else { return };
    assert_eq!([header.as_bytes(), payload].concat(), bytes);

    let payload_len = payload.len() as u16;
    let input = lf::mac_input(header.as_bytes(), payload_len);
    let mut expected = bytes[4..36].to_vec();
    expected[4..6].copy_from_slice(&payload_len.to_be_bytes());
    assert_eq!(input.as_flattened(), expected);

    match LfHeader::parse(header.as_bytes()) {
        Ok(fields) => {
            let mut written = [0xff; lf::HEADER_LEN];
            fields.emit(&mut written);
            assert_eq!(&written, header.as_bytes());
        }
        Err(_) => assert_ne!(header.reserved(), 0),
    }
});

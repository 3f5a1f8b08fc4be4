//! Any bytes as a list of a file's pieces: what is read is written the same way, and none is longer than a value.

#![no_main]

use libfuzzer_sys::fuzz_target;
use photongate_dht::manifest::Manifest;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = Manifest::parse(bytes) {
        assert_eq!(manifest.to_bytes(), bytes);
        assert_eq!(manifest.offsets().count(), manifest.pieces().len());
        assert!(manifest.pieces().iter().all(|piece| piece.size > 0));
    }
});

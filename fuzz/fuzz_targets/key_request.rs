//! Any bytes as an application's request for keys (ETSI GS QKD 014): refused with a message, or a request within the limits.

#![no_main]

use libfuzzer_sys::fuzz_target;
use photongate_qks::sae::{KeyIds, KeyRequest, Limits};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits::default();
    if let Ok(request) = serde_json::from_slice::<KeyRequest>(bytes) {
        let name = |text: &str| text.parse().expect("it is a name");
        if let Ok(checked) = request.within(&limits, &name("sae-a"), name("sae-b")) {
            assert!((1..=limits.max_keys_per_request).contains(&checked.number));
            assert!((limits.min_key_size_bits..=limits.max_key_size_bits).contains(&(checked.key_bytes * 8)));
            assert!((1..=limits.max_sae_ids as usize + 1).contains(&checked.slaves.len()));
        }
    }
    // Whatever it holds, reading it is all that can go wrong.
    let _ = serde_json::from_slice::<KeyIds>(bytes);
});

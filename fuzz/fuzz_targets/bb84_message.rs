//! Any bytes as a message between the ends of a simulated QKD link: refused, or a message that is encoded to something that means the
//! same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use photongate_bb84::message::Message;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = Message::decode(bytes) {
        let encoded = message.encode();
        let again = Message::decode(&encoded).expect("what is encoded can be decoded");
        assert_eq!(again.encode(), encoded);
    }
});

//! A key container as it is sent (ETSI GS QKD 014 V1.1.1, clause 6.3).

use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderValue, header};
use uuid::Uuid;
use uuid::fmt::Hyphenated;
use zeroize::Zeroizing;

/// What a [`KeyContainer`](super::KeyContainer) is read from: JSON, written once into memory of the right size, and wiped when it is sent.
pub struct ContainerText(Zeroizing<Vec<u8>>);

impl ContainerText {
    /// Of keys and their names.
    pub fn of<'k>(keys: impl Iterator<Item = (Uuid, &'k [u8])> + Clone) -> Self {
        let length: usize = keys.clone().map(|(_, key)| AROUND_KEY + base64_length(key)).sum();
        // Never grown: that would leave a copy of the keys behind.
        let mut text = Zeroizing::new(Vec::with_capacity(BEFORE.len() + length + AFTER.len()));
        text.extend_from_slice(BEFORE);
        for (place, (id, key)) in keys.enumerate() {
            text.extend_from_slice(if place == 0 { FIRST } else { NEXT });
            text.extend_from_slice(id.as_hyphenated().encode_lower(&mut [0; Hyphenated::LENGTH]).as_bytes());
            text.extend_from_slice(BETWEEN);
            let from = text.len();
            text.resize(from + base64_length(key), 0);
            BASE64_STANDARD.encode_slice(key, &mut text[from..]).expect("it has the length of the key in base64");
            text.extend_from_slice(BEHIND);
        }
        text.extend_from_slice(AFTER);
        Self(text)
    }
}

impl IntoResponse for ContainerText {
    fn into_response(self) -> Response {
        let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        (json, Bytes::from_owner(self.0)).into_response()
    }
}

const fn base64_length(key: &[u8]) -> usize {
    key.len().div_ceil(3) * 4
}

const BEFORE: &[u8] = b"{\"keys\":[";
const FIRST: &[u8] = b"{\"key_ID\":\"";
const NEXT: &[u8] = b",{\"key_ID\":\"";
const BETWEEN: &[u8] = b"\",\"key\":\"";
const BEHIND: &[u8] = b"\"}";
const AFTER: &[u8] = b"]}";
/// What a key takes beside itself.
const AROUND_KEY: usize = NEXT.len() + Hyphenated::LENGTH + BETWEEN.len() + BEHIND.len();

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sae::KeyContainer;

    #[test]
    fn what_is_sent_is_read_as_the_keys_it_was_made_of() {
        for (number, key_bytes) in [(1, 32), (3, 8), (100, 32), (2, 1_024), (5, 31)] {
            let keys: Vec<_> =
                (0..number).map(|n: u8| (Uuid::from_bytes([n; 16]), vec![n ^ 0xa5; key_bytes])).collect();
            let sent = ContainerText::of(keys.iter().map(|(id, key)| (*id, key.as_slice())));
            assert!(sent.0.len() <= sent.0.capacity() && sent.0.capacity() - sent.0.len() <= 1, "it was not measured");
            let read: KeyContainer = serde_json::from_slice(&sent.0).unwrap();
            let read = read.keys.iter().map(|key| (key.key_ID, BASE64_STANDARD.decode(key.key.as_bytes()).unwrap()));
            assert_eq!(read.collect::<Vec<_>>(), keys);
        }
    }
}

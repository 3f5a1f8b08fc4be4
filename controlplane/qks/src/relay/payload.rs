//! What a payload consists of: a head that says what it is, as JSON, and secret bytes.

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::Secret;

/// A payload. The head must not be secret.
///
/// # Panics
/// The head has no JSON form, or one of four gigabytes.
pub fn pack(head: &impl Serialize, bytes: &[u8]) -> Secret {
    let head = serde_json::to_vec(head).expect("heads have a JSON form");
    let mut payload = Zeroizing::new(Vec::with_capacity(size_of::<u32>() + head.len() + bytes.len()));
    payload.extend(u32::try_from(head.len()).expect("heads are short").to_be_bytes());
    payload.extend(&head);
    payload.extend(bytes);
    payload
}

/// The head and the bytes of a payload. `None` if it is not one, or has another head.
pub fn unpack<H: DeserializeOwned>(payload: &[u8]) -> Option<(H, &[u8])> {
    let (length, rest) = payload.split_first_chunk::<{ size_of::<u32>() }>()?;
    let (head, bytes) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    Some((serde_json::from_slice(head).ok()?, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked() {
        let payload = pack(&("head", 7), b"secret");
        assert_eq!(unpack(&payload), Some((("head".to_owned(), 7), b"secret".as_slice())));
    }

    #[test]
    fn what_is_cut_short_or_has_another_head_is_no_payload() {
        let payload = pack(&"head", &[]);
        for length in 0..payload.len() {
            assert_eq!(unpack::<String>(&payload[..length]), None, "{length}");
        }
        assert_eq!(unpack::<u32>(&payload), None);
    }
}

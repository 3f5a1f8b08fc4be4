//! WireGuard's messages, told apart by their first bytes.
//!
//! Source: "WireGuard: Next Generation Kernel Network Tunnel", section 5.4.

/// A kind of WireGuard message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WireguardMessage {
    /// The first message of a handshake.
    Initiation,
    /// The second message of a handshake.
    Response,
    /// The answer of a peer under load: try again with this cookie.
    Cookie,
    /// An encrypted packet, or a keep-alive.
    Data,
}

impl WireguardMessage {
    /// The kind of message that the UDP payload starts like; `None` if it is too short for one, or not WireGuard's.
    #[inline]
    pub fn recognise(payload: &[u8]) -> Option<Self> {
        let (message, min_len) = match payload.first_chunk()? {
            [1, 0, 0, 0] => (Self::Initiation, 148),
            [2, 0, 0, 0] => (Self::Response, 92),
            [3, 0, 0, 0] => (Self::Cookie, 64),
            [4, 0, 0, 0] => (Self::Data, 32),
            _ => return None,
        };
        (payload.len() >= min_len).then_some(message)
    }

    /// Whether it belongs to a handshake, which costs the receiver public-key operations; a cookie counts as one.
    #[inline]
    pub const fn is_handshake(self) -> bool {
        !matches!(self, Self::Data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_by_type_and_length() {
        for (kind, length, message) in [
            (1, 148, WireguardMessage::Initiation),
            (2, 92, WireguardMessage::Response),
            (3, 64, WireguardMessage::Cookie),
            (4, 32, WireguardMessage::Data),
        ] {
            let mut payload = vec![0; length];
            payload[0] = kind;
            assert_eq!(WireguardMessage::recognise(&payload), Some(message));
            assert_eq!(WireguardMessage::recognise(&payload[1..]), None);
            assert_eq!(WireguardMessage::recognise(&payload[..length - 1]), None);
            assert_eq!(message.is_handshake(), kind != 4);
        }
    }

    #[test]
    fn other_payloads_are_not_wireguard() {
        for start in [[0, 0, 0, 0], [5, 0, 0, 0], [1, 1, 0, 0], [4, 0, 0, 1]] {
            let mut payload = [0; 200];
            payload[..4].copy_from_slice(&start);
            assert_eq!(WireguardMessage::recognise(&payload), None, "{start:?}");
        }
        assert_eq!(WireguardMessage::recognise(&[4, 0, 0]), None);
    }
}

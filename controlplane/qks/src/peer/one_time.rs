//! Keys of single messages between two neighbours: announced before the message comes, and good for that message alone.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::stock::Piece;

/// What a neighbour has announced.
#[derive(Debug, Default)]
pub(super) struct OneTimeKeys(BTreeMap<Vec<Piece>, Instant>);

impl OneTimeKeys {
    /// The neighbour announced these pieces. Their mark was moved: nobody else gets them.
    pub(super) fn announce(&mut self, pieces: Vec<Piece>) {
        if self.0.len() >= MOST {
            self.0.retain(|_, announced| announced.elapsed() < LIFETIME);
        }
        if self.0.len() < MOST {
            self.0.insert(pieces, Instant::now());
        }
    }

    /// A message names these pieces as its key. True once for each announcement.
    pub(super) fn accept(&mut self, pieces: &[Piece]) -> bool {
        self.0.remove(pieces).is_some_and(|announced| announced.elapsed() < LIFETIME)
    }
}

/// Messages that may be on their way.
const MOST: usize = 16_384;

/// How long a message may be on its way.
const LIFETIME: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::ids::StreamId;
    use crate::stock::BlockName;

    #[test]
    fn a_key_that_was_announced_is_accepted_for_one_message() {
        let mut keys = OneTimeKeys::default();
        let piece =
            |offset| Piece { block: BlockName { stream: StreamId(Uuid::nil()), number: 0 }, offset, length: 32 };
        keys.announce(vec![piece(0), piece(32)]);
        assert!(!keys.accept(&[piece(0)]), "a part of it");
        assert!(keys.accept(&[piece(0), piece(32)]));
        assert!(!keys.accept(&[piece(0), piece(32)]), "a second message");
    }
}

//! The pieces of a sealed file: encrypted one by one as content comes, and decrypted where they are.

use std::fmt;
use std::io::{self, Write};

use aws_lc_rs::aead::{Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use zeroize::Zeroizing;

/// Takes the content of a file that is being sealed. What goes wrong is told at the end, to whoever seals.
pub struct Sealing<'f> {
    key: &'f RandomizedNonceKey,
    associated: Vec<u8>,
    file: &'f mut dyn Write,
    /// What is not written yet. Of a fixed size: a list that grows leaves its content behind in freed memory.
    piece: Zeroizing<Vec<u8>>,
    number: u64,
    written: io::Result<()>,
}

impl<'f> Sealing<'f> {
    /// Writes pieces to `file`. With each is authenticated what it is `associated` with.
    pub(super) fn new(key: &'f RandomizedNonceKey, associated: Vec<u8>, file: &'f mut dyn Write) -> Self {
        let piece = Zeroizing::new(Vec::with_capacity(PIECE));
        Self { key, associated, file, piece, number: 0, written: Ok(()) }
    }

    /// Adds `bytes` to the content.
    pub fn put(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.written.is_ok() {
            // Only now is it known that this piece is not the last one.
            if self.piece.len() == PIECE {
                self.written = self.write_piece(false);
            }
            let (fitting, rest) = bytes.split_at(bytes.len().min(PIECE - self.piece.len()));
            self.piece.extend_from_slice(fitting);
            bytes = rest;
        }
    }

    /// Writes the last piece.
    pub(super) fn finish(mut self) -> io::Result<()> {
        std::mem::replace(&mut self.written, Ok(()))?;
        self.write_piece(true)
    }

    fn write_piece(&mut self, is_last: bool) -> io::Result<()> {
        let aad = Aad::from(associated(&self.associated, self.number, is_last));
        let encrypted = self.key.seal_in_place_separate_tag(aad, &mut self.piece);
        let (nonce, tag) = encrypted.map_err(|_| io::Error::other("there is no randomness to encrypt with"))?;
        for part in [nonce.as_ref(), self.piece.as_slice(), tag.as_ref()] {
            self.file.write_all(part)?;
        }
        self.piece.clear();
        self.number += 1;
        Ok(())
    }
}

impl fmt::Write for Sealing<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text.as_bytes());
        Ok(())
    }
}

/// Decrypts the pieces in their place, and moves their content to the beginning. Returns how long it is; `None` if anything was
/// changed, left out or added.
pub(super) fn open(key: &RandomizedNonceKey, context: &[u8], pieces: &mut [u8]) -> Option<usize> {
    let mut content_len = 0;
    let mut at = 0;
    for number in 0.. {
        let end = pieces.len().min(at + NONCE_LEN + PIECE + TAG_LEN);
        let is_last = end == pieces.len();
        let (nonce, sealed) = pieces.get_mut(at..end)?.split_first_chunk_mut::<NONCE_LEN>()?;
        let aad = Aad::from(associated(context, number, is_last));
        let opened = key.open_in_place(Nonce::assume_unique_for_key(*nonce), aad, sealed).ok()?.len();
        pieces.copy_within(at + NONCE_LEN..at + NONCE_LEN + opened, content_len);
        content_len += opened;
        if is_last {
            break;
        }
        at = end;
    }
    Some(content_len)
}

/// What is authenticated beside a piece.
fn associated(context: &[u8], number: u64, is_last: bool) -> Vec<u8> {
    [context, &number.to_be_bytes(), &[u8::from(is_last)]].concat()
}

/// Content of every piece but the last, in bytes.
pub(super) const PIECE: usize = 1 << 18;

const TAG_LEN: usize = 16;

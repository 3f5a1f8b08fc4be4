//! Messages on a stream of bytes: JSON, one after another, each with an end: `\r` between nodes, a newline on pipes and sockets.
//!
//! A read may hold half a message or many. [`Frames`] takes bytes as they come and gives the messages that are whole. One that is
//! too long is skipped up to its end and told; what a message means, and whether it means anything, is its reader's business. JSON text has
//! neither end in it but escaped, so it is never mistaken.

use std::mem;

use serde::Serialize;

/// Puts messages together from bytes as they come. Keeps at most the longest message that is allowed.
#[derive(Debug)]
pub struct Frames {
    end: u8,
    longest: usize,
    /// What came of the message that is not whole.
    partial: Vec<u8>,
    /// How many bytes of a message were thrown away because it is too long; zero if none is.
    skipped: usize,
}

/// A message was longer than allowed, and is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of {length} bytes: at most {longest} are taken")]
pub struct TooLong {
    /// Its length.
    pub length: usize,
    /// The longest that is taken.
    pub longest: usize,
}

impl Frames {
    /// Takes messages of up to `longest` bytes, each with `end` behind it.
    pub fn new(end: u8, longest: usize) -> Self {
        Self { end, longest, partial: Vec::new(), skipped: 0 }
    }

    /// Takes some bytes, and gives each message that is complete by them to `whole`, in their order: the text without its end, or that it
    /// was too long. Blanks between messages are none.
    pub fn push(&mut self, bytes: &[u8], mut whole: impl FnMut(Result<&[u8], TooLong>)) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|&byte| byte == self.end) {
            let (last, after) = (&rest[..end], &rest[end + 1..]);
            rest = after;
            if self.skipped > 0 || self.partial.len() + last.len() > self.longest {
                let length = mem::take(&mut self.skipped) + self.partial.len() + last.len();
                self.partial.clear();
                whole(Err(TooLong { length, longest: self.longest }));
            } else if self.partial.is_empty() {
                // Most messages come whole, and need no copy.
                give(last, &mut whole);
            } else {
                self.partial.extend_from_slice(last);
                give(&self.partial, &mut whole);
                self.partial.clear();
            }
        }
        self.keep(rest);
        // What one long message needed is not kept for ever.
        if self.partial.is_empty() && self.partial.capacity() > KEPT {
            self.partial = Vec::new();
        }
    }

    /// How many bytes there are of a message that is not whole.
    pub fn pending(&self) -> usize {
        self.skipped + self.partial.len()
    }

    /// The stream ended: what is not whole will not be. Says how many bytes there were of it.
    pub fn give_up(&mut self) -> usize {
        let lost = self.pending();
        self.partial.clear();
        self.skipped = 0;
        lost
    }

    fn keep(&mut self, rest: &[u8]) {
        if self.skipped > 0 || self.partial.len() + rest.len() > self.longest {
            self.skipped += mem::take(&mut self.partial).len() + rest.len();
        } else {
            self.partial.extend_from_slice(rest);
        }
    }
}

/// Appends a message and its end.
///
/// # Errors
/// The message is longer than `longest`, and nothing was appended.
///
/// # Panics
/// If the message cannot be JSON, which its type rules out.
pub fn append(buffer: &mut Vec<u8>, message: &impl Serialize, longest: usize) -> Result<(), TooLong> {
    let start = buffer.len();
    serde_json::to_writer(&mut *buffer, message).expect("messages are made of text, numbers and lists");
    let length = buffer.len() - start;
    if length > longest {
        buffer.truncate(start);
        return Err(TooLong { length, longest });
    }
    buffer.push(END);
    Ok(())
}

fn give(message: &[u8], whole: &mut impl FnMut(Result<&[u8], TooLong>)) {
    let message = message.trim_ascii();
    if !message.is_empty() {
        whole(Ok(message));
    }
}

/// What ends a message between nodes.
pub const END: u8 = b'\r';

/// What ends a line of a pipe or socket.
pub const NEWLINE: u8 = b'\n';

/// Room that is kept for the next message.
const KEPT: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn messages_are_given_whole_and_in_order() {
        let mut frames = Frames::new(END, 100);
        assert_eq!(push(&mut frames, b"{\"a\":1}\r{\"b\""), [text("{\"a\":1}")]);
        assert_eq!(push(&mut frames, b":2}"), []);
        assert_eq!(push(&mut frames, b"\r\r \n\r[]\r"), [text("{\"b\":2}"), text("[]")]);
    }

    #[test]
    fn a_message_that_is_too_long_is_told_and_skipped_however_it_comes() {
        for cuts in [vec![], vec![3], vec![5, 6, 7], (1..12).collect()] {
            let mut frames = Frames::new(END, 5);
            let whole = push_cut(&mut frames, b"123456\r12345\r", &cuts);
            assert_eq!(whole, [Err(TooLong { length: 6, longest: 5 }), text("12345")], "{cuts:?}");
        }
    }

    #[test]
    fn a_message_without_an_end_does_not_fill_the_memory() {
        let mut frames = Frames::new(END, 1_000);
        for _ in 0..100 {
            assert_eq!(push(&mut frames, &[b'x'; 999]), []);
            assert!(frames.partial.capacity() <= 2_000);
        }
        assert_eq!(push(&mut frames, b"\r1\r"), [Err(TooLong { length: 99_900, longest: 1_000 }), text("1")]);
    }

    #[test]
    fn what_a_stream_ends_in_is_no_message() {
        let mut frames = Frames::new(NEWLINE, 100);
        assert_eq!(push(&mut frames, b"{}\r\n{\"a\""), [text("{}")]);
        assert_eq!((frames.give_up(), frames.give_up()), (4, 0));
        assert_eq!(push(&mut frames, b"[]\n"), [text("[]")]);
    }

    #[test]
    fn a_message_that_is_too_long_is_not_sent() {
        let mut buffer = b"before".to_vec();
        assert_eq!(append(&mut buffer, &json!("12345"), 6), Err(TooLong { length: 7, longest: 6 }));
        assert_eq!(buffer, b"before");
    }

    proptest! {
        #[test]
        fn what_was_sent_arrives_wherever_the_bytes_are_cut(
            messages in prop::collection::vec(any::<String>(), 0..8),
            cuts in prop::collection::vec(0usize..400, 0..8),
        ) {
            let mut bytes = Vec::new();
            for message in &messages {
                append(&mut bytes, message, 10_000).unwrap();
            }
            let whole = push_cut(&mut Frames::new(END, 10_000), &bytes, &cuts);
            let arrived: Vec<Value> = whole.into_iter().map(|m| serde_json::from_slice(&m.unwrap()).unwrap()).collect();
            prop_assert_eq!(arrived, messages.into_iter().map(Value::from).collect::<Vec<_>>());
        }

        #[test]
        fn no_bytes_make_it_panic_and_none_are_lost(
            bytes in prop::collection::vec(prop::sample::select(b"ab\r{".to_vec()), 0..200),
            cuts in prop::collection::vec(0usize..200, 0..8),
        ) {
            let mut frames = Frames::new(END, 4);
            let told: usize = push_cut(&mut frames, &bytes, &cuts)
                .into_iter()
                .map(|message| message.map_or_else(|long| long.length, |message| message.len()))
                .sum();
            let ends = bytes.iter().filter(|&&byte| byte == END).count();
            prop_assert_eq!(told + frames.pending() + ends, bytes.len());
        }
    }

    fn push(frames: &mut Frames, bytes: &[u8]) -> Vec<Result<Vec<u8>, TooLong>> {
        let mut whole = Vec::new();
        frames.push(bytes, |message| whole.push(message.map(<[u8]>::to_vec)));
        whole
    }

    fn push_cut(frames: &mut Frames, bytes: &[u8], cuts: &[usize]) -> Vec<Result<Vec<u8>, TooLong>> {
        let mut cuts: Vec<_> = cuts.iter().map(|&cut| cut.min(bytes.len())).chain([0, bytes.len()]).collect();
        cuts.sort_unstable();
        cuts.windows(2).flat_map(|cut| push(frames, &bytes[cut[0]..cut[1]])).collect()
    }

    #[allow(clippy::unnecessary_wraps, reason = "compared with what is given")]
    fn text(text: &str) -> Result<Vec<u8>, TooLong> {
        Ok(text.as_bytes().to_vec())
    }
}

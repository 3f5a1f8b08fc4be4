//! Server-sent events, from bytes as they come ([HTML], "Interpreting an event stream"). No I/O.
//!
//! [HTML]: https://html.spec.whatwg.org/multipage/server-sent-events.html

use std::mem;

/// Puts events together. Holds at most [`LONGEST_EVENT`] bytes of one that is not complete.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// The line that is not complete.
    line: Vec<u8>,
    /// Whether the last byte was a carriage return: a line feed behind it belongs to the same line end.
    after_return: bool,
    event: Event,
}

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// Its name; empty if it has none.
    pub name: Vec<u8>,
    /// Its data: the lines of it, joined by line feeds.
    pub data: Vec<u8>,
}

/// An event is longer than any good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event longer than {LONGEST_EVENT} bytes")]
pub(super) struct TooLong;

impl Events {
    /// Takes some bytes; gives the events that are complete by them.
    ///
    /// # Errors
    /// [`TooLong`]. The stream cannot be understood any more.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut complete = Vec::new();
        for &byte in bytes {
            let ends_line_again = byte == b'\n' && mem::take(&mut self.after_return);
            self.after_return = byte == b'\r';
            match byte {
                b'\n' if ends_line_again => {}
                b'\r' | b'\n' => complete.extend(self.end_line()),
                _ if self.line.len() + self.event.data.len() >= LONGEST_EVENT => return Err(TooLong),
                _ => self.line.push(byte),
            }
        }
        Ok(complete)
    }

    /// Reads the line that is complete now; an empty one completes the event.
    fn end_line(&mut self) -> Option<Event> {
        let line = mem::take(&mut self.line);
        if line.is_empty() {
            let event = mem::take(&mut self.event);
            return (!event.data.is_empty()).then_some(Event { data: trim_end(event.data), name: event.name });
        }
        let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
        let (field, value) = (&line[..colon], line.get(colon + 1..).unwrap_or_default());
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"event" => self.event.name = value.to_vec(),
            b"data" => {
                self.event.data.extend_from_slice(value);
                self.event.data.push(b'\n');
            }
            // Comments, which keep the connection alive, and fields that we have no use for.
            _ => {}
        }
        None
    }
}

/// Without the line feed behind the last line.
fn trim_end(mut data: Vec<u8>) -> Vec<u8> {
    data.pop();
    data
}

/// The longest event that is read, in bytes.
pub(super) const LONGEST_EVENT: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn events_have_a_name_and_data() {
        let events = Events::default().push(b"event: sample\ndata: {\"a\":1}\n\ndata:b\n\n").unwrap();
        assert_eq!(events, [event("sample", "{\"a\":1}"), event("", "b")]);
    }

    #[test]
    fn lines_of_data_are_joined_and_comments_and_unknown_fields_left_out() {
        let events = Events::default().push(b": alive\nid: 7\ndata: a\nretry\ndata: b\n\n:\n\n").unwrap();
        assert_eq!(events, [event("", "a\nb")]);
    }

    #[test]
    fn an_event_that_is_not_complete_is_none() {
        let mut events = Events::default();
        assert_eq!(events.push(b"data: a\n").unwrap(), []);
        assert_eq!(events.push(b"\n").unwrap(), [event("", "a")]);
    }

    #[test]
    fn a_line_without_an_end_is_refused_before_it_fills_the_memory() {
        let mut events = Events::default();
        assert_eq!(events.push(&vec![b'x'; LONGEST_EVENT]), Ok(Vec::new()));
        assert_eq!(events.push(b"x"), Err(TooLong));
    }

    #[test]
    fn data_without_an_end_is_refused_before_it_fills_the_memory() {
        let mut events = Events::default();
        let line = [&b"data:"[..], &[b'x'; 1000], b"\n"].concat();
        assert!((0..2 * LONGEST_EVENT / 1000).any(|_| events.push(&line) == Err(TooLong)));
    }

    proptest! {
        #[test]
        fn where_the_bytes_are_cut_and_how_lines_end_makes_no_difference(
            cuts in prop::collection::vec(0usize..40, 0..6),
            ending in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        ) {
            let text = "event: a\ndata: 1\ndata: 2\n\n: c\ndata: 3\n\n".replace('\n', ending);
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let mut events = Events::default();
            let mut complete = Vec::new();
            for cut in cuts.windows(2) {
                complete.extend(events.push(&text.as_bytes()[cut[0]..cut[1]]).unwrap());
            }
            prop_assert_eq!(complete, [event("a", "1\n2"), event("", "3")]);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Events::default().push(&bytes);
        }
    }

    fn event(name: &str, data: &str) -> Event {
        Event { name: name.into(), data: data.into() }
    }
}

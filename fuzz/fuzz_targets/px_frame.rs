//! Any bytes on a stream between px nodes, cut anywhere: whole messages come out the same, and no byte is lost.

#![no_main]

use libfuzzer_sys::fuzz_target;
use photongate_px::frame::{END, Frames};
use photongate_px::node::PeerMessage;

fuzz_target!(|input: (Vec<u8>, Vec<u8>)| {
    let (bytes, cuts) = input;
    let at_once = messages(&bytes, &[]);
    assert_eq!(at_once, messages(&bytes, &cuts));
    for message in at_once.into_iter().flatten() {
        if let Ok(understood) = serde_json::from_slice::<PeerMessage>(&message) {
            serde_json::to_vec(&understood).expect("what was read can be written");
        }
    }
});

/// The messages of `bytes`, which come in pieces: a byte of `cuts` is the length of one. `None` for one that is too long.
fn messages(bytes: &[u8], cuts: &[u8]) -> Vec<Option<Vec<u8>>> {
    let mut frames = Frames::new(END, LONGEST);
    let mut found = Vec::new();
    let mut rest = bytes;
    for &cut in cuts {
        let (piece, after) = rest.split_at(usize::from(cut).min(rest.len()));
        frames.push(piece, |message| found.push(message.ok().map(<[u8]>::to_vec)));
        rest = after;
    }
    frames.push(rest, |message| found.push(message.ok().map(<[u8]>::to_vec)));
    found
}

/// Short enough that the fuzzer gets beyond it.
const LONGEST: usize = 64;

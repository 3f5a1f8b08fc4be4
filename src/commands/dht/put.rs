//! `photongate dht put`: a file into the network.

use std::collections::BTreeSet;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use photongate_dht::Id;
use photongate_dht::manifest::{Manifest, Piece, piece_size};
use serde_json::{Value, json};

use super::progress::Progress;
use super::reach::{INCOMPLETE, Node, Reach, refused};
use crate::failure::{Failure, remark};
use crate::numbers::scaled_in;

/// Put a file into the network, and print its key
///
/// It is cut into pieces; the nodes nearest to the key of each fetch it. When this returns, others have all of it: of a long file, some
/// pieces by chance are got back from those that say so, of a short one all. If it is interrupted, the same command goes on from there:
/// what is already there is not sent again.
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate dht put as-list.toml
    photongate dht put as-list.toml --config dht.toml --json

Exit status: 0 if other nodes have all of it; 1 if it failed; 2 if the file or the node cannot be used; 4 if this node has all of \
it, and other nodes lack some: the same command tries again.")]
pub(super) struct Arguments {
    /// The file
    file: PathBuf,

    #[command(flatten)]
    reach: Reach,
}

/// What became of a piece.
struct Sent {
    was_here: bool,
    /// Other nodes that are said to have it.
    claimed: u64,
    /// Those that have shown it, if they were asked to.
    verified: Option<u64>,
}

/// What became of all of them.
#[derive(Default)]
struct Outcome {
    list: Vec<Option<Piece>>,
    sent_pieces: u64,
    sent_bytes: u64,
    /// Of the piece that has the fewest, and of that which the fewest are said to have.
    fewest_copies: Option<u64>,
    fewest_claimed: Option<u64>,
    /// Of how many pieces copies were shown.
    verified_pieces: usize,
}

impl Arguments {
    /// Puts the file.
    ///
    /// # Errors
    /// See the command's exit status.
    pub(super) fn run(&self) -> Result<(), Failure> {
        let unreadable = |error: io::Error| unreadable(&self.file, &error);
        let file = File::open(&self.file).map_err(unreadable)?;
        let size = file.metadata().map_err(unreadable)?.len();
        let piece = piece_size(size).ok_or_else(|| Failure::bad_input("photongate: the file is too long"))?;
        let count = usize::try_from(size.div_ceil(piece.into())).map_err(Failure::bad_input)?;
        let progress = Mutex::new(Progress::new(size, !self.reach.json));
        let outcome = Mutex::new(Outcome { list: vec![None; count], ..Outcome::default() });
        let next = AtomicUsize::new(0);
        let sample = sample(count);
        let work = || -> Result<(), Failure> {
            let mut node = self.reach.node()?;
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return Ok(());
                }
                let offset = index as u64 * u64::from(piece);
                let length = size.saturating_sub(offset).min(piece.into());
                let mut bytes = vec![0; usize::try_from(length).map_err(Failure::bad_input)?];
                file.read_exact_at(&mut bytes, offset).map_err(unreadable)?;
                let sent = send(&mut node, &bytes, sample.contains(&index))?;
                note(&outcome, &progress, Some(index), &bytes, &sent);
            }
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS.min(count)).map(|_| scope.spawn(work)).collect();
            workers.into_iter().try_for_each(|worker| worker.join().expect("a worker does not panic"))
        })?;
        let list = std::mem::take(&mut lock(&outcome).list);
        let manifest = Manifest::new(list.into_iter().flatten().collect()).map_err(Failure::bad_input)?;
        let list = manifest.to_bytes();
        let sent = send(&mut self.reach.node()?, &list, true)?;
        note(&outcome, &progress, None, &list, &sent);
        self.tell(Id::of(&list), size, count, &lock(&outcome), lock(&progress).took())
    }

    fn tell(
        &self,
        key: Id,
        size: u64,
        pieces: usize,
        outcome: &Outcome,
        took: std::time::Duration,
    ) -> Result<(), Failure> {
        let Outcome { verified_pieces: verified, .. } = *outcome;
        let [copies, claimed] = [outcome.fewest_copies, outcome.fewest_claimed].map(Option::unwrap_or_default);
        let object = json!({
            "key": key, "size": size, "pieces": pieces, "sent_pieces": outcome.sent_pieces,
            "sent_bytes": outcome.sent_bytes, "copies": copies, "verified_pieces": verified, "claimed": claimed,
            "seconds": took.as_secs_f64(),
        });
        self.reach.print(&object, &format!("{key}\n"))?;
        if !self.reach.json {
            let of_all = if verified == pieces {
                String::new()
            } else {
                format!(", to judge by {verified} of them; it is said of all")
            };
            remark(&format!(
                "{pieces} pieces, {}, of which {} were sent; each is on {copies} other nodes or more{of_all}",
                scaled_in(size as f64, "B"),
                scaled_in(outcome.sent_bytes as f64, "B")
            ));
        }
        if copies > 0 && claimed > 0 {
            return Ok(());
        }
        Err(Failure::with_status(INCOMPLETE, "photongate: a part of it is on no other node yet: try again"))
    }
}

/// Some pieces of a file, by chance, so that nobody knows beforehand which: or a node could claim to have all of it, and have only these.
fn sample(pieces: usize) -> BTreeSet<usize> {
    let chance = RandomState::new();
    let mut all: Vec<_> = (0..pieces).collect();
    all.sort_by_cached_key(|piece| chance.hash_one(piece));
    all.into_iter().take(SAMPLE).collect()
}

/// Sends a piece, unless the node has it, and waits until others have it: say so, or show it.
fn send(node: &mut Node, bytes: &[u8], verify: bool) -> Result<Sent, Failure> {
    let key = Id::of(bytes);
    node.send(json!({ "op": "spread", "key": key }))?;
    let mut answer = node.receive()?;
    let was_here = answer["ok"] == true;
    if answer["error"] == "not_here" {
        answer = node.ask(json!({ "op": "put", "base64": STANDARD.encode(bytes) }))?;
    } else if !was_here {
        return Err(refused(&answer));
    }
    let wanted = number(&answer["kept"]).min(ENOUGH);
    if wanted == 0 {
        return Ok(Sent { was_here, claimed: 0, verified: verify.then_some(0) });
    }
    let answer = node.ask(json!({ "op": "confirm", "key": key, "wanted": wanted, "verify": verify }))?;
    Ok(Sent { was_here, claimed: number(&answer["claimed"]), verified: verify.then(|| number(&answer["have"])) })
}

fn note(outcome: &Mutex<Outcome>, progress: &Mutex<Progress>, index: Option<usize>, bytes: &[u8], sent: &Sent) {
    let mut outcome = lock(outcome);
    outcome.fewest_copies = outcome.fewest_copies.into_iter().chain(sent.verified).min();
    outcome.fewest_claimed = outcome.fewest_claimed.into_iter().chain([sent.claimed]).min();
    let Some(index) = index else { return };
    outcome.verified_pieces += usize::from(sent.verified.is_some());
    outcome.list[index] = Some(Piece::of(bytes));
    if sent.was_here {
        lock(progress).skip(bytes.len() as u64);
    } else {
        outcome.sent_pieces += 1;
        outcome.sent_bytes += bytes.len() as u64;
        lock(progress).add(bytes.len() as u64);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn unreadable(file: &Path, error: &io::Error) -> Failure {
    Failure::bad_input(format!("photongate: {} cannot be read: {error}", file.display()))
}

/// Pieces that are sent at a time.
const WORKERS: usize = 8;

/// Pieces of a file that are got back from other nodes.
const SAMPLE: usize = 16;

/// Copies on other nodes that are waited for; more come about by themselves.
const ENOUGH: u64 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_a_short_file_is_verified_and_of_a_long_one_some_pieces_by_chance() {
        assert_eq!(sample(SAMPLE), (0..SAMPLE).collect());
        let [one, other] = [sample(4_096), sample(4_096)];
        assert_eq!((one.len(), other.len()), (SAMPLE, SAMPLE));
        assert_ne!(one, other);
    }
}

//! `photongate dht get`: a file out of the network.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use photongate_dht::Id;
use photongate_dht::lines::Range;
use photongate_dht::manifest::{Manifest, NotAManifest};
use serde_json::{Value, json};

use super::progress::Progress;
use super::reach::{INCOMPLETE, Reach, refused};
use crate::failure::{Failure, remark};
use crate::numbers::scaled_in;

/// Get a file out of the network
///
/// Its pieces come from several nodes at once, in any order, and each is checked. Until it is whole it is in FILE.part; if it is
/// interrupted, the same command goes on from there.
#[derive(Args)]
#[command(after_long_help = "\
Examples:

    photongate dht get 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03 as-list.toml
    photongate dht get --value 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03 value.bin

Exit status: 0 if it is there whole; 1 if it failed; 2 if the file or the node cannot be used; 3 if nobody has it, or a piece of it; \
4 if nothing came for too long: the same command goes on.")]
pub(super) struct Arguments {
    /// The key that `put` printed
    key: Id,

    /// Where to
    file: PathBuf,

    /// The key is that of a single value, and not of a file
    #[arg(long)]
    value: bool,

    #[command(flatten)]
    reach: Reach,
}

impl Arguments {
    /// Gets the file.
    ///
    /// # Errors
    /// See the command's exit status.
    pub(super) fn run(&self) -> Result<(), Failure> {
        let first = self.get_value()?;
        if self.value {
            fs::write(&self.file, &first).map_err(|error| unusable(&self.file, &error))?;
            return self.tell(first.len() as u64, 1, first.len() as u64, &BTreeSet::new(), 0.0);
        }
        let manifest = Manifest::parse(&first).map_err(|error| self.no_file(error))?;
        let mut part = self.file.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&part);
        let file = file.map_err(|error| unusable(&part, &error))?;
        let mut progress = Progress::new(manifest.size(), !self.reach.json);
        let have = pieces_in(&file, &manifest);
        let had: u64 = have.iter().map(|&piece| u64::from(manifest.pieces()[piece].size)).sum();
        progress.skip(had);
        let from = self.fetch(&file, &part, &have, &mut progress)?;
        let finish = || {
            file.set_len(manifest.size())?;
            file.sync_all()?;
            fs::rename(&part, &self.file)
        };
        finish().map_err(|error| unusable(&self.file, &error))?;
        let seconds = progress.took().as_secs_f64();
        drop(progress);
        self.tell(manifest.size(), manifest.pieces().len(), manifest.size() - had, &from, seconds)
    }

    fn get_value(&self) -> Result<Vec<u8>, Failure> {
        let answer = self.reach.ask(json!({ "op": "value", "key": self.key }))?;
        decoded(&answer)
    }

    /// Writes the missing pieces to where they belong. Gives the nodes that they came from.
    fn fetch(
        &self,
        file: &File,
        path: &Path,
        have: &BTreeSet<usize>,
        progress: &mut Progress,
    ) -> Result<BTreeSet<String>, Failure> {
        let mut node = self.reach.node()?;
        // The first answer says what the file is, which is known.
        node.ask(json!({ "op": "get", "key": self.key, "have": ranges(have) }))?;
        let mut from = BTreeSet::new();
        loop {
            // The node ends it when nothing comes any more.
            let answer = node.receive()?;
            if answer["ok"] != true {
                return Err(refused(&answer));
            }
            if answer["done"] == true {
                return Ok(from);
            }
            let bytes = decoded(&answer)?;
            let offset = answer["offset"].as_u64().unwrap_or_default();
            file.write_all_at(&bytes, offset).map_err(|error| unusable(path, &error))?;
            from.extend(answer["from"].as_str().map(str::to_owned));
            progress.add(bytes.len() as u64);
        }
    }

    fn tell(
        &self,
        size: u64,
        pieces: usize,
        fetched: u64,
        from: &BTreeSet<String>,
        seconds: f64,
    ) -> Result<(), Failure> {
        let object = json!({
            "key": self.key, "file": self.file, "size": size, "pieces": pieces, "fetched_bytes": fetched, "from": from,
            "seconds": seconds,
        });
        if self.reach.json {
            return self.reach.print(&object, "");
        }
        remark(&format!("{pieces} pieces, {}, from {} other nodes", scaled_in(size as f64, "B"), from.len()));
        Ok(())
    }

    fn no_file(&self, error: NotAManifest) -> Failure {
        Failure::at_run_time(format!("photongate: {} is a value, and no file: {error}; --value gets it", self.key))
    }
}

/// The pieces that a file has already, whole and in their places.
fn pieces_in(file: &File, manifest: &Manifest) -> BTreeSet<usize> {
    let mut bytes = Vec::new();
    let places = manifest.pieces().iter().zip(manifest.offsets()).enumerate();
    let whole = places.filter_map(|(index, (piece, offset))| {
        bytes.resize(piece.size as usize, 0);
        file.read_exact_at(&mut bytes, offset).ok()?;
        (Id::of(&bytes) == piece.key).then_some(index)
    });
    whole.collect()
}

fn ranges(pieces: &BTreeSet<usize>) -> Vec<Range> {
    let mut ranges: Vec<Range> = Vec::new();
    for &piece in pieces {
        match ranges.last_mut() {
            Some(range) if range.last + 1 == piece => range.last = piece,
            _ => ranges.push(Range { first: piece, last: piece }),
        }
    }
    ranges
}

fn decoded(answer: &Value) -> Result<Vec<u8>, Failure> {
    STANDARD.decode(answer["base64"].as_str().unwrap_or_default()).map_err(Failure::at_run_time)
}

fn unusable(file: &Path, error: &io::Error) -> Failure {
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let message = format!("photongate: {} cannot be written: {error}", file.display());
    if full { Failure::with_status(INCOMPLETE, message) } else { Failure::bad_input(message) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn pieces_that_follow_each_other_are_one_range() {
        let ranges: Vec<_> =
            ranges(&BTreeSet::from([0, 1, 2, 5, 7, 8])).iter().map(|range| (range.first, range.last)).collect();
        assert_eq!(ranges, [(0, 2), (5, 5), (7, 8)]);
    }

    #[test]
    fn only_pieces_that_are_whole_and_in_their_place_count_as_there() {
        let pieces = [b"aaaa".as_slice(), b"bbbb", b"cc"];
        let manifest = Manifest::new(pieces.map(photongate_dht::manifest::Piece::of).into()).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"aaaabxbbc").unwrap();
        assert_eq!(pieces_in(&file, &manifest), BTreeSet::from([0]));
    }
}

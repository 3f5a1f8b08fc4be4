//! Key material in files: a folder that is looked through again and again, for key files of the same names at both ends.
//!
//! It suits QKD devices that put down their keys as files, once privacy amplification is done. A file is a stream of its own, cut into
//! blocks; it is removed when all of it is in the database. A file that is still being written must have a name that ends in
//! `.part`, or begins with a dot.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use tokio::sync::oneshot;
use tokio::time::sleep;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{Block, LinkEnd, LinkSource, Origin, Phase, SourceError, SourceState};
use crate::ids::{LinkId, StreamId};

/// A folder with key files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFiles {
    /// The folder.
    pub directory: PathBuf,
    /// How often it is looked through.
    pub period: Duration,
}

impl LinkSource for KeyFiles {
    fn kind(&self) -> &'static str {
        "keyfile"
    }

    fn origin(&self) -> Origin {
        Origin::Qkd
    }

    fn run(self: Box<Self>, end: LinkEnd) -> Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send>> {
        Box::pin(self.watch(end))
    }

    fn again(&self) -> Box<dyn LinkSource> {
        Box::new(self.clone())
    }
}

impl KeyFiles {
    async fn watch(self: Box<Self>, end: LinkEnd) -> Result<(), SourceError> {
        loop {
            let taken = match waiting(&self.directory) {
                Ok(files) => self.take_all(files, &end).await,
                Err(error) => Err(format!("the folder {} cannot be read: {error}", self.directory.display())),
            };
            let (phase, reason) = match taken {
                Ok(()) => (Phase::Producing, None),
                Err(reason) => (Phase::Waiting, Some(reason)),
            };
            end.state.send_replace(SourceState { phase, reason, quality: None });
            tokio::select! {
                () = sleep(self.period) => {}
                () = end.blocks.closed() => return Ok(()),
            }
        }
    }

    /// Takes in all files. One that cannot be read keeps no other from being taken.
    async fn take_all(&self, files: Vec<PathBuf>, end: &LinkEnd) -> Result<(), String> {
        let mut outcome = Ok(());
        for path in files {
            if let Err(error) = take(&path, end).await {
                tracing::warn!(file = %path.display(), %error, "a key file is not taken in");
                outcome = Err(format!("{}: {error}", path.display()));
            }
        }
        outcome
    }
}

async fn take(path: &Path, end: &LinkEnd) -> io::Result<()> {
    let stream = stream_of(&end.link, path);
    let mut file = File::open(path)?;
    let mut number = 0;
    let mut last = None;
    loop {
        let mut bytes = Zeroizing::new(Vec::with_capacity(BLOCK_BYTES));
        (&mut file).take(BLOCK_BYTES as u64).read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            break;
        }
        let (kept, is_kept) = oneshot::channel();
        let block = Block { stream, number, bytes, origin: Origin::Qkd, kept: Some(kept) };
        if end.blocks.send(block).await.is_err() {
            return Ok(());
        }
        number += 1;
        last = Some(is_kept);
    }
    // Blocks are kept in their order: with the last one, all are.
    let is_kept = match last {
        Some(last) => last.await.is_ok(),
        None => true,
    };
    if is_kept {
        fs::remove_file(path)?;
        tracing::info!(link = %end.link, file = %path.display(), blocks = number, "a key file was taken in");
    }
    Ok(())
}

/// The key files in a folder, in the order of their names.
fn waiting(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)?.take(MOST_FILES) {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if entry.file_type()?.is_file() && !name.starts_with('.') && !name.ends_with(".part") {
            files.push(entry.path());
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Both ends give the stream of a file the same name, without talking about it.
fn stream_of(link: &LinkId, path: &Path) -> StreamId {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let hash = digest(&SHA256, format!("photongate keyfile\n{link}\n{name}").as_bytes());
    StreamId(Uuid::new_v8(hash.as_ref()[..16].try_into().expect("SHA-256 has 32 bytes")))
}

/// How much of a file makes a block.
const BLOCK_BYTES: usize = 128 * 1024;

/// Files that are looked at in one go.
const MOST_FILES: usize = 10_000;

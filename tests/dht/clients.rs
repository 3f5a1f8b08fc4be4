//! Clients that put files into the network and get them out again all the while, at nodes that may be gone.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Output;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use photongate_px::testing::random::Random;
use serde_json::Value;

use crate::dht::{ask, bytes};

/// What all clients share.
pub(crate) struct Clients {
    sockets: Vec<PathBuf>,
    folder: PathBuf,
    begun: Instant,
    is_over: AtomicBool,
    /// Counts files; each is made of its number.
    next: AtomicU64,
    known: Mutex<Known>,
}

/// What clients know of files, and what became of their commands.
#[derive(Debug, Default)]
struct Known {
    files: Vec<Stored>,
    puts: Ended,
    gets: Ended,
}

/// How often a command ended with which exit status.
pub(crate) type Ended = BTreeMap<i32, usize>;

/// A file that other nodes have.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) key: String,
    number: u64,
    length: usize,
}

impl Stored {
    /// What is in it.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        bytes(self.number, self.length)
    }
}

impl Clients {
    /// For nodes at these sockets, with files in this folder.
    pub(crate) fn new(sockets: Vec<PathBuf>, folder: PathBuf) -> Self {
        let (is_over, next, known) = (AtomicBool::new(false), AtomicU64::new(1), Mutex::default());
        Self { sockets, folder, begun: Instant::now(), is_over, next, known }
    }

    /// Whether the clients have stopped, or are to.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// How long it has been going on.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Ends it with the scope in which this is held: whoever fails there, the others must not go on for ever.
    pub(crate) fn end_with_scope(&self) -> impl Drop {
        struct End<'w>(&'w AtomicBool);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        End(&self.is_over)
    }

    /// Puts and gets files until it is over, one after the other.
    ///
    /// # Panics
    /// A command does not end, ends with wrong bytes, or fails and does not say why.
    pub(crate) fn work(&self, client: usize) {
        // Until it is over there is only one way out: a panic.
        let _ended = self.end_with_scope();
        let mut dice = Random::new(1_000 + client as u64);
        while !self.is_over() {
            let node = dice.index(self.sockets.len());
            let files = self.files();
            // New ones, so that what is asked for has to be fetched; those of a while ago still have to be there.
            match files.len() {
                0 => drop(self.put(node, dice.within(0..LONGEST) as usize)),
                _ if dice.within(0..4) == 0 => drop(self.put(node, dice.within(0..LONGEST) as usize)),
                count => {
                    let age = dice.index(RECENT) * (1 + dice.index(4));
                    let _ = self.get(node, &files[count.saturating_sub(1 + age)]);
                }
            }
            thread::sleep(Duration::from_millis(dice.within(1..30)));
        }
    }

    /// Puts a new file at a node. `Err`: why it is not sure that others have it.
    pub(crate) fn put(&self, node: usize, length: usize) -> Result<Stored, Output> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("put-{number}"));
        fs::write(&path, bytes(number, length)).unwrap();
        let output = ask(&self.sockets[node], &["put", path.to_str().unwrap(), "--json"]);
        fs::remove_file(&path).unwrap();
        let mut known = self.known();
        note(&mut known.puts, &output, &[0, 1, 2, 4]);
        if !output.status.success() {
            return Err(output);
        }
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let stored = Stored { key: told["key"].as_str().unwrap().to_owned(), number, length };
        known.files.push(stored.clone());
        Ok(stored)
    }

    /// Gets a file at a node: it has the right bytes, or is not there. `Err`: why.
    pub(crate) fn get(&self, node: usize, file: &Stored) -> Result<(), Output> {
        let path = self.folder.join(format!("got-{}", self.next.fetch_add(1, Ordering::Relaxed)));
        let output = ask(&self.sockets[node], &["get", &file.key, path.to_str().unwrap(), "--json"]);
        note(&mut self.known().gets, &output, &[0, 1, 2, 3, 4]);
        if !output.status.success() {
            assert!(!path.exists(), "{output:?}, and there is a file");
            let _ = fs::remove_file(path.with_extension("part"));
            return Err(output);
        }
        assert!(fs::read(&path).unwrap() == file.bytes(), "node {node} has other bytes for {file:?}");
        fs::remove_file(&path).unwrap();
        Ok(())
    }

    /// The files that others have, as far as their clients were told.
    pub(crate) fn files(&self) -> Vec<Stored> {
        self.known().files.clone()
    }

    /// How commands ended: those that put, and those that got.
    pub(crate) fn ended(&self) -> (Ended, Ended) {
        let known = self.known();
        (known.puts.clone(), known.gets.clone())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts how a command ended, which must be one of the ways that its help tells, and for people to understand.
fn note(ended: &mut Ended, output: &Output, ways: &[i32]) {
    let status = output.status.code().unwrap_or_else(|| panic!("it was killed: {output:?}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(ways.contains(&status), "{output:?}");
    assert!(status == 0 || said.starts_with("photongate: ") && said.len() > 20, "{output:?}");
    *ended.entry(status).or_default() += 1;
}

/// Bytes of a file at most, of several pieces.
const LONGEST: u64 = 1_500_000;

/// Files that were put last.
const RECENT: usize = 8;

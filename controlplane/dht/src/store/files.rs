//! The files of the store: `own`, `held` and `cached`, and in each 256 folders by the first two digits of the key.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::Bytes;

use super::{HeldValue, Keep, StoreError};
use crate::Id;
use crate::transfer::LONGEST_VALUE;

/// Reads and writes values, each with its key.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    /// Makes the names of unfinished files differ.
    written: AtomicU64,
}

impl Files {
    pub(super) fn open(folder: &Path) -> Result<Self, StoreError> {
        let files = Self { folder: folder.to_owned(), written: AtomicU64::new(0) };
        for keep in [Keep::Own, Keep::Held, Keep::Cached] {
            let folder = files.folder(keep);
            fs::create_dir_all(&folder).map_err(at(&folder))?;
        }
        Ok(files)
    }

    /// Reads all files, and removes those that are no values. Gives the values, and how many were removed.
    pub(super) fn check(&self, keep: Keep) -> Result<(Vec<HeldValue>, u64), StoreError> {
        let (mut whole, mut corrupt) = (Vec::new(), 0);
        let folder = self.folder(keep);
        for shelf in fs::read_dir(&folder).map_err(at(&folder))? {
            let shelf = shelf.map_err(at(&folder))?.path();
            if !shelf.is_dir() {
                continue;
            }
            for file in fs::read_dir(&shelf).map_err(at(&shelf))? {
                let path = file.map_err(at(&shelf))?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let value = Id::from_str(&name).ok().and_then(|key| {
                    let size = u32::try_from(self.read(keep, key)?.len()).ok()?;
                    Some(HeldValue { key, size, since: self.since(keep, key)? })
                });
                match value {
                    Some(value) => whole.push(value),
                    None => {
                        // One that was never finished is no damage.
                        corrupt += u64::from(!name.starts_with(UNFINISHED));
                        fs::remove_file(&path).map_err(at(&path))?;
                    }
                }
            }
        }
        Ok((whole, corrupt))
    }

    /// The value of this key, if the file is there and has these bytes.
    pub(super) fn read(&self, keep: Keep, key: Id) -> Option<Bytes> {
        let file = File::open(self.path(keep, key)).ok()?;
        let mut value = Vec::new();
        file.take(u64::from(LONGEST_VALUE) + 1).read_to_end(&mut value).ok()?;
        (value.len() <= LONGEST_VALUE as usize && Id::of(&value) == key).then(|| value.into())
    }

    /// Writes a value: afterwards the file is there whole, or not at all.
    pub(super) fn write(&self, keep: Keep, key: Id, value: &[u8]) -> Result<(), StoreError> {
        let path = self.path(keep, key);
        let shelf = path.parent().expect("each file is in a folder");
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let unfinished = shelf.join(format!("{UNFINISHED}{number}"));
        let write = || {
            fs::create_dir_all(shelf)?;
            File::create(&unfinished)?.write_all(value)?;
            fs::rename(&unfinished, &path)
        };
        write().inspect_err(|_| drop(fs::remove_file(&unfinished))).map_err(at(&path))
    }

    pub(super) fn move_to(&self, from: Keep, to: Keep, key: Id) -> Result<(), StoreError> {
        let (from, to) = (self.path(from, key), self.path(to, key));
        let shelf = to.parent().expect("each file is in a folder");
        fs::create_dir_all(shelf).and_then(|()| fs::rename(&from, &to)).map_err(at(&to))
    }

    pub(super) fn remove(&self, keep: Keep, key: Id) -> Result<(), StoreError> {
        let path = self.path(keep, key);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(&path)(error)),
            _ => Ok(()),
        }
    }

    /// Notes that a value was used, or stored again, now.
    pub(super) fn touch(&self, keep: Keep, key: Id) {
        // Only the order in which values give way after a restart depends on it.
        let _ = File::open(self.path(keep, key)).and_then(|file| file.set_modified(SystemTime::now()));
    }

    /// When it was last used, or stored.
    pub(super) fn since(&self, keep: Keep, key: Id) -> Option<SystemTime> {
        fs::metadata(self.path(keep, key)).and_then(|metadata| metadata.modified()).ok()
    }

    fn path(&self, keep: Keep, key: Id) -> PathBuf {
        let name = key.to_string();
        self.folder(keep).join(&name[..2]).join(&name)
    }

    fn folder(&self, keep: Keep) -> PathBuf {
        self.folder.join(match keep {
            Keep::Own => "own",
            Keep::Held => "held",
            Keep::Cached => "cached",
        })
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Disk { path: path.clone(), source }
}

/// With what the names of files begin that are being written.
const UNFINISHED: &str = "unfinished-";

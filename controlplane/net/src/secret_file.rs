//! Files that hold a secret: read into memory that is wiped, only if nobody but the owner can use them, and written like that.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use photongate_crypto::Key;
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

/// Reads the text in a file that only its owner can use.
///
/// # Errors
/// The file cannot be read, is longer than [`LONGEST`], or others than its owner can use it.
pub fn read(path: &Path) -> Result<Zeroizing<String>, SecretFileError> {
    read_unless(path, OTHERS)
}

/// Reads the key in a file that only its owner can use: 32 hexadecimal digits, with or without a newline behind them.
///
/// # Errors
/// As for [`read`], or the file does not hold a key.
pub fn read_key(path: &Path) -> Result<Key, SecretFileError> {
    let bytes = read_hex(path)?;
    Ok(Key::from_bytes(*bytes))
}

/// Reads the `LENGTH` bytes that a file which only its owner can use holds as hexadecimal digits, as [`read_key`] does.
///
/// # Errors
/// As for [`read_key`].
pub fn read_hex<const LENGTH: usize>(path: &Path) -> Result<Zeroizing<[u8; LENGTH]>, SecretFileError> {
    parse_hex(read(path)?.trim_end()).map_err(SecretFileError::NotAKey)
}

/// Reads the text in a credential that systemd handed to this service. The service manager decides who can read it; it may use an
/// access control list, whose mask looks like rights of the group.
///
/// # Errors
/// As for [`read`], where "others" are those outside the file's group.
pub fn read_credential(path: &Path) -> Result<Zeroizing<String>, SecretFileError> {
    read_unless(path, WORLD)
}

/// Reads the bytes in a credential, as [`read_hex`] does from a file.
///
/// # Errors
/// As for [`read_key`], where "others" are those outside the file's group.
pub fn read_credential_hex<const LENGTH: usize>(path: &Path) -> Result<Zeroizing<[u8; LENGTH]>, SecretFileError> {
    parse_hex(read_credential(path)?.trim_end()).map_err(SecretFileError::NotAKey)
}

/// Makes a file that holds `text`, mode 0600. It is there whole or not at all, also after a power cut.
///
/// # Errors
/// What the operating system says; [`io::ErrorKind::AlreadyExists`] if there is such a file, which is left as it is.
pub fn create(path: &Path, text: &str) -> io::Result<()> {
    let folder = folder_of(path);
    let unfinished = write_durably(folder, |file| file.write_all(text.as_bytes()))?;
    unfinished.persist_noclobber(path)?;
    File::open(folder)?.sync_all()
}

/// Puts `bytes` in the place of what the file at `path` holds, mode 0600. After a power cut it holds one or the other.
///
/// # Errors
/// What the operating system says. The file is then as it was.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with(path, |file| file.write_all(bytes))
}

/// As [`replace`], with what `write` writes.
///
/// # Errors
/// As for [`replace`], and what `write` says.
pub fn replace_with(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let folder = folder_of(path);
    let unfinished = write_durably(folder, write)?;
    unfinished.persist(path)?;
    File::open(folder)?.sync_all()
}

/// Removes what writing to files in `folder` has left behind because the process was killed. Nobody may write there meanwhile.
///
/// # Errors
/// What the operating system says.
pub fn remove_unfinished(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Why a file gives no secret. Says what to do, and nothing of its content; reads on after "the file NAME".
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// The operating system refuses.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It is a folder, a pipe or the like.
    #[error("is no ordinary file")]
    NotAFile,
    /// Others than its owner have rights.
    #[error("has mode {mode:03o}, so not only its owner can use it: run chmod 600 {path}")]
    OpenToOthers {
        /// Its permission bits.
        mode: u32,
        /// The file.
        path: String,
    },
    /// There is more in it than any secret has.
    #[error("is longer than {LONGEST} bytes, so it holds no secret")]
    TooLong,
    /// It holds something else.
    #[error("does not hold a key: {0}")]
    NotAKey(NotHex),
}

/// Reads exactly `LENGTH` bytes written as hexadecimal digits.
///
/// # Errors
/// What is wrong, without showing any of the text.
pub fn parse_hex<const LENGTH: usize>(text: &str) -> Result<Zeroizing<[u8; LENGTH]>, NotHex> {
    let digits = 2 * LENGTH;
    let length = text.chars().count();
    if length != digits {
        return Err(NotHex::Length { length, digits });
    }
    let mut bytes = Zeroizing::new([0; LENGTH]);
    for (index, character) in text.chars().enumerate() {
        let digit = character.to_digit(16).ok_or(NotHex::Digit { position: index + 1 })?;
        bytes[index / 2] = bytes[index / 2] << 4 | digit as u8;
    }
    Ok(bytes)
}

/// Why a text is no key. Shows none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotHex {
    /// Too short or too long.
    #[error("it has {length} characters, but a key is {digits} hexadecimal digits")]
    Length {
        /// Its length in characters.
        length: usize,
        /// The length of a key.
        digits: usize,
    },
    /// Something else than digits.
    #[error("its character {position} is no hexadecimal digit")]
    Digit {
        /// Which character, from one.
        position: usize,
    },
}

/// The longest text that [`read`] reads, in bytes: more than any secret has.
pub const LONGEST: usize = 16_384;

fn read_unless(path: &Path, forbidden: u32) -> Result<Zeroizing<String>, SecretFileError> {
    // To open a pipe would mean to wait for its other end.
    if !fs::metadata(path)?.is_file() {
        return Err(SecretFileError::NotAFile);
    }
    // The rights are read from the open file: between a look at its name and opening it, it could be exchanged.
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(SecretFileError::NotAFile);
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & forbidden != 0 {
        return Err(SecretFileError::OpenToOthers { mode, path: path.display().to_string() });
    }
    // Room for more than is read: a string that grows leaves its content behind in freed memory.
    let mut text = Zeroizing::new(String::with_capacity(2 * LONGEST));
    file.take(LONGEST as u64 + 1).read_to_string(&mut text)?;
    if text.len() > LONGEST { Err(SecretFileError::TooLong) } else { Ok(text) }
}

/// Writes a file without a lasting name. Mode 0600 is what temporary files have.
fn write_durably(folder: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder)?;
    write(&mut file)?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// What the names of files begin with that are not written yet. One that stays behind was left by a crash.
pub(crate) const UNFINISHED: &str = ".unfinished-";

/// The rights of the group and of everybody else.
const OTHERS: u32 = 0o077;

/// The rights of everybody else.
const WORLD: u32 = 0o007;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_created_file_is_its_owners_alone_and_can_be_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        create(&path, "sesame").unwrap();
        assert_eq!(read(&path).unwrap().as_str(), "sesame");
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn creating_a_file_never_replaces_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        create(&path, "first").unwrap();
        assert_eq!(create(&path, "second").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read(&path).unwrap().as_str(), "first");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing unfinished stays behind");
    }

    #[test]
    fn a_replaced_file_holds_the_new_content_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        fs::write(&path, "old").unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!((fs::read(&path).unwrap().as_slice(), mode(&path)), (b"new".as_slice(), 0o600));
    }

    #[test]
    fn a_credential_may_show_the_mask_of_an_access_control_list_and_nothing_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credential");
        fs::write(&path, "ab".repeat(32)).unwrap();
        let credential = |mode| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            read_credential_hex::<32>(&path).map(|bytes| *bytes)
        };
        assert_eq!(credential(0o440).unwrap(), [0xab; 32]);
        assert!(matches!(credential(0o444), Err(SecretFileError::OpenToOthers { mode: 0o444, .. })));
        assert!(matches!(read(&path), Err(SecretFileError::OpenToOthers { .. })));
    }

    #[test]
    fn a_file_longer_than_any_secret_is_refused_and_not_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long");
        create(&path, &"0".repeat(LONGEST)).unwrap();
        assert_eq!(read(&path).unwrap().len(), LONGEST);
        let path = folder.path().join("longer");
        create(&path, &"0".repeat(LONGEST + 1)).unwrap();
        assert!(matches!(read(&path), Err(SecretFileError::TooLong)));
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }
}

//! Secrets: read into a type that wipes them, from the configuration itself or from a file of its own, and never shown.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use photongate_crypto::Key;
use zeroize::Zeroizing;

use super::{FromValue, Reported, Value};

impl FromValue for Key {
    const EXAMPLE: &'static str = "\"(32 hexadecimal digits, as from `openssl rand -hex 16`)\"";

    fn from_value(value: &Value<'_>) -> Result<Self, Reported> {
        parse_key(value.text()?).map_err(|why| value.refuse_secret(format!("this is no key: {why}")))
    }
}

impl Value<'_> {
    /// Reads the key in the file that the value names: 32 hexadecimal digits, with or without a newline behind them.
    ///
    /// # Errors
    /// The file cannot be read, others than its owner can read it, or it does not hold a key.
    pub fn key_file(&self) -> Result<Key, Reported> {
        if parse_key(self.text()?).is_ok() {
            return Err(self.refuse_secret("this is a key, not the name of a file that holds one"));
        }
        let path = self.path()?;
        let key = read_secret(&path)
            .and_then(|text| parse_key(text.trim_end()).map_err(|why| format!("does not hold a key: {why}")));
        key.map_err(|why| self.refuse_secret(format!("the file {} {why}", path.display())))
    }
}

/// Reads a file that only its owner may read.
///
/// # Errors
/// What is wrong with it, and what to do, without its content.
fn read_secret(path: &Path) -> Result<Zeroizing<String>, String> {
    // The rights are read from the open file: between a look at its name and opening it, it could be exchanged.
    let unreadable = |error| format!("cannot be read: {error}");
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err("is no ordinary file".to_owned());
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & OTHERS != 0 {
        return Err(format!("has mode {mode:03o}, so not only its owner can use it: run chmod 600 {}", path.display()));
    }
    let mut text = Zeroizing::new(String::with_capacity(LONGEST_SECRET));
    // Never more than the capacity: a string that grows leaves its content behind in freed memory.
    file.take(LONGEST_SECRET as u64).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

/// Reads 32 hexadecimal digits. The error says what is wrong without showing any of them.
fn parse_key(text: &str) -> Result<Key, String> {
    let length = text.chars().count();
    if length != 2 * Key::LEN {
        return Err(format!("it has {length} characters, but a key is 32 hexadecimal digits"));
    }
    let mut bytes = Zeroizing::new([0; Key::LEN]);
    for (index, character) in text.chars().enumerate() {
        let no_digit = || format!("its character {} is no hexadecimal digit", index + 1);
        let digit = character.to_digit(16).ok_or_else(no_digit)?;
        bytes[index / 2] = bytes[index / 2] << 4 | digit as u8;
    }
    Ok(Key::from_bytes(*bytes))
}

/// The rights of the group and of everybody else.
const OTHERS: u32 = 0o077;

/// More than any key in text, so that a wrong file is told from a right one.
const LONGEST_SECRET: usize = 4096;

//! Secrets: read into a type that wipes them, from the configuration itself or from a file of its own, and never shown.

use std::path::PathBuf;

use photongate_crypto::Key;

use super::{FromValue, Reported, Value};
use crate::secret_file::{self, parse_hex};

impl FromValue for Key {
    const EXAMPLE: &'static str = "\"(32 hexadecimal digits, as from `openssl rand -hex 16`)\"";

    fn from_value(value: &Value<'_>) -> Result<Self, Reported> {
        let bytes = parse_hex(value.text()?).map_err(|why| value.refuse_secret(format!("this is no key: {why}")))?;
        Ok(Key::from_bytes(*bytes))
    }
}

impl Value<'_> {
    /// Reads the key in the file that the value names: 32 hexadecimal digits, with or without a newline behind them.
    ///
    /// # Errors
    /// The file cannot be read, others than its owner can read it, or it does not hold a key.
    pub fn key_file(&self) -> Result<Key, Reported> {
        let path = self.key_path()?;
        secret_file::read_key(&path).map_err(|why| self.refuse_secret(format!("the file {} {why}", path.display())))
    }

    /// The path of a file that is to hold a key. The file is not looked at.
    ///
    /// # Errors
    /// It is no path, or it is a key.
    pub fn key_path(&self) -> Result<PathBuf, Reported> {
        if parse_hex::<{ Key::LEN }>(self.text()?).is_ok() {
            return Err(self.refuse_secret("this is a key, not the name of a file that holds one"));
        }
        self.path()
    }
}

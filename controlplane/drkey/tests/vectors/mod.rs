//! Reading the vectors beside this file. `README.md` in the folder above says where they come from.

use photongate_crypto::Key;
use serde_json::Value;

/// What the JSON text says; the texts are part of the test and known to be well-formed.
pub(crate) fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

pub(crate) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

/// Hexadecimal digits, two a byte.
pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    let digits = text(value).as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

pub(crate) fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap_or_else(|_| panic!("not {N} bytes: {value}"))
}

pub(crate) fn key(value: &Value) -> Key {
    Key::from_bytes(array(value))
}

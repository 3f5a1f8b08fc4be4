//! What the unit tests share.

/// The bytes that `text` spells in hexadecimal digits; white space between them is ignored.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).expect("a hexadecimal digit")).collect();
    assert!(digits.len().is_multiple_of(2), "an odd number of digits in {text}");
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

//! A hash that is the same on all machines and in all versions: FNV-1a with 128 bits. Against mistakes, not against malice.

/// Hashes what it is fed.
pub(crate) struct Fnv128(u128);

impl Fnv128 {
    pub(crate) fn new() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    /// Takes in `bytes` and how many they are, so that two fields cannot pass for one.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64);
        bytes.iter().for_each(|byte| self.byte(*byte));
        self
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    pub(crate) fn number(&mut self, number: u64) -> &mut Self {
        number.to_be_bytes().into_iter().for_each(|byte| self.byte(byte));
        self
    }

    pub(crate) fn finish(&self) -> u128 {
        self.0
    }

    fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u128::from(byte)).wrapping_mul(PRIME);
    }
}

const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        let mut hash = Fnv128::new();
        b"a".iter().for_each(|byte| hash.byte(*byte));
        assert_eq!(hash.finish(), 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        assert_ne!(Fnv128::new().text("ab").text("c").finish(), Fnv128::new().text("a").text("bc").finish());
    }
}

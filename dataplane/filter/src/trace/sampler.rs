//! One packet in so many, at random distances: traffic that repeats itself in step with a fixed distance would show
//! only one of its faces.

/// Picks one in so many packets on average.
#[derive(Debug)]
pub(crate) struct Sampler {
    one_in: u32,
    /// Packets to pass over before the next pick.
    skip: u32,
    state: u64,
}

impl Sampler {
    /// Picks one in `one_in` packets. Samplers with different seeds pick differently.
    pub(crate) fn new(one_in: u32, seed: u64) -> Self {
        let mut sampler = Self { one_in: one_in.max(1), skip: 0, state: seed ^ NOT_ZERO };
        sampler.skip = sampler.distance();
        sampler
    }

    /// Whether this packet is picked.
    #[inline]
    pub(crate) fn pick(&mut self) -> bool {
        if let Some(left) = self.skip.checked_sub(1) {
            self.skip = left;
            return false;
        }
        self.skip = self.distance();
        true
    }

    /// From none to twice `one_in` less two, each as likely: `one_in` less one on average.
    fn distance(&mut self) -> u32 {
        // Xorshift (Marsaglia 2003): enough for a sample, and three instructions.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let choices = u64::from(self.one_in) * 2 - 1;
        // Fewer than 2^33 choices of 2^64 values: the remainder is as good as even.
        (self.state % choices).min(u64::from(u32::MAX)) as u32
    }
}

/// Xorshift stays at zero for ever.
const NOT_ZERO: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_one_is_every_packet() {
        let mut sampler = Sampler::new(1, 3);
        assert!((0..1000).all(|_| sampler.pick()));
    }

    #[test]
    fn about_one_in_so_many_is_picked_whatever_the_traffic_repeats() {
        for one_in in [2, 10, 100] {
            let mut sampler = Sampler::new(one_in, 1);
            let mut picked_of = [0_u32; 2];
            for packet in 0..200_000 {
                picked_of[packet % 2] += u32::from(sampler.pick());
            }
            let expected = 100_000 / one_in;
            for picked in picked_of {
                assert!(picked.abs_diff(expected) < expected / 5 + 20, "one in {one_in}: {picked_of:?}");
            }
        }
    }

    #[test]
    fn the_largest_sample_overflows_nothing() {
        let mut sampler = Sampler::new(u32::MAX, 5);
        assert!((0..100).filter(|_| sampler.pick()).count() <= 1);
    }
}

//! Which packets of a burst a stage still has to judge.

/// A set of places in a burst of up to 64 packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lanes(u64);

impl Lanes {
    #[inline]
    pub(crate) fn insert(&mut self, lane: usize) {
        self.0 |= 1 << (lane % MAX_BURST);
    }

    #[inline]
    pub(crate) fn remove(&mut self, lane: usize) {
        self.0 &= !(1 << (lane % MAX_BURST));
    }

    #[inline]
    pub(crate) fn contains(self, lane: usize) -> bool {
        self.0 & 1 << (lane % MAX_BURST) != 0
    }

    /// Those that are in both sets.
    #[inline]
    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are in either set.
    #[inline]
    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that are not in `other`.
    #[inline]
    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Those that are `wanted`.
    #[inline]
    pub(crate) fn filter(self, wanted: impl Fn(usize) -> bool) -> Self {
        let mut lanes = Self::default();
        self.into_iter().filter(|lane| wanted(*lane)).for_each(|lane| lanes.insert(lane));
        lanes
    }

    /// The first `most`.
    #[inline]
    pub(crate) fn first(self, most: usize) -> Self {
        let mut rest = self.0;
        for _ in 0..most {
            // Without a bit left, nothing changes.
            rest &= rest.wrapping_sub(1);
        }
        Self(self.0 & !rest)
    }

    #[inline]
    pub(crate) fn count(self) -> usize {
        self.0.count_ones() as usize
    }

    #[inline]
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl IntoIterator for Lanes {
    type Item = usize;
    type IntoIter = LaneIter;

    #[inline]
    fn into_iter(self) -> LaneIter {
        LaneIter(self.0)
    }
}

/// The places of a set in rising order. It walks a copy: a stage may remove the lane it is judging.
pub(crate) struct LaneIter(u64);

impl Iterator for LaneIter {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        // Never 64, as a bit is set; the remainder tells the compiler, which then leaves out bounds checks on arrays of 64.
        let lane = self.0.trailing_zeros() as usize % MAX_BURST;
        self.0 &= self.0 - 1;
        Some(lane)
    }
}

/// The most packets that one burst may have.
pub const MAX_BURST: usize = 64;

//! Longest-prefix match as a search among disjoint ranges.
//!
//! Prefixes either nest or do not touch, so they cut the address space into at most twice as many ranges, in each of
//! which one prefix is the longest. A look-up is a binary search for the range. As tables are built whole and never
//! changed, this beats a trie at every size: its steps lie in a few dense cache lines, and it takes no more of them for
//! IPv6 than for IPv4.

/// What each range of addresses maps to. `A` is an address as a number.
#[derive(Clone)]
pub(super) struct Ranges<A, T> {
    /// Where each range but the first begins, rising. The first begins at zero.
    starts: Box<[A]>,
    /// What each range maps to: one more than `starts`.
    values: Box<[Option<T>]>,
}

/// One prefix: its first and last address. Blocks either nest or do not touch.
pub(super) struct Block<A, T> {
    pub first: A,
    pub last: A,
    pub value: T,
}

impl<A: Address, T: Copy> Ranges<A, T> {
    /// The ranges of distinct blocks.
    pub(super) fn new(mut blocks: Vec<Block<A, T>>) -> Self {
        // An outer block comes before what is inside it.
        blocks.sort_by(|one, other| one.first.cmp(&other.first).then(other.last.cmp(&one.last)));
        let mut ranges = vec![(A::ZERO, None)];
        let mut around: Vec<(A, T)> = Vec::new();
        for block in &blocks {
            close(&mut ranges, &mut around, |last| last < block.first);
            begin(&mut ranges, block.first, Some(block.value));
            around.push((block.last, block.value));
        }
        close(&mut ranges, &mut around, |_| true);
        let (starts, values): (Vec<A>, Vec<_>) = ranges.into_iter().unzip();
        Self { starts: starts[1..].into(), values: values.into() }
    }

    /// The value of the smallest block around `address`.
    pub(super) fn look_up(&self, address: A) -> Option<T> {
        let range = self.starts.partition_point(|start| *start <= address);
        *self.values.get(range)?
    }
}

impl<A, T> Default for Ranges<A, T> {
    fn default() -> Self {
        Self { starts: Box::default(), values: Box::default() }
    }
}

/// A number that stands for an IPv4 or an IPv6 address.
pub(super) trait Address: Copy + Ord {
    const ZERO: Self;

    /// The address after this one, if this is not the last of all.
    fn next(self) -> Option<Self>;
}

impl Address for u32 {
    const ZERO: Self = 0;

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Address for u128 {
    const ZERO: Self = 0;

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

/// Ends the innermost blocks for as long as `ended` holds for their last address: behind each, the block around it
/// goes on.
fn close<A: Address, T: Copy>(ranges: &mut Vec<(A, Option<T>)>, around: &mut Vec<(A, T)>, ended: impl Fn(A) -> bool) {
    while let Some((last, _)) = around.pop_if(|(last, _)| ended(*last)) {
        let outer = around.last().map(|(_, value)| *value);
        if let Some(behind) = last.next() {
            begin(ranges, behind, outer);
        }
    }
}

/// Begins a range. One that would have begun at the same address gives way, as it would be empty.
fn begin<A: Address, T>(ranges: &mut Vec<(A, Option<T>)>, start: A, value: Option<T>) {
    ranges.pop_if(|(same, _)| *same == start);
    ranges.push((start, value));
}

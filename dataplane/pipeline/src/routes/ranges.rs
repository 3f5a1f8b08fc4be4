//! Longest-prefix match as a search among disjoint ranges.
//!
//! Prefixes either nest or do not touch, so they cut the address space into at most twice as many ranges, in each of
//! which one prefix is the longest. A look-up is a search for the range. As tables are built whole and never changed, it
//! goes down a tree without pointers: each step compares the address with all of a few dense cache lines, sixteen
//! ranges, and takes no branch that depends on it. So the look-ups of a burst do not wait for one another's memory, and
//! up to sixteen ranges take one step, a million five. IPv6 takes no more of them than IPv4.

use photongate_crypto::backend::prefetch;

/// What each range of addresses maps to. `A` is an address as a number.
#[derive(Clone)]
pub(super) struct Ranges<A, T> {
    /// Where ranges begin, from the root of the tree to its leaves. The leaves are all beginnings, rising, the first of them zero; each
    /// layer above has the first beginning of every node of the one below.
    layers: Box<[Box<[Node<A>]>]>,
    /// What each range maps to.
    values: Box<[Option<T>]>,
}

/// Some beginnings side by side, filled up with the last address there is.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Node<A>([A; FAN_OUT]);

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
        Self { layers: layers(starts), values: values.into() }
    }

    /// The value of the smallest block around `address`.
    #[inline(always)]
    pub(super) fn look_up(&self, address: A) -> Option<T> {
        let mut place = 0;
        for layer in &self.layers {
            // What fills up the last node is no greater than the last address of all: for that one, the last node is meant.
            let node = place.min(layer.len().saturating_sub(1));
            place = node * FAN_OUT + layer.get(node)?.begun(address).saturating_sub(1);
        }
        *self.values.get(place.min(self.values.len().saturating_sub(1)))?
    }
}

impl<A: Address, T> Ranges<A, T> {
    /// Finds where the values of the smallest blocks around up to 64 addresses are, and begins to fetch them.
    ///
    /// Step by step for all of them, so that they wait for memory at the same time, and not one after the other.
    #[inline(always)]
    pub(super) fn find(&self, addresses: &[A], places: &mut [usize; 64]) {
        *places = [0; 64];
        for (depth, layer) in self.layers.iter().enumerate() {
            let Some(last) = layer.len().checked_sub(1) else { return };
            let below = self.layers.get(depth + 1);
            for (place, address) in places.iter_mut().zip(addresses) {
                let node = (*place).min(last);
                *place = node * FAN_OUT + layer[node].begun(*address).saturating_sub(1);
                // What the next step looks at.
                match below {
                    Some(below) => below.get(*place).into_iter().for_each(prefetch),
                    None => self.values.get(*place).into_iter().for_each(prefetch),
                }
            }
        }
    }

    /// The value at a place that was found.
    #[inline(always)]
    pub(super) fn value(&self, place: usize) -> Option<&T> {
        self.values.get(place.min(self.values.len().saturating_sub(1)))?.as_ref()
    }
}

impl<A: Address> Node<A> {
    /// How many of its ranges begin at `address` or before it.
    #[inline(always)]
    fn begun(&self, address: A) -> usize {
        self.0.iter().map(|start| u32::from(*start <= address)).sum::<u32>() as usize
    }
}

impl<A, T> Default for Ranges<A, T> {
    fn default() -> Self {
        Self { layers: Box::default(), values: Box::default() }
    }
}

/// A number that stands for an IPv4 or an IPv6 address.
pub(super) trait Address: Copy + Ord {
    const ZERO: Self;
    const LAST: Self;

    /// The address after this one, if this is not the last of all.
    fn next(self) -> Option<Self>;
}

impl Address for u32 {
    const ZERO: Self = 0;
    const LAST: Self = Self::MAX;

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Address for u128 {
    const ZERO: Self = 0;
    const LAST: Self = Self::MAX;

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

/// The tree over these beginnings, root first.
fn layers<A: Address>(starts: Vec<A>) -> Box<[Box<[Node<A>]>]> {
    let (mut starts, mut layers) = (starts, Vec::new());
    loop {
        let node = |starts: &[A]| {
            let mut node = [A::LAST; FAN_OUT];
            node[..starts.len()].copy_from_slice(starts);
            Node(node)
        };
        let layer: Box<[_]> = starts.chunks(FAN_OUT).map(node).collect();
        starts = layer.iter().map(|node| node.0[0]).collect();
        layers.push(layer);
        if starts.len() <= 1 {
            layers.reverse();
            return layers.into();
        }
    }
}

/// Ranges in a node: as many beginnings of IPv4 ranges as a cache line holds.
const FAN_OUT: usize = 16;

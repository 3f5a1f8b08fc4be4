//! A place for each peer that stays where it is: key bytes are never moved by a list that grows.

/// Where a peer is kept.
pub(super) type Slot = u32;

/// Values in numbered places. A place that becomes free is used again.
#[derive(Debug)]
pub(super) struct Slots<T> {
    blocks: Vec<Box<[Option<T>]>>,
    free: Vec<Slot>,
}

impl<T> Slots<T> {
    pub(super) const fn new() -> Self {
        Self { blocks: Vec::new(), free: Vec::new() }
    }

    pub(super) fn insert(&mut self, value: T) -> Slot {
        if self.free.is_empty() {
            let first = self.blocks.len() as Slot * BLOCK;
            self.blocks.push(std::iter::repeat_with(|| None).take(BLOCK as usize).collect());
            self.free.extend((first..first + BLOCK).rev());
        }
        let slot = self.free.pop().expect("a block was just added");
        *self.place(slot) = Some(value);
        slot
    }

    pub(super) fn remove(&mut self, slot: Slot) {
        // In place: the value is dropped, and with it wiped, where it is.
        *self.place(slot) = None;
        self.free.push(slot);
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&T> {
        self.blocks.get((slot / BLOCK) as usize)?[(slot % BLOCK) as usize].as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut T> {
        self.blocks.get_mut((slot / BLOCK) as usize)?[(slot % BLOCK) as usize].as_mut()
    }

    fn place(&mut self, slot: Slot) -> &mut Option<T> {
        &mut self.blocks[(slot / BLOCK) as usize][(slot % BLOCK) as usize]
    }
}

const BLOCK: Slot = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_becomes_free_is_used_again_and_others_stay() {
        let mut slots = Slots::new();
        let first: Vec<_> = (0..200).map(|number| slots.insert(number)).collect();
        slots.remove(first[70]);
        assert_eq!(slots.get(first[70]), None);
        assert_eq!(slots.insert(1_000), first[70]);
        for (number, slot) in first.iter().enumerate().filter(|(number, _)| *number != 70) {
            assert_eq!(slots.get(*slot), Some(&number));
        }
    }
}

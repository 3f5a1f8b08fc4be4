//! Whether what clients saw of one document could have come from one machine that did everything at once and in one order.
//!
//! The search is that of Wing and Gong, with Lowe's memory of what was tried: at each point any operation may come next that began
//! before all others that are still missing had ended. An operation without an answer may have happened at any time after it began, or
//! never.

use std::collections::HashSet;

/// What a client asked of a document, and what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// When it was asked.
    pub from: u64,
    /// When it was answered; none if it never was.
    pub to: Option<u64>,
    /// What was asked, and the answer if there was one.
    pub what: What,
}

/// What was asked of a document, and the answer if there was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A write of a value that nobody else writes, if the document has the generation expected.
    Put {
        /// The value.
        value: u64,
        /// The generation expected; 0: no document.
        expected: Option<u64>,
        /// What was answered.
        told: Option<Told>,
    },
    /// A removal, if the document has the generation expected.
    Delete {
        /// As for a write.
        expected: Option<u64>,
        /// As for a write.
        told: Option<Told>,
    },
    /// A read; of none if there was no document.
    Read {
        /// The document's value and generation.
        seen: Option<(u64, u64)>,
    },
}

impl What {
    /// Whether the document is the same afterwards, whenever it happened.
    fn only_looks(&self) -> bool {
        match self {
            Self::Read { .. } => true,
            Self::Put { told, .. } | Self::Delete { told, .. } => matches!(told, Some(Told::Conflict { .. })),
        }
    }
}

/// What a write was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It was done; the document has this generation now (0 if it was removed).
    Done {
        /// The generation.
        generation: u64,
    },
    /// Nothing was done: the document has this generation.
    Conflict {
        /// The generation; 0: there is no document.
        generation: u64,
    },
}

/// Whether an order exists that explains all. What has none may have so many orders to be tried that the search gives up; it was never
/// seen to give up where there is one.
#[must_use]
pub fn is_linearizable(operations: &[Operation]) -> bool {
    let mut search = Search { operations, tried: HashSet::new() };
    search.explain(Done::default(), Document::default())
}

struct Search<'o> {
    operations: &'o [Operation],
    tried: HashSet<(Done, Document)>,
}

/// Which operations have their place.
type Done = [u128; 2];

/// A document as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Document {
    /// The value, if there is a document.
    value: Option<u64>,
    /// Its generation, or that of the last document of this name.
    generation: u64,
    /// The generation is not known: it is above the number.
    above: bool,
}

impl Search<'_> {
    fn explain(&mut self, done: Done, document: Document) -> bool {
        if self.tried.len() > MAX_TRIED || !self.tried.insert((done, document)) {
            return false;
        }
        let missing = || self.operations.iter().enumerate().filter(|(index, _)| !is_done(&done, *index));
        let Some(first_end) = missing().filter_map(|(_, operation)| operation.to).min() else {
            return true;
        };
        let mut candidates: Vec<_> = missing().filter(|(_, operation)| operation.from < first_end).collect();
        // What was answered first most likely happened first; what never was may not have happened at all.
        candidates.sort_by_key(|(_, operation)| operation.to.unwrap_or(u64::MAX));
        let next = |operation: &Operation| document.after(&operation.what);
        // What never changes anything, and fits now, may as well happen now: nothing else becomes harder to explain.
        let idle =
            candidates.iter().find(|(_, operation)| operation.what.only_looks() && next(operation) == Some(document));
        if let Some((index, _)) = idle {
            return self.explain(with(done, *index), document);
        }
        candidates.into_iter().any(|(index, operation)| {
            // What never was answered and changes nothing need not happen.
            let next = next(operation).filter(|next| operation.to.is_some() || *next != document);
            next.is_some_and(|next| self.explain(with(done, index), next))
        })
    }
}

impl Document {
    /// The document after the operation; none if the operation cannot have been answered like that.
    fn after(self, what: &What) -> Option<Self> {
        match *what {
            What::Read { seen: None } => self.value.is_none().then_some(self),
            What::Read { seen: Some((value, generation)) } => {
                (self.value == Some(value) && self.could_have(generation)).then(|| self.known(generation))
            }
            What::Put { expected, told: Some(Told::Conflict { generation }), .. }
            | What::Delete { expected, told: Some(Told::Conflict { generation }) } => {
                self.conflicts(expected, generation)
            }
            // Nobody knows whether it was done. Where it cannot have been, it did nothing.
            What::Put { expected, told: None, .. } | What::Delete { expected, told: None }
                if !self.may_be_expected(expected) =>
            {
                Some(self)
            }
            What::Put { value, expected, told: None } => {
                Some(Self { value: Some(value), ..self.expected(expected).successor() })
            }
            What::Put { value, expected, told: Some(Told::Done { generation }) } => {
                let fits = self.may_be_expected(expected).then(|| self.expected(expected).put_as(generation))??;
                Some(Self { value: Some(value), ..fits })
            }
            What::Delete { expected, .. } => {
                self.may_be_expected(expected).then(|| Self { value: None, ..self.expected(expected) })
            }
        }
    }

    fn could_have(&self, generation: u64) -> bool {
        if self.above { generation > self.generation } else { generation == self.generation }
    }

    fn known(self, generation: u64) -> Self {
        Self { generation, above: false, ..self }
    }

    /// Whether a write that expects this generation may be done.
    fn may_be_expected(&self, expected: Option<u64>) -> bool {
        match (expected, self.value) {
            (None, _) | (Some(0), None) => true,
            (Some(0), Some(_)) | (Some(_), None) => false,
            (Some(expected), Some(_)) => self.could_have(expected),
        }
    }

    /// What is known once a write that expects this generation was done.
    fn expected(self, expected: Option<u64>) -> Self {
        match expected {
            Some(expected) if expected > 0 => self.known(expected),
            _ => self,
        }
    }

    /// The document after a write whose generation nobody was told.
    fn successor(self) -> Self {
        match self.value {
            Some(_) if !self.above => self.known(self.generation + 1),
            Some(_) => Self { generation: self.generation + 1, ..self },
            // Other documents count, too: a new one may begin anywhere above its predecessor.
            None => Self { above: true, ..self },
        }
    }

    /// The document after a write that made this generation, if it can have.
    fn put_as(self, generation: u64) -> Option<Self> {
        let possible = match self.value {
            Some(_) => generation.checked_sub(1).is_some_and(|before| self.could_have(before)),
            None => generation > self.generation,
        };
        possible.then(|| self.known(generation))
    }

    fn conflicts(self, expected: Option<u64>, generation: u64) -> Option<Self> {
        let expected = expected?;
        match self.value {
            None => (generation == 0 && expected != 0).then_some(self),
            Some(_) => (generation != expected && generation != 0 && self.could_have(generation))
                .then(|| self.known(generation)),
        }
    }
}

fn is_done(done: &Done, index: usize) -> bool {
    done[index / 128] >> (index % 128) & 1 == 1
}

fn with(mut done: Done, index: usize) -> Done {
    done[index / 128] |= 1 << (index % 128);
    done
}

/// The most operations that are judged at once.
pub const MAX_OPERATIONS: usize = 256;

/// So many orders are begun before the search gives up.
const MAX_TRIED: usize = 1_000_000;

#[cfg(test)]
mod tests;

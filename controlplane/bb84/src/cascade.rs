//! Cascade: finds and corrects the errors of a key by comparing parities.
//!
//! Brassard, Salvail: "Secret-key reconciliation by public discussion", EUROCRYPT '93. The key is cut into blocks, in each pass
//! in another random order and into larger ones. A block whose parity differs has an odd number of errors, and halving it finds
//! one. That error lies in a block of every other pass too, whose parity thereby turns odd: there is another error to find.
//! All searches go on side by side, so that a round of questions and answers halves many blocks at once. Passes over
//! halves of the key chosen at random follow, which find what is left (BBBSS 1992): each sees it with probability 1/2.

use crate::bits::Bits;
use crate::random::{Random, Seed};

/// A question: what is the parity of these bits?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// The pass in whose order they lie.
    pub pass: u8,
    /// The first one's place.
    pub start: u32,
    /// How many.
    pub len: u32,
}

/// The end whose key counts as right.
pub struct Reference {
    orders: Orders,
    told: usize,
}

impl Reference {
    /// Answers for `key`. Both ends need the same seed.
    pub fn new(key: &Bits, seed: &Seed) -> Self {
        Self { orders: Orders::new(key, seed), told: 0 }
    }

    /// The parities that are asked for.
    ///
    /// # Errors
    /// If a question is not about this key, or more is asked than a key of this length can bear. Nothing is told then.
    pub fn answer(&mut self, questions: &[Question]) -> Result<Bits, CascadeError> {
        if self.told + questions.len() > self.orders.len {
            return Err(CascadeError::TooMuchTold);
        }
        let mut answers = Bits::with_capacity(questions.len());
        for question in questions {
            answers.push(self.orders.parity(question).ok_or(CascadeError::Outside)?);
        }
        self.told += answers.len();
        Ok(answers)
    }

    /// How many bits were told so far.
    pub fn told(&self) -> usize {
        self.told
    }
}

/// The end whose key is corrected.
pub struct Corrector {
    key: Bits,
    orders: Orders,
    passes: Vec<Pass>,
    /// The blocks the last questions were about, by pass and number.
    asked: Vec<(usize, usize)>,
    questions: Vec<Question>,
    /// How many passes are worked on.
    reached: usize,
    told: usize,
    corrected: usize,
}

impl Corrector {
    /// Corrects `key`, of which about `qber` is wrong. Both ends need the same seed.
    pub fn new(key: Bits, seed: &Seed, qber: f64) -> Self {
        let orders = Orders::new(&key, seed);
        let first = first_block(qber, key.len());
        let passes = (0..PASSES + CONFIRMATIONS).map(|pass| Pass::new(pass, first, key.len())).collect();
        Self { key, orders, passes, asked: Vec::new(), questions: Vec::new(), reached: 0, told: 0, corrected: 0 }
    }

    /// What to ask next. It is empty when all is done.
    pub fn questions(&mut self) -> &[Question] {
        self.asked.clear();
        if self.reached == 0 {
            // What the blocks of all passes have for parities does not depend on corrections: one round is enough.
            self.asked.extend(self.passes.iter_mut().enumerate().flat_map(|(number, pass)| {
                pass.blocks.iter_mut().enumerate().map(move |(block, state)| {
                    state.part = Some(state.whole);
                    (number, block)
                })
            }));
        }
        while (1..=self.passes.len()).contains(&self.reached) {
            self.asked.clear();
            for (number, pass) in self.passes[..self.reached].iter_mut().enumerate() {
                self.asked.extend(pass.search().map(|block| (number, block)));
            }
            // A pass that begins while the ones before still search finds some of the same errors, which costs bits. Waiting for
            // their last ones costs rounds.
            let few = if self.reached < PASSES { self.orders.len / PART_OF_FEW } else { 0 };
            if self.asked.len() > few || self.reached == self.passes.len() {
                break;
            }
            self.reached = if self.reached < PASSES { self.reached + 1 } else { self.passes.len() };
        }
        let whole = self.reached == 0;
        self.questions = self.asked.iter().map(|&(pass, block)| self.passes[pass].question(block, whole)).collect();
        &self.questions
    }

    /// Takes the answers to the last questions.
    ///
    /// # Errors
    /// If there are not as many answers as questions, or so much was told that nothing is left of the key.
    pub fn answers(&mut self, answers: &Bits) -> Result<(), CascadeError> {
        if answers.len() != self.questions.len() {
            return Err(CascadeError::Answers);
        }
        self.told += answers.len();
        if self.told > self.orders.len {
            return Err(CascadeError::TooMuchTold);
        }
        let mut wrong = Vec::new();
        for (index, (&(pass, block), question)) in self.asked.iter().zip(&self.questions).enumerate() {
            let own = self.orders.parity(question).expect("own questions are about the own key");
            let differs = own != answers.get(index);
            let state = &mut self.passes[pass].blocks[block];
            if self.reached == 0 {
                (state.odd, state.part) = (differs, None);
            } else if let Some(at) = state.narrow(differs) {
                wrong.push(self.orders.place(pass, at));
            }
        }
        self.reached = self.reached.max(1);
        // Two searches may have come upon the same error.
        wrong.sort_unstable();
        wrong.dedup();
        wrong.into_iter().for_each(|place| self.correct(place));
        Ok(())
    }

    /// How many bits were told so far.
    pub fn told(&self) -> usize {
        self.told
    }

    /// How many errors were corrected so far.
    pub fn corrected(&self) -> usize {
        self.corrected
    }

    /// The key as it is now.
    pub fn into_key(self) -> Bits {
        self.key
    }

    fn correct(&mut self, place: usize) {
        self.key.flip(place);
        self.corrected += 1;
        for (number, pass) in self.passes.iter_mut().enumerate() {
            if let Some(at) = self.orders.flip(number, place) {
                pass.blocks[at / pass.size].turn(at);
            }
        }
    }
}

/// Why a key cannot be corrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CascadeError {
    /// So many parities were asked for that nothing of the key stays secret.
    #[error("more parities were asked for than the key has bits")]
    TooMuchTold,
    /// A question was not about the key.
    #[error("a parity was asked for that lies outside the key")]
    Outside,
    /// Answers are missing, or there are too many.
    #[error("there are not as many answers as questions")]
    Answers,
}

/// The blocks of one pass.
struct Pass {
    number: usize,
    size: usize,
    blocks: Vec<Block>,
}

/// What is known of a block.
struct Block {
    whole: Part,
    /// Whether the two ends' parities of it differ.
    odd: bool,
    /// A part of it whose parities differ, while an error is sought there.
    part: Option<Part>,
}

#[derive(Clone, Copy)]
struct Part {
    start: usize,
    len: usize,
}

impl Pass {
    fn new(number: usize, first: usize, len: usize) -> Self {
        let size = if number < PASSES { (first << number).min(len) } else { len }.max(1);
        let whole = |start| Part { start, len: size.min(len - start) };
        let blocks =
            (0..len).step_by(size).map(|start| Block { whole: whole(start), odd: false, part: None }).collect();
        Self { number, size, blocks }
    }

    /// Begins to search every block that is odd. Returns the blocks that are searched.
    fn search(&mut self) -> impl Iterator<Item = usize> {
        self.blocks.iter_mut().enumerate().filter_map(|(index, block)| {
            if block.part.is_none() && block.odd {
                block.part = Some(block.whole);
            }
            block.part.map(|_| index)
        })
    }

    /// Asks about half of the part that is searched, or the whole of it.
    fn question(&self, block: usize, whole: bool) -> Question {
        let part = self.blocks[block].part.expect("only blocks that are searched are asked about");
        let len = if whole { part.len } else { part.half() };
        Question { pass: self.number as u8, start: part.start as u32, len: len as u32 }
    }
}

impl Block {
    /// Goes on in the half that was asked about if its parity differs, otherwise in the other one. Returns where the error is
    /// once it is found.
    fn narrow(&mut self, differs: bool) -> Option<usize> {
        let part = self.part.take()?;
        let half = part.half();
        let part = if differs {
            Part { start: part.start, len: half }
        } else {
            Part { start: part.start + half, len: part.len - half }
        };
        match part.len {
            // Only lies lead here: a single bit that was odd is so no more.
            0 => None,
            1 => Some(part.start),
            _ => {
                self.part = Some(part);
                None
            }
        }
    }

    /// The bit at `at` was corrected. A search that had it in its part would find nothing any more, one beside it still does.
    fn turn(&mut self, at: usize) {
        self.odd = !self.odd;
        self.part = self.part.filter(|part| !(part.start..part.start + part.len).contains(&at));
    }
}

impl Part {
    fn half(self) -> usize {
        self.len.div_ceil(2)
    }
}

/// The key in the orders of all passes.
struct Orders {
    len: usize,
    /// The key in each pass's order; the first pass has its own.
    ordered: Vec<Bits>,
    /// For each pass but the first, which place of the key lies where, and the other way round.
    permutations: Vec<Permutation>,
    /// For the passes that follow, which bits take part.
    halves: Vec<Bits>,
}

struct Permutation {
    places: Vec<u32>,
    inverse: Vec<u32>,
}

impl Orders {
    fn new(key: &Bits, seed: &Seed) -> Self {
        let mut random = Random::from_seed(seed);
        let permutations = (1..PASSES).map(|_| Permutation::random(key.len(), &mut random)).collect::<Vec<_>>();
        let mut ordered = vec![key.clone()];
        for permutation in &permutations {
            let mut bits = Bits::with_capacity(key.len());
            permutation.places.iter().for_each(|&place| bits.push(key.get(place as usize)));
            ordered.push(bits);
        }
        let halves = (0..CONFIRMATIONS).map(|_| Bits::random(key.len(), &mut random)).collect();
        Self { len: key.len(), ordered, permutations, halves }
    }

    /// The parity asked for; `None` if there are no such bits.
    fn parity(&self, question: &Question) -> Option<bool> {
        let pass = usize::from(question.pass);
        let start = question.start as usize;
        let end = start.checked_add(question.len as usize)?;
        if end > self.len {
            return None;
        }
        match pass.checked_sub(PASSES) {
            None => Some(self.ordered[pass].parity(start..end)),
            Some(half) => Some(self.ordered[0].masked_parity(self.halves.get(half)?, start..end)),
        }
    }

    /// Which place of the key lies at `at` in a pass.
    fn place(&self, pass: usize, at: usize) -> usize {
        if pass == 0 || pass >= PASSES { at } else { self.permutations[pass - 1].places[at] as usize }
    }

    /// Turns the bit over that lies at `place` in the key. Returns where it lies in the pass, if it takes part.
    fn flip(&mut self, pass: usize, place: usize) -> Option<usize> {
        match pass.checked_sub(PASSES) {
            None => {
                let at = if pass == 0 { place } else { self.permutations[pass - 1].inverse[place] as usize };
                self.ordered[pass].flip(at);
                Some(at)
            }
            Some(half) => self.halves[half].get(place).then_some(place),
        }
    }
}

impl Permutation {
    fn random(len: usize, random: &mut Random) -> Self {
        let mut places = (0..len as u32).collect::<Vec<_>>();
        for index in (1..len).rev() {
            places.swap(index, random.below(index as u64 + 1) as usize);
        }
        let mut inverse = vec![0; len];
        places.iter().enumerate().for_each(|(at, &place)| inverse[place as usize] = at as u32);
        Self { places, inverse }
    }
}

/// How large the first pass's blocks are: such that a block has about 0.73 errors (Brassard and Salvail, section 7), and a power
/// of two, so that halving comes out even.
fn first_block(qber: f64, len: usize) -> usize {
    let size = 0.73 / qber.max(0.73 / LARGEST_FIRST_BLOCK as f64);
    (size.ceil() as usize).next_power_of_two().clamp(4, LARGEST_FIRST_BLOCK).min(len.max(1))
}

/// Passes over blocks, each with blocks twice as large as those of the one before.
const PASSES: usize = 4;
/// Passes over random halves.
const CONFIRMATIONS: usize = 12;
/// As long as no more than one in so many bits has a search, the next pass begins.
const PART_OF_FEW: usize = 4096;
/// Of a key that seems to have no errors.
const LARGEST_FIRST_BLOCK: usize = 512;

#[cfg(test)]
mod tests;

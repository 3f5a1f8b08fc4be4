use proptest::prelude::*;

use super::*;
use crate::estimate::binary_entropy;

/// What became of a key with errors.
struct Outcome {
    equal: bool,
    corrected: usize,
    told: usize,
    rounds: usize,
}

fn reconcile(len: usize, qber: f64, guess: f64, random: &mut Random) -> (usize, Outcome) {
    let right = Bits::random(len, random);
    let mut wrong = right.clone();
    (0..len).filter(|_| random.happens(qber)).for_each(|place| wrong.flip(place));
    let errors = right.distance(&wrong);
    let seed = random.seed();
    let mut reference = Reference::new(&right, &seed);
    let mut corrector = Corrector::new(wrong, &seed, guess);
    let mut counted = 0;
    let mut rounds = 0;
    loop {
        let questions = corrector.questions();
        if questions.is_empty() {
            break;
        }
        let answers = reference.answer(questions).unwrap();
        counted += answers.len();
        rounds += 1;
        corrector.answers(&answers).unwrap();
    }
    assert_eq!((reference.told(), corrector.told()), (counted, counted), "what was told is counted exactly");
    let corrected = corrector.corrected();
    let equal = corrector.into_key().words() == right.words();
    (errors, Outcome { equal, corrected, told: counted, rounds })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn errors_up_to_the_limit_are_all_corrected(seed in any::<[u8; 32]>(), len in 1000_usize..20_000, qber in 0.0..0.11) {
        let (errors, outcome) = reconcile(len, qber, qber, &mut Random::from_seed(&seed));
        // Two errors that lie together in every block stay; that is what the fingerprint is for. It is rarer than this sees.
        prop_assert!(outcome.equal, "{errors} errors in {len} bits, {} corrected", outcome.corrected);
        prop_assert_eq!(outcome.corrected, errors);
    }

    #[test]
    fn a_wrong_guess_costs_bits_but_corrects_all_the_same(seed in any::<[u8; 32]>(), guess in 0.0..0.2) {
        let (_, outcome) = reconcile(10_000, 0.03, guess, &mut Random::from_seed(&seed));
        prop_assert!(outcome.equal);
    }
}

#[test]
fn little_more_is_told_than_has_to_be_in_few_rounds() {
    for qber in [0.01, 0.03, 0.08] {
        let (_, outcome) = reconcile(200_000, qber, qber, &mut Random::from_seed(&[7; 32]));
        let efficiency = outcome.told as f64 / (200_000.0 * binary_entropy(qber));
        assert!(outcome.equal && efficiency < 1.2, "{qber}: {efficiency}");
        assert!(outcome.rounds < 100, "{qber}: {} rounds", outcome.rounds);
    }
}

#[test]
fn short_keys_and_keys_without_errors_are_no_trouble() {
    for len in [0, 63, 64, 65, 127, 1000] {
        let (_, outcome) = reconcile(len, 0.0, 0.05, &mut Random::from_seed(&[8; 32]));
        assert!(outcome.equal && outcome.corrected == 0);
    }
}

#[test]
fn questions_outside_the_key_and_without_end_are_refused() {
    let mut random = Random::from_seed(&[9; 32]);
    let mut reference = Reference::new(&Bits::random(100, &mut random), &random.seed());
    let ask = |pass, start, len| [Question { pass, start, len }];
    assert_eq!(reference.answer(&ask(0, 90, 11)).err(), Some(CascadeError::Outside));
    assert_eq!(reference.answer(&ask(200, 0, 1)).err(), Some(CascadeError::Outside));
    assert_eq!(reference.answer(&ask(0, u32::MAX, u32::MAX)).err(), Some(CascadeError::Outside));
    assert_eq!(reference.answer(&[ask(0, 0, 1)[0]; 101]).err(), Some(CascadeError::TooMuchTold));
    assert_eq!(reference.told(), 0);
}

#[test]
fn lying_answers_do_not_keep_a_corrector_busy_for_ever() {
    let mut random = Random::from_seed(&[10; 32]);
    let key = Bits::random(2000, &mut random);
    let mut corrector = Corrector::new(key, &random.seed(), 0.05);
    for _ in 0..100_000 {
        let count = corrector.questions().len();
        if count == 0 {
            return;
        }
        if corrector.answers(&Bits::random(count, &mut random)) == Err(CascadeError::TooMuchTold) {
            return;
        }
    }
    panic!("it goes on asking");
}

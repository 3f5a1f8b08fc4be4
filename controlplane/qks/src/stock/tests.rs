use proptest::prelude::*;
use uuid::Uuid;

use super::*;

#[test]
fn nothing_is_given_out_before_the_neighbour_has_confirmed_it() {
    let mut stock = Stock::default();
    assert!(stock.add(name(0), state(100)));
    assert_eq!(stock.free(), Free { unconfirmed: 100, ..Free::default() });
    assert_eq!(stock.take(1, Wish::default(), NOW), None);
    stock.confirm(name(0), 10);
    assert_eq!(stock.free(), Free { ready: 90, ..Free::default() });
    assert_eq!(stock.take(90, Wish::default(), NOW).unwrap().pieces, [piece(0, 10, 90)]);
    assert_eq!(stock.take(1, Wish::default(), NOW), None);
}

#[test]
fn a_request_is_met_from_several_blocks_or_not_at_all() {
    let mut stock = confirmed(&[100, 100]);
    assert_eq!(stock.take(150, Wish::default(), NOW).unwrap().pieces, [piece(0, 0, 100), piece(1, 0, 50)]);
    assert_eq!(stock.take(51, Wish::default(), NOW), None);
    assert_eq!(stock.free().ready, 50);
}

#[test]
fn marks_on_disk_are_ahead_and_rarely_written() {
    let mut stock = confirmed(&[1_000_000]);
    let writes = (0..1_000).filter(|_| !stock.take(32, Wish::default(), NOW).unwrap().marks.is_empty()).count();
    assert_eq!(writes, 2);
}

#[test]
fn requests_of_many_keys_move_marks_further_up_to_a_bound() {
    let writes = |bytes, requests| {
        let mut stock = confirmed(&[4_000_000]);
        (0..requests).filter(|_| !stock.take(bytes, Wish::default(), NOW).unwrap().marks.is_empty()).count()
    };
    assert_eq!(writes(3_200, 330), 10);
    assert_eq!(writes(1_000_000, 3), 3);
}

#[test]
fn a_wish_for_an_origin_or_an_age_is_kept_to() {
    let mut stock = Stock::default();
    stock.add(name(0), BlockState { origin: Origin::Pqc, made_at: UnixNanos(5), ..state(10) });
    stock.add(name(1), BlockState { made_at: UnixNanos(7), ..state(10) });
    stock.confirm(name(0), 0);
    stock.confirm(name(1), 0);
    let take = |stock: &mut Stock, wish| Some(stock.take(4, wish, NOW)?.pieces[0].block.number);
    let of = |origin| Wish { origin: Some(origin), ..Wish::default() };
    assert_eq!(take(&mut stock, of(Origin::Pqc)), Some(0));
    assert_eq!(take(&mut stock, of(Origin::Hybrid)), None);
    assert_eq!(take(&mut stock, Wish { made_since: Some(UnixNanos(7)), ..Wish::default() }), Some(1));
    assert_eq!(take(&mut stock, Wish { made_since: Some(UnixNanos(8)), ..Wish::default() }), None);
    assert_eq!((stock.ready_of(Origin::Pqc), stock.ready_of(Origin::Qkd)), (6, 6));
}

#[test]
fn what_is_over_is_not_given_out_and_leaves() {
    let mut stock = confirmed(&[10]);
    assert_eq!(stock.take(1, Wish::default(), END), None);
    assert_eq!(stock.expire(END), [name(0)]);
    assert!(stock.is_empty());
    assert_eq!(stock.free(), Free::default());
}

#[test]
fn only_untouched_blocks_are_handed_over() {
    let mut stock = confirmed(&[10, 10, 10]);
    stock.take(1, Wish::default(), NOW).unwrap();
    assert_eq!(stock.hand_over(&[name(0), name(1), name(2), name(3)]), [name(1), name(2)]);
    assert_eq!(stock.free(), Free { ready: 9, unconfirmed: 0, neighbours: 20 });
    assert_eq!(stock.wanted(1, NOW), [name(2)]);
    assert_eq!(stock.wanted(5, END), []);
}

#[test]
fn unused_blocks_are_spared_down_to_a_share() {
    let mut stock = confirmed(&[10, 10, 10, 10]);
    stock.take(1, Wish::default(), NOW).unwrap();
    assert_eq!(stock.spare(25), [name(3)]);
    assert_eq!(stock.free().ready, 29);
    assert_eq!(stock.spare(0), [name(2), name(1)], "the first is in use");
    stock.set_owner(name(0), false);
    stock.forget_neighbours();
    assert!(stock.is_empty());
}

#[test]
fn a_block_counts_as_used_up_on_disk_only_with_its_last_byte() {
    let mut stock = confirmed(&[100]);
    let marks = |stock: &mut Stock, bytes| stock.take(bytes, Wish::default(), NOW).unwrap().marks;
    assert_eq!(marks(&mut stock, 10), [Mark { block: name(0), used: 99 }]);
    assert_eq!(marks(&mut stock, 89), []);
    assert_eq!(marks(&mut stock, 1), [Mark { block: name(0), used: 100 }]);
}

#[test]
fn a_neighbour_that_comes_back_confirms_anew() {
    let mut stock = confirmed(&[10, 10]);
    stock.doubt();
    assert_eq!(stock.take(1, Wish::default(), NOW), None);
    assert_eq!(stock.unconfirmed(None, 1), [Mark { block: name(0), used: 0 }]);
    assert_eq!(stock.unconfirmed(Some(name(0)), 9), [Mark { block: name(1), used: 0 }]);
}

proptest! {
    /// An end may die at any moment. It comes back with the marks that were on disk.
    #[test]
    fn no_byte_is_given_out_twice_whatever_crashes(steps in prop::collection::vec(step(), 1..200)) {
        let lengths = [40_000, 70, 5_000];
        let mut stock = confirmed(&lengths);
        let mut disk = [0; 3];
        let mut given = [0; 3];
        for step in steps {
            match step {
                Step::Take(bytes) => {
                    let Some(taken) = stock.take(bytes, Wish::default(), NOW) else { continue };
                    for mark in &taken.marks {
                        disk[mark.block.number as usize] = mark.used;
                    }
                    prop_assert_eq!(taken.pieces.iter().map(|piece| u64::from(piece.length)).sum::<u64>(), bytes);
                    for piece in taken.pieces {
                        let number = piece.block.number as usize;
                        prop_assert!(piece.offset >= given[number], "given out again");
                        given[number] = piece.offset + piece.length;
                        prop_assert!(given[number] <= disk[number], "ahead of the disk");
                    }
                }
                Step::Crash => {
                    stock = Stock::default();
                    for (number, length) in (0..).zip(lengths) {
                        stock.add(name(number), BlockState { used: disk[number as usize], ..state(length) });
                        stock.confirm(name(number), 0);
                    }
                }
            }
            let left: u64 = (0..3).map(|number| stock.get(name(number)).unwrap().free()).sum();
            prop_assert_eq!(stock.free().ready, left);
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Take(u64),
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![9 => (1..3_000_u64).prop_map(Step::Take), 1 => Just(Step::Crash)]
}

fn confirmed(lengths: &[u32]) -> Stock {
    let mut stock = Stock::default();
    for (number, length) in (0..).zip(lengths) {
        stock.add(name(number), state(*length));
        stock.confirm(name(number), 0);
    }
    stock
}

fn name(number: u64) -> BlockName {
    BlockName { stream: StreamId(Uuid::nil()), number }
}

fn piece(number: u64, offset: u32, length: u32) -> Piece {
    Piece { block: name(number), offset, length }
}

fn state(length: u32) -> BlockState {
    let (made_at, expires_at) = (UnixNanos(0), END);
    BlockState { length, used: 0, is_mine: true, origin: Origin::Qkd, made_at, expires_at, check: Check([0; 16]) }
}

const NOW: UnixNanos = UnixNanos(1_000);
const END: UnixNanos = UnixNanos(2_000);

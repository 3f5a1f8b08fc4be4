use super::*;

#[test]
fn what_happens_one_after_the_other_is_explained_in_that_order() {
    assert!(is_linearizable(&[
        put(0, 1, 7, None, 1),
        read(2, 3, Some((7, 1))),
        put(4, 5, 8, Some(1), 2),
        delete(6, 7, None),
        read(8, 9, None),
        put(10, 11, 9, Some(0), 5),
    ]));
}

#[test]
fn a_read_that_misses_what_was_acknowledged_before_is_rejected() {
    assert!(!is_linearizable(&[put(0, 1, 7, None, 1), put(2, 3, 8, None, 2), read(4, 5, Some((7, 1)))]));
    assert!(!is_linearizable(&[put(0, 1, 7, None, 1), read(2, 3, None)]));
}

#[test]
fn a_read_beside_a_write_may_see_it_or_not() {
    assert!(is_linearizable(&[put(0, 1, 7, None, 1), put(2, 9, 8, None, 2), read(3, 4, Some((7, 1)))]));
    assert!(is_linearizable(&[put(0, 1, 7, None, 1), put(2, 9, 8, None, 2), read(3, 4, Some((8, 2)))]));
}

#[test]
fn two_reads_in_a_row_never_go_back() {
    let write = put(2, 9, 8, None, 2);
    let reads = [read(3, 4, Some((8, 2))), read(5, 6, Some((7, 1)))];
    assert!(!is_linearizable(&[put(0, 1, 7, None, 1), write, reads[0], reads[1]]));
}

#[test]
fn two_writers_cannot_both_have_had_the_same_generation() {
    assert!(!is_linearizable(&[put(0, 5, 7, Some(0), 1), put(1, 6, 8, Some(0), 1)]));
    assert!(is_linearizable(&[put(0, 5, 7, Some(0), 1), conflict(1, 6, 8, Some(0), 1)]));
}

#[test]
fn a_conflict_without_a_reason_is_rejected() {
    assert!(!is_linearizable(&[put(0, 1, 7, None, 1), conflict(2, 3, 8, Some(1), 1)]));
    assert!(!is_linearizable(&[put(0, 1, 7, None, 1), conflict(2, 3, 8, Some(2), 3)]));
}

#[test]
fn a_write_without_an_answer_may_happen_late_or_never_but_once() {
    let lost = Operation { from: 2, to: None, what: What::Put { value: 8, expected: None, told: None } };
    let first = put(0, 1, 7, None, 1);
    assert!(is_linearizable(&[first, lost, read(20, 21, Some((7, 1)))]));
    assert!(is_linearizable(&[first, lost, read(20, 21, Some((7, 1))), read(30, 31, Some((8, 2)))]));
    assert!(!is_linearizable(&[first, lost, read(20, 21, Some((8, 2))), put(30, 31, 9, None, 4)]));
    assert!(!is_linearizable(&[lost, read(0, 1, Some((8, 1)))]));
}

#[test]
fn a_lost_write_of_a_new_document_may_have_any_generation_but_only_one() {
    let lost = Operation { from: 0, to: None, what: What::Put { value: 8, expected: None, told: None } };
    assert!(is_linearizable(&[lost, read(1, 2, Some((8, 5))), put(3, 4, 9, Some(5), 6)]));
    assert!(!is_linearizable(&[lost, read(1, 2, Some((8, 5))), read(3, 4, Some((8, 6)))]));
}

#[test]
fn a_removal_beside_the_first_write_may_come_before_or_behind_it() {
    assert!(is_linearizable(&[delete(0, 9, None), put(1, 5, 7, None, 1), read(10, 11, None)]));
    assert!(is_linearizable(&[delete(0, 9, None), put(1, 5, 7, None, 1), read(10, 11, Some((7, 1)))]));
}

fn put(from: u64, to: u64, value: u64, expected: Option<u64>, generation: u64) -> Operation {
    let told = Some(Told::Done { generation });
    Operation { from, to: Some(to), what: What::Put { value, expected, told } }
}

fn conflict(from: u64, to: u64, value: u64, expected: Option<u64>, generation: u64) -> Operation {
    let told = Some(Told::Conflict { generation });
    Operation { from, to: Some(to), what: What::Put { value, expected, told } }
}

fn delete(from: u64, to: u64, expected: Option<u64>) -> Operation {
    Operation { from, to: Some(to), what: What::Delete { expected, told: Some(Told::Done { generation: 0 }) } }
}

fn read(from: u64, to: u64, seen: Option<(u64, u64)>) -> Operation {
    Operation { from, to: Some(to), what: What::Read { seen } }
}

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[test]
fn a_list_reads_as_it_was_written() {
    let manifest = Manifest::new(vec![Piece::of(b"one"), Piece::of(b"three")]).unwrap();
    let text = String::from_utf8(manifest.to_bytes()).unwrap();
    assert_eq!(
        text,
        "photongate-file 1\n\
         7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed 3\n\
         8b5b9db0c13db24256c829aa364aa90c6d2eba318b9232a4ab9313b954d3555f 5\n"
    );
    assert_eq!(Manifest::parse(text.as_bytes()), Ok(manifest.clone()));
    assert_eq!((manifest.size(), manifest.offsets().collect::<Vec<_>>()), (8, vec![0, 3]));
}

#[test]
fn an_empty_file_has_no_pieces() {
    let manifest = Manifest::default();
    assert_eq!(Manifest::parse(&manifest.to_bytes()), Ok(manifest));
}

#[test]
fn what_is_no_list_is_told_from_a_list_with_a_mistake() {
    let good = String::from_utf8(Manifest::new(vec![Piece::of(b"one")]).unwrap().to_bytes()).unwrap();
    let line = good.lines().nth(1).unwrap();
    for (text, why) in [
        ("".to_owned(), NotAManifest::NotAList),
        ("hello\n".to_owned(), NotAManifest::NotAList),
        ("photongate-file 2\n".to_owned(), NotAManifest::OtherVersion),
        (good.trim_end().to_owned(), NotAManifest::Truncated),
        (format!("{good}\n"), NotAManifest::NotAPiece { line: 3 }),
        (good.replace(" 3", " 0"), NotAManifest::NotAPiece { line: 2 }),
        (good.replace(" 3", " 03"), NotAManifest::NotAPiece { line: 2 }),
        (good.replace(" 3", " +3"), NotAManifest::NotAPiece { line: 2 }),
        (good.replace(" 3", " 1048577"), NotAManifest::NotAPiece { line: 2 }),
        (good.replace(line, &line.to_uppercase()), NotAManifest::NotAPiece { line: 2 }),
        (format!("{good}{}", format!("{line}\n").repeat(MOST_PIECES)), NotAManifest::TooLong),
    ] {
        assert_eq!(Manifest::parse(text.as_bytes()), Err(why), "{text:.80}");
    }
}

#[test]
fn the_longest_list_is_a_value() {
    let piece = Piece { size: LONGEST_VALUE, ..Piece::of(b"x") };
    let longest = Manifest::new(vec![piece; MOST_PIECES]).unwrap();
    assert!(longest.to_bytes().len() <= LONGEST_VALUE as usize);
    assert_eq!(Manifest::new(vec![piece; MOST_PIECES + 1]), Err(NotAManifest::TooLong));
}

#[test]
fn pieces_grow_with_the_file() {
    let longest = MOST_PIECES as u64 * u64::from(LONGEST_VALUE);
    let sizes = [0, 1 << 30, (1 << 30) + 1, (2 << 30) + 1, longest, longest + 1].map(piece_size);
    assert_eq!(sizes, [Some(256 << 10), Some(256 << 10), Some(512 << 10), Some(1 << 20), Some(1 << 20), None]);
}

proptest! {
    #[test]
    fn whatever_is_read_is_written_the_same_way(bytes in any_list()) {
        if let Ok(manifest) = Manifest::parse(&bytes) {
            prop_assert_eq!(manifest.to_bytes(), bytes);
        }
    }
}

/// Lists, some with a byte that is another.
fn any_list() -> impl Strategy<Value = Vec<u8>> {
    let pieces = vec((any::<u64>(), 1..=LONGEST_VALUE), 0..4);
    let change = proptest::option::of((any::<prop::sample::Index>(), any::<u8>()));
    (pieces, change).prop_map(|(pieces, change)| {
        let pieces = pieces.into_iter().map(|(seed, size)| Piece { key: Id::of(&seed.to_be_bytes()), size });
        let mut bytes = Manifest::new(pieces.collect()).unwrap().to_bytes();
        if let Some((index, byte)) = change {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        bytes
    })
}

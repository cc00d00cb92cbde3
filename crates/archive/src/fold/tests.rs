//! Tests of `fold`.

use super::*;
use meridian_base::{Cause, Hlc, PartitionId};

const PARTITION: PartitionId = PartitionId(16);

fn item(key: u8, image: &[u8]) -> ArchivedItem {
    ArchivedItem { key: vec![key], image: image.to_vec(), version: Version::default() }
}

/// A base at 10 with the keys 2, 4 and 6 in two chunks.
fn chunks() -> [BaseChunk; 2] {
    [vec![item(2, b"b"), item(4, b"d")], vec![item(6, b"f")]].map(|items| BaseChunk {
        partition: PARTITION,
        position: Position(10),
        number: u32::from(items.len() == 1),
        items,
    })
}

fn fold() -> Fold {
    let position = Position(10);
    let end = BaseEnd {
        partition: PARTITION,
        position,
        commit_ms: 100,
        closed_ms: 0,
        chunks: 2,
        items: 3,
        bytes: 6,
    };
    Fold::new(end, 200)
}

/// Changes from `first` on: key, image, commit time.
fn segment(first: u64, changes: &[(u8, Option<&[u8]>, u64)]) -> LogSegment {
    let changes: Vec<_> = (first..)
        .zip(changes)
        .map(|(position, (key, image, commit_ms))| ArchivedChange {
            position: Position(position),
            commit_ms: *commit_ms,
            key: vec![*key],
            image: image.map(<[u8]>::to_vec),
            version: Version { hlc: Hlc(position), ..Version::default() },
            cause: Cause::Write,
        })
        .collect();
    let last = Position(first + changes.len() as u64 - 1);
    LogSegment { partition: PARTITION, first: Position(first), last, changes }
}

fn merged(mut fold: Fold) -> Vec<Vec<(u8, Vec<u8>)>> {
    let mut parts: Vec<_> =
        chunks().into_iter().map(|chunk| fold.merge_chunk("c", chunk).unwrap()).collect();
    parts.push(fold.finish("e").unwrap());
    let items = parts.iter().map(|part| part.len() as u64).sum();
    let bytes = parts.iter().flatten().map(ArchivedItem::bytes).sum();
    assert_eq!(fold.totals(), Totals { items, bytes });
    assert_eq!(fold.held_bytes(), 0);
    let shown = |item: ArchivedItem| (item.key[0], item.image);
    parts.into_iter().map(|part| part.into_iter().map(shown).collect()).collect()
}

fn shown(parts: &[&[(u8, &[u8])]]) -> Vec<Vec<(u8, Vec<u8>)>> {
    let part = |part: &&[(u8, &[u8])]| part.iter().map(|(k, i)| (*k, i.to_vec())).collect();
    parts.iter().map(part).collect()
}

#[test]
fn without_changes_the_state_is_the_base() {
    assert_eq!(merged(fold()), shown(&[&[(2, b"b"), (4, b"d")], &[(6, b"f")], &[]]));
}

#[test]
fn changes_stand_at_their_places() {
    let mut fold = fold();
    let changes: [(u8, Option<&[u8]>, u64); 7] = [
        (1, Some(b"new"), 150),
        (4, None, 150),
        (5, Some(b"x"), 150),
        (6, Some(b"longer"), 150),
        (5, None, 160),
        (9, Some(b"i"), 200),
        (9, Some(b"too new"), 201),
    ];
    fold.add("s", segment(11, &changes)).unwrap();
    assert_eq!(fold.covered(), Position(17));
    assert_eq!(fold.held_bytes(), 4 + 1 + 1 + 7 + 2);
    let expected = shown(&[&[(1, b"new"), (2, b"b")], &[(6, b"longer")], &[(9, b"i")]]);
    assert_eq!(merged(fold), expected);
}

#[test]
fn times_need_not_grow_from_position_to_position() {
    let mut fold = fold();
    let changes: [(u8, Option<&[u8]>, u64); 3] =
        [(2, Some(b"late"), 300), (4, Some(b"in time"), 150), (6, None, 120)];
    fold.add("s", segment(11, &changes)).unwrap();
    assert_eq!(merged(fold), shown(&[&[(2, b"b"), (4, b"in time")], &[], &[]]));
}

#[test]
fn what_was_added_before_counts_once() {
    let mut fold = fold();
    fold.add("s", segment(9, &[(2, None, 90), (4, None, 90), (6, Some(b"1"), 150)])).unwrap();
    fold.add("s", segment(11, &[(6, Some(b"1"), 150), (6, Some(b"2"), 160)])).unwrap();
    fold.add("s", segment(10, &[(4, None, 90), (6, Some(b"1"), 150)])).unwrap();
    assert_eq!(fold.covered(), Position(12));
    assert_eq!(merged(fold), shown(&[&[(2, b"b"), (4, b"d")], &[(6, b"2")], &[]]));
}

#[test]
fn positions_left_out_are_named() {
    let mut fold = fold();
    let missing = |position| ArchiveError::Missing { partition: PARTITION, position };
    let error = fold.add("s", segment(12, &[(2, None, 150)])).unwrap_err();
    assert_eq!(error, missing(Position(11)));
    let stranger = LogSegment { partition: PartitionId(17), ..segment(11, &[(2, None, 150)]) };
    let error = fold.add("s", stranger).unwrap_err().to_string();
    assert_eq!(error, "object s is damaged at byte 0: it is of partition 17, not 16");
}

#[test]
fn another_chunk_than_the_next_is_refused() {
    let [first, second] = chunks();
    assert!(fold().merge_chunk("c", second.clone()).is_err());
    let mut fold = fold();
    fold.merge_chunk("c", first.clone()).unwrap();
    assert!(fold.merge_chunk("c", first).is_err());
    let elsewhere = BaseChunk { position: Position(11), ..second.clone() };
    assert!(fold.merge_chunk("c", elsewhere).is_err());
    let lower = BaseChunk { items: vec![item(4, b"f")], ..second.clone() };
    let error = fold.merge_chunk("c", lower).unwrap_err().to_string();
    assert!(error.ends_with("its first key is not above the chunk before"), "{error}");
    fold.merge_chunk("c", second).unwrap();
    fold.finish("e").unwrap();
}

#[test]
fn a_base_that_is_not_what_its_end_counts_is_refused() {
    let mut short = fold();
    let [first, second] = chunks();
    short.merge_chunk("c", first.clone()).unwrap();
    let error = short.finish("e").unwrap_err().to_string();
    let what = "it counts 2 chunks, 3 items and 6 bytes, and there are 1, 2 and 4";
    assert_eq!(error, format!("object e is damaged at byte 0: {what}"));
    let mut other = fold();
    other.merge_chunk("c", first).unwrap();
    other.merge_chunk("c", BaseChunk { items: vec![item(6, b"ff")], ..second }).unwrap();
    assert!(other.finish("e").is_err());
}

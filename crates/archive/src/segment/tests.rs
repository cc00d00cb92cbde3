use super::*;
use meridian_base::{Hlc, RegionId};
use proptest::prelude::*;

fn change(position: u64, key: Vec<u8>, image: Option<Vec<u8>>) -> ArchivedChange {
    let version = Version { hlc: Hlc(position << 16), region: RegionId::new(3) };
    let cause = [Cause::Write, Cause::Ttl, Cause::Replicated][(position % 3) as usize];
    let position = Position(position);
    ArchivedChange { position, commit_ms: position.0 * 7, key, image, version, cause }
}

fn segment(first: u64, contents: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> LogSegment {
    let changes: Vec<_> = (first..)
        .zip(contents)
        .map(|(position, (key, image))| change(position, key, image))
        .collect();
    let last = Position(first + changes.len() as u64 - 1);
    LogSegment { partition: PartitionId(16), first: Position(first), last, changes }
}

fn three() -> LogSegment {
    segment(5, vec![(vec![1], None), (vec![2], Some(vec![3])), (vec![1], Some(vec![]))])
}

fn refused(segment: &LogSegment) -> String {
    LogSegment::decode("s", &segment.encode()).expect_err("a bad segment").to_string()
}

#[test]
fn a_change_at_the_wrong_position_is_named() {
    let mut swapped = three();
    swapped.changes[1].position = Position(9);
    let what = "change 1 has position 9 instead of 6";
    assert_eq!(refused(&swapped), format!("object s is damaged at byte 24: {what}"));
}

#[test]
fn positions_and_count_must_agree() {
    let mut holed = three();
    holed.changes.remove(1);
    let what = "it holds 2 changes for the positions 5 to 7";
    assert_eq!(refused(&holed), format!("object s is damaged at byte 5: {what}"));
    let mut empty = three();
    empty.changes.clear();
    refused(&empty);
    (empty.first, empty.last) = (Position(8), Position(7));
    refused(&empty);
    (empty.first, empty.last) = (Position(0), Position(u64::MAX));
    refused(&empty);
}

proptest! {
    #[test]
    fn segments_round_trip(
        first in 1..u64::MAX / 100_000,
        contents in prop::collection::vec(any::<(Vec<u8>, Option<Vec<u8>>)>(), 1..5),
    ) {
        let segment = segment(first, contents);
        prop_assert_eq!(LogSegment::decode("s", &segment.encode()), Ok(segment));
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>, at: prop::sample::Index, flip in 1u8..) {
        let _ = LogSegment::decode("s", &bytes);
        let _ = LogSegment::decode("s", &[&[1, 1], &bytes[..]].concat());
        let mut flipped = three().encode();
        let at = at.index(flipped.len());
        prop_assert!(LogSegment::decode("s", &flipped[..at]).is_err());
        flipped[at] ^= flip;
        prop_assert_ne!(LogSegment::decode("s", &flipped), Ok(three()));
    }
}

//! Tests of `delta`: random writes against a replay of them, and what is refused.

use super::*;
use crate::base::ArchivedItem;
use crate::segment::ArchivedChange;
use meridian_base::{Cause, PartitionId, Position, Version};
use proptest::prelude::*;

const PARTITION: PartitionId = PartitionId(16);

type Image = Option<Vec<u8>>;

fn change(position: u64, key: u8, image: Image, commit_ms: u64) -> ArchivedChange {
    let (key, version) = (vec![key], Version::default());
    let position = Position(position);
    ArchivedChange { position, commit_ms, key, image, version, cause: Cause::Write }
}

fn segment(changes: &[ArchivedChange]) -> LogSegment {
    let (first, last) = (changes[0].position, changes[changes.len() - 1].position);
    LogSegment { partition: PARTITION, first, last, changes: changes.to_vec() }
}

/// A base at a position with these items, in chunks of so many.
fn base(
    position: u64,
    items: &BTreeMap<u8, Vec<u8>>,
    at_a_time: usize,
) -> (BaseEnd, Vec<BaseChunk>) {
    let position = Position(position);
    let items: Vec<ArchivedItem> = items
        .iter()
        .map(|(key, image)| {
            let version = Version::default();
            ArchivedItem { key: vec![*key], image: image.clone(), version }
        })
        .collect();
    let chunks: Vec<BaseChunk> = (0..)
        .zip(items.chunks(at_a_time))
        .map(|(number, items)| BaseChunk {
            partition: PARTITION,
            position,
            number,
            items: items.to_vec(),
        })
        .collect();
    let end = BaseEnd {
        partition: PARTITION,
        position,
        commit_ms: 0,
        closed_ms: 0,
        chunks: u32::try_from(chunks.len()).unwrap(),
        items: items.len() as u64,
        bytes: items.iter().map(ArchivedItem::bytes).sum(),
    };
    (end, chunks)
}

/// The images of all keys after the changes of which `counts` says so.
fn replay(
    changes: &[ArchivedChange],
    counts: impl Fn(&ArchivedChange) -> bool,
) -> BTreeMap<u8, Image> {
    let counted = changes.iter().filter(|change| counts(change));
    counted.map(|change| (change.key[0], change.image.clone())).collect()
}

proptest! {
    #[test]
    fn differences_are_those_between_two_states(
        writes in prop::collection::vec(
            (0u8..6, prop::option::weighted(0.7, prop::collection::vec(any::<u8>(), 0..3)), 0u64..3),
            0..40,
        ),
        before in 0usize..20,
        window in 0u64..12,
        length in 1u64..20,
        cut in 1usize..9,
        at_a_time in 1usize..4,
    ) {
        let mut clock_ms = 10;
        let mut changes: Vec<ArchivedChange> = Vec::new();
        for (position, (key, image, step)) in (1..).zip(writes) {
            clock_ms += step;
            changes.push(change(position, key, image, clock_ms));
        }
        let in_base = before.min(changes.len());
        // The base holds nothing of the time.
        let base_ms = changes[..in_base].last().map_or(0, |change| change.commit_ms);
        let (from_ms, to_ms) = (base_ms + 1 + window, base_ms + 1 + window + length);
        let held = replay(&changes[..in_base], |_| true);
        let held = held.into_iter().filter_map(|(key, image)| Some((key, image?))).collect();
        let (end, chunks) = base(in_base as u64, &held, at_a_time);

        let mut delta = Delta::new(end, from_ms, to_ms);
        // Segments may begin before the base ends.
        let start = in_base.saturating_sub(2);
        for part in changes[start..].chunks(cut) {
            delta.add("s", segment(part)).unwrap();
        }
        let mut found = Vec::new();
        for chunk in chunks {
            found.extend(delta.pass_chunk("c", chunk).unwrap());
        }
        found.extend(delta.finish("e").unwrap());

        let old = replay(&changes, |change| change.commit_ms < from_ms);
        let new = replay(&changes, |change| change.commit_ms < to_ms);
        let written: BTreeMap<u8, u64> = changes
            .iter()
            .filter(|change| (from_ms..to_ms).contains(&change.commit_ms))
            .map(|change| (change.key[0], change.commit_ms))
            .collect();
        let expected: Vec<Difference> = written
            .into_iter()
            .map(|(key, written_ms)| Difference {
                key: vec![key],
                old: old.get(&key).cloned().flatten(),
                new: new.get(&key).cloned().flatten(),
                written_ms,
            })
            .filter(|one| one.old.is_some() || one.new.is_some())
            .collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let held = BTreeMap::from([(1, vec![1]), (2, vec![2])]);
    let (end, chunks) = base(10, &held, 1);
    let mut delta = Delta::new(end, 5, 6);
    let hole = delta.add("s", segment(&[change(12, 1, None, 5)]));
    let position = Position(11);
    assert_eq!(hole, Err(ArchiveError::Missing { partition: PARTITION, position }));
    let mut foreign = segment(&[change(11, 1, None, 5)]);
    foreign.partition = PartitionId(17);
    assert!(matches!(delta.add("s", foreign), Err(ArchiveError::Damaged { .. })));
    let second = delta.pass_chunk("c", chunks[1].clone());
    assert!(matches!(second, Err(ArchiveError::Damaged { .. })));
    delta.pass_chunk("c", chunks[0].clone()).unwrap();
    assert!(matches!(delta.finish("e"), Err(ArchiveError::Damaged { .. })), "one is missing");
}

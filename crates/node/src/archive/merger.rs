//! Makes few segments out of many: a partition that is written all the time leaves one a second.
//!
//! A segment that holds what others hold may stand beside them, since a plan takes any that cover the
//! log. So nothing is ever missing: first the larger one is put, and in the next round, when it was read
//! back, those that it holds go.
//!
//! # Invariants
//!
//! - A segment is deleted only when another one, that was read and found whole, holds all of it.
//! - Of every position there is a segment at every moment.
//!
//! Tested below.

use super::objects::{ObjectError, Objects};
use meridian_archive::{LogSegment, ObjectName};
use meridian_base::{PartitionId, Position};

/// Segments that are made one at least; below that it is not worth the reading.
const RUN_MIN: usize = 8;
/// Changes, and bytes of them, of a segment at most.
const CHANGES_MAX: u64 = 16_384;
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// The positions of a segment.
type Range = (Position, Position);

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Merged {
    /// Segments that were put.
    pub put: u64,
    /// Segments that were deleted.
    pub deleted: u64,
}

/// Goes once over the segments of a partition that end at or before a position.
pub async fn merge(
    objects: &Objects,
    partition: PartitionId,
    upto: Position,
) -> Result<Merged, ObjectError> {
    let name = |(first, last)| ObjectName::Log { partition, first, last };
    let listed = objects.segments(partition, Position(0)).await?;
    let ranges = listed.iter().filter_map(|name| match *name {
        ObjectName::Log { first, last, .. } if last <= upto => Some((first, last)),
        _ => None,
    });
    let (widest, held) = apart(ranges.collect());
    let mut merged = Merged::default();
    for (range, held) in held {
        read(objects, &name(range)).await?;
        for one in held {
            objects.delete(&name(one)).await?;
            merged.deleted += 1;
        }
    }
    for run in runs(&widest) {
        let (mut changes, mut bytes, mut taken) = (Vec::new(), 0, 0);
        let mut range: Option<Range> = None;
        for one in run {
            let (segment, length) = read(objects, &name(*one)).await?;
            if bytes + length > BYTES_MAX {
                break;
            }
            range = Some((range.map_or(one.0, |(first, _)| first), one.1));
            bytes += length;
            taken += 1;
            changes.extend(segment.changes);
        }
        if let Some((first, last)) = range.filter(|_| taken >= RUN_MIN) {
            let segment = LogSegment { partition, first, last, changes };
            objects.put(&name((first, last)), segment.encode()).await?;
            merged.put += 1;
        }
    }
    Ok(merged)
}

/// A whole segment, and how many bytes its content has.
async fn read(objects: &Objects, name: &ObjectName) -> Result<(LogSegment, usize), ObjectError> {
    let plain = objects.must(name).await?;
    Ok((LogSegment::decode(&objects.name_of(name), &plain)?, plain.len()))
}

/// The segments that no other one holds, in order, and of these the ones that hold others.
fn apart(mut ranges: Vec<Range>) -> (Vec<Range>, Vec<(Range, Vec<Range>)>) {
    // Of those that begin at one position the longest comes first.
    ranges.sort_unstable_by_key(|(first, last)| (*first, std::cmp::Reverse(*last)));
    let mut found: Vec<(Range, Vec<Range>)> = Vec::new();
    for range in ranges {
        match found.last_mut() {
            Some((widest, held)) if range.1 <= widest.1 => held.push(range),
            Some(_) | None => found.push((range, Vec::new())),
        }
    }
    let widest = found.iter().map(|(range, _)| *range).collect();
    found.retain(|(_, held)| !held.is_empty());
    (widest, found)
}

/// Consecutive segments, many enough to be worth it and together small enough for one.
fn runs(widest: &[Range]) -> Vec<&[Range]> {
    let (mut runs, mut from) = (Vec::new(), 0);
    for (at, (_, last)) in widest.iter().enumerate() {
        let begins = widest.get(from).map_or(*last, |(first, _)| *first);
        let goes_on = widest.get(at + 1).is_some_and(|(next, next_last)| {
            *next == last.next() && next_last.0 - begins.0 < CHANGES_MAX
        });
        if !goes_on {
            runs.extend(widest.get(from..=at).filter(|run| run.len() >= RUN_MIN));
            from = at + 1;
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use meridian_archive::{ArchivedChange, MasterKey, Prefix, Subject};
    use meridian_base::{Cause, Hlc, RegionId, TableId, Version};
    use object_store::memory::InMemory;
    use std::sync::Arc;

    const PARTITION: PartitionId = PartitionId(16);

    fn objects() -> Objects {
        let (cluster, region) = ("c".to_owned(), "r".to_owned());
        let prefix = Prefix { cluster, region, subject: Subject::Table(TableId(1)) };
        Objects::new(Arc::new(InMemory::new()), MasterKey::new([1; 32]), prefix)
    }

    fn change(position: u64, bytes: usize) -> ArchivedChange {
        ArchivedChange {
            position: Position(position),
            commit_ms: position,
            key: position.to_be_bytes().to_vec(),
            image: Some(vec![7; bytes]),
            version: Version { hlc: Hlc::from_ms(position), region: RegionId::new(1) },
            cause: Cause::Write,
        }
    }

    async fn put(objects: &Objects, first: u64, last: u64, bytes: usize) {
        let changes = (first..=last).map(|at| change(at, bytes)).collect();
        let (first, last) = (Position(first), Position(last));
        let segment = LogSegment { partition: PARTITION, first, last, changes };
        let name = ObjectName::Log { partition: PARTITION, first, last };
        objects.put(&name, segment.encode()).await.unwrap();
    }

    /// The segments that are there; each of them holds what its name says.
    async fn listed(objects: &Objects) -> Vec<(u64, u64)> {
        let mut listed = Vec::new();
        for name in objects.segments(PARTITION, Position(0)).await.unwrap() {
            let ObjectName::Log { first, last, .. } = name else { panic!("{name} is listed") };
            let (segment, _) = read(objects, &name).await.unwrap();
            assert_eq!((segment.first, segment.last), (first, last));
            listed.push((first.0, last.0));
        }
        listed
    }

    #[tokio::test]
    async fn many_small_ones_become_one_and_then_go() {
        let objects = objects();
        for n in 0..20 {
            put(&objects, n * 10 + 1, n * 10 + 10, 5).await;
        }
        let small = listed(&objects).await;
        let upto = Position(195);
        assert_eq!(merge(&objects, PARTITION, upto).await.unwrap(), Merged { put: 1, deleted: 0 });
        assert_eq!(listed(&objects).await.len(), 21, "nothing goes before the next round");
        assert_eq!(merge(&objects, PARTITION, upto).await.unwrap(), Merged { put: 0, deleted: 19 });
        assert_eq!(listed(&objects).await, [(1, 190), small[19]]);
        assert_eq!(merge(&objects, PARTITION, upto).await.unwrap(), Merged::default());
    }

    #[tokio::test]
    async fn what_was_not_read_back_replaces_nothing() {
        let objects = objects();
        for n in 1..=10 {
            put(&objects, n, n, 5).await;
        }
        merge(&objects, PARTITION, Position(10)).await.unwrap();
        // The larger one holds other changes than its name says.
        let (first, last) = (Position(1), Position(10));
        let wrong =
            LogSegment { partition: PARTITION, first, last: first, changes: vec![change(1, 5)] };
        let mut bytes = wrong.encode();
        bytes.pop();
        objects.put(&ObjectName::Log { partition: PARTITION, first, last }, bytes).await.unwrap();
        assert!(merge(&objects, PARTITION, Position(10)).await.is_err());
        assert_eq!(objects.segments(PARTITION, Position(0)).await.unwrap().len(), 11);
    }

    #[tokio::test]
    async fn holes_and_large_ones_are_left_as_they_are() {
        let objects = objects();
        for n in 0..7 {
            put(&objects, n + 1, n + 1, 5).await;
        }
        for n in 8..16 {
            put(&objects, n + 1, n + 1, BYTES_MAX / 4).await;
        }
        let before = listed(&objects).await;
        assert_eq!(merge(&objects, PARTITION, Position(99)).await.unwrap(), Merged::default());
        assert_eq!(listed(&objects).await, before);
    }

    #[test]
    fn a_run_ends_where_it_would_be_too_long() {
        let step = CHANGES_MAX / 8;
        let widest: Vec<Range> =
            (0..17).map(|n| (Position(n * step + 1), Position((n + 1) * step))).collect();
        let lengths: Vec<usize> = runs(&widest).iter().map(|run| run.len()).collect();
        assert_eq!(lengths, [8, 8]);
        assert!(runs(&widest[..7]).is_empty());
    }

    #[test]
    fn the_widest_hold_the_others() {
        let range = |first, last| (Position(first), Position(last));
        let (widest, held) =
            apart(vec![range(1, 2), range(1, 10), range(5, 12), range(3, 10), range(13, 13)]);
        assert_eq!(widest, [range(1, 10), range(5, 12), range(13, 13)]);
        assert_eq!(held, [(range(1, 10), vec![range(1, 2), range(3, 10)])]);
    }
}

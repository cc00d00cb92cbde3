//! Reads back what was archived of a partition, before its change log lets go of what that is to hold,
//! and puts anew what the store has lost or damaged of its segments.
//!
//! # Invariants
//!
//! - A segment counts only when it was read, opened and decoded, and holds what the change log holds,
//!   as far as that goes back.
//! - A base counts only when all of it was read, opened and decoded.
//! - A damaged segment is deleted only when others hold all of it; until then its name stands in for it.
//!
//! Tested by `cluster_tests/store_faults.rs`.

use super::log::{Interrupted, LogWriter};
use super::objects::{ObjectError, Objects, as_put};
use super::reading::chunk;
use meridian_archive::{ArchiveError, ArchivedItem, BaseEnd, LogSegment, ObjectName};
use meridian_base::Position;
use meridian_raft::rt;
use std::time::Duration;

/// Between two chunks of a base that are read back: nobody waits for it.
const BETWEEN_CHUNKS: Duration = Duration::from_millis(50);

/// Logs and counts that an object is not as it was put.
pub fn note_damaged(why: &ArchiveError) {
    tracing::warn!(%why, "the archive is damaged");
    metrics::counter!("meridian_archive_damaged_total").increment(1);
}

/// Sees to it that some segments hold all changes after one position and up to another. What it puts is
/// added to them, what it deletes is taken away. False when there was anything to mend.
///
/// # Errors
///
/// `Hole` when the change log does not hold a change any more that the store has lost; the store's.
pub async fn mend(
    log: &LogWriter,
    names: &mut Vec<ObjectName>,
    after: Position,
    upto: Position,
) -> Result<bool, Interrupted> {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for name in names.iter() {
        let ObjectName::Log { first, last, .. } = *name else { continue };
        if last <= after || first > upto {
            continue;
        }
        match read(log, name).await? {
            None => good.push((first, last)),
            Some(why) => {
                note_damaged(&why);
                bad.push(*name);
            }
        }
    }
    let holes = holes(&good, after, upto);
    let is_whole = bad.is_empty() && holes.is_empty();
    for (begin, end) in holes {
        if bad.is_empty() {
            let partition = log.hosted.spec.partition;
            note_damaged(&ArchiveError::Missing { partition, position: begin.next() });
        }
        let mut reached = begin;
        while reached < end {
            let put = log.put_segment(reached).await?;
            bad.retain(|name| *name != put.name);
            names.retain(|name| *name != put.name);
            names.push(put.name);
            reached = put.last;
        }
    }
    for name in bad {
        log.objects.delete(&name).await?;
        names.retain(|kept| *kept != name);
    }
    Ok(is_whole)
}

/// Why a base is not as it was put; none when it is. All of it is read, a chunk at a time.
pub async fn read_base(
    objects: &Objects,
    base: BaseEnd,
) -> Result<Option<ArchiveError>, ObjectError> {
    let (partition, position) = (base.partition, base.position);
    let end = ObjectName::BaseEnd { partition, position };
    let object = objects.name_of(&end);
    let decode = |plain: Vec<u8>| Ok(BaseEnd::decode(&object, &plain)?);
    let mut found = match as_put(objects.must(&end).await.and_then(decode))? {
        Ok(found) => found,
        Err(error) => return Ok(Some(error)),
    };
    (found.items, found.bytes) = (0, 0);
    for number in 0..found.chunks {
        rt::sleep(BETWEEN_CHUNKS).await;
        let name = ObjectName::BaseChunk { partition, position, chunk: number };
        match as_put(chunk(objects, name).await)? {
            Ok((_, chunk)) => {
                found.items += chunk.items.len() as u64;
                found.bytes += chunk.items.iter().map(ArchivedItem::bytes).sum::<u64>();
            }
            Err(error) => return Ok(Some(error)),
        }
    }
    let what = "its chunks do not hold what it says".to_owned();
    Ok((found != base).then_some(ArchiveError::Damaged { object, offset: 0, what }))
}

/// Why a segment is not as it was put; none when it is.
async fn read(log: &LogWriter, name: &ObjectName) -> Result<Option<ArchiveError>, Interrupted> {
    let object = log.objects.name_of(name);
    let decode = |plain: Vec<u8>| Ok(LogSegment::decode(&object, &plain)?);
    let segment = match as_put(log.objects.must(name).await.and_then(decode))? {
        Ok(segment) => segment,
        Err(error) => return Ok(Some(error)),
    };
    let LogSegment { partition, first, last, .. } = segment;
    let what = if *name != (ObjectName::Log { partition, first, last }) {
        Some(format!("it holds the changes {first} to {last}"))
    } else {
        let differs = differs(log, &segment).await?;
        differs.map(|at| format!("its change {at} is not that of the change log"))
    };
    Ok(what.map(|what| ArchiveError::Damaged { object, offset: 0, what }))
}

/// The first change of a segment that the change log holds otherwise, as far as it goes back.
async fn differs(log: &LogWriter, segment: &LogSegment) -> Result<Option<Position>, Interrupted> {
    let mut stored = segment.changes.as_slice();
    while let Some(first) = stored.first() {
        let after = Position(first.position.0.saturating_sub(1));
        let kept = match log.changes(after).await {
            Ok(kept) => kept.changes,
            Err(Interrupted::Hole { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        if let Some((one, _)) = stored.iter().zip(&kept).find(|(one, kept)| one != kept) {
            return Ok(Some(one.position));
        }
        stored = stored.get(kept.len()..).unwrap_or_default();
    }
    Ok(None)
}

/// What is between two positions and in none of some ranges, each after the first position and up to
/// the second.
fn holes(
    ranges: &[(Position, Position)],
    after: Position,
    upto: Position,
) -> Vec<(Position, Position)> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable();
    let (mut holes, mut covered) = (Vec::new(), after);
    for (first, last) in sorted {
        let before = Position(first.0.saturating_sub(1)).min(upto);
        if before > covered {
            holes.push((covered, before));
        }
        covered = covered.max(last);
    }
    if covered < upto {
        holes.push((covered, upto));
    }
    holes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_what_no_range_holds() {
        let check = |ranges: &[(u64, u64)], expected: &[(u64, u64)]| {
            let pair = |(a, b): &(u64, u64)| (Position(*a), Position(*b));
            let ranges: Vec<_> = ranges.iter().map(pair).collect();
            let expected: Vec<_> = expected.iter().map(pair).collect();
            assert_eq!(holes(&ranges, Position(10), Position(20)), expected, "{ranges:?}");
        };
        check(&[], &[(10, 20)]);
        check(&[(11, 20)], &[]);
        check(&[(15, 30), (1, 14)], &[]);
        check(&[(12, 13), (12, 12), (16, 18)], &[(10, 11), (13, 15), (18, 20)]);
        check(&[(1, 10), (21, 25)], &[(10, 20)]);
    }
}

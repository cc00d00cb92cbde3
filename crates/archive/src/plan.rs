//! Which objects a time is restored from, and which no time to keep needs any more.
//!
//! A base is whole when its end was read and all chunks that the end counts are listed. Of the
//! bases that are not too new for a time, the newest is the one with the greatest position.
//!
//! # Invariants
//!
//! - The segments of a plan, read in order, hold every position after the base up to the
//!   watermark's: no change at or before the asked time is left out.
//! - After what [`expired`] names is gone, every time at or after the one to keep has the same plan
//!   as before: the base that serves that time is kept, a later time never takes an older base, and
//!   segments that reach behind the base are kept.
//!
//! Tested by `plan/tests.rs` and `history.rs`.

#[cfg(test)]
mod tests;

use crate::base::BaseEnd;
use crate::error::ArchiveError;
use crate::meta::Watermark;
use crate::names::ObjectName;
use meridian_base::{PartitionId, Position};
use std::collections::BTreeSet;

/// What one partition's state at a time is put together from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestorePlan {
    /// The time, ms since the epoch.
    pub at_ms: u64,
    /// The base to begin with.
    pub base: BaseEnd,
    /// The segments to fold over it, in order. They may overlap, and begin before the base's end.
    pub segments: Vec<ObjectName>,
}

impl RestorePlan {
    /// Plans the state of the watermark's partition at `at_ms`. `names` is a listing of the
    /// partition's objects, `bases` what its `end` objects hold.
    ///
    /// Errors: `NotArchived` after the watermark, `NoBase` or `TooEarly` without a base for the
    /// time, `Missing` when a position is in no segment.
    pub fn new(
        names: &[ObjectName],
        bases: &[BaseEnd],
        watermark: &Watermark,
        at_ms: u64,
    ) -> Result<Self, ArchiveError> {
        let partition = watermark.partition;
        if watermark.commit_ms < at_ms {
            let latest_ms = watermark.commit_ms;
            return Err(ArchiveError::NotArchived { asked_ms: at_ms, latest_ms });
        }
        let whole = whole_bases(partition, names, bases);
        let earliest = whole.iter().map(|base| base.commit_ms).min();
        let earliest_ms = earliest.ok_or(ArchiveError::NoBase { partition })?;
        let base =
            newest(&whole, at_ms).ok_or(ArchiveError::TooEarly { asked_ms: at_ms, earliest_ms })?;
        // Behind a base at which the time was over, nothing of it follows.
        let over =
            whole.iter().filter(|later| later.closed_ms >= at_ms).map(|later| later.position);
        let upto = over.chain([watermark.position]).filter(|upto| *upto >= base.position).min();
        let segments = cover(partition, names, base.position, upto.unwrap_or_default())?;
        Ok(RestorePlan { at_ms, base, segments })
    }

    /// The end of the base.
    pub fn end(&self) -> ObjectName {
        let BaseEnd { partition, position, .. } = self.base;
        ObjectName::BaseEnd { partition, position }
    }

    /// The names of the base's chunks, in order.
    pub fn chunks(&self) -> impl Iterator<Item = ObjectName> {
        chunks(self.base)
    }
}

/// The newest whole base of a partition, and up to where the segments reach from it without a hole;
/// none without a base.
pub fn reach(
    partition: PartitionId,
    names: &[ObjectName],
    bases: &[BaseEnd],
) -> Option<(BaseEnd, Position)> {
    let base = newest(&whole_bases(partition, names, bases), u64::MAX)?;
    let mut reached = base.position;
    for (first, last) in ranges(partition, names) {
        if first <= reached.next() {
            reached = reached.max(last);
        }
    }
    Some((base, reached))
}

/// The objects of a partition that are needed for no time at or after `keep_from_ms`: bases before
/// the newest whole one that serves that time, and segments that it holds all of. None when no base
/// serves it.
pub fn expired(
    partition: PartitionId,
    names: &[ObjectName],
    bases: &[BaseEnd],
    keep_from_ms: u64,
) -> Vec<ObjectName> {
    let Some(kept) = newest(&whole_bases(partition, names, bases), keep_from_ms) else {
        return Vec::new();
    };
    let is_expired = |name: &&ObjectName| match **name {
        ObjectName::Log { last, .. } => last <= kept.position,
        ObjectName::BaseChunk { position, .. } | ObjectName::BaseEnd { position, .. } => {
            position < kept.position
        }
        ObjectName::Key { .. } | ObjectName::Meta { .. } | ObjectName::Watermark { .. } => false,
    };
    names
        .iter()
        .filter(|name| name.partition() == Some(partition))
        .filter(is_expired)
        .copied()
        .collect()
}

fn chunks(base: BaseEnd) -> impl Iterator<Item = ObjectName> {
    let BaseEnd { partition, position, chunks, .. } = base;
    (0..chunks).map(move |chunk| ObjectName::BaseChunk { partition, position, chunk })
}

fn whole_bases(partition: PartitionId, names: &[ObjectName], bases: &[BaseEnd]) -> Vec<BaseEnd> {
    let listed: BTreeSet<&ObjectName> = names.iter().collect();
    bases
        .iter()
        .filter(|base| base.partition == partition)
        .filter(|base| {
            let end = ObjectName::BaseEnd { partition, position: base.position };
            listed.contains(&end) && chunks(**base).all(|name| listed.contains(&name))
        })
        .copied()
        .collect()
}

/// The newest base that holds nothing committed after `at_ms`.
fn newest(whole: &[BaseEnd], at_ms: u64) -> Option<BaseEnd> {
    let old_enough = whole.iter().filter(|base| base.commit_ms <= at_ms);
    old_enough.max_by_key(|base| base.position).copied()
}

/// The positions that each segment of a partition holds, in order.
fn ranges(partition: PartitionId, names: &[ObjectName]) -> Vec<(Position, Position)> {
    let range = |name: &ObjectName| match *name {
        ObjectName::Log { partition: of, first, last } if of == partition => Some((first, last)),
        _ => None,
    };
    let mut ranges: Vec<(Position, Position)> = names.iter().filter_map(range).collect();
    ranges.sort_unstable();
    ranges
}

/// The fewest segments that hold every position after `after` up to `upto`, in order.
fn cover(
    partition: PartitionId,
    names: &[ObjectName],
    after: Position,
    upto: Position,
) -> Result<Vec<ObjectName>, ArchiveError> {
    let mut ranges = ranges(partition, names).into_iter().peekable();
    let (mut segments, mut covered) = (Vec::new(), after);
    let mut best: Option<(Position, Position)> = None;
    while covered < upto {
        // Of all that begin without a hole, the one that reaches farthest.
        while let Some((first, last)) = ranges.next_if(|(first, _)| *first <= covered.next()) {
            if best.is_none_or(|(_, reached)| reached < last) {
                best = Some((first, last));
            }
        }
        let missing = ArchiveError::Missing { partition, position: covered.next() };
        let (first, last) = best.filter(|(_, last)| *last > covered).ok_or(missing)?;
        segments.push(ObjectName::Log { partition, first, last });
        covered = last;
    }
    Ok(segments)
}

//! Reads the conflict log, the stranded log and the tombstones, for operators and for their removal.
//!
//! # Invariants
//!
//! - Numbers of a log never change: reading on after the last one read misses only what was too old
//!   to be kept.

#[cfg(test)]
mod tests;

use crate::PartitionError;
use crate::layout::{self, PartitionSpec};
use crate::record::{ConflictRecord, StrandedRecord, Tombstone};
use meridian_base::codec::DecodeError;
use meridian_storage::{Control, Range, View};
use std::ops::Bound;

/// A record and its number in the partition's log.
pub type Numbered<R> = (u64, R);

/// Conflicts with at least the number `from`, oldest first, at most `limit`. The next number is
/// [`crate::Header::conflicts`].
pub fn conflicts(
    view: &dyn View,
    spec: &PartitionSpec,
    from: u64,
    limit: usize,
) -> Result<Vec<Numbered<ConflictRecord>>, PartitionError> {
    let start = Bound::Included(layout::conflict_key(spec.partition, from));
    let range = Range { start, ..layout::conflicts(spec.partition) };
    let read = |bytes: &[u8]| ConflictRecord::decode(bytes);
    some(view, range, limit, |key, value| Ok((number(key)?, read(value)?)), "conflict")
}

/// Stranded writes with at least the number `from`, oldest first, at most `limit`. The next number
/// is [`crate::Header::stranded`].
pub fn stranded(
    view: &dyn View,
    spec: &PartitionSpec,
    from: u64,
    limit: usize,
) -> Result<Vec<Numbered<StrandedRecord>>, PartitionError> {
    let start = Bound::Included(layout::stranded_key(spec.partition, from));
    let range = Range { start, ..layout::stranded(spec.partition) };
    let read = |bytes: &[u8]| StrandedRecord::decode(bytes);
    some(view, range, limit, |key, value| Ok((number(key)?, read(value)?)), "stranded write")
}

/// Tombstones after an encoded key, at most `limit`, with their encoded keys.
pub fn tombstones(
    view: &dyn View,
    spec: &PartitionSpec,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<(Vec<u8>, Tombstone)>, PartitionError> {
    let whole = layout::tombstones(spec.table, &spec.range);
    let range = match after {
        None => whole,
        Some(key) => {
            Range { start: Bound::Excluded(layout::tombstone_key(spec.table, key)), ..whole }
        }
    };
    let read = |key: &[u8], value: &[u8]| {
        Ok((layout::encoded_of(key).to_vec(), Tombstone::decode(value)?))
    };
    some(view, range, limit, read, "tombstone")
}

/// Reads the first records of a range.
fn some<R>(
    view: &dyn View,
    range: Range,
    limit: usize,
    read: impl Fn(&[u8], &[u8]) -> Result<R, DecodeError>,
    what: &'static str,
) -> Result<Vec<R>, PartitionError> {
    let (mut found, mut damage) = (Vec::new(), None);
    if limit == 0 {
        return Ok(found);
    }
    view.scan(range, &mut |key, value| {
        match read(key, value) {
            Ok(record) => found.push(record),
            Err(source) => {
                damage = Some(PartitionError::Corrupt { what, source });
                return Control::Break(());
            }
        }
        if found.len() < limit { Control::Continue(()) } else { Control::Break(()) }
    })?;
    damage.map_or(Ok(found), Err)
}

/// The number at the end of the key of a log record.
fn number(key: &[u8]) -> Result<u64, DecodeError> {
    meridian_base::codec::Reader::new(layout::encoded_of(key)).u64()
}

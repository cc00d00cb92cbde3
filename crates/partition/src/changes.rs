//! Reads the change log for those who follow it, and items for those who start.
//!
//! # Invariants
//!
//! - Records come in order of position, none left out.
//! - Coalescing keeps for each item its newest image and, of the changes it stands for, the oldest
//!   base. It never joins changes between which the region had seen a foreign write of the item: the
//!   receiver finds exactly the conflicts that it would have found in the changes one by one.
//!
//! Tested by `changes/tests.rs`.

#[cfg(test)]
mod tests;

use crate::PartitionError;
use crate::layout::{self, PartitionSpec};
use crate::record::{ChangeRecord, Tombstone, decode_item_record};
use meridian_base::{Cause, Change, Incarnation, Origin, PartitionId, Position};
use meridian_storage::{Control, Engine, Range, View};
use std::collections::BTreeMap;
use std::ops::Bound;

/// How much one reading takes. At least one record is always taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// Most records.
    pub records: usize,
    /// Bytes of stored records after which no more are taken.
    pub bytes: usize,
}

/// Some consecutive change records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangesPage {
    /// The records.
    pub records: Vec<ChangeRecord>,
    /// The position of the last one; where reading began when there are none.
    pub upto: Position,
}

/// Reads the change log of a partition after a position.
pub fn read_changes(
    engine: &dyn Engine,
    partition: PartitionId,
    after: Position,
    limits: ReadLimits,
) -> Result<ChangesPage, PartitionError> {
    let mut page = ChangesPage { records: Vec::new(), upto: after };
    let (mut bytes, mut damage) = (0usize, None);
    engine.scan(layout::changes_from(partition, after.next()), &mut |_, value| {
        match ChangeRecord::decode(value) {
            Ok(record) => page.records.push(record),
            Err(source) => {
                damage = Some(source);
                return Control::Break(());
            }
        }
        bytes = bytes.saturating_add(value.len());
        let full = page.records.len() >= limits.records || bytes >= limits.bytes;
        if full { Control::Break(()) } else { Control::Continue(()) }
    })?;
    if let Some(source) = damage {
        return Err(PartitionError::Corrupt { what: "change record", source });
    }
    if let Some(last) = page.records.last() {
        page.upto = last.position;
    }
    Ok(page)
}

/// The changes of some records that go to other regions: those written here, not the replicated
/// ones. With `coalesce`, one change stands for several of an item where nothing is hidden by it.
pub fn outgoing(records: Vec<ChangeRecord>, coalesce: bool) -> Vec<Change> {
    let own = records.into_iter().filter(|record| match record.cause {
        Cause::Write | Cause::Ttl => true,
        Cause::Replicated => false,
    });
    let own = own.map(ChangeRecord::into_change);
    if coalesce { joined(own) } else { own.collect() }
}

fn joined(changes: impl Iterator<Item = Change>) -> Vec<Change> {
    let mut kept: Vec<Option<Change>> = Vec::new();
    let mut newest: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for mut change in changes {
        if let Some(at) = newest.insert(change.key.clone(), kept.len())
            && let Some(slot) = kept.get_mut(at)
            && slot.as_ref().is_some_and(|older| nothing_foreign_between(older, &change))
            && let Some(older) = slot.take()
        {
            change.base = older.base;
        }
        kept.push(Some(change));
    }
    kept.into_iter().flatten().collect()
}

/// True when the writer of `newer` had seen no other region's write that `older`'s had not.
fn nothing_foreign_between(older: &Change, newer: &Change) -> bool {
    newer.base.iter().all(|seen| seen.region == newer.version.region || older.base.covers(seen))
}

/// Where copying the state of a partition goes on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CopyFrom {
    tombstones: bool,
    after: Option<Vec<u8>>,
}

impl CopyFrom {
    /// True while items are left: they come before the tombstones.
    pub fn has_items(&self) -> bool {
        !self.tombstones
    }
}

/// Some items and tombstones as changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyPage {
    /// The items, then the tombstones, in order of key.
    pub changes: Vec<Change>,
    /// Where the copy goes on; `None` at the end.
    pub next: Option<CopyFrom>,
}

/// Reads items and tombstones of a view, for a region that has none yet. They come as changes
/// without position, to be merged like any other.
///
/// A replicator first sets its cursor to the end of the change log, then copies a view that was
/// opened after, then follows the log.
pub fn copy_page(
    view: &dyn View,
    spec: &PartitionSpec,
    from: &CopyFrom,
    limits: ReadLimits,
) -> Result<CopyPage, PartitionError> {
    let whole = if from.tombstones {
        layout::tombstones(spec.table, &spec.range)
    } else {
        layout::items(spec.table, &spec.range)
    };
    let range = match &from.after {
        None => whole,
        Some(after) => Range { start: Bound::Excluded(after.clone()), ..whole },
    };
    let (mut changes, mut last, mut bytes, mut damage) = (Vec::new(), None, 0usize, None);
    view.scan(range, &mut |key, value| {
        match copied(spec, from.tombstones, layout::encoded_of(key), value) {
            Ok(change) => changes.push(change),
            Err(error) => {
                damage = Some(error);
                return Control::Break(());
            }
        }
        bytes = bytes.saturating_add(value.len());
        if changes.len() < limits.records && bytes < limits.bytes {
            return Control::Continue(());
        }
        last = Some(key.to_vec());
        Control::Break(())
    })?;
    if let Some(error) = damage {
        return Err(error);
    }
    let next = match (last, from.tombstones) {
        (Some(key), tombstones) => Some(CopyFrom { tombstones, after: Some(key) }),
        (None, false) => Some(CopyFrom { tombstones: true, after: None }),
        (None, true) => None,
    };
    Ok(CopyPage { changes, next })
}

fn copied(
    spec: &PartitionSpec,
    tombstone: bool,
    key: &[u8],
    value: &[u8],
) -> Result<Change, PartitionError> {
    let (state, commit_ms) = if tombstone {
        let stone = Tombstone::decode(value).map_err(PartitionError::corrupt("tombstone"))?;
        let deleted_ms = stone.deleted_ms;
        (stone.into_state(), deleted_ms)
    } else {
        let state = decode_item_record(value).map_err(PartitionError::corrupt("item"))?;
        let written_ms = state.version.hlc.ms();
        (state, written_ms)
    };
    Ok(Change {
        key: key.to_vec(),
        image: state.image,
        origin: Origin {
            region: state.version.region,
            partition: spec.partition,
            incarnation: Incarnation(0),
            position: Position(0),
        },
        version: state.version,
        base: state.base,
        cause: Cause::Write,
        commit_ms,
    })
}

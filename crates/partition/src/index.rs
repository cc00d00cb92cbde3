//! Indexes: what a write may not do to them, what it costs in them, and whether they equal what
//! the items say. The entries of local indexes are moved when a write is applied
//! (`replica/apply.rs`), those of global ones by `feed.rs`.
//!
//! # Invariants
//!
//! - An index that a write does not touch costs nothing.
//!
//! Tested by `index/tests.rs`, the entries over random writes too.

#[cfg(test)]
mod tests;

use crate::PartitionError;
use crate::layout::{self, PartitionSpec};
use crate::record::{decode_item_record, item_of};
use crate::request::Refusal;
use meridian_base::limits::ITEM_BYTES_MAX;
use meridian_model::local_index::item_of_entry;
use meridian_model::{Item, KeyError, KeySchema, LocalIndex, SecondaryIndex, item_bytes};
use meridian_storage::{Control, Range, View};

const WRITE_UNIT_BYTES: usize = 1024;

/// Refuses an updated item whose index key attribute cannot be one.
pub fn check<'i>(
    mut indexes: impl Iterator<Item = &'i dyn SecondaryIndex>,
    item: &Item,
) -> Result<(), Refusal> {
    let checked = indexes.try_for_each(|index| index.check(item));
    checked.map_err(|error| match error {
        KeyError::EmptyString(_) => Refusal::IndexKeyEmpty("string"),
        KeyError::EmptyBinary(_) => Refusal::IndexKeyEmpty("binary"),
        KeyError::IndexTooLong { .. } | KeyError::SortTooLong | KeyError::PartitionTooLong => {
            Refusal::IndexKeyTooLong
        }
        KeyError::Mismatch { .. } | KeyError::Missing(_) | KeyError::NotTheSchema => {
            Refusal::IndexKeyType
        }
    })
}

/// What a write costs in an index, write capacity units (AWS: provisioned throughput considerations
/// for local secondary indexes; the same for global ones).
pub fn write_units(
    schema: &KeySchema,
    index: &dyn SecondaryIndex,
    key: &[u8],
    before: Option<&Item>,
    after: Option<&Item>,
) -> u32 {
    let entry = |item: Option<&Item>| {
        item.and_then(|item| Some((index.entry(key, item)?, projected(schema, index, item))))
    };
    match (entry(before), entry(after)) {
        (None, None) => 0,
        (Some((_, item)), None) | (None, Some((_, item))) => units(&item),
        (Some((old_key, old)), Some((new_key, new))) if old_key == new_key => {
            if old == new {
                0
            } else {
                units(&old).max(units(&new))
            }
        }
        (Some((_, old)), Some((_, new))) => units(&old) + units(&new),
    }
}

/// Tells whether an item of this size is too large together with its entries in the local indexes
/// (AWS: constraints, item size for tables with local secondary indexes).
pub fn are_too_large<'i>(
    schema: &KeySchema,
    local: impl Iterator<Item = &'i dyn SecondaryIndex> + Clone,
    key: &[u8],
    (item, bytes): (&Item, usize),
) -> bool {
    // No entry is larger than its item.
    if bytes.saturating_mul(1 + local.clone().count()) <= ITEM_BYTES_MAX {
        return false;
    }
    let entries = local.filter(|index| index.entry(key, item).is_some());
    let entries = entries.map(|index| item_bytes(&projected(schema, index, item)));
    bytes + entries.sum::<usize>() > ITEM_BYTES_MAX
}

/// The part of an item that an index shows.
fn projected(schema: &KeySchema, index: &dyn SecondaryIndex, item: &Item) -> Item {
    match index.shown(schema) {
        None => item.clone(),
        Some(names) => retained(item, &names),
    }
}

/// The size of the part of an item that an index shows, bytes.
pub fn projected_bytes(schema: &KeySchema, index: &dyn SecondaryIndex, item: &Item) -> u64 {
    item_bytes(&projected(schema, index, item)) as u64
}

/// The attributes of an item that are named.
pub fn retained(item: &Item, names: &[String]) -> Item {
    let kept = item.iter().filter(|(name, _)| names.contains(name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// How a local index differs from what the items say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexDifference {
    /// The index.
    pub index: String,
    /// Items that should have an entry and have none.
    pub missing: u64,
    /// Entries that no item has.
    pub stale: u64,
}

/// Compares the local indexes of a partition with its items, entry by entry, in one view. Reads all.
pub fn differences(
    view: &dyn View,
    spec: &PartitionSpec,
) -> Result<Vec<IndexDifference>, PartitionError> {
    let mut found = Vec::new();
    for (number, index) in layout::local_numbers(spec) {
        let (missing, stale) =
            (missing(view, spec, (number, index))?, stale(view, spec, (number, index))?);
        if missing > 0 || stale > 0 {
            found.push(IndexDifference { index: index.name.clone(), missing, stale });
        }
    }
    Ok(found)
}

fn missing(
    view: &dyn View,
    spec: &PartitionSpec,
    (number, index): (u8, &LocalIndex),
) -> Result<u64, PartitionError> {
    count(view, layout::items(spec.table, &spec.range), |key, value| {
        let encoded = layout::encoded_of(key);
        let Some(entry) = index.entry(encoded, &stored(value)?) else { return Ok(false) };
        Ok(view.get(&layout::local_key(spec.table, number, &entry))?.is_none())
    })
}

fn stale(
    view: &dyn View,
    spec: &PartitionSpec,
    (number, index): (u8, &LocalIndex),
) -> Result<u64, PartitionError> {
    count(view, layout::local_entries(spec.table, number, &spec.range), |key, _| {
        let entry = layout::entry_of(key);
        let encoded = item_of_entry(entry).map_err(PartitionError::corrupt("index entry"))?;
        let Some(value) = view.get(&layout::item_key(spec.table, &encoded))? else {
            return Ok(true);
        };
        Ok(index.entry(&encoded, &stored(&value)?).as_deref() != Some(entry))
    })
}

/// The item of a stored record.
pub fn stored(value: &[u8]) -> Result<Item, PartitionError> {
    let state = decode_item_record(value).map_err(PartitionError::corrupt("item"))?;
    item_of(&state.image.unwrap_or_default()).map_err(PartitionError::corrupt("item"))
}

/// How many keys of a range are so.
fn count(
    view: &dyn View,
    range: Range,
    is_so: impl Fn(&[u8], &[u8]) -> Result<bool, PartitionError>,
) -> Result<u64, PartitionError> {
    let (mut count, mut damage) = (0, None);
    view.scan(range, &mut |key, value| match is_so(key, value) {
        Ok(so) => {
            count += u64::from(so);
            Control::Continue(())
        }
        Err(error) => {
            damage = Some(error);
            Control::Break(())
        }
    })?;
    damage.map_or(Ok(count), Err)
}

fn units(item: &Item) -> u32 {
    u32::try_from(item_bytes(item).div_ceil(WRITE_UNIT_BYTES).max(1)).unwrap_or(u32::MAX)
}

//! What a write does to the local indexes: refusals and cost. The entries themselves are moved when it
//! is applied (`replica/apply.rs`).
//!
//! # Invariants
//!
//! - An index that a write does not touch costs nothing.
//!
//! Tested by `index/tests.rs`, the entries over random writes too.

#[cfg(test)]
mod tests;

use crate::request::Refusal;
use meridian_base::limits::SORT_KEY_BYTES_MAX;
use meridian_model::{AttributeValue, Item, KeyKind, KeySchema, LocalIndex, item_bytes};

const WRITE_UNIT_BYTES: usize = 1024;

/// Refuses an updated item whose index key attribute cannot be one.
pub fn check(local: &[LocalIndex], item: &Item) -> Result<(), Refusal> {
    for index in local {
        let Some(value) = item.get(&index.sort.name) else { continue };
        if KeyKind::of(value) != Some(index.sort.kind) {
            return Err(Refusal::IndexKeyType);
        }
        match value {
            AttributeValue::S(text) if text.is_empty() => {
                return Err(Refusal::IndexKeyEmpty("string"));
            }
            AttributeValue::B(bytes) if bytes.is_empty() => {
                return Err(Refusal::IndexKeyEmpty("binary"));
            }
            AttributeValue::S(text) if text.len() > SORT_KEY_BYTES_MAX => {
                return Err(Refusal::IndexKeyTooLong);
            }
            AttributeValue::B(bytes) if bytes.len() > SORT_KEY_BYTES_MAX => {
                return Err(Refusal::IndexKeyTooLong);
            }
            _ => {}
        }
    }
    Ok(())
}

/// What a write costs in each index, write capacity units (AWS: provisioned throughput considerations
/// for local secondary indexes).
pub fn write_units(
    (schema, local): (&KeySchema, &[LocalIndex]),
    key: &[u8],
    before: Option<&Item>,
    after: Option<&Item>,
) -> Vec<u32> {
    let cost =
        |index: &LocalIndex| {
            let entry = |item: Option<&Item>| {
                item.and_then(|item| {
                    Some((index.entry(key, item)?, projected(schema, index, item)))
                })
            };
            match (entry(before), entry(after)) {
                (None, None) => 0,
                (Some((_, item)), None) | (None, Some((_, item))) => units(&item),
                (Some((old_key, old)), Some((new_key, new))) if old_key == new_key => {
                    if old == new { 0 } else { units(&old).max(units(&new)) }
                }
                (Some((_, old)), Some((_, new))) => units(&old) + units(&new),
            }
        };
    local.iter().map(cost).collect()
}

/// The part of an item that an index shows.
fn projected(schema: &KeySchema, index: &LocalIndex, item: &Item) -> Item {
    match index.shown(schema) {
        None => item.clone(),
        Some(names) => retained(item, &names),
    }
}

/// The attributes of an item that are named.
pub fn retained(item: &Item, names: &[String]) -> Item {
    let kept = item.iter().filter(|(name, _)| names.contains(name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn units(item: &Item) -> u32 {
    u32::try_from(item_bytes(item).div_ceil(WRITE_UNIT_BYTES).max(1)).unwrap_or(u32::MAX)
}

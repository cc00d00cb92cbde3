//! Reads items from the engine: one by key, pages of a range, and digests for comparing.
//!
//! # Invariants
//!
//! - A page reads one view.
//! - The limits hold before the filter, as in DynamoDB: a page may be empty and go on.
//!
//! Tested by `read/tests.rs`.

#[cfg(test)]
mod tests;

use crate::PartitionError;
use crate::layout::{self, PartitionSpec};
use crate::record::{Tombstone, decode_item_record, item_of};
use crate::request::{Get, GetOutcome, Page, PageRequest};
use meridian_base::Version;
use meridian_model::EncodedKey;
use meridian_storage::{Control, Engine, Range, View};
use std::ops::Bound;
use xxhash_rust::xxh64::xxh64;

/// Reads one item: the newest applied one.
pub fn get(
    engine: &dyn Engine,
    spec: &PartitionSpec,
    get: &Get,
) -> Result<GetOutcome, PartitionError> {
    let EncodedKey(key) = get.key.encode();
    let Some(bytes) = engine.get(&layout::item_key(spec.table, &key))? else {
        return Ok(GetOutcome::default());
    };
    let state = decode_item_record(&bytes).map_err(PartitionError::corrupt("item"))?;
    let image = state.image.unwrap_or_default();
    let item = item_of(&image).map_err(PartitionError::corrupt("item"))?;
    Ok(GetOutcome { item: Some(item), bytes: usize::try_from(state.bytes).unwrap_or(usize::MAX) })
}

/// Reads a page: the part of the request's range that is in this partition.
pub fn page(
    view: &dyn View,
    spec: &PartitionSpec,
    request: &PageRequest,
) -> Result<Page, PartitionError> {
    let mut page = Page::default();
    if request.limit == Some(0) {
        return Ok(page);
    }
    let mut damage = None;
    view.scan(
        within(spec, request),
        &mut |key, value| match add(&mut page, request, key, value) {
            Ok(control) => control,
            Err(error) => {
                damage = Some(error);
                Control::Break(())
            }
        },
    )?;
    damage.map_or(Ok(page), Err)
}

fn add(
    page: &mut Page,
    request: &PageRequest,
    key: &[u8],
    value: &[u8],
) -> Result<Control, PartitionError> {
    let state = decode_item_record(value).map_err(PartitionError::corrupt("item"))?;
    page.scanned = page.scanned.saturating_add(1);
    page.bytes = page.bytes.saturating_add(usize::try_from(state.bytes).unwrap_or(usize::MAX));
    // A count without filter needs no item.
    if request.count_only && request.filter.is_none() {
        page.count = page.count.saturating_add(1);
    } else {
        let image = state.image.unwrap_or_default();
        let item = item_of(&image).map_err(PartitionError::corrupt("item"))?;
        if request.filter.as_ref().is_none_or(|filter| filter.matches(&item)) {
            page.count = page.count.saturating_add(1);
            if !request.count_only {
                page.items.push(item);
            }
        }
    }
    let limited = request.limit.is_some_and(|limit| page.scanned >= limit);
    if limited || page.bytes >= request.bytes_max {
        page.resume = Some(layout::encoded_of(key).to_vec());
        return Ok(Control::Break(()));
    }
    Ok(Control::Continue(()))
}

/// The engine range of a request within the partition. It may be empty.
fn within(spec: &PartitionSpec, request: &PageRequest) -> Range {
    let at = |key: &Vec<u8>| layout::item_key(spec.table, key);
    let own = layout::items(spec.table, &spec.range);
    let start = match (request.start.as_ref().map(at), own.start) {
        (Bound::Unbounded, own) => own,
        (asked, Bound::Unbounded) => asked,
        (Bound::Included(key), Bound::Included(own) | Bound::Excluded(own)) if key < own => {
            Bound::Included(own)
        }
        (Bound::Excluded(key), Bound::Included(own) | Bound::Excluded(own)) if key < own => {
            Bound::Included(own)
        }
        (asked, _) => asked,
    };
    let end = match (request.end.as_ref().map(at), own.end) {
        (Bound::Unbounded, own) => own,
        (Bound::Included(key) | Bound::Excluded(key), Bound::Excluded(own)) if key >= own => {
            Bound::Excluded(own)
        }
        (asked, _) => asked,
    };
    Range { start, end, reverse: request.reverse }
}

/// One item or tombstone in short, for comparing replicas and regions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// The encoded key.
    pub key: Vec<u8>,
    /// The version of its newest write.
    pub version: Version,
    /// The hash of the encoded item; `None` for a tombstone.
    pub hash: Option<u64>,
}

/// Digests of the items, or of the tombstones, after a key, at most `limit`. Fewer come only at the
/// end.
pub fn digests(
    view: &dyn View,
    spec: &PartitionSpec,
    tombstones: bool,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<Digest>, PartitionError> {
    let (whole, start) = if tombstones {
        (layout::tombstones(spec.table, &spec.range), layout::tombstone_key as fn(_, &[u8]) -> _)
    } else {
        (layout::items(spec.table, &spec.range), layout::item_key as fn(_, &[u8]) -> _)
    };
    let range = match after {
        None => whole,
        Some(key) => Range { start: Bound::Excluded(start(spec.table, key)), ..whole },
    };
    let (mut found, mut damage) = (Vec::new(), None);
    view.scan(range, &mut |key, value| {
        match digest(tombstones, layout::encoded_of(key), value) {
            Ok(digest) => found.push(digest),
            Err(error) => {
                damage = Some(error);
                return Control::Break(());
            }
        }
        if found.len() < limit { Control::Continue(()) } else { Control::Break(()) }
    })?;
    damage.map_or(Ok(found), Err)
}

fn digest(tombstone: bool, key: &[u8], value: &[u8]) -> Result<Digest, PartitionError> {
    let state = if tombstone {
        Tombstone::decode(value).map_err(PartitionError::corrupt("tombstone"))?.into_state()
    } else {
        decode_item_record(value).map_err(PartitionError::corrupt("item"))?
    };
    let hash = state.image.as_ref().map(|image| xxh64(image, 0));
    Ok(Digest { key: key.to_vec(), version: state.version, hash })
}

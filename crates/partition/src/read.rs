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
use crate::index::{retained, stored};
use crate::layout::{self, PartitionSpec};
use crate::record::{Tombstone, decode_item_record, item_of};
use crate::request::{Get, GetOutcome, IndexRead, Page, PageRequest};
use meridian_base::codec::DecodeError;
use meridian_base::{Position, Version};
use meridian_model::local_index::item_of_entry;
use meridian_model::{EncodedKey, Item, Key, item_bytes};
use meridian_storage::{Control, Engine, Range, View};
use std::ops::Bound;
use xxhash_rust::xxh64::xxh64;

/// What one unit of a read covers, bytes.
const READ_BLOCK_BYTES: usize = 4096;

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

/// An item as a transaction reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamped {
    /// The item, if there is one, and its size.
    pub found: GetOutcome,
    /// If it is equal in a later reading, the item was the same all the time between.
    pub stamp: Stamp,
    /// True when a transaction holds the item.
    pub held: bool,
}

/// What stands for the state of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamp {
    /// The version of its last write.
    Version(Version),
    /// There is none, and in this term of the leader none was deleted since this position.
    Absent(u64, Position),
}

impl Stamped {
    /// Reads an item of a view; `absent` are the term and the last delete that go with it.
    pub fn read(
        view: &dyn View,
        spec: &PartitionSpec,
        key: &Key,
        absent: (u64, Position),
    ) -> Result<Self, PartitionError> {
        let EncodedKey(key) = key.encode();
        let held = view.get(&layout::intent_key(spec.partition, &key))?.is_some();
        let Some(bytes) = view.get(&layout::item_key(spec.table, &key))? else {
            let stamp = Stamp::Absent(absent.0, absent.1);
            return Ok(Stamped { found: GetOutcome::default(), stamp, held });
        };
        let state = decode_item_record(&bytes).map_err(PartitionError::corrupt("item"))?;
        let item = item_of(&state.image.unwrap_or_default());
        let item = item.map_err(PartitionError::corrupt("item"))?;
        let bytes = usize::try_from(state.bytes).unwrap_or(usize::MAX);
        let found = GetOutcome { item: Some(item), bytes };
        Ok(Stamped { found, stamp: Stamp::Version(state.version), held })
    }
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
    view.scan(within(spec, request), &mut |key, value| {
        let added = match &request.index {
            None => add(&mut page, request, layout::encoded_of(key), value),
            Some(index) => add_entry(&mut page, (view, spec), (request, index), key),
        };
        added.unwrap_or_else(|error| {
            damage = Some(error);
            Control::Break(())
        })
    })?;
    damage.map_or(Ok(page), Err)
}

/// Adds the item of an index entry.
fn add_entry(
    page: &mut Page,
    (view, spec): (&dyn View, &PartitionSpec),
    (request, index): (&PageRequest, &IndexRead),
    engine_key: &[u8],
) -> Result<Control, PartitionError> {
    let entry = layout::entry_of(engine_key);
    let key = item_of_entry(entry).map_err(PartitionError::corrupt("index entry"))?;
    let bytes = view.get(&layout::item_key(spec.table, &key))?;
    // Item and entry are written in one batch, and a view is of one moment.
    let bytes = bytes.ok_or(PartitionError::Corrupt {
        what: "index entry",
        source: DecodeError::Unknown("item of an index entry"),
    })?;
    let whole = stored(&bytes)?;
    let shown = index.shown.as_ref().map(|names| retained(&whole, names));
    page.scanned = page.scanned.saturating_add(1);
    page.bytes = page.bytes.saturating_add(item_bytes(shown.as_ref().unwrap_or(&whole)));
    let item = match shown {
        Some(shown) if !index.whole => shown,
        Some(_) => {
            let blocks = item_bytes(&whole).div_ceil(READ_BLOCK_BYTES);
            page.fetched = page.fetched.saturating_add(u32::try_from(blocks).unwrap_or(u32::MAX));
            whole
        }
        None => whole,
    };
    keep(page, request, item);
    Ok(end_of(page, request, entry))
}

/// Adds an item.
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
        keep(page, request, item);
    }
    Ok(end_of(page, request, key))
}

/// Answers with an item that the filter lets pass.
fn keep(page: &mut Page, request: &PageRequest, item: Item) {
    if request.filter.as_ref().is_none_or(|filter| filter.matches(&item)) {
        page.count = page.count.saturating_add(1);
        if !request.count_only {
            page.items.push(item);
        }
    }
}

/// Ends the page where it has as much as it may.
fn end_of(page: &mut Page, request: &PageRequest, last: &[u8]) -> Control {
    let limited = request.limit.is_some_and(|limit| page.scanned >= limit);
    if limited || page.bytes >= request.bytes_max {
        page.resume = Some(last.to_vec());
        return Control::Break(());
    }
    Control::Continue(())
}

/// The engine range of a request within the partition. It may be empty.
fn within(spec: &PartitionSpec, request: &PageRequest) -> Range {
    let number = request.index.as_ref().map(|index| index.number);
    let at = |key: &Vec<u8>| match number {
        None => layout::item_key(spec.table, key),
        Some(number) => layout::local_key(spec.table, number, key),
    };
    let own = match number {
        None => layout::items(spec.table, &spec.range),
        Some(number) => layout::local_entries(spec.table, number, &spec.range),
    };
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

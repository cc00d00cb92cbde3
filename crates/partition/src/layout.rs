//! Engine keys: what stands where.
//!
//! Items, tombstones and entries of local indexes stand by table and encoded key, never by partition,
//! so that a split moves nothing. All else stands by partition. A key is `tag | id (8 bytes, big-endian) | rest`.
//!
//! # Invariants
//!
//! - Key spaces of different tags, tables and partitions never overlap.
//! - [`ranges`] covers every key of a partition and none of any other, header last.
//!
//! Tested by `replica/tests.rs`, where a replica is removed beside its neighbour.

use crate::transact::TransactId;
use meridian_base::{PartitionId, Position, RegionId, TableId, Version};
use meridian_model::{KeyRange, KeySchema, LocalIndex};
use meridian_storage::Range;
use std::ops::Bound;

const ITEM: u8 = 0x01;
const TOMBSTONE: u8 = 0x02;
const LOCAL_INDEX: u8 = 0x03;
const TOKEN: u8 = 0x0c;
const DECISION: u8 = 0x0d;
const INTENT: u8 = 0x0e;
const EXPIRY: u8 = 0x0f;
const CHANGE: u8 = 0x10;
const CONFLICT: u8 = 0x11;
const STRANDED: u8 = 0x12;
const PARKED: u8 = 0x13;
const MEMBERSHIP: u8 = 0x14;
const MARKS: u8 = 0x15;
const HEADER: u8 = 0x16;
const INSTALLING: u8 = 0x17;

/// What a partition is: where its items stand and what they look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionSpec {
    /// The table.
    pub table: TableId,
    /// The partition.
    pub partition: PartitionId,
    /// The region that it is in.
    pub region: RegionId,
    /// The encoded keys that it holds.
    pub range: KeyRange,
    /// The table's key attributes.
    pub schema: KeySchema,
    /// The table's local indexes, numbered from 0.
    pub local: Vec<LocalIndex>,
}

fn key(tag: u8, id: u64, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(9 + rest.len());
    key.push(tag);
    key.extend_from_slice(&id.to_be_bytes());
    key.extend_from_slice(rest);
    key
}

/// Where an item stands.
pub fn item_key(table: TableId, encoded: &[u8]) -> Vec<u8> {
    key(ITEM, table.0, encoded)
}

/// Where the tombstone of a deleted item stands.
pub fn tombstone_key(table: TableId, encoded: &[u8]) -> Vec<u8> {
    key(TOMBSTONE, table.0, encoded)
}

/// Where an entry of a local index stands: by table, number of the index and key of the entry.
pub fn local_key(table: TableId, number: u8, entry: &[u8]) -> Vec<u8> {
    let mut rest = Vec::with_capacity(1 + entry.len());
    rest.push(number);
    rest.extend_from_slice(entry);
    key(LOCAL_INDEX, table.0, &rest)
}

/// The key of an entry within its engine key.
pub fn entry_of(engine_key: &[u8]) -> &[u8] {
    engine_key.get(10..).unwrap_or_default()
}

/// The entries of a local index in a range of encoded keys: they start with the same hashes.
pub fn local_entries(table: TableId, number: u8, keys: &KeyRange) -> Range {
    let at = |entry: &[u8]| local_key(table, number, entry);
    let end = match &keys.end {
        Some(end) => Bound::Excluded(at(end)),
        None => Range::prefix(&at(&[])).end,
    };
    Range { start: Bound::Included(at(&keys.start)), end, reverse: false }
}

/// The numbers of a partition's local indexes.
pub fn local_numbers(spec: &PartitionSpec) -> impl Iterator<Item = (u8, &LocalIndex)> {
    (0u8..).zip(&spec.local)
}

/// The encoded key within the engine key of an item or a tombstone.
pub fn encoded_of(engine_key: &[u8]) -> &[u8] {
    engine_key.get(9..).unwrap_or_default()
}

/// Where a change record stands.
pub fn change_key(partition: PartitionId, position: Position) -> Vec<u8> {
    key(CHANGE, partition.0, &position.0.to_be_bytes())
}

/// Where a conflict record stands.
pub fn conflict_key(partition: PartitionId, number: u64) -> Vec<u8> {
    key(CONFLICT, partition.0, &number.to_be_bytes())
}

/// Where a stranded record stands.
pub fn stranded_key(partition: PartitionId, number: u64) -> Vec<u8> {
    key(STRANDED, partition.0, &number.to_be_bytes())
}

/// Where a parked change stands: in order of version, so that the first is due first.
pub fn parked_key(partition: PartitionId, version: Version, encoded: &[u8]) -> Vec<u8> {
    let mut rest = Vec::with_capacity(12 + encoded.len());
    rest.extend_from_slice(&version.hlc.0.to_be_bytes());
    rest.extend_from_slice(&version.region.to_u32().to_be_bytes());
    rest.extend_from_slice(encoded);
    key(PARKED, partition.0, &rest)
}

/// Where an intent on an item stands.
pub fn intent_key(partition: PartitionId, encoded: &[u8]) -> Vec<u8> {
    key(INTENT, partition.0, encoded)
}

/// The intents.
pub fn intents(partition: PartitionId) -> Range {
    Range::prefix(&key(INTENT, partition.0, &[]))
}

/// Where it stands how a transaction was decided here.
pub fn decision_key(partition: PartitionId, id: TransactId) -> Vec<u8> {
    key(DECISION, partition.0, &id.0.to_be_bytes())
}

/// The decisions.
pub fn decisions(partition: PartitionId) -> Range {
    Range::prefix(&key(DECISION, partition.0, &[]))
}

/// The transaction within the engine key of a decision.
pub fn decided_of(engine_key: &[u8]) -> Option<TransactId> {
    let id = engine_key.get(9..)?.try_into().ok()?;
    Some(TransactId(u128::from_be_bytes(id)))
}

/// Where it stands which transaction a client's token committed.
pub fn token_key(partition: PartitionId, token: &str) -> Vec<u8> {
    key(TOKEN, partition.0, token.as_bytes())
}

/// Where it stands that an item expires: in order of time, so that the first is due first.
pub fn expiry_key(partition: PartitionId, due_s: u64, encoded: &[u8]) -> Vec<u8> {
    let mut rest = Vec::with_capacity(8 + encoded.len());
    rest.extend_from_slice(&due_s.to_be_bytes());
    rest.extend_from_slice(encoded);
    key(EXPIRY, partition.0, &rest)
}

/// What expires up to a time, seconds since the epoch; all of it without.
pub fn expiries(partition: PartitionId, upto_s: Option<u64>) -> Range {
    let all = Range::prefix(&key(EXPIRY, partition.0, &[]));
    match upto_s.and_then(|upto| upto.checked_add(1)) {
        None => all,
        Some(next) => Range { end: Bound::Excluded(expiry_key(partition, next, &[])), ..all },
    }
}

/// The time and the encoded key within the engine key of an expiry.
pub fn expiry_of(engine_key: &[u8]) -> Option<(u64, &[u8])> {
    let (due, encoded) = engine_key.get(9..)?.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*due), encoded))
}

/// Where the Raft membership of the group stands.
pub fn membership_key(partition: PartitionId) -> Vec<u8> {
    key(MEMBERSHIP, partition.0, &[])
}

/// Where the marks stand.
pub fn marks_key(partition: PartitionId) -> Vec<u8> {
    key(MARKS, partition.0, &[])
}

/// Where the header stands.
pub fn header_key(partition: PartitionId) -> Vec<u8> {
    key(HEADER, partition.0, &[])
}

/// Where the sign of an unfinished snapshot or removal stands.
pub fn installing_key(partition: PartitionId) -> Vec<u8> {
    key(INSTALLING, partition.0, &[])
}

/// The keys of `keys`, under `tag` and `table`.
fn table_range(tag: u8, table: TableId, keys: &KeyRange) -> Range {
    let end = match &keys.end {
        Some(end) => Bound::Excluded(key(tag, table.0, end)),
        None => Range::prefix(&key(tag, table.0, &[])).end,
    };
    Range { start: Bound::Included(key(tag, table.0, &keys.start)), end, reverse: false }
}

/// The items of a range of encoded keys.
pub fn items(table: TableId, keys: &KeyRange) -> Range {
    table_range(ITEM, table, keys)
}

/// The tombstones of a range of encoded keys.
pub fn tombstones(table: TableId, keys: &KeyRange) -> Range {
    table_range(TOMBSTONE, table, keys)
}

/// The change log from a position on.
pub fn changes_from(partition: PartitionId, position: Position) -> Range {
    let all = Range::prefix(&key(CHANGE, partition.0, &[]));
    Range { start: Bound::Included(change_key(partition, position)), ..all }
}

/// The conflict log.
pub fn conflicts(partition: PartitionId) -> Range {
    Range::prefix(&key(CONFLICT, partition.0, &[]))
}

/// The stranded log.
pub fn stranded(partition: PartitionId) -> Range {
    Range::prefix(&key(STRANDED, partition.0, &[]))
}

/// The parked changes.
pub fn parked(partition: PartitionId) -> Range {
    Range::prefix(&key(PARKED, partition.0, &[]))
}

/// What a partition holds of its table: items, tombstones, entries of local indexes.
pub fn table_ranges(spec: &PartitionSpec) -> Vec<Range> {
    let mut ranges = vec![items(spec.table, &spec.range), tombstones(spec.table, &spec.range)];
    let local = |(number, _)| local_entries(spec.table, number, &spec.range);
    ranges.extend(local_numbers(spec).map(local));
    ranges
}

/// Every range of a partition, in the order in which a snapshot sends them. The marker of an
/// unfinished install is not part of it.
pub fn ranges(spec: &PartitionSpec) -> Vec<Range> {
    let own = |tag| Range::prefix(&key(tag, spec.partition.0, &[]));
    let mut ranges = table_ranges(spec);
    ranges.extend([
        own(TOKEN),
        own(DECISION),
        own(INTENT),
        own(EXPIRY),
        own(CHANGE),
        own(CONFLICT),
        own(STRANDED),
        own(PARKED),
        own(MEMBERSHIP),
        own(MARKS),
        own(HEADER),
    ]);
    ranges
}

/// True when `engine_key` belongs to the partition.
pub(crate) fn owns(spec: &PartitionSpec, engine_key: &[u8]) -> bool {
    let Some((tag, rest)) = engine_key.split_first() else { return false };
    match *tag {
        ITEM | TOMBSTONE => {
            rest.starts_with(&spec.table.0.to_be_bytes())
                && spec.range.contains(encoded_of(engine_key))
        }
        LOCAL_INDEX => {
            rest.starts_with(&spec.table.0.to_be_bytes())
                && spec.range.contains(entry_of(engine_key))
        }
        TOKEN..=HEADER => rest.starts_with(&spec.partition.0.to_be_bytes()),
        _ => false,
    }
}

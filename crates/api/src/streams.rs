//! DynamoDB Streams: names of streams, shards and positions, and what the backend reads for them.
//!
//! A partition is a shard. A sequence number is a position of the partition's change log; an iterator
//! is a position and the time at which it was given out, in a form that clients do not read.
//!
//! # Invariants
//!
//! - Sequence numbers of a shard grow with its changes; each change has one.
//! - An iterator that this module did not make is refused, never followed.
//!
//! Tested below and by `streams.txt`.

use std::sync::Arc;

use meridian_base::{Cause, PartitionId, Position};
use meridian_control::region::{StreamRecord, TableRecord};
use meridian_model::Item;
use meridian_wire::ApiError;
use meridian_wire::arn::stream_arn;
use xxhash_rust::xxh64::xxh64;

use crate::backend::Backend;
use crate::context::RequestContext;
use crate::errors::invalid;

/// How long an iterator can be used, ms (AWS: GetShardIterator, 15 minutes).
const ITERATOR_MS_MAX: u64 = 15 * 60 * 1000;
const ITERATOR_FORMAT: u8 = 1;

/// What to read of a partition's changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamRead {
    /// Changes after this position.
    pub after: Position,
    /// So many at most; none to learn where the log begins and ends.
    pub limit: usize,
}

/// Some of a partition's changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamPage {
    /// Changes after this position are kept.
    pub kept_after: Position,
    /// The position of the last change, as of a moment after the request came.
    pub end: Position,
    /// The changes, in order; none where the position is before those that are kept.
    pub changes: Vec<StreamChange>,
}

/// A change of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamChange {
    /// Its position.
    pub position: Position,
    /// When it was committed, ms since the epoch.
    pub commit_ms: u64,
    /// Why.
    pub cause: Cause,
    /// The item before, if there was one.
    pub old: Option<Item>,
    /// The item after, if there is one.
    pub new: Option<Item>,
}

/// A stream of a table.
#[derive(Debug, Clone)]
pub struct Stream {
    /// The table.
    pub table: Arc<TableRecord>,
    /// The stream.
    pub record: StreamRecord,
    /// True when the table had another one before.
    pub has_predecessor: bool,
}

impl Stream {
    /// All streams of a table, the oldest first.
    pub fn all_of(table: &Arc<TableRecord>) -> impl Iterator<Item = Stream> + '_ {
        (0..).zip(&table.streams).map(|(number, record)| Stream {
            table: Arc::clone(table),
            record: *record,
            has_predecessor: number > 0,
        })
    }

    /// Finds the stream of an ARN.
    pub fn find(
        backend: &dyn Backend,
        context: &RequestContext,
        arn: &str,
    ) -> Result<Stream, ApiError> {
        let name = arn.split(":table/").nth(1).and_then(|rest| rest.split_once("/stream/"));
        let table = name.and_then(|(table, _)| backend.table(table));
        let found = table
            .as_ref()
            .and_then(|table| Stream::all_of(table).find(|stream| stream.arn(context) == arn));
        found.ok_or_else(|| {
            ApiError::ResourceNotFound(format!(
                "Requested resource not found: Stream: {arn} not found"
            ))
        })
    }

    /// Its ARN.
    pub fn arn(&self, context: &RequestContext) -> String {
        stream_arn(&context.region, &self.table.name, &self.record.label())
    }

    /// Its shards, in the order of their keys.
    pub fn shards(&self) -> impl Iterator<Item = (PartitionId, String)> + '_ {
        self.table.partitions.iter().map(|partition| (*partition, self.shard_id(*partition)))
    }

    fn shard_id(&self, partition: PartitionId) -> String {
        format!("shardId-{:020}-{:08x}", self.record.on_ms, partition.0)
    }

    /// Finds the partition of a shard.
    pub fn partition(&self, shard: &str) -> Option<PartitionId> {
        self.shards().find(|(_, id)| id == shard).map(|(partition, _)| partition)
    }

    /// True for a change that the stream tells of; what changes nothing of an item is none.
    pub fn tells(&self, change: &StreamChange) -> bool {
        let begun = !self.has_predecessor || self.record.on_ms <= change.commit_ms;
        let over = self.record.off_ms.is_some_and(|off| off <= change.commit_ms);
        begun && !over && change.old != change.new
    }
}

/// Partitions in a sequence number are shown by so many digits: there are never that many.
const PARTITIONS: u64 = 10_u64.pow(15);

/// The sequence number of a position of a partition. No other change of the stream has it.
pub fn sequence_number(partition: PartitionId, position: Position) -> String {
    format!("1{:020}{:015}", position.0, partition.0 % PARTITIONS)
}

/// The position that a sequence number names, if it is of that partition.
pub fn position_of(partition: PartitionId, sequence_number: &str) -> Option<Position> {
    let digits = sequence_number.strip_prefix('1').filter(|digits| digits.len() == 35)?;
    let (position, of) = digits.split_at_checked(20)?;
    let is_of = of.parse().is_ok_and(|of: u64| of == partition.0 % PARTITIONS);
    position.parse().ok().filter(|_| is_of).map(Position)
}

/// Where reading a shard goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardIterator {
    /// The stream's ARN.
    pub stream: String,
    /// The shard's partition.
    pub partition: PartitionId,
    /// Changes after this position.
    pub after: Position,
    /// When it was given out, ms since the epoch.
    pub given_ms: u64,
}

impl ShardIterator {
    /// The form that clients keep.
    pub fn print(&self) -> String {
        let mut bytes = vec![ITERATOR_FORMAT];
        for part in [self.partition.0, self.after.0, self.given_ms] {
            bytes.extend_from_slice(&part.to_be_bytes());
        }
        bytes.extend_from_slice(&self.checksum(&bytes).to_be_bytes());
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}|1|{hex}", self.stream)
    }

    fn checksum(&self, bytes: &[u8]) -> u64 {
        xxh64(self.stream.as_bytes(), xxh64(bytes, 0))
    }

    /// Reads that form; tells that it is too old where it is.
    pub fn parse(text: &str, now_ms: u64) -> Result<Self, ApiError> {
        let iterator = ShardIterator::read(text).ok_or_else(|| invalid("Invalid ShardIterator"))?;
        if iterator.given_ms.saturating_add(ITERATOR_MS_MAX) < now_ms {
            return Err(ApiError::ExpiredIterator(
                "The shard iterator has expired and can no longer be used to retrieve stream \
                 records."
                    .to_owned(),
            ));
        }
        Ok(iterator)
    }

    fn read(text: &str) -> Option<Self> {
        let (stream, hex) = text.rsplit_once("|1|")?;
        let digit = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
        let bytes: Option<Vec<u8>> = (0..hex.len()).step_by(2).map(digit).collect();
        let bytes = bytes.filter(|bytes| bytes.len() == 33 && bytes[0] == ITERATOR_FORMAT)?;
        let number = |at: usize| Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let iterator = ShardIterator {
            stream: stream.to_owned(),
            partition: PartitionId(number(1)?),
            after: Position(number(9)?),
            given_ms: number(17)?,
        };
        (iterator.checksum(&bytes[..25]) == number(25)?).then_some(iterator)
    }
}

/// Says that a shard is unknown.
pub fn no_shard(shard: &str, stream: &str) -> ApiError {
    ApiError::ResourceNotFound(format!(
        "Requested resource not found: Shard does not exist: {shard} in stream {stream}"
    ))
}

/// Says that what is asked for is not kept any more.
pub fn trimmed() -> ApiError {
    ApiError::TrimmedDataAccess(
        "The operation attempted to read past the oldest stream record in a shard.".to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_sequence_numbers() {
        for position in [0, 1, 9, u64::MAX].map(Position) {
            for partition in [0, 7, PARTITIONS - 1].map(PartitionId) {
                let number = sequence_number(partition, position);
                assert_eq!((number.len(), position_of(partition, &number)), (36, Some(position)));
                assert_eq!(position_of(PartitionId(8), &number), None);
            }
        }
        let of = |position| sequence_number(PartitionId(7), Position(position));
        assert!(of(9) < of(10));
        let other = of(9).replacen('1', "2", 1);
        for wrong in ["", "1", "1x", other.as_str(), &of(9)[1..]] {
            assert_eq!(position_of(PartitionId(7), wrong), None, "{wrong}");
        }
    }

    #[test]
    fn iterators_are_read_back_and_damage_is_found() {
        let iterator = ShardIterator {
            stream: "arn:a|1|b".to_owned(),
            partition: PartitionId(17),
            after: Position(u64::MAX),
            given_ms: 5,
        };
        let text = iterator.print();
        assert_eq!(ShardIterator::parse(&text, 5 + ITERATOR_MS_MAX), Ok(iterator));
        let old = ShardIterator::parse(&text, 6 + ITERATOR_MS_MAX);
        assert!(matches!(old, Err(ApiError::ExpiredIterator(_))), "{old:?}");
        for at in 0..text.len() {
            let mut damaged = text.clone();
            let other = if &text[at..=at] == "0" { "1" } else { "0" };
            damaged.replace_range(at..=at, other);
            assert!(ShardIterator::parse(&damaged, 5).is_err(), "{damaged}");
        }
        for wrong in ["", "x", "|1|", "a|1|00", "a|1|\u{e9}\u{e9}"] {
            assert!(ShardIterator::parse(wrong, 5).is_err(), "{wrong}");
        }
    }
}

//! What a partition's leader sends to another region, and what it is told back.
//!
//! # Invariants
//!
//! - Encoded forms start with their version and decode to equal values; other bytes give an error.
//!
//! Tested by `batch/tests.rs` and the sample.

#[cfg(test)]
mod tests;

use meridian_base::change::{put_image, read_image, read_region};
use meridian_base::codec::{DecodeError, Reader, put_bytes, put_var};
use meridian_base::{Change, Hlc, Incarnation, PartitionId, Position, Received, RegionId, TableId};

const BATCH_FORMAT: u8 = 1;
const ACK_FORMAT: u8 = 1;

/// Some consecutive changes of one origin partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicationBatch {
    /// The table.
    pub table: TableId,
    /// The origin region.
    pub region: RegionId,
    /// The origin partition.
    pub partition: PartitionId,
    /// The pipeline incarnation of the leader that sends.
    pub incarnation: Incarnation,
    /// First encoded key of the origin partition's range.
    pub start: Vec<u8>,
    /// First encoded key after it; `None` is the end of the table.
    pub end: Option<Vec<u8>>,
    /// The position of the change log that it follows.
    pub after: Position,
    /// The last position that it covers; equal to `after` when it only announces.
    pub upto: Position,
    /// The origin's own changes in between, in order for each item.
    pub changes: Vec<Change>,
    /// The closed version (W) that holds once everything up to `upto` is received.
    pub closed: Option<Hlc>,
    /// Everything of the origin partition at or below it is in every replica region.
    pub stable: Hlc,
    /// True for what a lost region sends on its return: the receiver records what becomes of it.
    pub late: bool,
    /// When it was sent, ms since the epoch by the sender's clock.
    pub sent_ms: u64,
}

impl ReplicationBatch {
    /// The announcement that the batch makes; none when it closes nothing.
    pub fn received(&self) -> Option<Received> {
        Some(Received {
            region: self.region,
            partition: self.partition,
            start: self.start.clone(),
            end: self.end.clone(),
            closed: self.closed?,
            stable: self.stable,
        })
    }

    /// The sent form.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![BATCH_FORMAT];
        put_var(&mut out, self.table.0);
        put_var(&mut out, u64::from(self.region.to_u32()));
        put_var(&mut out, self.partition.0);
        put_var(&mut out, self.incarnation.0);
        put_bytes(&mut out, &self.start);
        put_image(&mut out, self.end.as_deref());
        put_var(&mut out, self.after.0);
        put_var(&mut out, self.upto.0);
        // 0 is "closes nothing": versions are moved up by one.
        put_var(&mut out, self.closed.map_or(0, |closed| closed.0.saturating_add(1)));
        put_var(&mut out, self.stable.0);
        out.push(u8::from(self.late));
        put_var(&mut out, self.sent_ms);
        put_var(&mut out, self.changes.len() as u64);
        self.changes.iter().for_each(|change| change.encode(&mut out));
        out
    }

    /// Reads the sent form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != BATCH_FORMAT {
            return Err(DecodeError::Unknown("replication format"));
        }
        let mut batch = ReplicationBatch {
            table: TableId(reader.var()?),
            region: read_region(&mut reader)?,
            partition: PartitionId(reader.var()?),
            incarnation: Incarnation(reader.var()?),
            start: reader.bytes()?.to_vec(),
            end: read_image(&mut reader)?,
            after: Position(reader.var()?),
            upto: Position(reader.var()?),
            closed: reader.var()?.checked_sub(1).map(Hlc),
            stable: Hlc(reader.var()?),
            late: match reader.u8()? {
                0 => false,
                1 => true,
                _ => return Err(DecodeError::Unknown("flag")),
            },
            sent_ms: reader.var()?,
            changes: Vec::new(),
        };
        // Grown while reading: a false count reserves nothing.
        for _ in 0..reader.len()? {
            batch.changes.push(Change::decode(&mut reader)?);
        }
        reader.end()?;
        Ok(batch)
    }
}

/// What the receiver has committed of an origin partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// The table.
    pub table: TableId,
    /// The origin partition.
    pub partition: PartitionId,
    /// Everything up to this position is committed by a quorum of every target partition.
    pub upto: Position,
    /// The closed version that is stored there.
    pub closed: Hlc,
}

impl Ack {
    /// The sent form.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![ACK_FORMAT];
        for part in [self.table.0, self.partition.0, self.upto.0, self.closed.0] {
            put_var(&mut out, part);
        }
        out
    }

    /// Reads the sent form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != ACK_FORMAT {
            return Err(DecodeError::Unknown("acknowledgement format"));
        }
        let ack = Ack {
            table: TableId(reader.var()?),
            partition: PartitionId(reader.var()?),
            upto: Position(reader.var()?),
            closed: Hlc(reader.var()?),
        };
        reader.end()?;
        Ok(ack)
    }
}

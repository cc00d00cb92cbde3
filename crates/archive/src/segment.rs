//! Segments: consecutive changes of one partition's change log.
//!
//! # Invariants
//!
//! - A decoded segment holds exactly the positions `first..=last`, at least one, in order.
//!
//! Tested by `segment/tests.rs` and the samples.

#[cfg(test)]
mod tests;

use crate::body::{Body, Kind};
use crate::error::ArchiveError;
use meridian_base::change::{put_image, read_image};
use meridian_base::codec::{Reader, put_bytes, put_var, put_version};
use meridian_base::{Cause, PartitionId, Position, Version};

/// One change of an item, as the archive keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedChange {
    /// Its position in the partition's change log.
    pub position: Position,
    /// When it was committed, ms since the epoch. Grows from change to change of one key; that of
    /// a transaction is the time of its decision, so it need not grow from position to position.
    pub commit_ms: u64,
    /// The encoded key.
    pub key: Vec<u8>,
    /// The encoded item; `None` is a delete.
    pub image: Option<Vec<u8>>,
    /// The version of the write.
    pub version: Version,
    /// Why.
    pub cause: Cause,
}

impl ArchivedChange {
    fn encode(&self, out: &mut Vec<u8>) {
        put_var(out, self.position.0);
        put_var(out, self.commit_ms);
        put_bytes(out, &self.key);
        put_image(out, self.image.as_deref());
        put_version(out, self.version);
        out.push(self.cause.to_u8());
    }

    fn decode(body: &mut Body<'_>) -> Result<Self, ArchiveError> {
        Ok(ArchivedChange {
            position: Position(body.var()?),
            commit_ms: body.var()?,
            key: body.bytes()?,
            image: body.read(read_image)?,
            version: body.read(Reader::version)?,
            cause: body.read(|reader| Cause::from_u8(reader.u8()?))?,
        })
    }
}

/// Some consecutive changes of one partition. Two leaders may cut the same changes differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSegment {
    /// The partition.
    pub partition: PartitionId,
    /// The position of the first change.
    pub first: Position,
    /// The position of the last change.
    pub last: Position,
    /// The changes of all positions from `first` to `last`, in order.
    pub changes: Vec<ArchivedChange>,
}

impl LogSegment {
    /// The plain content of the object.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Kind::Segment.start();
        put_var(&mut out, self.partition.0);
        put_var(&mut out, self.first.0);
        put_var(&mut out, self.last.0);
        put_var(&mut out, self.changes.len() as u64);
        self.changes.iter().for_each(|change| change.encode(&mut out));
        out
    }

    /// Reads the plain content of `object`. Error: `Damaged`, with the index of a change that
    /// stands at the wrong position.
    pub fn decode(object: &str, bytes: &[u8]) -> Result<Self, ArchiveError> {
        let mut body = Body::new(object, bytes, Kind::Segment)?;
        let mut segment = LogSegment {
            partition: PartitionId(body.var()?),
            first: Position(body.var()?),
            last: Position(body.var()?),
            changes: Vec::new(),
        };
        let offset = body.offset();
        let count = body.read(Reader::len)?;
        let span = segment.last.0.checked_sub(segment.first.0).and_then(|n| n.checked_add(1));
        if segment.first == Position(0) || span != u64::try_from(count).ok() {
            let (first, last) = (segment.first, segment.last);
            let what = format!("it holds {count} changes for the positions {first} to {last}");
            return Err(body.damaged(offset, what));
        }
        let mut position = segment.first;
        for index in 0..count {
            let offset = body.offset();
            let change = ArchivedChange::decode(&mut body)?;
            if change.position != position {
                let found = change.position;
                let what = format!("change {index} has position {found} instead of {position}");
                return Err(body.damaged(offset, what));
            }
            position = position.next();
            segment.changes.push(change);
        }
        body.end()?;
        Ok(segment)
    }
}

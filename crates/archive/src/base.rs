//! Bases: all items of a partition at one position of its change log, in chunks.
//!
//! # Invariants
//!
//! - The keys of a decoded chunk are strictly ascending; those of the next chunk lie above them.
//! - A base without its end is unfinished and counts for nothing.
//! - Every change up to the base's position was committed at or before its `commit_ms`. So the base
//!   holds nothing that is too new for any time from there on.
//!
//! Tested by `base/tests.rs` and the samples.

#[cfg(test)]
mod tests;

use crate::body::{Body, Kind};
use crate::error::ArchiveError;
use meridian_base::codec::{Reader, put_bytes, put_var, put_version};
use meridian_base::{PartitionId, Position, Version};

/// One item of a base or of a restored state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedItem {
    /// The encoded key.
    pub key: Vec<u8>,
    /// The encoded item.
    pub image: Vec<u8>,
    /// The version of its last write.
    pub version: Version,
}

impl ArchivedItem {
    /// Bytes of key and image, as [`BaseEnd::bytes`] counts them.
    pub fn bytes(&self) -> u64 {
        (self.key.len() + self.image.len()) as u64
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, &self.key);
        put_bytes(out, &self.image);
        put_version(out, self.version);
    }

    fn decode(body: &mut Body<'_>) -> Result<Self, ArchiveError> {
        Ok(ArchivedItem {
            key: body.bytes()?,
            image: body.bytes()?,
            version: body.read(Reader::version)?,
        })
    }
}

/// Some items of a base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseChunk {
    /// The partition.
    pub partition: PartitionId,
    /// The position of the view that was read: the base holds every change up to it.
    pub position: Position,
    /// The chunk's number in the base, from 0.
    pub number: u32,
    /// The items, by ascending key.
    pub items: Vec<ArchivedItem>,
}

impl BaseChunk {
    /// The plain content of the object.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Kind::Chunk.start();
        put_var(&mut out, self.partition.0);
        put_var(&mut out, self.position.0);
        put_var(&mut out, u64::from(self.number));
        put_var(&mut out, self.items.len() as u64);
        self.items.iter().for_each(|item| item.encode(&mut out));
        out
    }

    /// Reads the plain content of `object`. Error: `Damaged`, with the index of an item whose key
    /// is not above the one before.
    pub fn decode(object: &str, bytes: &[u8]) -> Result<Self, ArchiveError> {
        let mut body = Body::new(object, bytes, Kind::Chunk)?;
        let mut chunk = BaseChunk {
            partition: PartitionId(body.var()?),
            position: Position(body.var()?),
            number: body.var32()?,
            items: Vec::new(),
        };
        for index in 0..body.read(Reader::len)? {
            let offset = body.offset();
            let item = ArchivedItem::decode(&mut body)?;
            if chunk.items.last().is_some_and(|before| before.key >= item.key) {
                let what = format!("the key of item {index} is not above the one before");
                return Err(body.damaged(offset, what));
            }
            chunk.items.push(item);
        }
        body.end()?;
        Ok(chunk)
    }
}

/// The end of a base, written after all of its chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaseEnd {
    /// The partition.
    pub partition: PartitionId,
    /// The position of the view: the base holds every change up to it, and none after it.
    pub position: Position,
    /// No change up to `position` was committed later, ms since the epoch.
    pub commit_ms: u64,
    /// No change after `position` was committed at or before this time, ms since the epoch.
    pub closed_ms: u64,
    /// How many chunks the base has.
    pub chunks: u32,
    /// How many items they hold.
    pub items: u64,
    /// How many bytes the keys and images of these have.
    pub bytes: u64,
}

impl BaseEnd {
    /// The plain content of the object.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Kind::End.start();
        let (partition, position, chunks) =
            (self.partition.0, self.position.0, u64::from(self.chunks));
        let times = [self.commit_ms, self.closed_ms];
        let counts = [chunks, self.items, self.bytes];
        for value in [partition, position].into_iter().chain(times).chain(counts) {
            put_var(&mut out, value);
        }
        out
    }

    /// Reads the plain content of `object`. Error: `Damaged`.
    pub fn decode(object: &str, bytes: &[u8]) -> Result<Self, ArchiveError> {
        let mut body = Body::new(object, bytes, Kind::End)?;
        let end = BaseEnd {
            partition: PartitionId(body.var()?),
            position: Position(body.var()?),
            commit_ms: body.var()?,
            closed_ms: body.var()?,
            chunks: body.var32()?,
            items: body.var()?,
            bytes: body.var()?,
        };
        body.end()?;
        Ok(end)
    }
}

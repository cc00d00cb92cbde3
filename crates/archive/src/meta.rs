//! How far a partition is archived, and what its table was.
//!
//! Tested by `meta/tests.rs` and the samples.

#[cfg(test)]
mod tests;

use crate::body::{Body, Kind};
use crate::error::ArchiveError;
use meridian_base::change::{put_image, read_image};
use meridian_base::codec::{Reader, put_bytes, put_var};
use meridian_base::{PartitionId, Position};

/// How far a partition is archived. Everything committed at or before `commit_ms` stands at or
/// before `position`, and every change up to `position` is in a base or in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermark {
    /// The partition.
    pub partition: PartitionId,
    /// The last position that is archived for sure.
    pub position: Position,
    /// The latest time that can be restored, ms since the epoch.
    pub commit_ms: u64,
}

impl Watermark {
    /// The plain content of the object.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Kind::Watermark.start();
        put_var(&mut out, self.partition.0);
        put_var(&mut out, self.position.0);
        put_var(&mut out, self.commit_ms);
        out
    }

    /// Reads the plain content of `object`. Error: `Damaged`.
    pub fn decode(object: &str, bytes: &[u8]) -> Result<Self, ArchiveError> {
        let mut body = Body::new(object, bytes, Kind::Watermark)?;
        let watermark = Watermark {
            partition: PartitionId(body.var()?),
            position: Position(body.var()?),
            commit_ms: body.var()?,
        };
        body.end()?;
        Ok(watermark)
    }
}

/// A partition of a table and its range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedPartition {
    /// The partition.
    pub partition: PartitionId,
    /// First encoded key of its range.
    pub start: Vec<u8>,
    /// First encoded key after it; `None` is the end of the table.
    pub end: Option<Vec<u8>>,
}

/// What a table was from some time on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableMeta {
    /// From when on it holds, ms since the epoch.
    pub at_ms: u64,
    /// The table's name.
    pub name: String,
    /// The table's definition, opaque here.
    pub definition: Vec<u8>,
    /// Its partitions.
    pub partitions: Vec<ArchivedPartition>,
    /// The settings that the region's copy alone has, opaque here; empty where they were not kept.
    pub own: Vec<u8>,
}

impl TableMeta {
    /// The plain content of the object.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Kind::Meta.start();
        put_var(&mut out, self.at_ms);
        put_bytes(&mut out, self.name.as_bytes());
        put_bytes(&mut out, &self.definition);
        put_var(&mut out, self.partitions.len() as u64);
        for partition in &self.partitions {
            put_var(&mut out, partition.partition.0);
            put_bytes(&mut out, &partition.start);
            put_image(&mut out, partition.end.as_deref());
        }
        if !self.own.is_empty() {
            put_bytes(&mut out, &self.own);
        }
        out
    }

    /// Reads the plain content of `object`. Error: `Damaged`.
    pub fn decode(object: &str, bytes: &[u8]) -> Result<Self, ArchiveError> {
        let mut body = Body::new(object, bytes, Kind::Meta)?;
        let mut meta = TableMeta {
            at_ms: body.var()?,
            name: body.read(|reader| Ok(reader.str()?.to_owned()))?,
            definition: body.bytes()?,
            partitions: Vec::new(),
            own: Vec::new(),
        };
        for _ in 0..body.read(Reader::len)? {
            meta.partitions.push(ArchivedPartition {
                partition: PartitionId(body.var()?),
                start: body.bytes()?,
                end: body.read(read_image)?,
            });
        }
        if body.end().is_err() {
            meta.own = body.bytes()?;
        }
        body.end()?;
        Ok(meta)
    }
}

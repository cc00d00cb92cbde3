//! What replication found: conflicts, and what became of stranded writes.
//!
//! # Invariants
//!
//! - Both name versions, not images: a record stays small whatever the item.
//!
//! Tested by `record/tests.rs`.

use super::{checked, read_flag, unchecked};
use meridian_base::change::{put_origin, read_origin};
use meridian_base::codec::{DecodeError, Reader, put_bytes, put_var, put_version};
use meridian_base::{Origin, Version};

const CONFLICT_FORMAT: u8 = 1;
const STRANDED_FORMAT: u8 = 1;

/// Two writes of one item, neither of which had seen the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictRecord {
    /// The encoded key of the item.
    pub key: Vec<u8>,
    /// The version that stayed; its region is the write's region.
    pub kept: Version,
    /// The version that went.
    pub lost: Version,
    /// True when the write that stayed is a delete.
    pub kept_deleted: bool,
    /// True when the write that went is a delete.
    pub lost_deleted: bool,
    /// True when both claim one version with different bytes: somebody must look.
    pub diverged: bool,
    /// When it was committed here, ms since the epoch.
    pub found_ms: u64,
}

impl ConflictRecord {
    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        self.put(&mut body);
        checked(CONFLICT_FORMAT, &body)
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_bytes(out, &self.key);
        put_version(out, self.kept);
        put_version(out, self.lost);
        out.push(
            u8::from(self.kept_deleted)
                | (u8::from(self.lost_deleted) << 1)
                | (u8::from(self.diverged) << 2),
        );
        put_var(out, self.found_ms);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let key = reader.bytes()?.to_vec();
        let (kept, lost) = (reader.version()?, reader.version()?);
        let flags = reader.u8()?;
        if flags > 7 {
            return Err(DecodeError::Unknown("conflict"));
        }
        Ok(ConflictRecord {
            key,
            kept,
            lost,
            kept_deleted: flags & 1 != 0,
            lost_deleted: flags & 2 != 0,
            diverged: flags & 4 != 0,
            found_ms: reader.var()?,
        })
    }

    /// Reads the stored form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = unchecked(CONFLICT_FORMAT, bytes)?;
        let record = ConflictRecord::read(&mut reader)?;
        reader.end()?;
        Ok(record)
    }
}

/// What became of a write that arrived after its region had been lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StrandedOutcome {
    /// It is the newest write of its item.
    Merged,
    /// A write of another region, made without seeing it, is newer.
    Overwritten,
    /// It, or a write made over it, was here already: it was not stranded.
    Present,
}

/// A stranded write and what became of it. Writes that were present are not recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrandedRecord {
    /// The encoded key of the item.
    pub key: Vec<u8>,
    /// The version of the stranded write.
    pub version: Version,
    /// Where it was written.
    pub origin: Origin,
    /// True when it is a delete.
    pub deleted: bool,
    /// What became of it.
    pub outcome: StrandedOutcome,
    /// The version that the item has now.
    pub kept: Version,
    /// When it was committed here, ms since the epoch.
    pub found_ms: u64,
}

impl StrandedRecord {
    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        self.put(&mut body);
        checked(STRANDED_FORMAT, &body)
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_bytes(out, &self.key);
        put_version(out, self.version);
        put_origin(out, self.origin);
        out.push(u8::from(self.deleted));
        out.push(match self.outcome {
            StrandedOutcome::Merged => 0,
            StrandedOutcome::Overwritten => 1,
            StrandedOutcome::Present => 2,
        });
        put_version(out, self.kept);
        put_var(out, self.found_ms);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(StrandedRecord {
            key: reader.bytes()?.to_vec(),
            version: reader.version()?,
            origin: read_origin(reader)?,
            deleted: read_flag(reader)?,
            outcome: match reader.u8()? {
                0 => StrandedOutcome::Merged,
                1 => StrandedOutcome::Overwritten,
                2 => StrandedOutcome::Present,
                _ => return Err(DecodeError::Unknown("stranded outcome")),
            },
            kept: reader.version()?,
            found_ms: reader.var()?,
        })
    }

    /// Reads the stored form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = unchecked(STRANDED_FORMAT, bytes)?;
        let record = StrandedRecord::read(&mut reader)?;
        reader.end()?;
        Ok(record)
    }
}

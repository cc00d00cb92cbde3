//! Stored records: items, tombstones, changes, conflicts, stranded writes, parked changes.
//!
//! Each starts with its format version and the CRC-32 of what follows, so that engine bytes that
//! were damaged are noticed and never taken for data.
//!
//! # Invariants
//!
//! - Every format that was ever written keeps a reader and a sample under `samples/`.
//!
//! Tested by `record/tests.rs`, against the samples and by flipping every byte.

#[cfg(test)]
mod tests;

use meridian_base::change::{put_image, put_origin, read_image, read_origin};
use meridian_base::codec::{DecodeError, Reader, put_bytes, put_var, put_vector, put_version};
use meridian_base::merge::Side;
use meridian_base::{Cause, Change, Origin, Position, Version, VersionVector};
use meridian_model::{Item, decode_item};

const ITEM_FORMAT: u8 = 1;
const TOMBSTONE_FORMAT: u8 = 1;
const CHANGE_FORMAT: u8 = 1;
const CONFLICT_FORMAT: u8 = 1;
const STRANDED_FORMAT: u8 = 1;
const PARKED_FORMAT: u8 = 1;

/// An encoded item ([`meridian_model::encode_item`]).
pub type Image = Vec<u8>;

/// Puts format version and CRC-32 before a body.
pub(crate) fn checked(format: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(5 + body.len());
    out.push(format);
    out.extend_from_slice(&checksum(format, body).to_be_bytes());
    out.extend_from_slice(body);
    out
}

/// Checks format version and CRC-32 and gives the body.
pub(crate) fn unchecked(format: u8, bytes: &[u8]) -> Result<Reader<'_>, DecodeError> {
    let mut reader = Reader::new(bytes);
    let found = reader.u8()?;
    let sum = reader.u32()?;
    if sum != checksum(found, reader.rest()) {
        return Err(DecodeError::Unknown("checksum"));
    }
    if found != format { Err(DecodeError::Unknown("format")) } else { Ok(reader) }
}

fn checksum(format: u8, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[format]);
    hasher.update(body);
    hasher.finalize()
}

/// Reads an image.
pub fn item_of(image: &[u8]) -> Result<Item, DecodeError> {
    let mut reader = Reader::new(image);
    let item = decode_item(&mut reader)?;
    reader.end()?;
    Ok(item)
}

/// What the engine holds of one key: an item or, without image, that it was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemState {
    /// The version of the write.
    pub version: Version,
    /// What is known to have come before it.
    pub base: VersionVector,
    /// The encoded item; `None` after a delete.
    pub image: Option<Image>,
    /// The item's size as DynamoDB counts it, bytes; 0 after a delete.
    pub bytes: u64,
}

impl ItemState {
    /// The state as the merge rule sees it.
    pub fn side(&self) -> Side<'_> {
        Side { version: self.version, base: &self.base, image: self.image.as_deref() }
    }

    /// The base of a write over this state: all that it had seen, and it.
    pub fn seen(&self) -> VersionVector {
        let mut seen = self.base.clone();
        seen.observe(self.version);
        seen
    }
}

/// The stored form of an item.
pub fn encode_item_record(
    version: Version,
    base: &VersionVector,
    bytes: u64,
    image: &[u8],
) -> Vec<u8> {
    let mut body = Vec::with_capacity(32 + image.len());
    put_version(&mut body, version);
    put_vector(&mut body, base);
    put_var(&mut body, bytes);
    body.extend_from_slice(image);
    checked(ITEM_FORMAT, &body)
}

/// Reads the stored form of an item.
pub fn decode_item_record(bytes: &[u8]) -> Result<ItemState, DecodeError> {
    let mut reader = unchecked(ITEM_FORMAT, bytes)?;
    Ok(ItemState {
        version: reader.version()?,
        base: reader.vector()?,
        bytes: reader.var()?,
        image: Some(reader.rest().to_vec()),
    })
}

/// A deleted item, remembered until no older write of it can arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// The version of the delete.
    pub version: Version,
    /// What is known to have come before it.
    pub base: VersionVector,
    /// When it was committed here, ms since the epoch.
    pub deleted_ms: u64,
}

impl Tombstone {
    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(32);
        put_version(&mut body, self.version);
        put_vector(&mut body, &self.base);
        put_var(&mut body, self.deleted_ms);
        checked(TOMBSTONE_FORMAT, &body)
    }

    /// Reads the stored form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = unchecked(TOMBSTONE_FORMAT, bytes)?;
        let tombstone = Tombstone {
            version: reader.version()?,
            base: reader.vector()?,
            deleted_ms: reader.var()?,
        };
        reader.end()?;
        Ok(tombstone)
    }

    /// The deleted state.
    pub fn into_state(self) -> ItemState {
        ItemState { version: self.version, base: self.base, image: None, bytes: 0 }
    }
}

/// One entry of the change log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeRecord {
    /// Its position in this partition's change log.
    pub position: Position,
    /// The encoded key.
    pub key: Vec<u8>,
    /// The item before, where old images are kept.
    pub old: Option<Image>,
    /// The item after; `None` is a delete.
    pub new: Option<Image>,
    /// The version of the write.
    pub version: Version,
    /// What its writer had seen.
    pub base: VersionVector,
    /// Where it was written first.
    pub origin: Origin,
    /// Why.
    pub cause: Cause,
    /// When it was committed here, ms since the epoch.
    pub commit_ms: u64,
}

impl ChangeRecord {
    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let images = self.new.as_ref().map_or(0, Vec::len) + self.old.as_ref().map_or(0, Vec::len);
        let mut body = Vec::with_capacity(64 + self.key.len() + images);
        put_var(&mut body, self.position.0);
        put_bytes(&mut body, &self.key);
        put_image(&mut body, self.old.as_deref());
        put_image(&mut body, self.new.as_deref());
        put_version(&mut body, self.version);
        put_vector(&mut body, &self.base);
        put_origin(&mut body, self.origin);
        body.push(self.cause.to_u8());
        put_var(&mut body, self.commit_ms);
        checked(CHANGE_FORMAT, &body)
    }

    /// Reads the stored form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = unchecked(CHANGE_FORMAT, bytes)?;
        let record = ChangeRecord {
            position: Position(reader.var()?),
            key: reader.bytes()?.to_vec(),
            old: read_image(&mut reader)?,
            new: read_image(&mut reader)?,
            version: reader.version()?,
            base: reader.vector()?,
            origin: read_origin(&mut reader)?,
            cause: Cause::from_u8(reader.u8()?)?,
            commit_ms: reader.var()?,
        };
        reader.end()?;
        Ok(record)
    }

    /// The change as it travels to other regions.
    pub fn into_change(self) -> Change {
        Change {
            key: self.key,
            image: self.new,
            version: self.version,
            base: self.base,
            origin: self.origin,
            cause: self.cause,
            commit_ms: self.commit_ms,
        }
    }
}

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

/// A replicated change that waits until its version is no longer in the future.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedChange {
    /// The change.
    pub change: Change,
    /// True when it arrived after its region had been lost.
    pub late: bool,
}

impl ParkedChange {
    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        body.push(u8::from(self.late));
        self.change.encode(&mut body);
        checked(PARKED_FORMAT, &body)
    }

    /// Reads the stored form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = unchecked(PARKED_FORMAT, bytes)?;
        let late = read_flag(&mut reader)?;
        let change = Change::decode(&mut reader)?;
        reader.end()?;
        Ok(ParkedChange { change, late })
    }
}

/// Reads a byte that is 0 or 1.
pub(crate) fn read_flag(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::Unknown("flag")),
    }
}

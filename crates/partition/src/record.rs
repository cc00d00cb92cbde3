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

mod change;
mod finding;
#[cfg(test)]
mod tests;

pub use change::{ChangeRecord, ParkedChange};
pub use finding::{ConflictRecord, StrandedOutcome, StrandedRecord};

use meridian_base::codec::{DecodeError, Reader, put_var, put_vector, put_version};
use meridian_base::merge::Side;
use meridian_base::{Version, VersionVector};
use meridian_model::{Item, decode_item};

const ITEM_FORMAT: u8 = 1;
const TOMBSTONE_FORMAT: u8 = 1;

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

    /// Whether it is a tombstone.
    pub fn is_grave(&self) -> bool {
        self.image.is_none()
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

/// Reads a byte that is 0 or 1.
pub(crate) fn read_flag(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::Unknown("flag")),
    }
}

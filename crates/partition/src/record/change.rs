//! Entries of the change log, and changes of other regions that wait for their time.
//!
//! # Invariants
//!
//! - A change record holds all that a follower of the log needs: it reads no item.
//!
//! Tested by `record/tests.rs`.

use super::{Image, checked, read_flag, unchecked};
use meridian_base::change::{put_image, put_origin, read_image, read_origin};
use meridian_base::codec::{DecodeError, put_bytes, put_var, put_vector, put_version};
use meridian_base::{Cause, Change, Origin, Position, Version, VersionVector};

const CHANGE_FORMAT: u8 = 1;
/// With the time of a transaction.
const TRANSACTED_FORMAT: u8 = 2;
const PARKED_FORMAT: u8 = 1;

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
    /// When it was written here, ms since the epoch. Never falls from position to position.
    pub commit_ms: u64,
    /// The commit time of the transaction over several partitions that it belongs to, ms since the
    /// epoch.
    pub transacted_ms: Option<u64>,
}

impl ChangeRecord {
    /// From which time on it counts, ms since the epoch: all or none of a transaction at any time.
    /// Never falls from a change of an item to the next, though it may from position to position.
    pub fn counts_from_ms(&self) -> u64 {
        self.transacted_ms.unwrap_or(self.commit_ms)
    }

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
        match self.transacted_ms {
            None => checked(CHANGE_FORMAT, &body),
            Some(ms) => {
                put_var(&mut body, ms);
                checked(TRANSACTED_FORMAT, &body)
            }
        }
    }

    /// Reads the stored form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let transacted = bytes.first() == Some(&TRANSACTED_FORMAT);
        let format = if transacted { TRANSACTED_FORMAT } else { CHANGE_FORMAT };
        let mut reader = unchecked(format, bytes)?;
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
            transacted_ms: if transacted { Some(reader.var()?) } else { None },
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

//! A change of an item as it travels between regions, and where it came from.
//!
//! Keys and images are opaque bytes here (`model` gives them meaning), so that `partition`, which
//! stores changes, and `geo`, which carries them, share one type.
//!
//! # Invariants
//!
//! - An encoded change decodes to an equal one; any other bytes decode to an error, never a panic.
//!
//! Tested below.

use crate::codec::{DecodeError, Reader, put_bytes, put_var, put_vector, put_version};
use crate::hlc::{Hlc, Version, VersionVector};
use crate::ids::{Incarnation, PartitionId, RegionId};
use crate::merge::Side;
use std::fmt;

/// A position in the change log of one partition, from 1; 0 means "before the first change".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

impl Position {
    /// The position after this one.
    #[must_use]
    pub fn next(self) -> Position {
        Position(self.0.saturating_add(1))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Where a change was first written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Origin {
    /// The region that took the write.
    pub region: RegionId,
    /// The partition of that region that took it.
    pub partition: PartitionId,
    /// The tenure of that partition's pipeline.
    pub incarnation: Incarnation,
    /// Its position in that partition's change log; 0 for a copied item, which has none.
    pub position: Position,
}

/// Why an item changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A client's write in this region.
    Write,
    /// Time to live ran out.
    Ttl,
    /// A change of another region.
    Replicated,
}

impl Cause {
    /// The stored and sent form.
    pub fn to_u8(self) -> u8 {
        match self {
            Cause::Write => 0,
            Cause::Ttl => 1,
            Cause::Replicated => 2,
        }
    }

    /// Reads the stored and sent form.
    pub fn from_u8(raw: u8) -> Result<Self, DecodeError> {
        match raw {
            0 => Ok(Cause::Write),
            1 => Ok(Cause::Ttl),
            2 => Ok(Cause::Replicated),
            _ => Err(DecodeError::Unknown("cause")),
        }
    }
}

/// One item's change as one region sends it to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The encoded key.
    pub key: Vec<u8>,
    /// The encoded item; `None` is a delete.
    pub image: Option<Vec<u8>>,
    /// The version of the write.
    pub version: Version,
    /// What its writer had seen.
    pub base: VersionVector,
    /// Where it was written.
    pub origin: Origin,
    /// Why, at its origin.
    pub cause: Cause,
    /// When its origin committed it, in ms since the epoch by the origin's clock.
    pub commit_ms: u64,
}

impl Change {
    /// The change as the merge rule sees it.
    pub fn side(&self) -> Side<'_> {
        Side { version: self.version, base: &self.base, image: self.image.as_deref() }
    }

    /// Appends the change.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, &self.key);
        put_image(out, self.image.as_deref());
        put_version(out, self.version);
        put_vector(out, &self.base);
        put_origin(out, self.origin);
        out.push(self.cause.to_u8());
        put_var(out, self.commit_ms);
    }

    /// Reads a change.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Change {
            key: reader.bytes()?.to_vec(),
            image: read_image(reader)?,
            version: reader.version()?,
            base: reader.vector()?,
            origin: read_origin(reader)?,
            cause: Cause::from_u8(reader.u8()?)?,
            commit_ms: reader.var()?,
        })
    }
}

/// What an origin partition has announced to a partition that receives from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The origin region.
    pub region: RegionId,
    /// The origin partition.
    pub partition: PartitionId,
    /// First encoded key of the origin partition's range.
    pub start: Vec<u8>,
    /// First encoded key after it; `None` is the end of the table.
    pub end: Option<Vec<u8>>,
    /// Nothing at or below this version follows from that partition (W).
    pub closed: Hlc,
    /// Everything of that partition at or below this version is in every replica region.
    pub stable: Hlc,
}

impl Received {
    /// Appends the announcement.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_var(out, u64::from(self.region.to_u32()));
        put_var(out, self.partition.0);
        put_bytes(out, &self.start);
        put_image(out, self.end.as_deref());
        put_var(out, self.closed.0);
        put_var(out, self.stable.0);
    }

    /// Reads an announcement.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Received {
            region: read_region(reader)?,
            partition: PartitionId(reader.var()?),
            start: reader.bytes()?.to_vec(),
            end: read_image(reader)?,
            closed: Hlc(reader.var()?),
            stable: Hlc(reader.var()?),
        })
    }
}

/// Appends bytes that may be absent.
pub fn put_image(out: &mut Vec<u8>, image: Option<&[u8]>) {
    match image {
        None => out.push(0),
        Some(bytes) => {
            out.push(1);
            put_bytes(out, bytes);
        }
    }
}

/// Reads bytes that may be absent.
pub fn read_image(reader: &mut Reader<'_>) -> Result<Option<Vec<u8>>, DecodeError> {
    match reader.u8()? {
        0 => Ok(None),
        1 => Ok(Some(reader.bytes()?.to_vec())),
        _ => Err(DecodeError::Unknown("image")),
    }
}

/// Appends an origin.
pub fn put_origin(out: &mut Vec<u8>, origin: Origin) {
    put_var(out, u64::from(origin.region.to_u32()));
    put_var(out, origin.partition.0);
    put_var(out, origin.incarnation.0);
    put_var(out, origin.position.0);
}

/// Reads an origin.
pub fn read_origin(reader: &mut Reader<'_>) -> Result<Origin, DecodeError> {
    Ok(Origin {
        region: read_region(reader)?,
        partition: PartitionId(reader.var()?),
        incarnation: Incarnation(reader.var()?),
        position: Position(reader.var()?),
    })
}

/// Reads a region written as a `var`.
pub fn read_region(reader: &mut Reader<'_>) -> Result<RegionId, DecodeError> {
    let raw = u32::try_from(reader.var()?).map_err(|_| DecodeError::Unknown("region"))?;
    Ok(RegionId::from_u32(raw))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn change(key: Vec<u8>, image: Option<Vec<u8>>, n: u64) -> Change {
        let region = RegionId { number: 3, incarnation: 1 };
        let version = Version { hlc: Hlc(n), region };
        Change {
            key,
            image,
            version,
            base: [version].into_iter().collect(),
            origin: Origin {
                region,
                partition: PartitionId(n),
                incarnation: Incarnation(2),
                position: Position(n),
            },
            cause: Cause::Ttl,
            commit_ms: n,
        }
    }

    proptest! {
        #[test]
        fn a_change_round_trips(key: Vec<u8>, image: Option<Vec<u8>>, n: u64) {
            let change = change(key, image, n);
            let mut bytes = Vec::new();
            change.encode(&mut bytes);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(Change::decode(&mut reader), Ok(change));
            prop_assert_eq!(reader.end(), Ok(()));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let _ = Change::decode(&mut Reader::new(&bytes));
            let _ = Received::decode(&mut Reader::new(&bytes));
        }
    }
}

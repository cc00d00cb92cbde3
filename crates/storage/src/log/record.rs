//! The records of the log and their bytes (`docs/internals/log.md`).
//!
//! # Invariants
//!
//! - The checksum of a header covers the segment and the offset where it stands, so bytes of a
//!   record that lie anywhere else (a copy of a log inside an item) are never taken for one.
//! - The last byte of a header and the last byte of a record are never zero, so a record of which
//!   only a front part reached a zeroed disk can be told from a damaged one.
//!
//! Tested by round trips here and by the property tests of the log.

use meridian_base::codec::{DecodeError, Reader};

/// Bytes before the payload of a record.
pub(crate) const HEADER_BYTES: usize = 44;
/// The byte after the payload of a record.
pub(crate) const TRAILER: u8 = 0xed;
/// Bytes of a record besides its payload.
pub(crate) const FRAME_BYTES: usize = HEADER_BYTES + 1;

/// One record of the log. `group` is the stored form of the group's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogRecord {
    /// A Raft entry.
    Entry {
        /// Its group.
        group: u64,
        /// Its log index.
        index: u64,
        /// Its term.
        term: u64,
        /// Its content, opaque here.
        payload: Vec<u8>,
    },
    /// The group's vote; replaces the one before.
    Vote {
        /// Its group.
        group: u64,
        /// The vote, opaque here.
        bytes: Vec<u8>,
    },
    /// The group's committed position; replaces the one before.
    Committed {
        /// Its group.
        group: u64,
        /// The position, opaque here.
        bytes: Vec<u8>,
    },
    /// Entries of the group at `from` and later are gone.
    Truncate {
        /// Its group.
        group: u64,
        /// The first log index that is gone.
        from: u64,
    },
    /// Entries of the group up to `upto`, inclusive, are no longer needed.
    Purge {
        /// Its group.
        group: u64,
        /// The last log index that is gone.
        upto: u64,
        /// The purged position, opaque here.
        bytes: Vec<u8>,
    },
    /// The group is gone: its entries, vote and positions.
    Forget {
        /// The group.
        group: u64,
    },
}

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// Number of the segment file.
    pub segment: u64,
    /// Where the record begins in it.
    pub offset: u32,
    /// Bytes of its payload.
    pub length: u32,
}

/// What a record says. The last two are the log's own. Stored with the high bit set, so that no
/// flipped bit makes it zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Entry,
    Vote,
    Committed,
    Truncate,
    Purge,
    Forget,
    /// Segments before `index` are no longer part of the log.
    Trim,
    /// The segment is complete; the next one exists.
    Seal,
}

impl Kind {
    fn to_u8(self) -> u8 {
        match self {
            Kind::Entry => 0x81,
            Kind::Vote => 0x82,
            Kind::Committed => 0x83,
            Kind::Truncate => 0x84,
            Kind::Purge => 0x85,
            Kind::Forget => 0x86,
            Kind::Trim => 0x87,
            Kind::Seal => 0x88,
        }
    }

    fn from_u8(raw: u8) -> Option<Self> {
        Some(match raw {
            0x81 => Kind::Entry,
            0x82 => Kind::Vote,
            0x83 => Kind::Committed,
            0x84 => Kind::Truncate,
            0x85 => Kind::Purge,
            0x86 => Kind::Forget,
            0x87 => Kind::Trim,
            0x88 => Kind::Seal,
            _ => return None,
        })
    }
}

/// A record without copies of its payload: what both the caller's records and the log's own
/// become before they are written, and what replay reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raw<'a> {
    pub kind: Kind,
    pub group: u64,
    pub index: u64,
    pub term: u64,
    pub payload: &'a [u8],
}

impl<'a> Raw<'a> {
    /// A record of the log's own.
    pub fn own(kind: Kind, index: u64) -> Raw<'static> {
        Raw { kind, group: 0, index, term: 0, payload: &[] }
    }

    /// Its bytes in a segment.
    pub fn size(&self) -> usize {
        FRAME_BYTES + self.payload.len()
    }
}

impl<'a> From<&'a LogRecord> for Raw<'a> {
    fn from(record: &'a LogRecord) -> Self {
        let raw = |kind, group: &u64, index: &u64, payload| Raw {
            kind,
            group: *group,
            index: *index,
            term: 0,
            payload,
        };
        match record {
            LogRecord::Entry { group, index, term, payload } => {
                Raw { term: *term, ..raw(Kind::Entry, group, index, payload) }
            }
            LogRecord::Vote { group, bytes } => raw(Kind::Vote, group, &0, bytes),
            LogRecord::Committed { group, bytes } => raw(Kind::Committed, group, &0, bytes),
            LogRecord::Truncate { group, from } => raw(Kind::Truncate, group, from, &[]),
            LogRecord::Purge { group, upto, bytes } => raw(Kind::Purge, group, upto, bytes),
            LogRecord::Forget { group } => raw(Kind::Forget, group, &0, &[]),
        }
    }
}

/// The fixed part of a record whose checksum holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub kind: Kind,
    pub group: u64,
    pub index: u64,
    pub term: u64,
    pub length: u32,
    /// Every byte of the segment before this offset had been synced when the record was written.
    pub synced: u32,
    payload_crc: u32,
}

fn header_crc(segment: u64, offset: u32, rest: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&segment.to_be_bytes());
    crc.update(&offset.to_be_bytes());
    crc.update(rest);
    crc.finalize()
}

/// Appends the bytes of a record that stands at `place`.
///
/// `length` of the place is that of the payload.
pub(crate) fn put_record(out: &mut Vec<u8>, place: Location, synced: u32, record: &Raw<'_>) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&crc32fast::hash(record.payload).to_be_bytes());
    out.extend_from_slice(&place.length.to_be_bytes());
    out.extend_from_slice(&synced.to_be_bytes());
    out.extend_from_slice(&record.group.to_be_bytes());
    out.extend_from_slice(&record.index.to_be_bytes());
    out.extend_from_slice(&record.term.to_be_bytes());
    out.extend_from_slice(&[0, 0, 0, record.kind.to_u8()]);
    let crc = header_crc(place.segment, place.offset, &out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_be_bytes());
    out.extend_from_slice(record.payload);
    out.push(TRAILER);
}

impl Header {
    /// Reads the header that stands at `offset` of `segment`, from the front of `bytes`.
    pub fn read(segment: u64, offset: u32, bytes: &[u8]) -> Result<Header, DecodeError> {
        let bytes = bytes.get(..HEADER_BYTES).ok_or(DecodeError::Short)?;
        let kind = Kind::from_u8(bytes[HEADER_BYTES - 1]).ok_or(DecodeError::Unknown("kind"))?;
        let mut reader = Reader::new(bytes);
        if reader.u32()? != header_crc(segment, offset, &bytes[4..]) {
            return Err(DecodeError::Unknown("header checksum"));
        }
        let payload_crc = reader.u32()?;
        let length = reader.u32()?;
        let synced = reader.u32()?;
        let (group, index, term) = (reader.u64()?, reader.u64()?, reader.u64()?);
        Ok(Header { kind, group, index, term, length, synced, payload_crc })
    }

    /// Bytes of the whole record; saturates on a platform that could not hold it.
    pub fn record_bytes(&self) -> usize {
        usize::try_from(self.length).map_or(usize::MAX, |n| n.saturating_add(FRAME_BYTES))
    }

    /// The payload within the bytes of the record, checked.
    pub fn payload<'a>(&self, record: &'a [u8]) -> Result<&'a [u8], DecodeError> {
        let record = record.get(..self.record_bytes()).ok_or(DecodeError::Short)?;
        let (payload, trailer) = record[HEADER_BYTES..].split_at(record.len() - FRAME_BYTES);
        if trailer != [TRAILER] || crc32fast::hash(payload) != self.payload_crc {
            return Err(DecodeError::Unknown("payload checksum"));
        }
        Ok(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place(offset: u32, length: usize) -> Location {
        Location { segment: 7, offset, length: u32::try_from(length).unwrap() }
    }

    proptest! {
        #[test]
        fn a_record_round_trips_and_any_flipped_bit_is_seen(
            group: u64, index: u64, term: u64, offset: u32, payload: Vec<u8>, at: usize, bit in 0u8..8,
        ) {
            let record = LogRecord::Entry { group, index, term, payload: payload.clone() };
            let mut bytes = Vec::new();
            put_record(&mut bytes, place(offset, payload.len()), 3, &Raw::from(&record));
            let header = Header::read(7, offset, &bytes).unwrap();
            prop_assert_eq!((header.group, header.index, header.term), (group, index, term));
            prop_assert_eq!(header.synced, 3);
            prop_assert_eq!(header.payload(&bytes).unwrap(), payload.as_slice());
            prop_assert!(Header::read(8, offset, &bytes).is_err());

            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let read = Header::read(7, offset, &bytes)
                .and_then(|h| h.payload(&bytes).map(<[u8]>::to_vec));
            prop_assert!(read.is_err());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            if let Ok(header) = Header::read(1, 0, &bytes) {
                let _ = header.payload(&bytes);
            }
        }
    }
}

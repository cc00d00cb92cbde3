//! One segment file: its name, its header, and reading its records back.
//!
//! # Invariants
//!
//! - A segment that is not the last ends with a seal. The next segment was made durable before the
//!   seal was written, and no record is written to it before the seal is durable.
//! - A torn tail is accepted only where bytes that were never synced can have been lost; everything
//!   else that does not check is damage.
//!
//! Tested by the property tests of the log and by `log/damage_tests.rs`.

use super::record::{HEADER_BYTES, Header, Kind, Raw};
use crate::StorageError;
use meridian_base::codec::Reader;
use std::path::Path;

/// Bytes before the first record of a segment.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 40;
/// The format that this program writes.
pub(crate) const FORMAT: u32 = 1;
const MAGIC: &[u8; 8] = b"MERIDLOG";
/// The unit that a disk writes whole.
const SECTOR_BYTES: usize = 512;

/// The start of a segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub segment: u64,
    /// How many records all segments before it held, since the log was made.
    pub first_sequence: u64,
    /// The oldest segment of the log when this one was made.
    pub oldest: u64,
}

/// The file name of a segment.
pub(crate) fn file_name(segment: u64) -> String {
    format!("{segment:016x}.log")
}

/// The segment of a file name; `None` for other files.
pub(crate) fn parse_file_name(name: &str) -> Option<u64> {
    let number = name.strip_suffix(".log").filter(|n| n.len() == 16)?;
    u64::from_str_radix(number, 16).ok()
}

impl SegmentHeader {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT.to_be_bytes());
        out.extend_from_slice(&self.segment.to_be_bytes());
        out.extend_from_slice(&self.first_sequence.to_be_bytes());
        out.extend_from_slice(&self.oldest.to_be_bytes());
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_be_bytes());
        out
    }

    /// Reads the header of the file at `path`, which must be that of `segment`.
    pub fn read(path: &Path, segment: u64, bytes: &[u8]) -> Result<Self, StorageError> {
        let bad = |why| StorageError::corrupt(path, 0, why);
        let bytes = bytes.get(..SEGMENT_HEADER_BYTES).ok_or_else(|| bad("the header is short"))?;
        let (body, crc) = bytes.split_at(SEGMENT_HEADER_BYTES - 4);
        if crc != crc32fast::hash(body).to_be_bytes() || !body.starts_with(MAGIC) {
            return Err(bad("the header's checksum does not hold"));
        }
        let mut reader = Reader::new(&body[MAGIC.len()..]);
        let mut fields = || {
            Some((reader.u32().ok()?, reader.u64().ok()?, reader.u64().ok()?, reader.u64().ok()?))
        };
        let (format, found, first_sequence, oldest) =
            fields().ok_or_else(|| bad("the header is short"))?;
        if format != FORMAT {
            return Err(StorageError::NewerFormat {
                file: path.into(),
                found: format,
                known: FORMAT,
            });
        }
        if found != segment {
            return Err(bad("the header names another segment"));
        }
        Ok(SegmentHeader { segment, first_sequence, oldest })
    }
}

/// How the records of a segment end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With a seal, which ends at `at`.
    Sealed { at: usize },
    /// Only zeros follow.
    Clean { at: usize },
    /// What follows is not a record.
    Broken { at: usize, why: &'static str },
}

/// A segment read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scanned {
    pub end: End,
    /// Records before the end, the seal included.
    pub records: u64,
    /// Bytes before this offset are known to have been synced.
    pub synced: usize,
}

/// Visits the records of a segment in order, with the offset of each.
pub(crate) fn scan<'a>(
    segment: u64,
    bytes: &'a [u8],
    mut visit: impl FnMut(u32, Raw<'a>) -> Result<(), StorageError>,
) -> Result<Scanned, StorageError> {
    let mut scanned =
        Scanned { end: End::Clean { at: bytes.len() }, records: 0, synced: SEGMENT_HEADER_BYTES };
    let mut at = SEGMENT_HEADER_BYTES;
    loop {
        let rest = bytes.get(at..).unwrap_or(&[]);
        let (header, payload) = match read_record(segment, at, rest) {
            Ok(Some(found)) => found,
            Ok(None) => {
                scanned.end = End::Clean { at };
                return Ok(scanned);
            }
            Err(why) => {
                scanned.end = End::Broken { at, why };
                return Ok(scanned);
            }
        };
        let offset = u32::try_from(at).unwrap_or(u32::MAX);
        at += header.record_bytes();
        scanned.records += 1;
        scanned.synced = scanned.synced.max(usize::try_from(header.synced).unwrap_or(0));
        if header.kind == Kind::Seal {
            scanned.end = End::Sealed { at };
            return Ok(scanned);
        }
        let Header { kind, group, index, term, .. } = header;
        visit(offset, Raw { kind, group, index, term, payload })?;
    }
}

/// The record at the front of `rest`, or `None` where only zeros follow.
fn read_record(
    segment: u64,
    at: usize,
    rest: &[u8],
) -> Result<Option<(Header, &[u8])>, &'static str> {
    let offset = u32::try_from(at).map_err(|_| "the segment is too long")?;
    match Header::read(segment, offset, rest) {
        Ok(header) => match header.payload(rest) {
            Ok(payload) => Ok(Some((header, payload))),
            Err(_) => Err("a record's payload does not check"),
        },
        Err(_) if rest.iter().all(|b| *b == 0) => Ok(None),
        Err(_) => Err("a record's header does not check"),
    }
}

/// Whether the bytes from `at` can be the rest of a write that a crash interrupted.
///
/// They cannot when a later record was written after a sync that covered `at`. Nor can they when
/// nothing of the broken record is missing: what a crash loses of a fresh file reads as zeros or
/// is past its end, either from some byte to the end of the file, or in whole sectors.
pub(crate) fn is_torn(segment: u64, bytes: &[u8], at: usize) -> bool {
    !has_witness(segment, bytes, at) && looks_unwritten(segment, bytes, at)
}

fn has_witness(segment: u64, bytes: &[u8], at: usize) -> bool {
    (at + 1..bytes.len()).any(|later| {
        let synced = u32::try_from(later)
            .ok()
            .and_then(|offset| Header::read(segment, offset, &bytes[later..]).ok())
            .and_then(|header| usize::try_from(header.synced).ok());
        synced.is_some_and(|synced| synced > at)
    })
}

fn looks_unwritten(segment: u64, bytes: &[u8], at: usize) -> bool {
    let length = u32::try_from(at)
        .ok()
        .and_then(|offset| Header::read(segment, offset, &bytes[at..]).ok())
        .map_or(HEADER_BYTES, |header| header.record_bytes());
    let end = at.saturating_add(length);
    if end > bytes.len() || bytes[end - 1..].iter().all(|b| *b == 0) {
        return true;
    }
    let sector_end = |at: usize| ((at / SECTOR_BYTES + 1) * SECTOR_BYTES).min(bytes.len());
    let mut from = at;
    while from < end {
        let to = sector_end(from);
        if bytes[from..to].iter().all(|b| *b == 0) {
            return true;
        }
        from = to;
    }
    false
}

/// Whether a file whose header does not check can be one that a crash interrupted before its
/// header was durable: nothing was written behind the header then.
pub(crate) fn is_unborn(bytes: &[u8]) -> bool {
    bytes.get(SEGMENT_HEADER_BYTES..).unwrap_or(&[]).iter().all(|b| *b == 0)
}

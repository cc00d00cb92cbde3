//! What all formats share: magic, checksum, and a reader that knows where it is.
//!
//! # Invariants
//!
//! - Bytes whose checksum is wrong are not read further.
//! - An error about bytes names the object and where in it.
//!
//! Tested by the formats that use it.

use crate::error::ArchiveError;
use meridian_base::codec::{DecodeError, Reader};

const FORMAT: u8 = 1;
const CHECKSUM_BYTES: usize = 4;

/// What a sealed object holds, so that one kind is never read as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A segment of a change log.
    Segment,
    /// Items of a base.
    Chunk,
    /// The end of a base.
    End,
    /// How far a partition is archived.
    Watermark,
    /// A table's definition and partitions.
    Meta,
}

impl Kind {
    fn to_u8(self) -> u8 {
        match self {
            Kind::Segment => 1,
            Kind::Chunk => 2,
            Kind::End => 3,
            Kind::Watermark => 4,
            Kind::Meta => 5,
        }
    }

    /// Starts the plain bytes of an object of this kind.
    pub(crate) fn start(self) -> Vec<u8> {
        vec![self.to_u8(), FORMAT]
    }
}

/// Reads the plain bytes of an object and says where it failed.
#[derive(Debug)]
pub(crate) struct Body<'a> {
    object: &'a str,
    bytes: usize,
    reader: Reader<'a>,
}

impl<'a> Body<'a> {
    /// Starts behind the kind and the format, which must be the expected ones.
    pub(crate) fn new(object: &'a str, bytes: &'a [u8], kind: Kind) -> Result<Self, ArchiveError> {
        let mut body = Body { object, bytes: bytes.len(), reader: Reader::new(bytes) };
        if body.read(Reader::u8)? != kind.to_u8() {
            return Err(damaged(object, 0, "it is not the kind of object that its name says"));
        }
        if body.read(Reader::u8)? != FORMAT {
            return Err(damaged(object, 1, "its format is unknown"));
        }
        Ok(body)
    }

    /// Reads one value.
    pub(crate) fn read<T>(
        &mut self,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
    ) -> Result<T, ArchiveError> {
        let offset = self.offset();
        read(&mut self.reader).map_err(|error| damaged(self.object, offset, error.to_string()))
    }

    /// Reads a `var`.
    pub(crate) fn var(&mut self) -> Result<u64, ArchiveError> {
        self.read(Reader::var)
    }

    /// Reads a `var` of 32 bits.
    pub(crate) fn var32(&mut self) -> Result<u32, ArchiveError> {
        self.read(|reader| u32::try_from(reader.var()?).map_err(|_| DecodeError::Unknown("number")))
    }

    /// Reads a byte string.
    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>, ArchiveError> {
        self.read(|reader| Ok(reader.bytes()?.to_vec()))
    }

    /// How many bytes were read.
    pub(crate) fn offset(&self) -> usize {
        self.bytes.saturating_sub(self.reader.rest().len())
    }

    /// The error that the value at `offset` is wrong.
    pub(crate) fn damaged(&self, offset: usize, what: impl Into<String>) -> ArchiveError {
        damaged(self.object, offset, what)
    }

    /// Checks that nothing is left.
    pub(crate) fn end(&self) -> Result<(), ArchiveError> {
        let end = self.reader.end();
        end.map_err(|error| damaged(self.object, self.offset(), error.to_string()))
    }
}

/// The error that an object's bytes are wrong at `offset`.
pub(crate) fn damaged(object: &str, offset: usize, what: impl Into<String>) -> ArchiveError {
    ArchiveError::Damaged { object: object.to_owned(), offset, what: what.into() }
}

/// Appends the CRC-32 of everything before it.
pub(crate) fn put_checksum(out: &mut Vec<u8>) {
    let sum = crc32fast::hash(out);
    out.extend_from_slice(&sum.to_be_bytes());
}

/// The bytes before the checksum, with magic, checksum and format found right.
pub(crate) fn checked<'a>(
    object: &str,
    bytes: &'a [u8],
    magic: [u8; 4],
    format: u8,
) -> Result<&'a [u8], ArchiveError> {
    let (body, sum) = bytes
        .split_last_chunk::<CHECKSUM_BYTES>()
        .ok_or_else(|| damaged(object, bytes.len(), "the bytes end early"))?;
    let (found, rest) = body
        .split_first_chunk::<4>()
        .ok_or_else(|| damaged(object, bytes.len(), "the bytes end early"))?;
    if *found != magic {
        return Err(damaged(object, 0, "it does not begin as an object of the archive"));
    }
    if u32::from_be_bytes(*sum) != crc32fast::hash(body) {
        return Err(damaged(object, body.len(), "the checksum differs"));
    }
    match rest.first() {
        Some(found) if *found == format => Ok(body),
        _ => Err(damaged(object, magic.len(), "its format is unknown")),
    }
}

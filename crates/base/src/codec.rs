//! Reading and writing the primitive parts of stored bytes.
//!
//! Integers are unsigned LEB128 (`var`) or fixed big-endian; byte strings carry their length as a
//! `var`. A reader never panics and never allocates more than the input holds.

use crate::hlc::{Hlc, Version, VersionVector};
use crate::ids::RegionId;

/// Why bytes could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The input ended within a value.
    #[error("the bytes end early")]
    Short,
    /// A tag, a version or a length that no writer of this program makes.
    #[error("the bytes hold an unknown {0}")]
    Unknown(&'static str),
    /// Bytes were left after the last value.
    #[error("{0} bytes are left over")]
    Leftover(usize),
}

/// Appends `value` as unsigned LEB128.
pub fn put_var(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Appends a byte string with its length.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_var(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a version: fixed 12 bytes.
pub fn put_version(out: &mut Vec<u8>, version: Version) {
    out.extend_from_slice(&version.hlc.0.to_be_bytes());
    out.extend_from_slice(&version.region.to_u32().to_be_bytes());
}

/// Appends a version vector.
pub fn put_vector(out: &mut Vec<u8>, vector: &VersionVector) {
    put_var(out, vector.len() as u64);
    vector.iter().for_each(|v| put_version(out, v));
}

/// Reads values off the front of a byte slice.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// Bytes not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// True when all is read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Reads exactly `len` bytes.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(DecodeError::Short)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// Reads one byte.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    /// Reads a fixed big-endian `u32`.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// Reads a fixed big-endian `u64`.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// Reads an unsigned LEB128.
    pub fn var(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            if shift == 63 && byte > 1 {
                return Err(DecodeError::Unknown("integer"));
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Unknown("integer"))
    }

    /// Reads a length or count that the remaining bytes can hold.
    pub fn len(&mut self) -> Result<usize, DecodeError> {
        let len = usize::try_from(self.var()?).map_err(|_| DecodeError::Unknown("length"))?;
        if len > self.rest.len() { Err(DecodeError::Short) } else { Ok(len) }
    }

    /// Reads a byte string with its length.
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.len()?;
        self.take(len)
    }

    /// Reads a UTF-8 string with its length.
    pub fn str(&mut self) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| DecodeError::Unknown("text"))
    }

    /// Reads a version.
    pub fn version(&mut self) -> Result<Version, DecodeError> {
        let hlc = Hlc(self.u64()?);
        Ok(Version { hlc, region: RegionId::from_u32(self.u32()?) })
    }

    /// Reads a version vector.
    pub fn vector(&mut self) -> Result<VersionVector, DecodeError> {
        let count = self.len()?;
        (0..count).map(|_| self.version()).collect()
    }

    /// Checks that nothing is left.
    pub fn end(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::Leftover(self.rest.len())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integers_and_bytes_round_trip(n: u64, bytes: Vec<u8>) {
            let mut out = Vec::new();
            put_var(&mut out, n);
            put_bytes(&mut out, &bytes);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.var(), Ok(n));
            prop_assert_eq!(reader.bytes(), Ok(bytes.as_slice()));
            prop_assert_eq!(reader.end(), Ok(()));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes);
            let _ = (reader.vector(), reader.str(), reader.var(), reader.version());
        }
    }
}

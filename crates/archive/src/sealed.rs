//! The envelope of every object but the wrapped keys: compressed, encrypted, bound to its name.
//!
//! # Invariants
//!
//! - An object opens only with its data key, under the name under which it was sealed, and whole.
//! - Damage by chance (`Damaged`, by the checksum, which needs no key) is told from bytes that were
//!   moved or made by somebody else (`Misplaced`, by the tag).
//!
//! Tested by `sealed/tests.rs` and the samples.

#[cfg(test)]
mod tests;

use crate::body::{checked, damaged, put_checksum};
use crate::error::ArchiveError;
use crate::keys::{DataKey, NONCE_BYTES, array};
use meridian_base::codec::Reader;
use meridian_base::packed::{pack, unpack};

/// Largest plain content of an object: 64 MiB.
pub const PLAIN_BYTES_MAX: usize = 64 * 1024 * 1024;

const MAGIC: [u8; 4] = *b"MRDA";
const FORMAT: u8 = 1;
const NUMBER_AT: usize = 5;
/// Magic, format, data key, nonce.
const HEADER_BYTES: usize = NUMBER_AT + 4 + NONCE_BYTES;

/// The sealed form of `plain` for the object `name`, which is the whole name with the table's
/// prefix. `nonce` is new and random.
///
/// # Panics
///
/// When `plain` is longer than [`PLAIN_BYTES_MAX`]: who cuts segments and chunks keeps below it.
pub fn seal(key: &DataKey, name: &str, nonce: [u8; NONCE_BYTES], plain: &[u8]) -> Vec<u8> {
    assert!(plain.len() <= PLAIN_BYTES_MAX, "{name} has {} plain bytes", plain.len());
    let packed = pack(plain);
    let mut out = Vec::with_capacity(HEADER_BYTES + packed.len() + 32);
    out.extend_from_slice(&MAGIC);
    out.push(FORMAT);
    out.extend_from_slice(&key.number().to_be_bytes());
    out.extend_from_slice(&nonce);
    let sealed = key.encrypt(nonce, &packed, &bound(&out, name));
    out.extend_from_slice(&sealed);
    put_checksum(&mut out);
    out
}

/// The plain content of a sealed object; `keys` finds a data key by its number. Errors: `Damaged`,
/// `UnknownKey`, `Misplaced`.
pub fn open<'k>(
    keys: impl FnOnce(u32) -> Option<&'k DataKey>,
    name: &str,
    bytes: &[u8],
) -> Result<Vec<u8>, ArchiveError> {
    let parts = Parts::read(name, bytes)?;
    let key = keys(parts.number).ok_or_else(|| ArchiveError::UnknownKey {
        object: name.to_owned(),
        number: parts.number,
    })?;
    let packed = key
        .decrypt(parts.nonce, parts.sealed, &bound(parts.header, name))
        .ok_or_else(|| ArchiveError::Misplaced { object: name.to_owned() })?;
    unpack(&packed, PLAIN_BYTES_MAX).map_err(|what| damaged(name, HEADER_BYTES, what))
}

/// The number of the data key that opens a sealed object. Error: `Damaged`.
pub fn key_number(name: &str, bytes: &[u8]) -> Result<u32, ArchiveError> {
    Ok(Parts::read(name, bytes)?.number)
}

struct Parts<'a> {
    header: &'a [u8],
    number: u32,
    nonce: [u8; NONCE_BYTES],
    sealed: &'a [u8],
}

impl<'a> Parts<'a> {
    fn read(name: &str, bytes: &'a [u8]) -> Result<Self, ArchiveError> {
        let body = checked(name, bytes, MAGIC, FORMAT)?;
        let short = |_| damaged(name, bytes.len(), "the bytes end early");
        let mut reader = Reader::new(body);
        let header = reader.take(HEADER_BYTES).map_err(short)?;
        let mut fields = Reader::new(header);
        fields.take(NUMBER_AT).map_err(short)?;
        let number = fields.u32().map_err(short)?;
        let nonce = array(fields.take(NONCE_BYTES).map_err(short)?);
        Ok(Parts { header, number, nonce, sealed: reader.rest() })
    }
}

/// What the tag covers besides the content.
fn bound(header: &[u8], name: &str) -> Vec<u8> {
    [header, name.as_bytes()].concat()
}

//! The master key, which never enters the archive, and the data keys, which lie in it wrapped.
//!
//! Every object is sealed with a data key; a data key is wrapped with the master key. A new master
//! key therefore needs only the data keys wrapped again. Nonces arrive as arguments: a caller gives
//! each seal and each wrap 12 new random bytes, and takes a new data key before 2^32 objects.
//!
//! # Invariants
//!
//! - No key is printed: not by `Debug`, not in an error.
//! - A wrapped key opens only with the master key that wrapped it, and only with its own number.
//!
//! Tested by `keys/tests.rs`.

#[cfg(test)]
mod tests;

use crate::body::put_checksum;
use crate::error::ArchiveError;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use meridian_base::codec::Reader;
use sha2::{Digest, Sha256};
use std::fmt;

/// Length of a nonce.
pub const NONCE_BYTES: usize = 12;

const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
const ID_BYTES: usize = 8;
const MAGIC: [u8; 4] = *b"MRDK";
const FORMAT: u8 = 1;
/// Magic, format, master key, number, nonce.
const HEADER_BYTES: usize = 4 + 1 + ID_BYTES + 4 + NONCE_BYTES;

/// Base64 with or without its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Names a master key without telling it: the first 8 bytes of its SHA-256. Shown as hex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId(pub [u8; ID_BYTES]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// The key of the operator, which wraps data keys; with those that it came after, which only unwrap.
#[derive(Clone)]
pub struct MasterKey {
    secret: [u8; KEY_BYTES],
    id: KeyId,
    older: Vec<MasterKey>,
}

impl MasterKey {
    /// The master key of 32 random bytes.
    pub fn new(secret: [u8; KEY_BYTES]) -> Self {
        let digest: [u8; 32] = Sha256::digest(secret).into();
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&digest[..ID_BYTES]);
        MasterKey { secret, id: KeyId(id), older: Vec::new() }
    }

    /// Reads the content of a key file: 64 hexadecimal digits, or 32 bytes in base64 (padded or
    /// not), with white space around it. Anything else is `MasterKeyText`.
    pub fn parse(text: &str) -> Result<Self, ArchiveError> {
        let text = text.trim();
        from_hex(text)
            .or_else(|| BASE64.decode(text).ok()?.try_into().ok())
            .map(MasterKey::new)
            .ok_or_else(|| ArchiveError::MasterKeyText { characters: text.chars().count() })
    }

    /// The same, which also opens what older keys wrapped.
    #[must_use]
    pub fn after(self, older: Vec<MasterKey>) -> Self {
        MasterKey { older, ..self }
    }

    /// Names this key without telling it.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// A data key as it lies in the archive; `nonce` is new and random.
    pub fn wrap(&self, key: &DataKey, nonce: [u8; NONCE_BYTES]) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + KEY_BYTES + TAG_BYTES + 4);
        out.extend_from_slice(&MAGIC);
        out.push(FORMAT);
        out.extend_from_slice(&self.id.0);
        out.extend_from_slice(&key.number.to_be_bytes());
        out.extend_from_slice(&nonce);
        let sealed = encrypt(&self.secret, nonce, &key.secret, &out);
        out.extend_from_slice(&sealed);
        put_checksum(&mut out);
        out
    }

    /// The master key that wrapped a data key; `object` is its name, for errors: `Damaged`.
    pub fn wrapper_of(object: &str, bytes: &[u8]) -> Result<KeyId, ArchiveError> {
        let body = crate::body::checked(object, bytes, MAGIC, FORMAT)?;
        let id = body.get(MAGIC.len() + 1..MAGIC.len() + 1 + ID_BYTES);
        id.map(|id| KeyId(array(id))).ok_or_else(|| ArchiveError::Damaged {
            object: object.to_owned(),
            offset: bytes.len(),
            what: "the bytes end early".to_owned(),
        })
    }

    /// Reads a wrapped data key; `object` is its name, for errors: `Damaged`, or `WrongKey` when
    /// neither this master key nor an older one wrapped it.
    pub fn unwrap(&self, object: &str, bytes: &[u8]) -> Result<DataKey, ArchiveError> {
        let damaged = |offset, what: &str| ArchiveError::Damaged {
            object: object.to_owned(),
            offset,
            what: what.to_owned(),
        };
        let body = crate::body::checked(object, bytes, MAGIC, FORMAT)?;
        let mut reader = Reader::new(body.get(MAGIC.len() + 1..).unwrap_or_default());
        let short = |_| damaged(bytes.len(), "the bytes end early");
        let needed = KeyId(array(reader.take(ID_BYTES).map_err(short)?));
        let number = reader.u32().map_err(short)?;
        let nonce = array(reader.take(NONCE_BYTES).map_err(short)?);
        let mut keys = std::iter::once(self).chain(&self.older);
        let key = keys.find(|key| key.id == needed);
        let key = key.ok_or(ArchiveError::WrongKey { needed, given: self.id })?;
        let header = body.get(..HEADER_BYTES).unwrap_or_default();
        decrypt(&key.secret, nonce, reader.rest(), header)
            .and_then(|plain| plain.try_into().ok())
            .map(|secret| DataKey { number, secret })
            .ok_or_else(|| damaged(HEADER_BYTES, "the master key does not open it"))
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({}, <hidden>)", self.id)
    }
}

/// A key that seals objects.
#[derive(Clone, PartialEq, Eq)]
pub struct DataKey {
    number: u32,
    secret: [u8; KEY_BYTES],
}

impl DataKey {
    /// The data key of 32 random bytes; its number is unique in the table's archive.
    pub fn new(number: u32, secret: [u8; KEY_BYTES]) -> Self {
        DataKey { number, secret }
    }

    /// Its number, which the objects sealed with it name.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Seals `plain`, bound to `header` and `name`.
    pub(crate) fn encrypt(&self, nonce: [u8; NONCE_BYTES], plain: &[u8], bound: &[u8]) -> Vec<u8> {
        encrypt(&self.secret, nonce, plain, bound)
    }

    /// Opens what [`DataKey::encrypt`] sealed; none when key, nonce or what it is bound to differ.
    pub(crate) fn decrypt(
        &self,
        nonce: [u8; NONCE_BYTES],
        sealed: &[u8],
        bound: &[u8],
    ) -> Option<Vec<u8>> {
        decrypt(&self.secret, nonce, sealed, bound)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKey({}, <hidden>)", self.number)
    }
}

fn encrypt(
    secret: &[u8; KEY_BYTES],
    nonce: [u8; NONCE_BYTES],
    plain: &[u8],
    bound: &[u8],
) -> Vec<u8> {
    Aes256Gcm::new(secret.into())
        .encrypt(&Nonce::from(nonce), Payload { msg: plain, aad: bound })
        .expect("AES-GCM refuses only more than 64 GiB")
}

fn decrypt(
    secret: &[u8; KEY_BYTES],
    nonce: [u8; NONCE_BYTES],
    sealed: &[u8],
    bound: &[u8],
) -> Option<Vec<u8>> {
    let payload = Payload { msg: sealed, aad: bound };
    Aes256Gcm::new(secret.into()).decrypt(&Nonce::from(nonce), payload).ok()
}

/// The bytes as an array; both lengths are `N` wherever it is called.
pub(crate) fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("a reader takes exactly as many bytes as it is asked for")
}

fn from_hex(text: &str) -> Option<[u8; KEY_BYTES]> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16)?.try_into().ok()).collect::<Option<_>>()?;
    let bytes: Vec<u8> =
        digits.chunks(2).map(|pair| pair.iter().fold(0, |n, d| n << 4 | d)).collect();
    if digits.len() == 2 * KEY_BYTES { bytes.try_into().ok() } else { None }
}

//! The key of an item and its bytes.
//!
//! `xxh64(partition value) big-endian | partition value, escaped, ended | sort value`. A value is
//! its UTF-8 bytes, its bytes, or [`Number::encode`]. Escaping writes `00` as `00 ff` and ends with
//! `00 00`, so no partition value is the prefix of another. The sort value stands at the end and
//! needs no escape.
//!
//! # Invariants
//!
//! - All keys of one partition key value share [`partition_prefix`], and only they.
//! - Within it, bytes order as DynamoDB orders sort key values.
//!
//! Tested by `key/tests.rs`.

#[cfg(test)]
mod tests;

use meridian_base::codec::{DecodeError, Reader};
use xxhash_rust::xxh64::xxh64;

use crate::number::Number;
use crate::schema::{KeyKind, KeySchema};
use crate::value::{AttributeValue, Item};

/// Length of the hash at the front of every encoded key, bytes.
pub const HASH_BYTES: usize = 8;

/// The key attribute values of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The partition key value: S, N or B.
    pub partition: AttributeValue,
    /// The sort key value where the schema has one: S, N or B.
    pub sort: Option<AttributeValue>,
}

/// A key as ordered bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EncodedKey(pub Vec<u8>);

impl EncodedKey {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, owned.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl AsRef<[u8]> for EncodedKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Key {
    /// Names the values, as in a `Key` or `LastEvaluatedKey`.
    pub fn to_item(&self, schema: &KeySchema) -> Item {
        let mut item = Item::new();
        item.insert(schema.partition.name.clone(), self.partition.clone());
        if let (Some(attribute), Some(value)) = (&schema.sort, &self.sort) {
            item.insert(attribute.name.clone(), value.clone());
        }
        item
    }

    /// The ordered bytes of this key.
    pub fn encode(&self) -> EncodedKey {
        let prefix = partition_prefix(&self.partition);
        EncodedKey(match &self.sort {
            Some(sort) => sort_bound(&prefix, sort),
            None => prefix,
        })
    }
}

impl KeySchema {
    /// Reads the bytes of [`Key::encode`]; refuses every other form.
    pub fn decode_key(&self, bytes: &[u8]) -> Result<Key, DecodeError> {
        let (hash, rest) = bytes.split_at_checked(HASH_BYTES).ok_or(DecodeError::Short)?;
        let (partition, rest) = unescape(rest)?;
        if xxh64(&partition, 0).to_be_bytes() != hash {
            return Err(DecodeError::Unknown("key hash"));
        }
        let partition = read_value(self.partition.kind, &partition)?;
        let sort = match &self.sort {
            Some(attribute) => Some(read_value(attribute.kind, rest)?),
            None if rest.is_empty() => None,
            None => return Err(DecodeError::Leftover(rest.len())),
        };
        Ok(Key { partition, sort })
    }
}

/// The hash of a partition key value, by which items spread over partitions.
pub fn partition_hash(partition: &AttributeValue) -> u64 {
    xxh64(&value_bytes(partition), 0)
}

/// The bytes with which all keys of one partition key value start.
pub fn partition_prefix(partition: &AttributeValue) -> Vec<u8> {
    let value = value_bytes(partition);
    let mut out = Vec::with_capacity(HASH_BYTES + value.len() + 2);
    out.extend_from_slice(&xxh64(&value, 0).to_be_bytes());
    escape(&value, &mut out);
    out.extend_from_slice(&[0, 0]);
    out
}

/// Writes a value so that none is the prefix of another once each is ended by `00 00`.
pub(crate) fn escape(value: &[u8], out: &mut Vec<u8>) {
    for byte in value {
        out.push(*byte);
        if *byte == 0 {
            out.push(0xff);
        }
    }
}

/// Splits an encoded key behind its [`partition_prefix`]; none when it has no such form.
pub(crate) fn split_prefix(encoded: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, rest) = unescape(encoded.get(HASH_BYTES..)?).ok()?;
    encoded.split_at_checked(encoded.len() - rest.len())
}

/// `prefix` followed by a sort key value: the key itself, a bound of a Query, or, for S and B, what
/// all keys start with whose sort key `begins_with` the value.
pub fn sort_bound(prefix: &[u8], sort: &AttributeValue) -> Vec<u8> {
    let mut out = prefix.to_vec();
    out.extend_from_slice(&value_bytes(sort));
    out
}

/// The smallest bytes above everything that starts with `prefix`; none when there are none.
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// Order-preserving bytes of a key value. Key values are checked to be S, N or B before they get
/// here; any other gives no bytes.
pub(crate) fn value_bytes(value: &AttributeValue) -> Vec<u8> {
    match value {
        AttributeValue::S(text) => text.as_bytes().to_vec(),
        AttributeValue::B(bytes) => bytes.clone(),
        AttributeValue::N(number) => {
            let mut out = Vec::new();
            number.encode(&mut out);
            out
        }
        AttributeValue::Ss(_)
        | AttributeValue::Ns(_)
        | AttributeValue::Bs(_)
        | AttributeValue::L(_)
        | AttributeValue::M(_)
        | AttributeValue::Bool(_)
        | AttributeValue::Null => Vec::new(),
    }
}

/// Splits an escaped value off the front.
pub(crate) fn unescape(mut bytes: &[u8]) -> Result<(Vec<u8>, &[u8]), DecodeError> {
    let mut value = Vec::new();
    loop {
        match bytes {
            [0, 0, rest @ ..] => return Ok((value, rest)),
            [0, 0xff, rest @ ..] => {
                value.push(0);
                bytes = rest;
            }
            [0, _, ..] => return Err(DecodeError::Unknown("key escape")),
            [byte, rest @ ..] => {
                value.push(*byte);
                bytes = rest;
            }
            [] => return Err(DecodeError::Short),
        }
    }
}

pub(crate) fn read_value(kind: KeyKind, bytes: &[u8]) -> Result<AttributeValue, DecodeError> {
    match kind {
        KeyKind::S => String::from_utf8(bytes.to_vec())
            .map(AttributeValue::S)
            .map_err(|_| DecodeError::Unknown("text")),
        KeyKind::B => Ok(AttributeValue::B(bytes.to_vec())),
        KeyKind::N => {
            let mut reader = Reader::new(bytes);
            let number = Number::decode(&mut reader)?;
            reader.end()?;
            Ok(AttributeValue::N(number))
        }
    }
}

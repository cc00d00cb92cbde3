//! The key attributes of a table or an index, and the checks of key values.
//!
//! # Invariants
//!
//! - A [`Key`] that these functions return has exactly the attributes and kinds of the schema and
//!   lengths within the limits.
//!
//! Tested here; the texts are DynamoDB's.

use meridian_base::limits::{PARTITION_KEY_BYTES_MAX, SORT_KEY_BYTES_MAX};

use crate::key::Key;
use crate::value::{AttributeValue, Item};

/// The type of a key attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// Text, in the order of its UTF-8 bytes.
    S,
    /// Number, in numeric order.
    N,
    /// Bytes, in unsigned order.
    B,
}

impl KeyKind {
    /// Names the kind as DynamoDB does.
    pub fn name(self) -> &'static str {
        match self {
            KeyKind::S => "S",
            KeyKind::N => "N",
            KeyKind::B => "B",
        }
    }

    /// Reads a scalar attribute type name: `S`, `N` or `B`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "S" => Some(KeyKind::S),
            "N" => Some(KeyKind::N),
            "B" => Some(KeyKind::B),
            _ => None,
        }
    }

    /// The kind of a value that can be a key value.
    pub fn of(value: &AttributeValue) -> Option<Self> {
        KeyKind::from_name(value.type_name())
    }
}

/// Name and kind of one key attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyAttribute {
    /// The attribute's name.
    pub name: String,
    /// The attribute's type.
    pub kind: KeyKind,
}

impl KeyAttribute {
    /// Makes a key attribute.
    pub fn new(name: impl Into<String>, kind: KeyKind) -> Self {
        KeyAttribute { name: name.into(), kind }
    }
}

/// Tells which attributes are keys.
pub trait KeyNames {
    /// Tells whether `name` is a key attribute.
    fn contains(&self, name: &str) -> bool;
}

impl KeyNames for KeySchema {
    fn contains(&self, name: &str) -> bool {
        self.attributes().any(|attribute| attribute.name == name)
    }
}

/// The key attributes of a table or a local index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySchema {
    /// The partition key.
    pub partition: KeyAttribute,
    /// The sort key, if there is one.
    pub sort: Option<KeyAttribute>,
}

/// Why the key attributes of a request are refused; each prints DynamoDB's message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A put lacks a key attribute.
    #[error("One or more parameter values were invalid: Missing the key {0} in the item")]
    Missing(String),
    /// A key attribute of a put has another type.
    #[error(
        "One or more parameter values were invalid: Type mismatch for key {name} expected: {expected} actual: {actual}"
    )]
    Mismatch {
        /// The key attribute.
        name: String,
        /// The type that the schema wants.
        expected: &'static str,
        /// The type that came.
        actual: &'static str,
    },
    /// The `Key` of a request does not hold exactly the key attributes.
    #[error("The provided key element does not match the schema")]
    NotTheSchema,
    /// A key attribute is an empty text.
    #[error(
        "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: {0}"
    )]
    EmptyString(String),
    /// A key attribute is an empty byte string.
    #[error(
        "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty binary value. Key: {0}"
    )]
    EmptyBinary(String),
    /// The partition key value is too long.
    #[error(
        "One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 bytes"
    )]
    PartitionTooLong,
    /// The sort key value is too long.
    #[error(
        "One or more parameter values were invalid: Aggregated size of all range keys has exceeded the size limit of 1024 bytes"
    )]
    SortTooLong,
    /// The value of a key attribute of an index is too long.
    #[error(
        "One or more parameter values were invalid: Size limit exceeded for Index Key {name} Actual Size: {bytes} bytes Max Size: {max} bytes"
    )]
    IndexTooLong {
        /// The index key attribute.
        name: String,
        /// The value's length, bytes.
        bytes: usize,
        /// The greatest length, bytes.
        max: usize,
    },
}

impl KeySchema {
    /// Makes a schema of a partition key alone.
    pub fn simple(name: impl Into<String>, kind: KeyKind) -> Self {
        KeySchema { partition: KeyAttribute::new(name, kind), sort: None }
    }

    /// Makes a schema of partition and sort key.
    pub fn composite(partition: KeyAttribute, sort: KeyAttribute) -> Self {
        KeySchema { partition, sort: Some(sort) }
    }

    /// The key attributes, partition key first.
    pub fn attributes(&self) -> impl Iterator<Item = &KeyAttribute> {
        std::iter::once(&self.partition).chain(&self.sort)
    }

    /// Takes the key out of a whole item, as PutItem does.
    pub fn key_of_item(&self, item: &Item) -> Result<Key, KeyError> {
        self.read(|attribute| {
            let value = item
                .get(&attribute.name)
                .ok_or_else(|| KeyError::Missing(attribute.name.clone()))?;
            check_kind(attribute, value)?;
            Ok(value.clone())
        })
    }

    /// Reads the `Key` of a request, which must hold exactly the key attributes.
    pub fn key_exact(&self, attributes: &Item) -> Result<Key, KeyError> {
        if attributes.len() != self.attributes().count() {
            return Err(KeyError::NotTheSchema);
        }
        self.read(|attribute| {
            attributes
                .get(&attribute.name)
                .filter(|value| KeyKind::of(value) == Some(attribute.kind))
                .cloned()
                .ok_or(KeyError::NotTheSchema)
        })
    }

    fn read(
        &self,
        value_of: impl Fn(&KeyAttribute) -> Result<AttributeValue, KeyError>,
    ) -> Result<Key, KeyError> {
        let partition = value_of(&self.partition)?;
        let sort = self.sort.as_ref().map(value_of).transpose()?;
        self.check_partition_value(&partition)?;
        if let Some(value) = &sort {
            self.check_sort_value(value)?;
        }
        Ok(Key { partition, sort })
    }

    /// Refuses a partition key value that is empty or too long.
    pub fn check_partition_value(&self, value: &AttributeValue) -> Result<(), KeyError> {
        not_empty(&self.partition, value)?;
        check_length(value, PARTITION_KEY_BYTES_MAX, KeyError::PartitionTooLong)
    }

    /// Refuses a sort key value that is empty or too long; a schema without sort key takes any.
    pub fn check_sort_value(&self, value: &AttributeValue) -> Result<(), KeyError> {
        self.sort.as_ref().map_or(Ok(()), |attribute| check_sort_value(attribute, value))
    }
}

/// Refuses a value of another type.
pub(crate) fn check_kind(attribute: &KeyAttribute, value: &AttributeValue) -> Result<(), KeyError> {
    if KeyKind::of(value) == Some(attribute.kind) {
        return Ok(());
    }
    Err(KeyError::Mismatch {
        name: attribute.name.clone(),
        expected: attribute.kind.name(),
        actual: value.type_name(),
    })
}

/// Refuses a value that is empty or too long for a sort key.
pub fn check_sort_value(attribute: &KeyAttribute, value: &AttributeValue) -> Result<(), KeyError> {
    not_empty(attribute, value)?;
    check_length(value, SORT_KEY_BYTES_MAX, KeyError::SortTooLong)
}

/// Refuses a value that cannot be that of an index key attribute of at most `max` bytes.
pub(crate) fn check_index_value(
    attribute: &KeyAttribute,
    value: &AttributeValue,
    max: usize,
) -> Result<(), KeyError> {
    check_kind(attribute, value)?;
    not_empty(attribute, value)?;
    let (name, bytes) = (attribute.name.clone(), text_bytes(value));
    check_length(value, max, KeyError::IndexTooLong { name, bytes, max })
}

/// Refuses a value that is longer.
pub(crate) fn check_length(
    value: &AttributeValue,
    max: usize,
    error: KeyError,
) -> Result<(), KeyError> {
    if text_bytes(value) > max { Err(error) } else { Ok(()) }
}

pub(crate) fn not_empty(attribute: &KeyAttribute, value: &AttributeValue) -> Result<(), KeyError> {
    match value {
        AttributeValue::S(text) if text.is_empty() => {
            Err(KeyError::EmptyString(attribute.name.clone()))
        }
        AttributeValue::B(bytes) if bytes.is_empty() => {
            Err(KeyError::EmptyBinary(attribute.name.clone()))
        }
        _ => Ok(()),
    }
}

/// Length of a text or byte string; numbers cannot be too long.
fn text_bytes(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::B(bytes) => bytes.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::Number;

    fn schema() -> KeySchema {
        KeySchema::composite(KeyAttribute::new("p", KeyKind::S), KeyAttribute::new("s", KeyKind::N))
    }

    fn text(len: usize) -> AttributeValue {
        AttributeValue::S("x".repeat(len))
    }

    fn item(p: AttributeValue, s: AttributeValue) -> Item {
        [("p".to_owned(), p), ("s".to_owned(), s), ("other".to_owned(), AttributeValue::Null)]
            .into()
    }

    fn refused(item: &Item) -> String {
        schema().key_of_item(item).expect_err("the key is wrong").to_string()
    }

    #[test]
    fn keys_of_items_are_checked() {
        let one = || AttributeValue::N(Number::from(1u64));
        assert!(schema().key_of_item(&item(text(2048), one())).is_ok());
        let mut partial = item(text(1), one());
        partial.remove("s");
        let start = "One or more parameter values were invalid: ";
        assert_eq!(refused(&partial), format!("{start}Missing the key s in the item"));
        assert_eq!(
            refused(&item(text(1), text(1))),
            format!("{start}Type mismatch for key s expected: N actual: S")
        );
        assert_eq!(
            refused(&item(text(2049), one())),
            format!("{start}Size of hashkey has exceeded the maximum size limit of2048 bytes")
        );
        assert_eq!(
            refused(&item(text(0), one())),
            "One or more parameter values are not valid. The AttributeValue for a key attribute \
             cannot contain an empty string value. Key: p"
        );
    }

    #[test]
    fn long_and_empty_sort_keys_are_refused() {
        let schema = KeySchema::composite(
            KeyAttribute::new("p", KeyKind::S),
            KeyAttribute::new("s", KeyKind::B),
        );
        let key = |len| schema.key_of_item(&item(text(1), AttributeValue::B(vec![0; len])));
        assert!(key(1024).is_ok());
        assert_eq!(key(1025), Err(KeyError::SortTooLong));
        assert_eq!(key(0), Err(KeyError::EmptyBinary("s".to_owned())));
    }

    #[test]
    fn the_key_of_a_request_has_exactly_the_key_attributes() {
        let one = || AttributeValue::N(Number::from(1u64));
        let mut exact = item(text(1), one());
        assert_eq!(schema().key_exact(&exact), Err(KeyError::NotTheSchema));
        exact.remove("other");
        assert!(schema().key_exact(&exact).is_ok());
        exact.insert("s".to_owned(), text(1));
        assert_eq!(schema().key_exact(&exact), Err(KeyError::NotTheSchema));
        exact.remove("s");
        assert_eq!(schema().key_exact(&exact), Err(KeyError::NotTheSchema));
    }
}

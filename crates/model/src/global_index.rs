//! Global secondary indexes: what they are, and the keys of their entries.
//!
//! An entry's key is `hash | partition values, each escaped and ended | sort values, each escaped and
//! ended | key of the item`: an index is partitioned by its own key, as a table is.
//!
//! # Invariants
//!
//! - The key of an entry holds the key of its item, so that entries of different items differ.
//! - Entries stand in the order of the index's sort values, one after the other.
//!
//! Tested below.

use xxhash_rust::xxh64::xxh64;

use meridian_base::codec::DecodeError;
use meridian_base::limits::{PARTITION_KEY_BYTES_MAX, SORT_KEY_BYTES_MAX};

use crate::key::{HASH_BYTES, escape, partition_prefix, read_value, unescape, value_bytes};
use crate::local_index::{IndexProjection, SecondaryIndex, names_shown};
use crate::schema::{
    KeyAttribute, KeyError, KeyKind, KeyNames, KeySchema, check_index_value, check_length,
    not_empty,
};
use crate::value::{AttributeValue, Item};

/// The key attributes of what is queried: a table has one partition attribute and at most one sort
/// attribute, a global index up to four of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyAttributes {
    /// Those whose values together name a partition key; at least one.
    pub partition: Vec<KeyAttribute>,
    /// Those by which items are sorted, the most significant first.
    pub sort: Vec<KeyAttribute>,
}

impl From<&KeySchema> for KeyAttributes {
    fn from(schema: &KeySchema) -> Self {
        let sort = schema.sort.iter().cloned().collect();
        KeyAttributes { partition: vec![schema.partition.clone()], sort }
    }
}

impl KeyAttributes {
    /// All of them, partition attributes first.
    pub fn all(&self) -> impl Iterator<Item = &KeyAttribute> {
        self.partition.iter().chain(&self.sort)
    }

    /// Refuses a partition value that is empty or too long.
    pub fn check_partition_value(
        attribute: &KeyAttribute,
        value: &AttributeValue,
    ) -> Result<(), KeyError> {
        not_empty(attribute, value)?;
        check_length(value, PARTITION_KEY_BYTES_MAX, KeyError::PartitionTooLong)
    }
}

impl KeyNames for KeyAttributes {
    fn contains(&self, name: &str) -> bool {
        self.all().any(|key| key.name == name)
    }
}

/// A global secondary index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlobalIndex {
    /// Its name.
    pub name: String,
    /// Its key.
    pub keys: KeyAttributes,
    /// Which attributes it shows.
    pub projection: IndexProjection,
}

impl SecondaryIndex for GlobalIndex {
    fn check(&self, item: &Item) -> Result<(), KeyError> {
        for key in &self.keys.partition {
            let Some(value) = item.get(&key.name) else { continue };
            check_index_value(key, value, PARTITION_KEY_BYTES_MAX)?;
        }
        for key in &self.keys.sort {
            let Some(value) = item.get(&key.name) else { continue };
            check_index_value(key, value, SORT_KEY_BYTES_MAX)?;
        }
        Ok(())
    }

    fn entry(&self, encoded: &[u8], item: &Item) -> Option<Vec<u8>> {
        let values = |keys: &[KeyAttribute]| -> Option<Vec<AttributeValue>> {
            keys.iter().map(|key| item.get(&key.name).cloned()).collect()
        };
        let (partition, sort) = (values(&self.keys.partition)?, values(&self.keys.sort)?);
        self.check(item).ok()?;
        let mut entry = entry_prefix(&partition);
        sort.iter().for_each(|value| put_value(&mut entry, value));
        entry.extend_from_slice(encoded);
        Some(entry)
    }

    fn shown(&self, table: &KeySchema) -> Option<Vec<String>> {
        names_shown(&self.projection, table.attributes().chain(self.keys.all()))
    }
}

impl GlobalIndex {
    /// The key attributes of an entry, of table and index: a `LastEvaluatedKey`.
    pub fn key_of_entry(&self, table: &KeySchema, entry: &[u8]) -> Result<Item, DecodeError> {
        let mut rest = entry.get(HASH_BYTES..).ok_or(DecodeError::Short)?;
        let mut item = Item::new();
        for key in self.keys.all() {
            let (value, after) = unescape(rest)?;
            item.insert(key.name.clone(), read_value(key.kind, &value)?);
            rest = after;
        }
        item.extend(table.decode_key(rest)?.to_item(table));
        Ok(item)
    }

    /// True when the attributes are those of a key to start after, each of the right type.
    pub fn is_start(&self, table: &KeySchema, start: &Item) -> bool {
        let fits =
            |key: &KeyAttribute| start.get(&key.name).and_then(KeyKind::of) == Some(key.kind);
        table.attributes().chain(self.keys.all()).all(fits)
    }
}

/// What all entries start with that have these partition values.
pub fn entry_prefix(partition: &[AttributeValue]) -> Vec<u8> {
    if let [one] = partition {
        return partition_prefix(one);
    }
    let mut values = Vec::new();
    partition.iter().for_each(|value| put_value(&mut values, value));
    let mut out = xxh64(&values, 0).to_be_bytes().to_vec();
    out.extend_from_slice(&values);
    out
}

fn put_value(out: &mut Vec<u8>, value: &AttributeValue) {
    escape(&value_bytes(value), out);
    out.extend_from_slice(&[0, 0]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;
    use crate::number::Number;
    use proptest::prelude::*;

    fn table() -> KeySchema {
        KeySchema::composite(KeyAttribute::new("p", KeyKind::S), KeyAttribute::new("s", KeyKind::B))
    }

    fn index() -> GlobalIndex {
        let attribute = |name: &str, kind| KeyAttribute::new(name, kind);
        let keys = KeyAttributes {
            partition: vec![attribute("a", KeyKind::S), attribute("b", KeyKind::N)],
            sort: vec![attribute("c", KeyKind::S), attribute("d", KeyKind::N)],
        };
        GlobalIndex { name: "abcd".to_owned(), keys, projection: IndexProjection::KeysOnly }
    }

    fn number(value: i32) -> AttributeValue {
        AttributeValue::N(Number::parse(&value.to_string()).unwrap())
    }

    fn text(value: &str) -> AttributeValue {
        AttributeValue::S(value.to_owned())
    }

    fn item(key: (&str, &[u8]), a: &str, b: i32, c: &str, d: i32) -> (Vec<u8>, Item) {
        let key = Key { partition: text(key.0), sort: Some(AttributeValue::B(key.1.to_vec())) };
        let mut item = key.to_item(&table());
        for (name, value) in [("a", text(a)), ("b", number(b)), ("c", text(c)), ("d", number(d))] {
            item.insert(name.to_owned(), value);
        }
        (key.encode().into_bytes(), item)
    }

    #[test]
    fn an_item_without_one_of_the_attributes_has_no_entry() {
        let (key, whole) = item(("p", b"s"), "a", 1, "c", 2);
        assert!(index().entry(&key, &whole).is_some());
        for name in ["a", "b", "c", "d"] {
            let mut part = whole.clone();
            part.remove(name);
            assert_eq!(index().entry(&key, &part), None);
            part.insert(name.to_owned(), AttributeValue::Null);
            assert_eq!(index().entry(&key, &part), None);
            assert!(index().check(&part).is_err());
        }
        let mut empty = whole;
        empty.insert("a".to_owned(), text(""));
        assert_eq!(index().entry(&key, &empty), None);
        assert_eq!(index().check(&empty), Err(KeyError::EmptyString("a".to_owned())));
    }

    #[test]
    fn the_keys_of_table_and_index_are_shown() {
        assert_eq!(index().shown(&table()).unwrap(), ["a", "b", "c", "d", "p", "s"]);
    }

    proptest! {
        #[test]
        fn entries_hold_their_keys_and_stand_in_order(
            one in ("[\\x00-\\x02]{1,2}", "[\\x00-\\x02]{1,3}", -2..2i32, "[\\x00-\\x02]{0,2}"),
            two in ("[\\x00-\\x02]{1,2}", "[\\x00-\\x02]{1,3}", -2..2i32, "[\\x00-\\x02]{0,2}"),
        ) {
            let entry_of = |(a, c, d, s): &(String, String, i32, String)| {
                let (key, item) = item(("p", s.as_bytes()), a, 7, c, *d);
                let entry = index().entry(&key, &item).unwrap();
                prop_assert_eq!(&index().key_of_entry(&table(), &entry).unwrap(), &item);
                prop_assert!(index().is_start(&table(), &item));
                prop_assert!(entry.starts_with(&entry_prefix(&[text(a), number(7)])));
                Ok(entry)
            };
            let (first, second) = (entry_of(&one)?, entry_of(&two)?);
            if one.0 == two.0 {
                let order = (&one.1, one.2, &one.3).cmp(&(&two.1, two.2, &two.3));
                prop_assert_eq!(first.cmp(&second), order);
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let _ = index().key_of_entry(&table(), &bytes);
        }
    }
}

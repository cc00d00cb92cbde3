//! Local secondary indexes: what they are, and the keys of their entries.
//!
//! An entry's key is `partition prefix | index sort value, escaped, ended | table sort value`: all
//! entries of one partition key value stand together, in the order of the index.
//!
//! # Invariants
//!
//! - The key of an entry holds the key of its item: [`item_of_entry`] gives it back.
//!
//! Tested below.

use meridian_base::codec::DecodeError;
use meridian_base::limits::SORT_KEY_BYTES_MAX;

use crate::key::{escape, read_value, split_prefix, unescape, value_bytes};
use crate::schema::{KeyAttribute, KeyError, KeyKind, KeySchema, check_index_value};
use crate::value::{AttributeValue, Item};

/// Which attributes an index shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexProjection {
    /// ALL.
    All,
    /// KEYS_ONLY: the keys of table and index.
    KeysOnly,
    /// INCLUDE: these too.
    Include(Vec<String>),
}

/// What evaluating and applying a write ask of an index, local or global.
pub trait SecondaryIndex {
    /// Refuses an item whose attribute cannot be a key of the index; one that lacks it is in order.
    fn check(&self, item: &Item) -> Result<(), KeyError>;

    /// The key of an item's entry, by the item's encoded key; none when the item is not in the index.
    fn entry(&self, encoded: &[u8], item: &Item) -> Option<Vec<u8>>;

    /// What the index shows of an item, keys included; none when it shows all.
    fn shown(&self, table: &KeySchema) -> Option<Vec<String>>;
}

/// A local secondary index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalIndex {
    /// Its name.
    pub name: String,
    /// Its sort key; the partition key is the table's.
    pub sort: KeyAttribute,
    /// Which attributes it shows.
    pub projection: IndexProjection,
}

impl LocalIndex {
    /// The index's own key schema.
    pub fn schema(&self, table: &KeySchema) -> KeySchema {
        KeySchema::composite(table.partition.clone(), self.sort.clone())
    }

    /// The key attributes of an entry, of table and index: a `LastEvaluatedKey`.
    pub fn key_of_entry(&self, table: &KeySchema, entry: &[u8]) -> Result<Item, DecodeError> {
        let mut item = table.decode_key(&item_of_entry(entry)?)?.to_item(table);
        let (_, rest) = split_prefix(entry).ok_or(DecodeError::Short)?;
        let (value, _) = unescape(rest)?;
        item.insert(self.sort.name.clone(), read_value(self.sort.kind, &value)?);
        Ok(item)
    }
}

impl SecondaryIndex for LocalIndex {
    fn check(&self, item: &Item) -> Result<(), KeyError> {
        let Some(value) = item.get(&self.sort.name) else { return Ok(()) };
        check_index_value(&self.sort, value, SORT_KEY_BYTES_MAX)
    }

    fn entry(&self, encoded: &[u8], item: &Item) -> Option<Vec<u8>> {
        let value = item.get(&self.sort.name)?;
        if KeyKind::of(value) != Some(self.sort.kind) {
            return None;
        }
        let (prefix, rest) = split_prefix(encoded)?;
        let mut entry = index_end(prefix, value);
        entry.extend_from_slice(rest);
        Some(entry)
    }

    fn shown(&self, table: &KeySchema) -> Option<Vec<String>> {
        names_shown(&self.projection, table.attributes().chain([&self.sort]))
    }
}

/// The attributes that a projection shows beside these keys, in order; none when it shows all.
pub(crate) fn names_shown<'k>(
    projection: &IndexProjection,
    keys: impl Iterator<Item = &'k KeyAttribute>,
) -> Option<Vec<String>> {
    let mut names: Vec<String> = match projection {
        IndexProjection::All => return None,
        IndexProjection::KeysOnly => Vec::new(),
        IndexProjection::Include(names) => names.clone(),
    };
    names.extend(keys.map(|key| key.name.clone()));
    names.sort_unstable();
    names.dedup();
    Some(names)
}

/// The encoded key of the item that an entry stands for.
pub fn item_of_entry(entry: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let (prefix, rest) = split_prefix(entry).ok_or(DecodeError::Short)?;
    let (_, sort) = unescape(rest)?;
    Ok([prefix, sort].concat())
}

/// What all entries start with whose index sort value starts with `value`.
pub fn index_start(prefix: &[u8], value: &AttributeValue) -> Vec<u8> {
    let mut out = prefix.to_vec();
    escape(&value_bytes(value), &mut out);
    out
}

/// What all entries start with whose index sort value is `value`.
pub fn index_end(prefix: &[u8], value: &AttributeValue) -> Vec<u8> {
    let mut out = index_start(prefix, value);
    out.extend_from_slice(&[0, 0]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Key, partition_prefix};
    use crate::number::Number;
    use proptest::prelude::*;

    fn schema() -> KeySchema {
        KeySchema::composite(KeyAttribute::new("p", KeyKind::S), KeyAttribute::new("s", KeyKind::B))
    }

    fn index(kind: KeyKind) -> LocalIndex {
        let sort = KeyAttribute::new("at", kind);
        LocalIndex { name: "by-at".to_owned(), sort, projection: IndexProjection::KeysOnly }
    }

    fn item(partition: &str, sort: &[u8], at: AttributeValue) -> (Vec<u8>, Item) {
        let partition = AttributeValue::S(partition.to_owned());
        let key = Key { partition, sort: Some(AttributeValue::B(sort.to_vec())) };
        let mut item = key.to_item(&schema());
        item.insert("at".to_owned(), at);
        (key.encode().into_bytes(), item)
    }

    fn number(value: i32) -> AttributeValue {
        AttributeValue::N(Number::parse(&value.to_string()).unwrap())
    }

    #[test]
    fn an_item_without_the_attribute_or_of_another_type_has_no_entry() {
        let (key, mut item) = item("a", b"1", number(7));
        assert_eq!(index(KeyKind::S).entry(&key, &item), None);
        assert!(index(KeyKind::N).entry(&key, &item).is_some());
        item.remove("at");
        assert_eq!(index(KeyKind::N).entry(&key, &item), None);
    }

    #[test]
    fn an_attribute_that_cannot_be_a_key_is_refused() {
        let name = || "at".to_owned();
        let check = |value| index(KeyKind::S).check(&item("a", b"1", value).1);
        let text = |length| AttributeValue::S("x".repeat(length));
        assert_eq!((check(text(1)), check(text(1024))), (Ok(()), Ok(())));
        assert_eq!(check(text(0)), Err(KeyError::EmptyString(name())));
        assert_eq!(
            check(text(1025)),
            Err(KeyError::IndexTooLong { name: name(), bytes: 1025, max: 1024 })
        );
        let mismatch = KeyError::Mismatch { name: name(), expected: "S", actual: "N" };
        assert_eq!(check(number(1)), Err(mismatch));
        assert_eq!(index(KeyKind::S).check(&Item::new()), Ok(()));
    }

    #[test]
    fn keys_and_included_attributes_are_shown_once() {
        let mut index = index(KeyKind::N);
        assert_eq!(index.shown(&schema()).unwrap(), ["at", "p", "s"]);
        index.projection = IndexProjection::Include(vec!["x".into(), "p".into()]);
        assert_eq!(index.shown(&schema()).unwrap(), ["at", "p", "s", "x"]);
        index.projection = IndexProjection::All;
        assert_eq!(index.shown(&schema()), None);
    }

    proptest! {
        #[test]
        fn entries_hold_their_keys_and_stand_in_order(
            a in ("[\\x00-\\x02]{0,3}", prop::collection::vec(0u8..3, 0..3), any::<i32>()),
            b in ("[\\x00-\\x02]{0,3}", prop::collection::vec(0u8..3, 0..3), any::<i32>()),
        ) {
            let index = index(KeyKind::N);
            let entry_of = |(p, s, at): &(String, Vec<u8>, i32)| {
                let (key, item) = item(p, s, number(*at));
                let entry = index.entry(&key, &item).unwrap();
                prop_assert_eq!(item_of_entry(&entry).unwrap(), key);
                prop_assert_eq!(index.key_of_entry(&schema(), &entry).unwrap(), item);
                Ok(entry)
            };
            let (one, two) = (entry_of(&a)?, entry_of(&b)?);
            if a.0 == b.0 {
                prop_assert_eq!(one.cmp(&two), (a.2, &a.1).cmp(&(b.2, &b.1)));
            }
        }

        #[test]
        fn texts_stand_in_order_whatever_their_bytes(
            a in "[\\x00-\\x02]{0,4}",
            b in "[\\x00-\\x02]{0,4}",
        ) {
            let index = index(KeyKind::S);
            let entry_of = |at: &str| {
                let (key, item) = item("p", b"s", AttributeValue::S(at.to_owned()));
                index.entry(&key, &item).unwrap()
            };
            prop_assert_eq!(entry_of(&a).cmp(&entry_of(&b)), a.cmp(&b));
            let prefix = partition_prefix(&AttributeValue::S("p".to_owned()));
            let start = index_start(&prefix, &AttributeValue::S(a.clone()));
            prop_assert_eq!(entry_of(&b).starts_with(&start), b.starts_with(&a));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let _ = (item_of_entry(&bytes), index(KeyKind::N).key_of_entry(&schema(), &bytes));
        }
    }
}

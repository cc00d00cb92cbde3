//! Requests of the simulated clients: one attribute, unique numbers, conditions as expressions.

use meridian_checker::{State, Value};
use meridian_expression::{Condition, ExpressionKind, Placeholders, Update};
use meridian_model::{
    AttributeValue, IndexProjection, Item, Key, KeyAttribute, KeyKind, LocalIndex, Number,
};
use meridian_partition::{Action, Get, IndexRead, PageRequest, Returns, Write};
use std::collections::BTreeMap;
use std::ops::Bound;

/// The attribute that holds the value.
pub const VALUE: &str = "v";

/// How a write is asked for; all leave the same item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As a whole item.
    Put,
    /// As an update expression.
    Update,
}

/// The key of a number.
pub fn key(number: u32) -> Key {
    Key { partition: AttributeValue::S(format!("key-{number}")), sort: None }
}

/// The number of a key.
pub fn number_of(item: &Item) -> Option<u32> {
    match item.get("p") {
        Some(AttributeValue::S(name)) => name.strip_prefix("key-")?.parse().ok(),
        Some(_) | None => None,
    }
}

/// The value that an item holds.
pub fn value_of(item: &Item) -> State {
    match item.get(VALUE) {
        Some(AttributeValue::N(number)) => {
            number.to_i64().and_then(|n| u64::try_from(n).ok()).map(Value)
        }
        Some(_) | None => None,
    }
}

fn placeholders(value: Option<Value>) -> Placeholders {
    let values = value
        .map(|Value(v)| BTreeMap::from([(":v".to_owned(), AttributeValue::N(Number::from(v)))]));
    Placeholders::new(None, values).expect("the placeholder is well-formed")
}

fn item(key: u32, Value(value): Value) -> Item {
    Item::from([
        ("p".to_owned(), AttributeValue::S(format!("key-{key}"))),
        (VALUE.to_owned(), AttributeValue::N(Number::from(value))),
    ])
}

/// A write that leaves `new`.
pub fn write(number: u32, new: State, form: Form) -> Write {
    let action = match (new, form) {
        (None, _) => Action::Delete,
        (Some(value), Form::Put) => Action::Put(item(number, value)),
        (Some(value), Form::Update) => {
            let update = Update::parse("SET v = :v", &mut placeholders(Some(value)));
            Action::Update(update.expect("the expression is valid"))
        }
    };
    let returns = Returns { old: false, new: false, old_on_failure: true };
    Write { key: key(number), action, condition: None, returns }
}

/// A write on the condition that the key holds `expected`.
pub fn write_if(number: u32, expected: State, new: State, form: Form) -> Write {
    let text = if expected.is_some() { "v = :v" } else { "attribute_not_exists(p)" };
    let condition = Condition::parse(ExpressionKind::Condition, text, &mut placeholders(expected));
    let condition = Some(condition.expect("the expression is valid"));
    Write { condition, ..write(number, new, form) }
}

/// A read of one key.
pub fn get(number: u32) -> Get {
    Get { key: key(number) }
}

/// The index of the values.
pub fn index() -> LocalIndex {
    let sort = KeyAttribute::new(VALUE, KeyKind::N);
    LocalIndex { name: "by-value".to_owned(), sort, projection: IndexProjection::All }
}

/// A read of all keys, from the table or from the index: every item is in both.
pub fn page(by_index: bool) -> PageRequest {
    PageRequest {
        start: Bound::Unbounded,
        end: Bound::Unbounded,
        reverse: false,
        limit: None,
        bytes_max: 1024 * 1024,
        filter: None,
        count_only: false,
        index: by_index.then_some(IndexRead { number: 0, shown: None, whole: false }),
    }
}

//! Item sizes by DynamoDB's rules (AWS developer guide, CapacityUnitCalculations), in bytes.
//!
//! The guide calls its rule for numbers approximate; a negative number counts like its absolute
//! value here.

use crate::number::Number;
use crate::value::{AttributeValue, Item};

/// The size of an item: names and values.
pub fn item_bytes(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value_bytes(value)).sum()
}

/// The size of a value. Lists and maps count 3 and 1 for each element; null and booleans 1.
pub fn value_bytes(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(number) => number_bytes(number),
        AttributeValue::B(bytes) => bytes.len(),
        AttributeValue::Ss(set) => set.iter().map(String::len).sum(),
        AttributeValue::Ns(set) => set.iter().map(number_bytes).sum(),
        AttributeValue::Bs(set) => set.iter().map(Vec::len).sum(),
        AttributeValue::L(list) => {
            3 + list.iter().map(|value| 1 + value_bytes(value)).sum::<usize>()
        }
        AttributeValue::M(map) => 3 + map.len() + item_bytes(map),
        AttributeValue::Bool(_) | AttributeValue::Null => 1,
    }
}

/// One byte for two significant digits and one more.
fn number_bytes(number: &Number) -> usize {
    let pairs = number.significant_digits().div_ceil(2);
    usize::try_from(pairs).expect("at most 19 pairs") + 1
}

/// How deep lists and maps nest: 0 for a value that is neither.
pub fn depth(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::L(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        AttributeValue::M(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        AttributeValue::S(_)
        | AttributeValue::N(_)
        | AttributeValue::B(_)
        | AttributeValue::Ss(_)
        | AttributeValue::Ns(_)
        | AttributeValue::Bs(_)
        | AttributeValue::Bool(_)
        | AttributeValue::Null => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> AttributeValue {
        AttributeValue::N(Number::parse(text).expect("a number"))
    }

    #[test]
    fn sizes_follow_the_guide() {
        let text = || AttributeValue::S("é".to_owned());
        let list = AttributeValue::L(vec![text(), AttributeValue::Null]);
        let map = AttributeValue::M([("ab".to_owned(), text())].into());
        for (value, bytes) in [
            (text(), 2),
            (AttributeValue::B(vec![0; 7]), 7),
            (number("0"), 1),
            (number("1"), 2),
            (number("12"), 2),
            (number("123"), 3),
            (number("100"), 2),
            (number("-12"), 2),
            (AttributeValue::Ss(["a".to_owned(), "bc".to_owned()].into()), 3),
            (AttributeValue::Bool(true), 1),
            (AttributeValue::L(Vec::new()), 3),
            (list, 3 + 1 + 2 + 1 + 1),
            (map, 3 + 1 + 2 + 2),
        ] {
            assert_eq!(value_bytes(&value), bytes, "{value:?}");
        }
        assert_eq!(item_bytes(&[("abc".to_owned(), number("1"))].into()), 5);
    }
}

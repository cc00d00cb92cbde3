//! Item sizes by DynamoDB's rules (AWS developer guide, CapacityUnitCalculations), in bytes.
//!
//! The guide calls its rule for numbers approximate. That digits pair up from the decimal point, and
//! that a negative number costs a byte more, is what users of the service measured at the limit of
//! an item's size.

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

/// One byte for two significant digits on either side of the point, one more, and one for a sign.
fn number_bytes(number: &Number) -> usize {
    let (before, behind) = number.digits_around_point();
    let pairs = usize::try_from(before.div_ceil(2) + behind.div_ceil(2));
    pairs.expect("at most 20 pairs") + 1 + usize::from(number.is_negative())
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
            (number("-12"), 3),
            (number("-1"), 3),
            (number("1.5"), 3),
            (number("12.5"), 3),
            (number("123.45"), 4),
            (number("100.5"), 4),
            (number("0.0012"), 2),
            (number("1E125"), 2),
            (number("1E-130"), 2),
            (number(&"9".repeat(38)), 20),
            (number(&format!("-{}", "9".repeat(38))), 21),
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

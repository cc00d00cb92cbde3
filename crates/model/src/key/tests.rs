//! Encoded keys: round trips and order.

use proptest::prelude::*;

use super::*;
use crate::number::tests::any_number;
use crate::schema::KeyAttribute;

fn any_value(kind: KeyKind) -> BoxedStrategy<AttributeValue> {
    match kind {
        KeyKind::S => {
            let text = prop_oneof!["[a\u{0}\u{1}é]{1,6}", ".{1,12}"];
            text.prop_map(AttributeValue::S).boxed()
        }
        KeyKind::N => any_number().prop_map(AttributeValue::N).boxed(),
        KeyKind::B => {
            let byte = prop_oneof![Just(0u8), Just(1), Just(0xff), any::<u8>()];
            prop::collection::vec(byte, 1..8).prop_map(AttributeValue::B).boxed()
        }
    }
}

fn any_kind() -> impl Strategy<Value = KeyKind> {
    prop_oneof![Just(KeyKind::S), Just(KeyKind::N), Just(KeyKind::B)]
}

/// A schema and two keys of it, often with the same partition key value.
fn two_keys() -> impl Strategy<Value = (KeySchema, Key, Key)> {
    (any_kind(), prop::option::of(any_kind()), any::<bool>()).prop_flat_map(|(p, s, same)| {
        let schema = KeySchema {
            partition: KeyAttribute::new("p", p),
            sort: s.map(|kind| KeyAttribute::new("s", kind)),
        };
        let sort = |s: Option<KeyKind>| match s {
            Some(kind) => any_value(kind).prop_map(Some).boxed(),
            None => Just(None).boxed(),
        };
        (any_value(p), any_value(p), sort(s), sort(s)).prop_map(move |(p1, p2, s1, s2)| {
            let second = if same { p1.clone() } else { p2 };
            (schema.clone(), Key { partition: p1, sort: s1 }, Key { partition: second, sort: s2 })
        })
    })
}

fn order(left: &AttributeValue, right: &AttributeValue) -> std::cmp::Ordering {
    match (left, right) {
        (AttributeValue::S(left), AttributeValue::S(right)) => {
            left.as_bytes().cmp(right.as_bytes())
        }
        (AttributeValue::N(left), AttributeValue::N(right)) => left.cmp(right),
        (AttributeValue::B(left), AttributeValue::B(right)) => left.cmp(right),
        _ => panic!("two values of one kind"),
    }
}

proptest! {
    #[test]
    fn keys_round_trip_as_bytes_and_items((schema, key, _) in two_keys()) {
        prop_assert_eq!(schema.decode_key(key.encode().as_bytes()), Ok(key.clone()));
        let item = key.to_item(&schema);
        prop_assert_eq!(schema.key_exact(&item), Ok(key.clone()));
        prop_assert_eq!(schema.key_of_item(&item), Ok(key));
    }

    #[test]
    fn sort_keys_order_within_a_partition_key((_, left, right) in two_keys()) {
        let (bytes, others) = (left.encode(), right.encode());
        if left.partition != right.partition {
            prop_assert!(!bytes.0.starts_with(&partition_prefix(&right.partition)));
            return Ok(());
        }
        prop_assert!(bytes.0.starts_with(&partition_prefix(&right.partition)));
        if let (Some(s1), Some(s2)) = (&left.sort, &right.sort) {
            prop_assert_eq!(bytes.cmp(&others), order(s1, s2));
        }
    }

    #[test]
    fn prefix_ends_bound_their_prefix(prefix: Vec<u8>, tail: Vec<u8>, other: Vec<u8>) {
        let within = [prefix.clone(), tail].concat();
        match prefix_end(&prefix) {
            Some(end) => {
                prop_assert!(within < end);
                prop_assert!(other < prefix || other.starts_with(&prefix) || other >= end);
            }
            None => prop_assert!(prefix.iter().all(|byte| *byte == 0xff)),
        }
    }

    #[test]
    fn any_bytes_are_a_key_or_refused((schema, key, _) in two_keys(), bytes: Vec<u8>, cut: u8) {
        prop_assert!(schema.decode_key(&bytes).is_err());
        let encoded = key.encode().0;
        let cut = usize::from(cut) % encoded.len();
        if let Ok(other) = schema.decode_key(&encoded[..cut]) {
            prop_assert_eq!(other.encode().0, &encoded[..cut]);
        }
    }
}

#[test]
fn the_bytes_of_a_key_stand() {
    let key = Key {
        partition: AttributeValue::B(vec![7, 0, 9]),
        sort: Some(AttributeValue::N(Number::from(-125i64))),
    };
    let hash = xxh64(&[7, 0, 9], 0).to_be_bytes();
    let tail = [7, 0, 0xff, 9, 0, 0, 1, 0xff ^ 132, 0xff ^ 13, 0xff ^ 51, 0xff];
    assert_eq!(key.encode().0, [&hash[..], &tail[..]].concat());
}

#[test]
fn another_hash_or_trailing_bytes_are_refused() {
    let schema = KeySchema::simple("p", KeyKind::S);
    let mut bytes = partition_prefix(&AttributeValue::S("a".to_owned()));
    bytes.push(1);
    assert_eq!(schema.decode_key(&bytes), Err(DecodeError::Leftover(1)));
    bytes.pop();
    bytes[0] ^= 1;
    assert_eq!(schema.decode_key(&bytes), Err(DecodeError::Unknown("key hash")));
}

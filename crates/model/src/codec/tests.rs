//! Items as bytes.

use proptest::prelude::*;

use super::*;
use crate::number::tests::any_number;
use crate::size::depth;

/// Any value, nested a few levels.
pub(crate) fn any_value() -> impl Strategy<Value = AttributeValue> {
    let leaf = prop_oneof![
        ".{0,8}".prop_map(AttributeValue::S),
        any_number().prop_map(AttributeValue::N),
        prop::collection::vec(any::<u8>(), 0..8).prop_map(AttributeValue::B),
        prop::collection::btree_set(".{0,4}", 1..4).prop_map(AttributeValue::Ss),
        prop::collection::btree_set(any_number(), 1..4).prop_map(AttributeValue::Ns),
        prop::collection::btree_set(prop::collection::vec(any::<u8>(), 0..4), 1..4)
            .prop_map(AttributeValue::Bs),
        any::<bool>().prop_map(AttributeValue::Bool),
        Just(AttributeValue::Null),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(AttributeValue::L),
            prop::collection::btree_map(".{0,4}", inner, 0..4).prop_map(AttributeValue::M),
        ]
    })
}

fn any_item() -> impl Strategy<Value = Item> {
    prop::collection::btree_map(".{0,4}", any_value(), 0..5)
}

fn nested(levels: usize) -> AttributeValue {
    (0..levels).fold(AttributeValue::Null, |inner, _| AttributeValue::L(vec![inner]))
}

proptest! {
    #[test]
    fn items_round_trip(item in any_item()) {
        let mut bytes = Vec::new();
        encode_item(&item, &mut bytes);
        let mut reader = Reader::new(&bytes);
        prop_assert_eq!(decode_item(&mut reader), Ok(item));
        prop_assert!(reader.is_empty());
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>, tags in prop::collection::vec(0u8..12, 0..40)) {
        for bytes in [bytes, tags] {
            if let Ok(item) = decode_item(&mut Reader::new(&bytes)) {
                let mut again = Vec::new();
                encode_item(&item, &mut again);
                prop_assert_eq!(decode_item(&mut Reader::new(&again)), Ok(item));
            }
        }
    }

    #[test]
    fn a_cut_or_flipped_item_is_read_without_panic(item in any_item(), at: u16, flip: u8) {
        let mut bytes = Vec::new();
        encode_item(&item, &mut bytes);
        let at = usize::from(at) % bytes.len();
        prop_assert!(decode_item(&mut Reader::new(&bytes[..at])).is_err());
        bytes[at] ^= flip;
        let _ = decode_item(&mut Reader::new(&bytes));
    }
}

#[test]
fn nesting_is_read_up_to_its_limit() {
    let read = |levels| {
        let mut bytes = Vec::new();
        encode_value(&nested(levels), &mut bytes);
        decode_value(&mut Reader::new(&bytes)).map(|value| depth(&value))
    };
    assert_eq!(read(DEPTH_MAX), Ok(DEPTH_MAX));
    assert_eq!(read(DEPTH_MAX + 1), Err(DecodeError::Unknown("nesting")));
    let endless = [L, 1].repeat(100_000);
    assert!(decode_value(&mut Reader::new(&endless)).is_err());
}

#[test]
fn disorder_is_refused() {
    for bytes in [
        &[2, 1, b'b', NULL, 1, b'a', NULL][..],
        &[2, 1, b'a', NULL, 1, b'a', NULL],
        &[1, 1, b'a', SS, 2, 1, b'x', 1, b'x'],
    ] {
        let result = decode_item(&mut Reader::new(bytes));
        assert!(matches!(result, Err(DecodeError::Unknown(_))), "{result:?}");
    }
}

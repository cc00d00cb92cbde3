//! Tests of `value`.

use std::collections::{BTreeMap, BTreeSet};

use meridian_model::{AttributeValue, Number};
use proptest::prelude::*;

use super::*;
use crate::json::Reader;
use crate::shape::{Place, ReadError};

fn read(json: &str) -> Result<(AttributeValue, Option<ValueFault>), ReadError> {
    let mut reader = Reader::new(json.as_bytes())?;
    let value = read_value(&mut reader, Place::Element)?;
    reader.end()?;
    Ok(match value.clone().into_value() {
        Ok(value) => (value, None),
        Err(fault) => (AttributeValue::Null, Some(fault)),
    })
}

fn fault(json: &str, wording: Wording) -> String {
    let (_, fault) = read(json).unwrap();
    fault.unwrap_or_else(|| panic!("{json} is accepted")).text(wording)
}

fn wrong_type(json: &str) -> String {
    match read(json) {
        Err(ReadError::Type(text)) => text,
        other => panic!("{json}: {other:?}"),
    }
}

#[test]
fn faults_in_both_wordings() {
    let check = |json: &str, current: &str, older: &str| {
        assert_eq!(fault(json, Wording::Current), current, "{json}");
        assert_eq!(fault(json, Wording::Older), older, "{json}");
    };
    let same = |json: &str, text: &str| check(json, text, text);
    let empty =
        "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes";
    for json in
        ["{}", r#"{"X":"a"}"#, r#"{"S":null}"#, "null", r#"{"L":[{}]}"#, r#"{"M":{"a":{}}}"#]
    {
        same(json, empty);
    }
    same(
        r#"{"S":"a","N":"1"}"#,
        "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the \
         supported datatypes",
    );
    let invalid = "One or more parameter values were invalid: ";
    let all = |json: &str, text: &str| same(json, &format!("{invalid}{text}"));
    all(r#"{"NULL":false}"#, "Null attribute value types must have the value of true");
    all(r#"{"SS":[]}"#, "An string set  may not be empty");
    all(r#"{"NS":[]}"#, "An number set  may not be empty");
    all(r#"{"BS":[]}"#, "Binary sets should not be empty");
    all(r#"{"SS":[null]}"#, "An string set may not have a null string as a member");
    check(
        r#"{"SS":["b","a","b","c"]}"#,
        &format!("{invalid}Input collection [\"a\", \"b\", \"b\", \"c\"] contains duplicates."),
        &format!("{invalid}Input collection [b, a, b, c] contains duplicates."),
    );
    check(
        r#"{"BS":["/w==","AA==","AA=="]}"#,
        &format!(
            "{invalid}Input collection [\"AA==\",\"/w==\",\"AA==\"]of type BS contains duplicates."
        ),
        &format!("{invalid}Input collection [/w==, AA==, AA==]of type BS contains duplicates."),
    );
    check(
        r#"{"NS":["2","1","2.0"]}"#,
        &format!("{invalid}Input collection contains duplicates."),
        "Input collection contains duplicates",
    );
    let numeric = "The parameter cannot be converted to a numeric value";
    check(r#"{"N":""}"#, &format!("{numeric}: "), numeric);
    same(r#"{"N":"abc"}"#, &format!("{numeric}: abc"));
    same(r#"{"NS":["1","x"]}"#, &format!("{numeric}: x"));
    let overflow =
        "Number overflow. Attempting to store a number with magnitude larger than supported range";
    let underflow = "Number underflow. Attempting to store a number with magnitude smaller than supported range";
    same(r#"{"N":"1e126"}"#, overflow);
    check(r#"{"N":"1e2147483647"}"#, overflow, underflow);
    same(r#"{"N":"1e-131"}"#, underflow);
}

fn nested(levels: usize) -> String {
    let open = r#"{"M":{"n":"#.repeat(levels);
    format!("{open}{}{}", r#"{"S":"leaf"}"#, "}}".repeat(levels))
}

#[test]
fn nesting_is_limited() {
    assert_eq!(read(&nested(31)).unwrap().1, None);
    for levels in [32, 33, 100, 20_000] {
        assert_eq!(read(&nested(levels)).unwrap().1, Some(ValueFault::Nesting), "{levels}");
    }
}

#[test]
fn wrong_types() {
    for (json, text) in [
        (r#"{"S":1}"#, "NUMBER_VALUE cannot be converted to String"),
        (r#"{"S":1.5}"#, "DECIMAL_VALUE cannot be converted to String"),
        (r#"{"N":true}"#, "TRUE_VALUE cannot be converted to String"),
        (r#"{"N":[]}"#, "Unrecognized collection type class java.lang.String"),
        (r#"{"S":{}}"#, "Start of structure or map found where not expected"),
        (r#"{"BOOL":"x"}"#, "Unexpected token received from parser"),
        (r#"{"BOOL":1}"#, "NUMBER_VALUE cannot be converted to Boolean"),
        (r#"{"NULL":[]}"#, "Unrecognized collection type class java.lang.Boolean"),
        (r#"{"B":1}"#, "only base-64-encoded strings are convertible to bytes"),
        (r#"{"B":[]}"#, "Unrecognized collection type class java.nio.ByteBuffer"),
        (
            r#"{"B":"23456"}"#,
            "Base64 encoded length is expected a multiple of 4 bytes but found: 5",
        ),
        (r#"{"B":"=+/="}"#, "Invalid last non-pad Base64 character dectected"),
        (r#"{"B":"+/+="}"#, "Invalid last non-pad Base64 character dectected"),
        (r#"{"SS":"x"}"#, "Unexpected field type"),
        (r#"{"L":{}}"#, "Start of structure or map found where not expected"),
        (r#"{"L":[1]}"#, "Unexpected value type in payload"),
        (
            r#"{"L":[[]]}"#,
            "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.AttributeValue",
        ),
        (r#"{"M":1}"#, "Unexpected field type"),
        (
            r#"{"M":[]}"#,
            "Unrecognized collection type java.util.Map<java.lang.String, \
             com.amazonaws.dynamodb.v20120810.AttributeValue>",
        ),
    ] {
        assert_eq!(wrong_type(json), text, "{json}");
    }
}

#[test]
fn a_wrong_type_beats_an_earlier_fault() {
    assert_eq!(
        wrong_type(r#"{"M":{"a":{},"b":{"S":1}}}"#),
        "NUMBER_VALUE cannot be converted to String"
    );
}

fn value() -> impl Strategy<Value = AttributeValue> {
    let number = any::<i64>().prop_map(|n| Number::parse(&n.to_string()).unwrap());
    let leaf = prop_oneof![
        any::<String>().prop_map(AttributeValue::S),
        number.clone().prop_map(AttributeValue::N),
        any::<Vec<u8>>().prop_map(AttributeValue::B),
        any::<bool>().prop_map(AttributeValue::Bool),
        Just(AttributeValue::Null),
        proptest::collection::btree_set(any::<String>(), 1..4).prop_map(AttributeValue::Ss),
        proptest::collection::btree_set(number, 1..4).prop_map(AttributeValue::Ns),
        proptest::collection::btree_set(any::<Vec<u8>>(), 1..4).prop_map(AttributeValue::Bs),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(AttributeValue::L),
            proptest::collection::btree_map("[a-z]{1,4}", inner, 0..4).prop_map(AttributeValue::M),
        ]
    })
}

proptest! {
    #[test]
    fn written_values_are_read_back(item in proptest::collection::btree_map("[a-z]{1,4}", value(), 0..4)) {
        let mut out = Vec::new();
        write_item(&mut out, &item);
        let mut reader = Reader::new(&out).unwrap();
        let read = read_item(&mut reader, Place::Field).unwrap().into_value();
        prop_assert_eq!(read, Ok(item));
    }

    #[test]
    fn arbitrary_json_never_panics(text in r#"[\[\]{}":,0-9SNBLMOU=a ]{0,40}"#) {
        let _ = read(&text);
    }
}

#[test]
fn sets_are_sets() {
    let (value, fault) = read(r#"{"NS":["2","1.0"]}"#).unwrap();
    assert_eq!(fault, None);
    let numbers = ["1", "2"].map(|n| Number::parse(n).unwrap());
    assert_eq!(value, AttributeValue::Ns(BTreeSet::from(numbers)));
    let (value, _) = read(r#"{"M":{"a":{"BOOL":true}}}"#).unwrap();
    let map = BTreeMap::from([("a".to_owned(), AttributeValue::Bool(true))]);
    assert_eq!(value, AttributeValue::M(map));
}

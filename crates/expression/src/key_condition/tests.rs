//! Key conditions: the service's refusals, and the keys that the bounds hold.

use meridian_model::{Key, Number};
use proptest::prelude::*;

use super::*;
use crate::testing::{b, l, n, placeholders, s};

fn schema(sort: Option<KeyKind>) -> KeySchema {
    KeySchema {
        partition: KeyAttribute::new("p", KeyKind::S),
        sort: sort.map(|kind| KeyAttribute::new("c", kind)),
    }
}

fn parse(text: &str, schema: &KeySchema) -> Result<KeyCondition, String> {
    let values = [
        (":p", s("x")),
        (":n", n("3")),
        (":m", n("7")),
        (":s", s("y")),
        (":b", b(b"z")),
        (":e", s("")),
        (":l", l(&[])),
        (":long", s(&"x".repeat(2049))),
    ];
    let names = [("#p", "p"), ("#c", "c")];
    KeyCondition::parse(text, &mut placeholders(&names, &values), schema).map_err(|e| e.to_string())
}

#[test]
fn forms_are_refused() {
    let operator = "Invalid operator used in KeyConditionExpression: ";
    let condition = "Invalid condition in KeyConditionExpression: ";
    let first = "operator must have the key attribute as its first operand";
    for (text, said) in [
        ("c = :n OR p = :p", format!("{operator}OR")),
        ("NOT c = :n AND p = :p", format!("{operator}NOT")),
        ("p = :p AND c <> :n", format!("{operator}<>")),
        ("p = :p AND c IN (:n)", format!("{operator}IN")),
        ("attribute_exists(c)", format!("{operator}attribute_exists")),
        ("attribute_not_exists(c)", format!("{operator}attribute_not_exists")),
        ("contains(a.d, c)", format!("{operator}contains")),
        (":n BETWEEN c AND b and p > :p", format!("{condition}BETWEEN {first}")),
        ("begins_with(:s, c) and p = :p", format!("{condition}begins_with {first}")),
        ("size(c) > p AND a.b > c", "KeyConditionExpressions cannot contain nested operations".into()),
        ("c > size(b.d)", "KeyConditionExpressions cannot contain nested operations".into()),
        ("c between size(b) and :n", "KeyConditionExpressions cannot contain nested operations".into()),
        ("p = c", format!("{condition}Multiple attribute names used in one condition")),
        ("b > a.b", format!("{condition}Multiple attribute names used in one condition")),
        ("begins_with(a, b)", format!("{condition}Multiple attribute names used in one condition")),
        ("a.d > c", "KeyConditionExpressions cannot have conditions on nested attributes".into()),
        ("p = :p AND c[0] > :n", "KeyConditionExpressions cannot have conditions on nested attributes".into()),
        (":p = :n AND c < :n", format!("{condition}No key attribute specified")),
        ("p = :p AND p = :p", "KeyConditionExpressions must only contain one condition per key".into()),
        ("p = :p AND c >= :n AND c <= :m", "KeyConditionExpressions must only contain one condition per key".into()),
        ("p = :p AND c < :n AND a < :n", "Conditions can be of length 1 or 2 only".into()),
        ("c = :n", "Query condition missed key schema element: p".into()),
        ("p = :p AND a < :n", "Query condition missed key schema element: c".into()),
        ("p < :p", "Query key condition not supported".into()),
        ("begins_with(p, :p)", "Query key condition not supported".into()),
        ("p = :n", "One or more parameter values were invalid: Condition parameter type does not match schema type".into()),
        ("p = :p AND c = :s", "One or more parameter values were invalid: Condition parameter type does not match schema type".into()),
        ("p = :p AND c = :l", "One or more parameter values were invalid: Condition parameter type does not match schema type".into()),
        ("p = :e", "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: p".into()),
        ("p = :long", "One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 bytes".into()),
        ("p = :p AND begins_with(c, :n)", "Invalid KeyConditionExpression: Incorrect operand type for operator or function; operator or function: begins_with, operand type: N".into()),
        ("p = :p AND c BETWEEN :m AND :n", "Invalid KeyConditionExpression: The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: {N:7}, upper bound operand: AttributeValue: {N:3}".into()),
        ("", "Invalid KeyConditionExpression: The expression can not be empty;".into()),
        ("p = :p AND dog(c, :n)", "Invalid KeyConditionExpression: Invalid function name; function: dog".into()),
    ] {
        assert_eq!(parse(text, &schema(Some(KeyKind::N))), Err(said), "{text}");
    }
    assert_eq!(
        parse("p = :p AND c = :n", &schema(None)),
        Err("Query key condition not supported".to_owned())
    );
}

#[test]
fn conditions_are_read_from_either_side_and_in_either_order() {
    let numbers = schema(Some(KeyKind::N));
    let sort = |text: &str| parse(text, &numbers).map(|condition| condition.sort);
    assert_eq!(sort("p = :p"), Ok(None));
    assert_eq!(sort("((#c = :n) AND (:p = #p))"), Ok(Some(SortCondition::Equal(n("3")))));
    assert_eq!(sort(":p = p AND :n < c"), Ok(Some(SortCondition::Greater(n("3")))));
    assert_eq!(sort("c <= :n AND p = :p"), Ok(Some(SortCondition::LessOrEqual(n("3")))));
    assert_eq!(
        sort("p = :p AnD c BeTwEeN :n aNd :m"),
        Ok(Some(SortCondition::Between(n("3"), n("7"))))
    );
    let texts = schema(Some(KeyKind::S));
    assert_eq!(
        parse("p = :p AND begins_with(c, :s)", &texts).map(|condition| condition.sort),
        Ok(Some(SortCondition::BeginsWith(s("y"))))
    );
}

fn holds(sort: &SortCondition, value: &AttributeValue) -> bool {
    use crate::condition::order;
    let is = |other: &AttributeValue, test: fn(std::cmp::Ordering) -> bool| {
        order(value, other).is_some_and(test)
    };
    match sort {
        SortCondition::Equal(other) => value == other,
        SortCondition::Less(other) => is(other, std::cmp::Ordering::is_lt),
        SortCondition::LessOrEqual(other) => is(other, std::cmp::Ordering::is_le),
        SortCondition::Greater(other) => is(other, std::cmp::Ordering::is_gt),
        SortCondition::GreaterOrEqual(other) => is(other, std::cmp::Ordering::is_ge),
        SortCondition::Between(low, high) => {
            is(low, std::cmp::Ordering::is_ge) && is(high, std::cmp::Ordering::is_le)
        }
        SortCondition::BeginsWith(prefix) => match (value, prefix) {
            (AttributeValue::B(value), AttributeValue::B(prefix)) => value.starts_with(prefix),
            _ => false,
        },
    }
}

fn any_sort_value(numbers: bool) -> BoxedStrategy<AttributeValue> {
    if numbers {
        return (-30i64..30).prop_map(|i| AttributeValue::N(Number::from(i))).boxed();
    }
    let byte = prop_oneof![Just(0u8), Just(0xff), 0u8..3];
    prop::collection::vec(byte, 1..4).prop_map(AttributeValue::B).boxed()
}

fn any_sort() -> impl Strategy<Value = (SortCondition, AttributeValue)> {
    any::<bool>().prop_flat_map(|numbers| {
        let value = || any_sort_value(numbers);
        (0u8..7, value(), value(), value()).prop_map(|(which, a, b, stored)| {
            let condition = match which {
                0 => SortCondition::Equal(a),
                1 => SortCondition::Less(a),
                2 => SortCondition::LessOrEqual(a),
                3 => SortCondition::Greater(a),
                4 => SortCondition::GreaterOrEqual(a),
                5 => SortCondition::Between(a, b),
                _ => SortCondition::BeginsWith(a),
            };
            (condition, stored)
        })
    })
}

proptest! {
    #[test]
    fn bounds_hold_the_keys_that_satisfy_the_condition(
        (sort, stored) in any_sort(),
        partition in "[ab]{1,2}",
        other in "[ab]{1,2}",
    ) {
        // `begins_with` is for texts and bytes only.
        let numeric_prefix = matches!(sort, SortCondition::BeginsWith(AttributeValue::N(_)));
        prop_assume!(!numeric_prefix);
        let condition = KeyCondition { partition: vec![s(&partition)], leading: Vec::new(), sort: Some(sort.clone()) };
        let all = KeyCondition { sort: None, ..condition.clone() };
        let key = Key { partition: s(&other), sort: Some(stored.clone()) }.encode().0;
        let within = |condition: &KeyCondition| {
            let (start, end) = condition.bounds();
            let after = match start {
                Bound::Included(start) => key >= start,
                Bound::Excluded(start) => key > start,
                Bound::Unbounded => true,
            };
            let before = match end {
                Bound::Included(end) => key <= end,
                Bound::Excluded(end) => key < end,
                Bound::Unbounded => true,
            };
            after && before
        };
        prop_assert_eq!(within(&condition), partition == other && holds(&sort, &stored));
        prop_assert_eq!(within(&all), partition == other);
    }
}

#[test]
fn keys_of_several_attributes_are_named_from_the_first_on() {
    let attribute = |name: &str| KeyAttribute::new(name, KeyKind::S);
    let keys = KeyAttributes {
        partition: vec![attribute("a"), attribute("b")],
        sort: vec![attribute("c"), attribute("d")],
    };
    let bind = |text: &str| {
        let values = [(":1", s("1")), (":2", s("2")), (":3", s("3")), (":4", s("4"))];
        let used = values.into_iter().filter(|(name, _)| text.contains(name));
        let values = used.map(|(name, value)| (name.to_owned(), value)).collect();
        let mut placeholders = Placeholders::new(None, Some(values)).unwrap();
        let terms = KeyConditionTerms::parse(text, &mut placeholders).unwrap();
        terms.bind(&keys).map_err(|error| error.to_string())
    };
    let all = bind("d > :4 AND a = :1 AND c = :3 AND b = :2").unwrap();
    assert_eq!(all.partition, [s("1"), s("2")]);
    assert_eq!(all.leading, [s("3")]);
    assert_eq!(all.sort, Some(SortCondition::Greater(s("4"))));
    let first = bind("a = :1 AND b = :2 AND begins_with(c, :3)").unwrap();
    assert_eq!((first.leading.len(), first.sort.is_some()), (0, true));
    assert_eq!(bind("a = :1 AND b = :2").unwrap().sort, None);
    let missed = |name: &str| format!("Query condition missed key schema element: {name}");
    assert_eq!(bind("a = :1 AND c = :3").unwrap_err(), missed("b"));
    assert_eq!(bind("a = :1 AND b = :2 AND d = :4").unwrap_err(), missed("c"));
    let unsupported = "Query key condition not supported";
    assert_eq!(bind("a = :1 AND b > :2").unwrap_err(), unsupported);
    assert_eq!(bind("a = :1 AND b = :2 AND c > :3 AND d = :4").unwrap_err(), unsupported);
}

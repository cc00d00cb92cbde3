//! Generated expressions print and compile to what they were.

use proptest::prelude::*;

use super::*;
use crate::ast::Comparator;
use crate::condition::Condition;
use crate::projection::Projection;
use crate::testing::{b, l, m, n, ns, s, ss};
use crate::update::Update;

pub(crate) fn any_value() -> impl Strategy<Value = AttributeValue> {
    prop_oneof![
        "[a-c]{0,3}".prop_map(|text| s(&text)),
        (-3i64..4).prop_map(|number| n(&number.to_string())),
        prop::collection::vec(any::<u8>(), 0..3).prop_map(|bytes| b(&bytes)),
        prop::collection::vec(-2i64..3, 1..3).prop_map(|members| ns(&members)),
        Just(ss(&["a", "b"])),
        Just(l(&[n("1"), l(&[s("a")])])),
        Just(m(&[("a", n("1")), ("b", m(&[]))])),
        Just(AttributeValue::Bool(false)),
        Just(AttributeValue::Null),
    ]
}

/// A name that may be odd, reserved or written like a placeholder.
fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-d]".boxed(),
        prop::sample::select(vec!["status", "and", "#n0", ":v0", "a.b", "é []", "_", "SET"])
            .prop_map(str::to_owned)
            .boxed(),
    ]
}

fn any_path() -> impl Strategy<Value = Path> {
    let step = prop_oneof![
        any_name().prop_map(Step::Key),
        prop_oneof![0u32..3, Just(2_147_483_647)].prop_map(Step::Index),
    ];
    (any_name(), prop::collection::vec(step, 0..3))
        .prop_map(|(attribute, steps)| Path { attribute, steps })
}

fn any_operand() -> impl Strategy<Value = Operand> {
    let leaf =
        prop_oneof![any_path().prop_map(Operand::Path), any_value().prop_map(Operand::Value),];
    leaf.prop_recursive(2, 4, 1, |inner| inner.prop_map(|o| Operand::Size(Box::new(o))))
}

fn any_predicate() -> impl Strategy<Value = Predicate> {
    let pair = || (any_operand(), any_operand());
    let leaf = prop_oneof![
        (prop::sample::select(Comparator::ALL.to_vec()), any_operand(), any_operand())
            .prop_map(|(comparator, left, right)| Predicate::Compare { comparator, left, right }),
        (any_operand(), any_operand(), any_operand())
            .prop_map(|(operand, low, high)| Predicate::Between { operand, low, high }),
        (any_operand(), prop::collection::vec(any_operand(), 1..4))
            .prop_map(|(operand, list)| Predicate::In { operand, list }),
        any_path().prop_map(Predicate::Exists),
        any_path().prop_map(Predicate::NotExists),
        (any_operand(), prop::sample::select(vec!["S", "NULL", "NS"]))
            .prop_map(|(operand, name)| Predicate::HasType(operand, name)),
        pair().prop_map(|(operand, prefix)| Predicate::BeginsWith(operand, prefix)),
        pair().prop_map(|(operand, part)| Predicate::Contains(operand, part)),
    ];
    leaf.prop_recursive(5, 24, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Predicate::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Predicate::Or),
            inner.prop_map(|p| Predicate::Not(Box::new(p))),
        ]
    })
}

fn any_set_value() -> impl Strategy<Value = SetValue> {
    let leaf = || {
        prop_oneof![any_path().prop_map(SetOperand::Path), any_value().prop_map(SetOperand::Value),]
    };
    let inner = leaf().prop_recursive(3, 6, 1, |inner| {
        (any_path(), inner).prop_map(|(path, other)| SetOperand::IfNotExists(path, Box::new(other)))
    });
    let inner = inner.boxed();
    let operand = prop_oneof![
        inner.clone(),
        (inner.clone(), inner).prop_map(|(a, b)| SetOperand::ListAppend(Box::new(a), Box::new(b))),
    ];
    let operand = operand.boxed();
    prop_oneof![
        operand.clone().prop_map(SetValue::Operand),
        (operand.clone(), operand.clone()).prop_map(|(a, b)| SetValue::Plus(a, b)),
        (operand.clone(), operand).prop_map(|(a, b)| SetValue::Minus(a, b)),
    ]
}

/// Actions of distinct attributes, section by section.
fn any_actions() -> impl Strategy<Value = Vec<UpdateAction>> {
    let action = (0u8..4, any_path(), any_set_value(), any_value()).prop_map(
        |(section, path, set, value)| match section {
            0 => UpdateAction::Set(path, set),
            1 => UpdateAction::Remove(path),
            2 => UpdateAction::Add(path, value),
            _ => UpdateAction::Delete(path, value),
        },
    );
    prop::collection::vec(action, 0..6).prop_map(|mut actions| {
        let mut seen = std::collections::BTreeSet::new();
        actions.retain(|action| seen.insert(action.path().attribute.clone()));
        actions.sort_by_key(keyword);
        actions
    })
}

proptest! {
    #[test]
    fn conditions_round_trip(predicate in any_predicate()) {
        let condition = Condition::new(predicate);
        let source = condition.source();
        let again = Condition::from_source(&source);
        prop_assert_eq!(again, Ok(condition), "{}", source.text);
    }

    #[test]
    fn updates_round_trip(actions in any_actions()) {
        let update = Update::new(actions).expect("distinct attributes");
        let source = update.source();
        let again = Update::from_source(&source);
        prop_assert_eq!(again, Ok(update), "{}", source.text);
    }

    #[test]
    fn projections_round_trip(paths in prop::collection::vec(any_path(), 1..6)) {
        if let Ok(projection) = Projection::new(paths) {
            prop_assert_eq!(Projection::from_source(&projection.source()), Ok(projection));
        }
    }

    #[test]
    fn sources_round_trip_as_bytes(predicate in any_predicate(), bytes: Vec<u8>) {
        let source = Condition::new(predicate).source();
        let mut out = Vec::new();
        source.encode(&mut out);
        let mut reader = Reader::new(&out);
        prop_assert_eq!(ExpressionSource::decode(&mut reader), Ok(source));
        prop_assert!(reader.is_empty());
        let _ = ExpressionSource::decode(&mut Reader::new(&bytes));
    }
}

#[test]
fn only_used_names_and_values_travel() {
    let mut placeholders = crate::testing::placeholders(
        &[("#x", "status"), ("#y", "other")],
        &[(":x", n("1")), (":y", n("2"))],
    );
    let condition = Condition::parse(
        crate::error::ExpressionKind::Condition,
        "#x = :x AND NOT (#x.b[2] < :x OR attribute_exists(c))",
        &mut placeholders,
    )
    .expect("well formed");
    let source = condition.source();
    assert_eq!(source.text, "#n0 = :v0 AND NOT (#n0.#n1[2] < :v1 OR attribute_exists(#n2))");
    let names: Vec<_> = source.names.values().map(String::as_str).collect();
    assert_eq!(names, ["status", "b", "c"]);
    assert_eq!(source.values.len(), 2);
    assert_eq!(condition.to_string(), source.text);
}

#[test]
fn a_list_longer_than_a_text_of_a_client_may_have_travels() {
    let number = |value: u32| crate::ast::Operand::Value(n(&value.to_string()));
    let operand = crate::ast::Operand::Path(crate::path::Path::new("a"));
    let list = (0..150).map(number).collect();
    let condition = Condition::new(Predicate::In { operand, list });
    assert_eq!(Condition::from_source(&condition.source()), Ok(condition));
}

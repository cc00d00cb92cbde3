//! A naive model: lists are sparse maps from position to value while the actions are carried out
//! one after the other, and are closed up at the end.

use std::collections::BTreeMap;

use meridian_model::{AttributeValue, Item};
use proptest::prelude::*;

use crate::ast::{SetOperand, SetValue, UpdateAction};
use crate::path::{Path, Step};
use crate::testing::{l, m, n, ns, s};
use crate::update::Update;

#[derive(Debug, Clone)]
enum Sparse {
    Other(AttributeValue),
    Map(BTreeMap<String, Sparse>),
    List(BTreeMap<u32, Sparse>),
}

fn open(value: &AttributeValue) -> Sparse {
    match value {
        AttributeValue::M(map) => {
            Sparse::Map(map.iter().map(|(key, value)| (key.clone(), open(value))).collect())
        }
        AttributeValue::L(list) => Sparse::List((0..).zip(list.iter().map(open)).collect()),
        other => Sparse::Other(other.clone()),
    }
}

fn close(value: Sparse) -> AttributeValue {
    match value {
        Sparse::Map(map) => {
            AttributeValue::M(map.into_iter().map(|(key, value)| (key, close(value))).collect())
        }
        Sparse::List(list) => AttributeValue::L(list.into_values().map(close).collect()),
        Sparse::Other(other) => other,
    }
}

/// Puts a value at the end of `steps`, or removes it; none when there is no way there.
fn put(at: &mut Sparse, steps: &[Step], value: Option<AttributeValue>) -> Option<()> {
    match (at, steps) {
        (Sparse::Map(map), [Step::Key(key)]) => match value {
            Some(value) => drop(map.insert(key.clone(), open(&value))),
            None => drop(map.remove(key)),
        },
        (Sparse::List(list), [Step::Index(index)]) => match value {
            Some(value) => drop(list.insert(*index, open(&value))),
            None => drop(list.remove(index)),
        },
        (Sparse::Map(map), [Step::Key(key), rest @ ..]) => put(map.get_mut(key)?, rest, value)?,
        (Sparse::List(list), [Step::Index(index), rest @ ..]) => {
            put(list.get_mut(index)?, rest, value)?;
        }
        _ => return None,
    }
    Some(())
}

fn read(item: &Item, path: &Path) -> Option<AttributeValue> {
    let mut value = item.get(&path.attribute)?.clone();
    for step in &path.steps {
        value = match (value, step) {
            (AttributeValue::M(mut map), Step::Key(key)) => map.remove(key)?,
            (AttributeValue::L(list), Step::Index(index)) => {
                list.into_iter().nth(usize::try_from(*index).ok()?)?
            }
            _ => return None,
        };
    }
    Some(value)
}

fn operand(item: &Item, operand: &SetOperand) -> Option<AttributeValue> {
    match operand {
        SetOperand::Path(path) => read(item, path),
        SetOperand::Value(value) => Some(value.clone()),
        SetOperand::IfNotExists(path, other) => {
            read(item, path).or_else(|| self::operand(item, other))
        }
        SetOperand::ListAppend(first, second) => {
            match (self::operand(item, first)?, self::operand(item, second)?) {
                (AttributeValue::L(first), AttributeValue::L(second)) => {
                    Some(AttributeValue::L([first, second].concat()))
                }
                _ => None,
            }
        }
    }
}

fn number(value: AttributeValue) -> Option<i64> {
    match value {
        AttributeValue::N(number) => number.to_i64(),
        _ => None,
    }
}

/// What an action writes: the outer option is failure, the inner one removal.
fn written(item: &Item, action: &UpdateAction) -> Option<Option<AttributeValue>> {
    let sum = |left, right, sign: i64| {
        let (left, right) = (number(operand(item, left)?)?, number(operand(item, right)?)?);
        Some(n(&(left + sign * right).to_string()))
    };
    match action {
        UpdateAction::Set(_, SetValue::Operand(value)) => operand(item, value).map(Some),
        UpdateAction::Set(_, SetValue::Plus(left, right)) => sum(left, right, 1).map(Some),
        UpdateAction::Set(_, SetValue::Minus(left, right)) => sum(left, right, -1).map(Some),
        UpdateAction::Remove(_) => Some(None),
        UpdateAction::Add(path, value) => match (read(item, path), value) {
            (None, value) => Some(Some(value.clone())),
            (Some(AttributeValue::N(a)), AttributeValue::N(b)) => {
                let (a, b) = (a.to_i64()?, b.to_i64()?);
                Some(Some(n(&(a + b).to_string())))
            }
            (Some(AttributeValue::Ns(mut a)), AttributeValue::Ns(b)) => {
                a.extend(b);
                Some(Some(AttributeValue::Ns(a)))
            }
            _ => None,
        },
        UpdateAction::Delete(path, value) => match (read(item, path), value) {
            (None, _) => Some(None),
            (Some(AttributeValue::Ns(mut a)), AttributeValue::Ns(b)) => {
                a.retain(|member| !b.contains(member));
                Some((!a.is_empty()).then_some(AttributeValue::Ns(a)))
            }
            _ => None,
        },
    }
}

fn modelled(item: &Item, actions: &[UpdateAction]) -> Option<Item> {
    let mut sparse = open(&AttributeValue::M(item.clone()));
    for action in actions {
        let value = written(item, action)?;
        let path = action.path();
        let mut steps = vec![Step::Key(path.attribute.clone())];
        steps.extend(path.steps.iter().cloned());
        put(&mut sparse, &steps, value)?;
    }
    match close(sparse) {
        AttributeValue::M(item) => Some(item),
        other => panic!("an item stays a map: {other:?}"),
    }
}

fn any_value() -> impl Strategy<Value = AttributeValue> {
    let leaf = prop_oneof![
        (0i64..9).prop_map(|i| n(&i.to_string())),
        (0i64..9).prop_map(|i| n(&i.to_string())),
        "[xy]".prop_map(|text| s(&text)),
        prop::collection::vec(0i64..4, 1..4).prop_map(|members| ns(&members)),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|list| l(&list)),
            prop::collection::vec(("[abc]", inner), 0..4).prop_map(|entries| {
                m(&entries
                    .iter()
                    .map(|(key, value)| (key.as_str(), value.clone()))
                    .collect::<Vec<_>>())
            }),
        ]
    })
}

fn any_item() -> impl Strategy<Value = Item> {
    prop::collection::btree_map("[abcd]", any_value(), 1..5)
}

fn any_path() -> impl Strategy<Value = Path> {
    let step = prop_oneof![
        "[abc]".prop_map(Step::Key),
        (0u32..5).prop_map(Step::Index),
        (0u32..5).prop_map(Step::Index),
    ];
    ("[abcd]", prop::collection::vec(step, 0..3))
        .prop_map(|(attribute, steps)| Path { attribute, steps })
}

fn any_operand() -> impl Strategy<Value = SetOperand> {
    prop_oneof![
        any_path().prop_map(SetOperand::Path),
        any_value().prop_map(SetOperand::Value),
        any_value().prop_map(SetOperand::Value),
        (any_path(), any_value()).prop_map(|(path, value)| {
            SetOperand::IfNotExists(path, Box::new(SetOperand::Value(value)))
        }),
        (any_path(), any_value()).prop_map(|(path, value)| {
            let list = SetOperand::Value(l(&[value]));
            let stored = SetOperand::IfNotExists(path, Box::new(SetOperand::Value(l(&[]))));
            SetOperand::ListAppend(Box::new(stored), Box::new(list))
        }),
    ]
}

fn any_action() -> impl Strategy<Value = UpdateAction> {
    let set = || prop::collection::vec(0i64..4, 1..3).prop_map(|members| ns(&members));
    let amount = || (0i64..9).prop_map(|i| n(&i.to_string()));
    prop_oneof![
        4 => (any_path(), any_operand())
            .prop_map(|(path, value)| UpdateAction::Set(path, SetValue::Operand(value))),
        1 => (any_path(), any_path(), amount()).prop_map(|(path, left, right)| {
            let (left, right) = (SetOperand::Path(left), SetOperand::Value(right));
            UpdateAction::Set(path, SetValue::Plus(left, right))
        }),
        1 => (any_path(), amount(), any_path()).prop_map(|(path, left, right)| {
            let (left, right) = (SetOperand::Value(left), SetOperand::Path(right));
            UpdateAction::Set(path, SetValue::Minus(left, right))
        }),
        4 => any_path().prop_map(UpdateAction::Remove),
        2 => (any_path(), prop_oneof![set(), amount()])
            .prop_map(|(path, value)| UpdateAction::Add(path, value)),
        2 => (any_path(), set()).prop_map(|(path, value)| UpdateAction::Delete(path, value)),
    ]
}

/// Paths that lead somewhere in the item, so that more updates succeed.
fn rooted(item: &Item, mut path: Path) -> Path {
    while !path.steps.is_empty() {
        let parent = Path {
            attribute: path.attribute.clone(),
            steps: path.steps[..path.steps.len() - 1].to_vec(),
        };
        let fits = match (read(item, &parent), path.steps.last()) {
            (Some(AttributeValue::M(_)), Some(Step::Key(_))) => true,
            (Some(AttributeValue::L(_)), Some(Step::Index(_))) => true,
            _ => false,
        };
        if fits {
            break;
        }
        path.steps.pop();
    }
    path
}

fn with_path(action: UpdateAction, path: Path) -> UpdateAction {
    match action {
        UpdateAction::Set(_, value) => UpdateAction::Set(path, value),
        UpdateAction::Remove(_) => UpdateAction::Remove(path),
        UpdateAction::Add(_, value) => UpdateAction::Add(path, value),
        UpdateAction::Delete(_, value) => UpdateAction::Delete(path, value),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn updates_equal_the_model(
        item in any_item(),
        actions in prop::collection::vec(any_action(), 1..6),
        strict: bool,
    ) {
        // Overlapping actions are left out, so that what remains is an update.
        let mut kept: Vec<UpdateAction> = Vec::new();
        for action in actions {
            let path = action.path().clone();
            let path = if strict { path } else { rooted(&item, path) };
            kept.push(with_path(action, path));
            if Update::new(kept.clone()).is_err() {
                kept.pop();
            }
        }
        let update = Update::new(kept.clone()).expect("no paths overlap");
        let applied = update.apply(&item).ok().map(|updated| updated.item);
        prop_assert_eq!(applied, modelled(&item, &kept), "{}", update);
    }
}

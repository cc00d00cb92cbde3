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

/// Items with a list of numbers at their top, so that several actions often meet in one list.
fn any_item() -> impl Strategy<Value = Item> {
    let numbers = prop::collection::vec((0i64..9).prop_map(|i| n(&i.to_string())), 0..7);
    (prop::collection::btree_map("[abc]", any_value(), 1..4), numbers).prop_map(
        |(mut item, list)| {
            item.insert("d".to_owned(), l(&list));
            item
        },
    )
}

/// Every path that an update of the item can write: what is there, and what could be next to it.
fn writable(at: &Path, value: &AttributeValue, paths: &mut Vec<Path>) {
    match value {
        AttributeValue::M(map) => {
            for key in ["a", "b", "c"] {
                paths.push(at.clone().key(key));
            }
            map.iter().for_each(|(key, value)| writable(&at.clone().key(key), value, paths));
        }
        AttributeValue::L(list) => {
            (0..8).for_each(|index| paths.push(at.clone().index(index)));
            for (index, value) in (0..).zip(list) {
                writable(&at.clone().index(index), value, paths);
            }
        }
        _ => {}
    }
}

fn any_path(item: &Item) -> impl Strategy<Value = Path> + use<> {
    let mut below = Vec::new();
    item.iter().for_each(|(name, value)| writable(&Path::new(name), value, &mut below));
    let top: Vec<_> = ["a", "b", "c", "d", "e"].into_iter().map(Path::new).collect();
    let step = prop_oneof!["[abc]".prop_map(Step::Key), (0u32..5).prop_map(Step::Index)];
    prop_oneof![
        12 => prop::sample::select(below),
        2 => prop::sample::select(top),
        1 => ("[abcd]", prop::collection::vec(step, 0..3))
            .prop_map(|(attribute, steps)| Path { attribute, steps }),
    ]
}

fn any_operand(path: BoxedStrategy<Path>) -> impl Strategy<Value = SetOperand> {
    prop_oneof![
        path.clone().prop_map(SetOperand::Path),
        any_value().prop_map(SetOperand::Value),
        any_value().prop_map(SetOperand::Value),
        (path.clone(), any_value()).prop_map(|(path, value)| {
            SetOperand::IfNotExists(path, Box::new(SetOperand::Value(value)))
        }),
        (path, any_value()).prop_map(|(path, value)| {
            let list = SetOperand::Value(l(&[value]));
            let stored = SetOperand::IfNotExists(path, Box::new(SetOperand::Value(l(&[]))));
            SetOperand::ListAppend(Box::new(stored), Box::new(list))
        }),
    ]
}

fn any_action(item: &Item) -> BoxedStrategy<UpdateAction> {
    let set = || prop::collection::vec(0i64..4, 1..3).prop_map(|members| ns(&members));
    let amount = || (0i64..9).prop_map(|i| n(&i.to_string()));
    let path = any_path(item).boxed();
    let path = || path.clone();
    prop_oneof![
        6 => (path(), any_operand(path()))
            .prop_map(|(path, value)| UpdateAction::Set(path, SetValue::Operand(value))),
        1 => (path(), path(), amount()).prop_map(|(path, left, right)| {
            let (left, right) = (SetOperand::Path(left), SetOperand::Value(right));
            UpdateAction::Set(path, SetValue::Plus(left, right))
        }),
        1 => (path(), amount(), path()).prop_map(|(path, left, right)| {
            let (left, right) = (SetOperand::Value(left), SetOperand::Path(right));
            UpdateAction::Set(path, SetValue::Minus(left, right))
        }),
        8 => path().prop_map(UpdateAction::Remove),
        1 => (path(), prop_oneof![set(), amount()])
            .prop_map(|(path, value)| UpdateAction::Add(path, value)),
        1 => (path(), set()).prop_map(|(path, value)| UpdateAction::Delete(path, value)),
    ]
    .boxed()
}

fn any_update() -> impl Strategy<Value = (Item, Vec<UpdateAction>)> {
    any_item().prop_flat_map(|item| {
        let actions = prop::collection::vec(any_action(&item), 1..8);
        (Just(item), actions)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn updates_equal_the_model((item, actions) in any_update()) {
        // Overlapping actions are left out, so that what remains is an update.
        let mut kept: Vec<UpdateAction> = Vec::new();
        for action in actions {
            kept.push(action);
            if Update::new(kept.clone()).is_err() {
                kept.pop();
            }
        }
        let update = Update::new(kept.clone()).expect("no paths overlap");
        let applied = update.apply(&item).ok().map(|updated| updated.item);
        prop_assert_eq!(applied, modelled(&item, &kept), "{}", update);
    }
}

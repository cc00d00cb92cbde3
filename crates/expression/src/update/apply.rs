//! Computes what the actions write, then writes it in one walk along the tree of paths.

use std::collections::BTreeMap;

use meridian_base::limits::NESTING_LEVELS_MAX;
use meridian_model::{AttributeValue, Item, depth};

use crate::ast::{SetOperand, SetValue, UpdateAction};
use crate::error::{ExpressionError, UpdateError};
use crate::path_tree::{PathNode, PathTree};

/// What an action does at its path.
enum Write {
    Put(AttributeValue),
    /// Also where there is nothing.
    Remove,
}

pub(super) fn apply(
    actions: &[UpdateAction],
    tree: &PathTree<usize>,
    item: &Item,
    exists: bool,
) -> Result<Item, ExpressionError> {
    let writes = actions
        .iter()
        .map(|action| write_of(action, item).map(Some))
        .collect::<Result<Vec<_>, _>>()?;
    let mut new = item.clone();
    Writer { writes, exists }.map(&mut new, tree)?;
    let too_deep = |value: &AttributeValue| depth(value) + 1 > NESTING_LEVELS_MAX;
    if tree.keys().filter_map(|attribute| new.get(attribute)).any(too_deep) {
        return Err(UpdateError::TooDeep.into());
    }
    Ok(new)
}

fn write_of(action: &UpdateAction, item: &Item) -> Result<Write, ExpressionError> {
    match action {
        UpdateAction::Set(_, value) => set_value(value, item).map(Write::Put),
        UpdateAction::Remove(_) => Ok(Write::Remove),
        UpdateAction::Add(path, value) => add(path.resolve(item), value).map(Write::Put),
        UpdateAction::Delete(path, value) => match path.resolve(item) {
            Some(stored) => Ok(delete(stored, value)?),
            None => Ok(Write::Remove),
        },
    }
}

fn set_value(value: &SetValue, item: &Item) -> Result<AttributeValue, ExpressionError> {
    let (left, right, sum) = match value {
        SetValue::Operand(operand) => return set_operand(operand, item),
        SetValue::Plus(left, right) => (left, right, true),
        SetValue::Minus(left, right) => (left, right, false),
    };
    match (set_operand(left, item)?, set_operand(right, item)?) {
        (AttributeValue::N(left), AttributeValue::N(right)) => {
            let result = if sum { left.add(&right) } else { left.sub(&right) };
            Ok(AttributeValue::N(result?))
        }
        _ => Err(UpdateError::OperandType.into()),
    }
}

fn set_operand(operand: &SetOperand, item: &Item) -> Result<AttributeValue, ExpressionError> {
    match operand {
        SetOperand::Path(path) => {
            path.resolve(item).cloned().ok_or(UpdateError::MissingAttribute.into())
        }
        SetOperand::Value(value) => Ok(value.clone()),
        SetOperand::IfNotExists(path, otherwise) => match path.resolve(item) {
            Some(stored) => Ok(stored.clone()),
            None => set_operand(otherwise, item),
        },
        SetOperand::ListAppend(first, second) => {
            match (set_operand(first, item)?, set_operand(second, item)?) {
                (AttributeValue::L(mut first), AttributeValue::L(second)) => {
                    first.extend(second);
                    Ok(AttributeValue::L(first))
                }
                _ => Err(UpdateError::OperandType.into()),
            }
        }
    }
}

/// Adds a number to a number, members to a set of their type, or elements to a list. What is not
/// there counts as nothing.
fn add(
    stored: Option<&AttributeValue>,
    value: &AttributeValue,
) -> Result<AttributeValue, ExpressionError> {
    use AttributeValue::{Bs, L, N, Ns, Ss};
    let Some(stored) = stored else { return Ok(value.clone()) };
    Ok(match (stored, value) {
        (N(stored), N(value)) => N(stored.add(value)?),
        (Ss(stored), Ss(value)) => Ss(stored | value),
        (Ns(stored), Ns(value)) => Ns(stored | value),
        (Bs(stored), Bs(value)) => Bs(stored | value),
        (L(stored), L(value)) => L(stored.iter().chain(value).cloned().collect()),
        _ => return Err(UpdateError::OperandType.into()),
    })
}

/// Takes members out of a set of their type; an attribute does not keep an empty set.
fn delete(stored: &AttributeValue, value: &AttributeValue) -> Result<Write, UpdateError> {
    use AttributeValue::{Bs, Ns, Ss};
    let (rest, is_empty) = match (stored, value) {
        (Ss(stored), Ss(value)) => (Ss(stored - value), stored.is_subset(value)),
        (Ns(stored), Ns(value)) => (Ns(stored - value), stored.is_subset(value)),
        (Bs(stored), Bs(value)) => (Bs(stored - value), stored.is_subset(value)),
        _ => return Err(UpdateError::OperandType),
    };
    Ok(if is_empty { Write::Remove } else { Write::Put(rest) })
}

/// Writes along the tree.
struct Writer {
    /// By position of the action; each is taken once.
    writes: Vec<Option<Write>>,
    /// Whether the item existed before.
    exists: bool,
}

impl Writer {
    fn take(&mut self, position: usize) -> Write {
        self.writes.get_mut(position).and_then(Option::take).unwrap_or(Write::Remove)
    }

    fn map(
        &mut self,
        map: &mut BTreeMap<String, AttributeValue>,
        children: &BTreeMap<String, PathNode<usize>>,
    ) -> Result<(), UpdateError> {
        for (key, node) in children {
            match node {
                PathNode::Leaf(position) => match self.take(*position) {
                    Write::Put(value) => {
                        map.insert(key.clone(), value);
                    }
                    Write::Remove => {
                        map.remove(key);
                    }
                },
                PathNode::Map(_) | PathNode::List(_) => self.below(map.get_mut(key), node)?,
            }
        }
        Ok(())
    }

    fn list(
        &mut self,
        list: &mut Vec<AttributeValue>,
        children: &BTreeMap<u32, PathNode<usize>>,
    ) -> Result<(), UpdateError> {
        let mut removed = Vec::new();
        let mut appended = Vec::new();
        for (index, node) in children {
            let position = usize::try_from(*index).unwrap_or(usize::MAX);
            let element = list.get_mut(position);
            match node {
                PathNode::Leaf(action) => match (self.take(*action), element) {
                    (Write::Put(value), Some(element)) => *element = value,
                    (Write::Put(value), None) => appended.push(value),
                    (Write::Remove, Some(_)) => removed.push(position),
                    (Write::Remove, None) => {}
                },
                PathNode::Map(_) | PathNode::List(_) => self.below(element, node)?,
            }
        }
        for position in removed.into_iter().rev() {
            list.remove(position);
        }
        list.append(&mut appended);
        Ok(())
    }

    /// Goes on below a map entry or list element.
    fn below(
        &mut self,
        value: Option<&mut AttributeValue>,
        node: &PathNode<usize>,
    ) -> Result<(), UpdateError> {
        match (value, node) {
            (Some(AttributeValue::M(map)), PathNode::Map(children)) => self.map(map, children),
            (Some(AttributeValue::L(list)), PathNode::List(children)) => self.list(list, children),
            (None, node) if !self.exists && !self.puts(node) => Ok(()),
            (_, PathNode::Leaf(_) | PathNode::Map(_) | PathNode::List(_)) => {
                Err(UpdateError::InvalidPath)
            }
        }
    }

    /// Tells whether anything is put at or below `node`.
    fn puts(&self, node: &PathNode<usize>) -> bool {
        match node {
            PathNode::Leaf(position) => {
                matches!(self.writes.get(*position), Some(Some(Write::Put(_))))
            }
            PathNode::Map(children) => children.values().any(|child| self.puts(child)),
            PathNode::List(children) => children.values().any(|child| self.puts(child)),
        }
    }
}

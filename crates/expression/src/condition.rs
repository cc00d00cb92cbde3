//! Conditions and filters: whether an item satisfies a predicate.
//!
//! # Invariants
//!
//! - Evaluation never fails: a missing attribute or an unfit type makes a comparison false (and
//!   `<>` true), as the service does; values of the request were checked when it was compiled.
//!
//! Tested by `condition/tests.rs`.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::cmp::Ordering;

use meridian_model::{AttributeValue, Item, KeyNames, Number};

use crate::ast::{Comparator, Operand, Predicate};
use crate::compile::condition::compile_condition;
use crate::compile::invalid;
use crate::error::{ExpressionError, ExpressionKind, KeyUseError};
use crate::parser::{Origin, parse_condition};
use crate::placeholders::Placeholders;
use crate::source::{ExpressionSource, Printer};

/// A compiled condition or filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    predicate: Predicate,
}

impl Condition {
    /// Compiles the text of a request; `kind` names the parameter in errors.
    pub fn parse(
        kind: ExpressionKind,
        text: &str,
        placeholders: &mut Placeholders,
    ) -> Result<Self, ExpressionError> {
        let written = parse_condition(text, Origin::Client).map_err(invalid(kind))?;
        let predicate =
            compile_condition(&written, placeholders, Origin::Client).map_err(invalid(kind))?;
        Ok(Condition { predicate })
    }

    /// Takes a predicate that was built without a text.
    pub fn new(predicate: Predicate) -> Self {
        Condition { predicate }
    }

    /// Compiles what [`Condition::source`] printed.
    pub fn from_source(source: &ExpressionSource) -> Result<Self, ExpressionError> {
        let kind = ExpressionKind::Condition;
        let written = parse_condition(&source.text, Origin::Peer).map_err(invalid(kind))?;
        let predicate = compile_condition(&written, &mut source.placeholders(), Origin::Peer)
            .map_err(invalid(kind))?;
        Ok(Condition { predicate })
    }

    /// Prints the condition with the names and values that it uses, to be sent to another node.
    pub fn source(&self) -> ExpressionSource {
        let mut printer = Printer::default();
        printer.predicate(&self.predicate);
        printer.finish()
    }

    /// The predicate.
    pub fn predicate(&self) -> &Predicate {
        &self.predicate
    }

    /// The attributes that it names, in order of their first use.
    pub fn attributes(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        self.predicate.for_each_path(&mut |path| {
            if !names.contains(&path.attribute) {
                names.push(path.attribute.clone());
            }
        });
        names
    }

    /// Tells whether `item` satisfies the condition. An item that does not exist is an empty one.
    pub fn matches(&self, item: &Item) -> bool {
        self.predicate.matches(item)
    }

    /// Refuses paths into key attributes, which are scalars.
    pub fn check_keys(&self, schema: &dyn KeyNames) -> Result<(), ExpressionError> {
        let mut nested = None;
        self.predicate.for_each_path(&mut |path| {
            if !path.steps.is_empty() && schema.contains(&path.attribute) {
                nested.get_or_insert_with(|| path.attribute.clone());
            }
        });
        nested.map_or(Ok(()), |name| Err(KeyUseError::Nested(name).into()))
    }

    /// Refuses key attributes in the filter of a Query.
    pub fn check_query_filter(&self, schema: &dyn KeyNames) -> Result<(), ExpressionError> {
        let mut used = None;
        self.predicate.for_each_path(&mut |path| {
            if schema.contains(&path.attribute) {
                used.get_or_insert_with(|| path.attribute.clone());
            }
        });
        used.map_or(Ok(()), |name| Err(KeyUseError::Filtered(name).into()))
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.source().text)
    }
}

impl Predicate {
    /// Tells whether `item` satisfies the predicate.
    pub fn matches(&self, item: &Item) -> bool {
        match self {
            Predicate::Compare { comparator, left, right } => {
                compare(*comparator, left.value(item), right.value(item))
            }
            Predicate::Between { operand, low, high } => {
                let value = operand.value(item);
                ordered(low.value(item), value.clone()).is_some_and(Ordering::is_le)
                    && ordered(value, high.value(item)).is_some_and(Ordering::is_le)
            }
            Predicate::In { operand, list } => {
                let value = operand.value(item);
                value.is_some() && list.iter().any(|other| other.value(item) == value)
            }
            Predicate::Exists(path) => path.resolve(item).is_some(),
            Predicate::NotExists(path) => path.resolve(item).is_none(),
            Predicate::HasType(operand, type_name) => {
                operand.value(item).is_some_and(|value| value.type_name() == *type_name)
            }
            Predicate::BeginsWith(operand, prefix) => {
                both(operand.value(item), prefix.value(item), begins_with)
            }
            Predicate::Contains(operand, part) => {
                both(operand.value(item), part.value(item), contains)
            }
            Predicate::And(parts) => parts.iter().all(|part| part.matches(item)),
            Predicate::Or(parts) => parts.iter().any(|part| part.matches(item)),
            Predicate::Not(inner) => !inner.matches(item),
        }
    }
}

type Value<'a> = Option<Cow<'a, AttributeValue>>;

impl Operand {
    fn value<'a>(&'a self, item: &'a Item) -> Value<'a> {
        match self {
            Operand::Path(path) => path.resolve(item).map(Cow::Borrowed),
            Operand::Value(value) => Some(Cow::Borrowed(value)),
            Operand::Size(inner) => {
                let size = u64::try_from(size(inner.value(item)?.as_ref())?).ok()?;
                Some(Cow::Owned(AttributeValue::N(Number::from(size))))
            }
        }
    }
}

fn both(
    left: Value<'_>,
    right: Value<'_>,
    test: fn(&AttributeValue, &AttributeValue) -> bool,
) -> bool {
    matches!((left, right), (Some(left), Some(right)) if test(&left, &right))
}

fn compare(comparator: Comparator, left: Value<'_>, right: Value<'_>) -> bool {
    match comparator {
        Comparator::Equal => both(left, right, |left, right| left == right),
        Comparator::NotEqual => !both(left, right, |left, right| left == right),
        Comparator::Less => ordered(left, right).is_some_and(Ordering::is_lt),
        Comparator::LessOrEqual => ordered(left, right).is_some_and(Ordering::is_le),
        Comparator::Greater => ordered(left, right).is_some_and(Ordering::is_gt),
        Comparator::GreaterOrEqual => ordered(left, right).is_some_and(Ordering::is_ge),
    }
}

fn ordered(left: Value<'_>, right: Value<'_>) -> Option<Ordering> {
    order(left?.as_ref(), right?.as_ref())
}

/// The order of two texts, numbers or byte strings; none for other types and for two types.
pub(crate) fn order(left: &AttributeValue, right: &AttributeValue) -> Option<Ordering> {
    match (left, right) {
        (AttributeValue::S(left), AttributeValue::S(right)) => Some(left.cmp(right)),
        (AttributeValue::N(left), AttributeValue::N(right)) => Some(left.cmp(right)),
        (AttributeValue::B(left), AttributeValue::B(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

fn begins_with(value: &AttributeValue, prefix: &AttributeValue) -> bool {
    match (value, prefix) {
        (AttributeValue::S(value), AttributeValue::S(prefix)) => value.starts_with(prefix),
        (AttributeValue::B(value), AttributeValue::B(prefix)) => value.starts_with(prefix),
        _ => false,
    }
}

/// A part of a text or byte string, a member of a set, or an element of a list.
fn contains(value: &AttributeValue, part: &AttributeValue) -> bool {
    match (value, part) {
        (AttributeValue::S(value), AttributeValue::S(part)) => value.contains(part),
        (AttributeValue::B(value), AttributeValue::B(part)) => {
            part.is_empty() || value.windows(part.len()).any(|window| window == part)
        }
        (AttributeValue::Ss(set), AttributeValue::S(member)) => set.contains(member),
        (AttributeValue::Ns(set), AttributeValue::N(member)) => set.contains(member),
        (AttributeValue::Bs(set), AttributeValue::B(member)) => set.contains(member),
        (AttributeValue::L(list), part) => list.contains(part),
        _ => false,
    }
}

/// What `size` counts: UTF-16 units of a text, bytes, members, elements or entries; none for
/// types without a size.
fn size(value: &AttributeValue) -> Option<usize> {
    match value {
        AttributeValue::S(text) => Some(text.encode_utf16().count()),
        AttributeValue::B(bytes) => Some(bytes.len()),
        AttributeValue::Ss(set) => Some(set.len()),
        AttributeValue::Ns(set) => Some(set.len()),
        AttributeValue::Bs(set) => Some(set.len()),
        AttributeValue::L(list) => Some(list.len()),
        AttributeValue::M(map) => Some(map.len()),
        AttributeValue::N(_) | AttributeValue::Bool(_) | AttributeValue::Null => None,
    }
}

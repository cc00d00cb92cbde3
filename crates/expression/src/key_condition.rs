//! Key conditions: the partition key value and, at most, one condition on each sort attribute.
//!
//! # Invariants
//!
//! - A [`KeyCondition`] fits its key schema: types, lengths and operators are checked.
//!
//! Tested by `key_condition/tests.rs`.

#[cfg(test)]
mod tests;

use std::ops::Bound;

use meridian_model::global_index::entry_prefix;
use meridian_model::local_index::{index_end, index_start};
use meridian_model::schema::check_sort_value;
use meridian_model::{
    AttributeValue, KeyAttribute, KeyAttributes, KeyKind, KeySchema, prefix_end, sort_bound,
};

use crate::ast::{Comparator, Operand, Predicate};
use crate::compile::condition::compile_condition;
use crate::compile::invalid;
use crate::error::{ExpressionError, ExpressionKind, KeyConditionError};
use crate::parser::{Origin, parse_condition};
use crate::path::Path;
use crate::placeholders::Placeholders;

/// Which keys a Query reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyCondition {
    /// The values of the partition attributes.
    pub partition: Vec<AttributeValue>,
    /// The values of sort attributes before the one that `sort` is about.
    pub leading: Vec<AttributeValue>,
    /// The condition on the last sort attribute that is named.
    pub sort: Option<SortCondition>,
}

/// A condition on a sort key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SortCondition {
    /// `=`
    Equal(AttributeValue),
    /// `<`
    Less(AttributeValue),
    /// `<=`
    LessOrEqual(AttributeValue),
    /// `>`
    Greater(AttributeValue),
    /// `>=`
    GreaterOrEqual(AttributeValue),
    /// Both bounds included.
    Between(AttributeValue, AttributeValue),
    /// `begins_with`, for S and B.
    BeginsWith(AttributeValue),
}

impl SortCondition {
    fn values(&self) -> impl Iterator<Item = &AttributeValue> {
        let (first, second) = match self {
            SortCondition::Equal(value)
            | SortCondition::Less(value)
            | SortCondition::LessOrEqual(value)
            | SortCondition::Greater(value)
            | SortCondition::GreaterOrEqual(value)
            | SortCondition::BeginsWith(value) => (value, None),
            SortCondition::Between(low, high) => (low, Some(high)),
        };
        std::iter::once(first).chain(second)
    }
}

/// A key condition whose form is checked, before the key schema is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyConditionTerms {
    terms: Vec<(String, SortCondition)>,
}

impl KeyCondition {
    /// Compiles the text of a request against a key schema.
    pub fn parse(
        text: &str,
        placeholders: &mut Placeholders,
        schema: &KeySchema,
    ) -> Result<Self, ExpressionError> {
        KeyConditionTerms::parse(text, placeholders)?.bind(&schema.into())
    }

    /// The encoded keys that satisfy the condition: start and end of a scan of the table.
    pub fn bounds(&self) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
        let prefix = entry_prefix(&self.partition);
        let after = |prefix: &[u8]| prefix_end(prefix).map_or(Bound::Unbounded, Bound::Excluded);
        let all = after(&prefix);
        let at = |value| sort_bound(&prefix, value);
        let Some(sort) = &self.sort else { return (Bound::Included(prefix), all) };
        match sort {
            SortCondition::Equal(value) => (Bound::Included(at(value)), Bound::Included(at(value))),
            SortCondition::Less(value) => {
                let end = Bound::Excluded(at(value));
                (Bound::Included(prefix), end)
            }
            SortCondition::LessOrEqual(value) => {
                let end = Bound::Included(at(value));
                (Bound::Included(prefix), end)
            }
            SortCondition::Greater(value) => (Bound::Excluded(at(value)), all),
            SortCondition::GreaterOrEqual(value) => (Bound::Included(at(value)), all),
            SortCondition::Between(low, high) => {
                (Bound::Included(at(low)), Bound::Included(at(high)))
            }
            SortCondition::BeginsWith(value) => {
                let start = at(value);
                let end = after(&start);
                (Bound::Included(start), end)
            }
        }
    }
}

impl KeyCondition {
    /// The entries of an index whose keys satisfy the condition: start and end of a scan of it.
    pub fn index_bounds(&self) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
        let ended = |prefix: Vec<u8>, value| index_end(&prefix, value);
        let prefix = self.leading.iter().fold(entry_prefix(&self.partition), ended);
        let from = Bound::Included;
        let after = |prefix: &[u8]| prefix_end(prefix).map_or(Bound::Unbounded, Bound::Excluded);
        let all = after(&prefix);
        let Some(sort) = &self.sort else { return (from(prefix), all) };
        let of = |value| index_end(&prefix, value);
        match sort {
            SortCondition::Equal(value) => (from(of(value)), after(&of(value))),
            SortCondition::Less(value) => {
                let end = Bound::Excluded(of(value));
                (from(prefix), end)
            }
            SortCondition::LessOrEqual(value) => {
                let end = after(&of(value));
                (from(prefix), end)
            }
            SortCondition::Greater(value) => match prefix_end(&of(value)) {
                Some(start) => (from(start), all),
                // No prefix that ends in zeros is without a successor.
                None => (Bound::Excluded(of(value)), all),
            },
            SortCondition::GreaterOrEqual(value) => (from(of(value)), all),
            SortCondition::Between(low, high) => (from(of(low)), after(&of(high))),
            SortCondition::BeginsWith(value) => {
                let start = index_start(&prefix, value);
                let end = after(&start);
                (from(start), end)
            }
        }
    }
}

impl KeyConditionTerms {
    /// Compiles the text of a request as far as no key schema is needed.
    pub fn parse(text: &str, placeholders: &mut Placeholders) -> Result<Self, ExpressionError> {
        let kind = ExpressionKind::KeyCondition;
        let written = parse_condition(text, Origin::Client).map_err(invalid(kind))?;
        let predicate =
            compile_condition(&written, placeholders, Origin::Client).map_err(invalid(kind))?;
        let mut terms = Vec::new();
        collect(predicate, &mut terms)?;
        Ok(KeyConditionTerms { terms })
    }

    /// Takes terms that were built without a text: an attribute and its condition each.
    pub fn new(terms: Vec<(String, SortCondition)>) -> Self {
        KeyConditionTerms { terms }
    }

    /// Fits the terms to key attributes: every one of the partition with `=`, and of the sort
    /// attributes as many as are named, from the first one on, all but the last with `=`.
    pub fn bind(mut self, keys: &KeyAttributes) -> Result<KeyCondition, ExpressionError> {
        if self.terms.len() > keys.all().count().max(2) {
            return Err(KeyConditionError::TooMany.into());
        }
        let partition = self.take_all(&keys.partition)?;
        let named = keys.sort.get(..self.terms.len()).unwrap_or(&keys.sort);
        let sort = self.take_all(named)?;
        if !self.terms.is_empty() {
            return Err(KeyConditionError::Unsupported.into());
        }
        for (attribute, term) in partition.iter().chain(&sort) {
            check_kind(attribute, term)?;
        }
        let values = equal_values(&partition)?;
        for ((attribute, _), value) in partition.iter().zip(&values) {
            KeyAttributes::check_partition_value(attribute, value)?;
        }
        for (attribute, term) in &sort {
            term.values().try_for_each(|value| check_sort_value(attribute, value))?;
        }
        let (last, before) = match sort.split_last() {
            Some(((_, last), before)) => (Some(last.clone()), before),
            None => (None, [].as_slice()),
        };
        Ok(KeyCondition { partition: values, leading: equal_values(before)?, sort: last })
    }

    /// Takes the terms of these attributes, one each.
    fn take_all<'k>(
        &mut self,
        attributes: &'k [KeyAttribute],
    ) -> Result<Vec<(&'k KeyAttribute, SortCondition)>, KeyConditionError> {
        let take = |attribute: &'k KeyAttribute| {
            let term = self.take(&attribute.name);
            let term = term.ok_or_else(|| KeyConditionError::Missed(attribute.name.clone()))?;
            Ok((attribute, term))
        };
        attributes.iter().map(take).collect()
    }

    fn take(&mut self, name: &str) -> Option<SortCondition> {
        let position = self.terms.iter().position(|(attribute, _)| attribute == name)?;
        Some(self.terms.remove(position).1)
    }
}

/// The values of terms that must all be `=`.
fn equal_values(
    terms: &[(&KeyAttribute, SortCondition)],
) -> Result<Vec<AttributeValue>, KeyConditionError> {
    let value = |(_, term): &(&KeyAttribute, SortCondition)| match term {
        SortCondition::Equal(value) => Ok(value.clone()),
        _ => Err(KeyConditionError::Unsupported),
    };
    terms.iter().map(value).collect()
}

fn check_kind(attribute: &KeyAttribute, term: &SortCondition) -> Result<(), KeyConditionError> {
    if term.values().all(|value| KeyKind::of(value) == Some(attribute.kind)) {
        Ok(())
    } else {
        Err(KeyConditionError::Type)
    }
}

/// Takes the terms out of a predicate of `AND`s.
fn collect(
    predicate: Predicate,
    terms: &mut Vec<(String, SortCondition)>,
) -> Result<(), KeyConditionError> {
    let (name, term) = match predicate {
        Predicate::And(parts) => {
            return parts.into_iter().try_for_each(|part| collect(part, terms));
        }
        Predicate::Or(_) => return Err(KeyConditionError::Operator("OR")),
        Predicate::Not(_) => return Err(KeyConditionError::Operator("NOT")),
        Predicate::In { .. } => return Err(KeyConditionError::Operator("IN")),
        Predicate::Exists(_) => return Err(KeyConditionError::Operator("attribute_exists")),
        Predicate::NotExists(_) => {
            return Err(KeyConditionError::Operator("attribute_not_exists"));
        }
        Predicate::HasType(..) => return Err(KeyConditionError::Operator("attribute_type")),
        Predicate::Contains(..) => return Err(KeyConditionError::Operator("contains")),
        Predicate::Compare { comparator, left, right } => compare(comparator, left, right)?,
        Predicate::Between { operand, low, high } => {
            let (name, [low, high]) = attribute_first("BETWEEN", operand, [low, high])?;
            (name, SortCondition::Between(low, high))
        }
        Predicate::BeginsWith(operand, prefix) => {
            let (name, [prefix]) = attribute_first("begins_with", operand, [prefix])?;
            (name, SortCondition::BeginsWith(prefix))
        }
    };
    if terms.iter().any(|(other, _)| *other == name) {
        return Err(KeyConditionError::TwoPerKey);
    }
    terms.push((name, term));
    Ok(())
}

fn compare(
    comparator: Comparator,
    left: Operand,
    right: Operand,
) -> Result<(String, SortCondition), KeyConditionError> {
    if comparator == Comparator::NotEqual {
        return Err(KeyConditionError::Operator("<>"));
    }
    let (path, comparator, value) = match (left, right) {
        (Operand::Size(_), _) => return Err(KeyConditionError::NestedOperation),
        (Operand::Path(path), Operand::Value(value)) => (path, comparator, value),
        (Operand::Value(value), Operand::Path(path)) => (path, comparator.mirrored(), value),
        (Operand::Path(path), other) => {
            top_level(path)?;
            return Err(match other {
                Operand::Size(_) => KeyConditionError::NestedOperation,
                Operand::Path(_) | Operand::Value(_) => KeyConditionError::TwoAttributes,
            });
        }
        (Operand::Value(_), Operand::Size(_)) => return Err(KeyConditionError::NestedOperation),
        (Operand::Value(_), Operand::Value(_)) => return Err(KeyConditionError::NoAttribute),
    };
    let term = match comparator {
        Comparator::Equal => SortCondition::Equal(value),
        Comparator::NotEqual => return Err(KeyConditionError::Operator("<>")),
        Comparator::Less => SortCondition::Less(value),
        Comparator::LessOrEqual => SortCondition::LessOrEqual(value),
        Comparator::Greater => SortCondition::Greater(value),
        Comparator::GreaterOrEqual => SortCondition::GreaterOrEqual(value),
    };
    Ok((top_level(path)?, term))
}

/// Takes an operator's first operand as an attribute and the others as values.
fn attribute_first<const N: usize>(
    operator: &'static str,
    first: Operand,
    others: [Operand; N],
) -> Result<(String, [AttributeValue; N]), KeyConditionError> {
    let name = match first {
        Operand::Path(path) => top_level(path)?,
        Operand::Value(_) | Operand::Size(_) => {
            return Err(KeyConditionError::AttributeNotFirst(operator));
        }
    };
    let mut values = Vec::with_capacity(N);
    for other in others {
        match other {
            Operand::Value(value) => values.push(value),
            Operand::Path(_) => return Err(KeyConditionError::TwoAttributes),
            Operand::Size(_) => return Err(KeyConditionError::NestedOperation),
        }
    }
    Ok((name, values.try_into().expect("as many values as operands")))
}

fn top_level(path: Path) -> Result<String, KeyConditionError> {
    if path.steps.is_empty() { Ok(path.attribute) } else { Err(KeyConditionError::NestedAttribute) }
}

//! What a condition says of keys.
//!
//! A condition is split at its outermost `AND`s. What says something of a key that a key range can
//! say is taken out; the rest stays a condition.
//!
//! # Invariants
//!
//! - The terms taken out and the rest together say what the condition said.
//!
//! Tested by `partiql/tests.rs`.

use meridian_expression::{Comparator, Condition, Operand, Path, Predicate, SortCondition};
use meridian_model::{AttributeValue, Item, KeyAttribute, KeySchema};

/// The parts of a condition that are joined by `AND`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    parts: Vec<Predicate>,
}

impl Terms {
    /// Splits a condition.
    pub fn of(condition: Option<&Condition>) -> Self {
        let mut terms = Terms { parts: Vec::new() };
        if let Some(condition) = condition {
            terms.add(condition.predicate());
        }
        terms
    }

    fn add(&mut self, predicate: &Predicate) {
        match predicate {
            Predicate::And(parts) => parts.iter().for_each(|part| self.add(part)),
            other => self.parts.push(other.clone()),
        }
    }

    /// What was not taken out.
    pub fn rest(self) -> Option<Predicate> {
        Predicate::all(self.parts)
    }

    /// Takes the key of one item: an equality for each key attribute, or nothing.
    pub fn take_key(&mut self, schema: &KeySchema) -> Option<Item> {
        let attributes: Vec<KeyAttribute> = schema.attributes().cloned().collect();
        let values = self.take_equal(&attributes)?;
        Some(attributes.into_iter().map(|attribute| attribute.name).zip(values).collect())
    }

    /// Takes an equality for each of these attributes, or nothing.
    pub fn take_equal(&mut self, attributes: &[KeyAttribute]) -> Option<Vec<AttributeValue>> {
        let mut left = self.clone();
        let values =
            attributes.iter().map(|attribute| left.take(|part| equal(part, &attribute.name)));
        let values = values.collect::<Option<Vec<_>>>()?;
        *self = left;
        Some(values)
    }

    /// Takes the values that an attribute may equal: of `=`, of `IN`, or of `OR`s of them. Each
    /// value is told once, in the order of the text.
    pub fn take_values(&mut self, name: &str) -> Option<Vec<AttributeValue>> {
        let values = self
            .take(|part| equal(part, name).map(|value| vec![value]))
            .or_else(|| self.take(|part| any_of(part, name)))?;
        let mut once: Vec<AttributeValue> = Vec::with_capacity(values.len());
        for value in values {
            if !once.contains(&value) {
                once.push(value);
            }
        }
        Some(once)
    }

    /// Takes one condition on a sort key, an equality before any other.
    pub fn take_sort(&mut self, name: &str) -> Option<SortCondition> {
        let equality = self.take(|part| equal(part, name).map(SortCondition::Equal));
        equality.or_else(|| self.take(|part| range(part, name)))
    }

    /// Takes the first part out that `read` can read.
    fn take<T>(&mut self, read: impl Fn(&Predicate) -> Option<T>) -> Option<T> {
        let (at, found) =
            self.parts.iter().enumerate().find_map(|(at, part)| Some((at, read(part)?)))?;
        self.parts.remove(at);
        Some(found)
    }
}

fn is_attribute(path: &Path, name: &str) -> bool {
    path.steps.is_empty() && path.attribute == name
}

/// Reads `name comparator value`, whichever way round it is written.
fn compared(part: &Predicate, name: &str) -> Option<(Comparator, AttributeValue)> {
    let Predicate::Compare { comparator, left, right } = part else { return None };
    match (left, right) {
        (Operand::Path(path), Operand::Value(value)) if is_attribute(path, name) => {
            Some((*comparator, value.clone()))
        }
        (Operand::Value(value), Operand::Path(path)) if is_attribute(path, name) => {
            Some((comparator.mirrored(), value.clone()))
        }
        _ => None,
    }
}

fn equal(part: &Predicate, name: &str) -> Option<AttributeValue> {
    let (comparator, value) = compared(part, name)?;
    (comparator == Comparator::Equal).then_some(value)
}

fn any_of(part: &Predicate, name: &str) -> Option<Vec<AttributeValue>> {
    match part {
        Predicate::In { operand: Operand::Path(path), list } if is_attribute(path, name) => {
            let values = list.iter().map(|operand| match operand {
                Operand::Value(value) => Some(value.clone()),
                Operand::Path(_) | Operand::Size(_) => None,
            });
            values.collect()
        }
        Predicate::Or(parts) => {
            let values: Option<Vec<_>> = parts.iter().map(|part| any_of(part, name)).collect();
            values.map(|values| values.concat())
        }
        part => equal(part, name).map(|value| vec![value]),
    }
}

fn range(part: &Predicate, name: &str) -> Option<SortCondition> {
    match part {
        Predicate::Between {
            operand: Operand::Path(path),
            low: Operand::Value(low),
            high: Operand::Value(high),
        } if is_attribute(path, name) => Some(SortCondition::Between(low.clone(), high.clone())),
        Predicate::BeginsWith(Operand::Path(path), Operand::Value(prefix))
            if is_attribute(path, name) =>
        {
            Some(SortCondition::BeginsWith(prefix.clone()))
        }
        part => {
            let (comparator, value) = compared(part, name)?;
            match comparator {
                Comparator::Equal => Some(SortCondition::Equal(value)),
                Comparator::NotEqual => None,
                Comparator::Less => Some(SortCondition::Less(value)),
                Comparator::LessOrEqual => Some(SortCondition::LessOrEqual(value)),
                Comparator::Greater => Some(SortCondition::Greater(value)),
                Comparator::GreaterOrEqual => Some(SortCondition::GreaterOrEqual(value)),
            }
        }
    }
}

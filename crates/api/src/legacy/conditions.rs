//! `Expected`, `QueryFilter`, `ScanFilter`, `KeyConditions` and `ConditionalOperator`.
//!
//! Source of the rules and texts: "Legacy conditional parameters" in the developer guide, and the
//! service's answers.

use meridian_expression::{
    Comparator, Condition, ExpressionError, KeyConditionTerms, KeyUseError, Operand, Path,
    Predicate, SortCondition,
};
use meridian_model::AttributeValue;
use meridian_wire::{ApiError, Fields, Node, Wording};

use crate::errors::{invalid, invalid_parameter};

/// Takes `Expected` and `ConditionalOperator` of a write.
pub fn expected(fields: &mut Fields, wording: Wording) -> Result<Option<Condition>, ApiError> {
    let Some(entries) = taken(fields, "Expected")? else { return Ok(None) };
    let parts = entries.into_iter().map(|(name, entry)| expectation(name, entry, wording));
    let parts = parts.collect::<Result<Vec<_>, _>>()?;
    joined(fields, parts)
}

/// Takes `QueryFilter` or `ScanFilter`, and `ConditionalOperator`.
pub fn filter(
    fields: &mut Fields,
    parameter: &str,
    wording: Wording,
) -> Result<Option<Condition>, ApiError> {
    let Some(entries) = taken(fields, parameter)? else { return Ok(None) };
    let parts = entries.into_iter().map(|(name, mut entry)| {
        let comparison = Comparison::take(&mut entry, wording)?;
        Ok(comparison.predicate(name))
    });
    let parts = parts.collect::<Result<Vec<_>, ApiError>>()?;
    joined(fields, parts)
}

/// Takes `KeyConditions`.
pub fn key_terms(
    fields: &mut Fields,
    wording: Wording,
) -> Result<Option<KeyConditionTerms>, ApiError> {
    let Some(entries) = fields.take_map("KeyConditions") else { return Ok(None) };
    if !(1..=2).contains(&entries.len()) {
        return Err(invalid("Conditions can be of length 1 or 2 only"));
    }
    let terms = entries.into_iter().map(|(name, entry)| {
        let comparison = Comparison::take(&mut entry.into_fields(), wording)?;
        Ok((name, comparison.key_term()?))
    });
    Ok(Some(KeyConditionTerms::new(terms.collect::<Result<Vec<_>, ApiError>>()?)))
}

/// Refuses a key attribute in `QueryFilter`, by its own name.
pub fn key_in_filter(error: ExpressionError) -> ApiError {
    invalid(match error {
        ExpressionError::KeyUse(KeyUseError::Filtered(name)) => format!(
            "QueryFilter can only contain non-primary key attributes: Primary key attribute: {name}"
        ),
        other => other.to_string(),
    })
}

/// Takes the entries of a map of conditions, and checks that `ConditionalOperator` has something to
/// join.
fn taken(fields: &mut Fields, parameter: &str) -> Result<Option<Vec<(String, Fields)>>, ApiError> {
    let entries = fields.take_map(parameter).unwrap_or_default();
    if fields.has("ConditionalOperator") && entries.len() < 2 {
        return Err(invalid(if entries.is_empty() {
            "ConditionalOperator cannot be used without Filter or Expected"
        } else {
            "ConditionalOperator can only be used when Filter or Expected has two or more elements"
        }));
    }
    let entries = entries.into_iter().map(|(name, entry)| (name, entry.into_fields()));
    let entries: Vec<_> = entries.collect();
    Ok((!entries.is_empty()).then_some(entries))
}

fn joined(fields: &mut Fields, parts: Vec<Predicate>) -> Result<Option<Condition>, ApiError> {
    let any = fields.take_text("ConditionalOperator").as_deref() == Some("OR");
    let predicate = if any { Predicate::any(parts) } else { Predicate::all(parts) };
    Ok(predicate.map(Condition::new))
}

/// One entry of `Expected`: an operator with its values, or whether the attribute is there.
fn expectation(name: String, mut entry: Fields, wording: Wording) -> Result<Predicate, ApiError> {
    let refused = |why: &str| Err(invalid_parameter(format!("{why} for Attribute: {name}")));
    if entry.has("AttributeValueList") && entry.has("Value") {
        return refused("Value and AttributeValueList cannot be used together");
    }
    if entry.has("ComparisonOperator") {
        if entry.has("Exists") {
            return refused("Exists and ComparisonOperator cannot be used together");
        }
        let operator = entry.get("ComparisonOperator").map(Node::echo).unwrap_or_default();
        let bare = !entry.has("AttributeValueList") && !entry.has("Value");
        if bare && operator != "NULL" && operator != "NOT_NULL" {
            return refused(&format!(
                "Value or AttributeValueList must be used with ComparisonOperator: {operator}"
            ));
        }
        return Ok(Comparison::take(&mut entry, wording)?.predicate(name));
    }
    if entry.has("AttributeValueList") {
        return refused("AttributeValueList can only be used with a ComparisonOperator");
    }
    let value = value(&mut entry, "Value", wording)?;
    match (entry.take_flag("Exists"), value) {
        (Some(false), None) => Ok(Predicate::NotExists(Path::new(name))),
        (Some(false), Some(_)) => refused("Value cannot be used when Exists is false"),
        (None, None) => refused("Value must be provided when Exists is null"),
        (Some(true), None) => refused("Value must be provided when Exists is true"),
        (None | Some(true), Some(value)) => {
            Ok(Comparison { operator: Operator::Equal, values: vec![value] }.predicate(name))
        }
    }
}

fn value(
    entry: &mut Fields,
    name: &str,
    wording: Wording,
) -> Result<Option<AttributeValue>, ApiError> {
    entry.take_value(name).map(|value| value.checked(wording)).transpose()
}

/// `ComparisonOperator`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Between,
    Null,
    NotNull,
    Contains,
    NotContains,
    BeginsWith,
}

impl Operator {
    fn read(text: &str) -> Operator {
        match text {
            "EQ" => Operator::Equal,
            "NE" => Operator::NotEqual,
            "LT" => Operator::Less,
            "LE" => Operator::LessOrEqual,
            "GT" => Operator::Greater,
            "GE" => Operator::GreaterOrEqual,
            "IN" => Operator::In,
            "BETWEEN" => Operator::Between,
            "NULL" => Operator::Null,
            "NOT_NULL" => Operator::NotNull,
            "CONTAINS" => Operator::Contains,
            "NOT_CONTAINS" => Operator::NotContains,
            "BEGINS_WITH" => Operator::BeginsWith,
            other => unreachable!("the constraints name every operator: {other}"),
        }
    }

    fn takes(self, count: usize) -> bool {
        match self {
            Operator::Null | Operator::NotNull => count == 0,
            Operator::In => count > 0,
            Operator::Between => count == 2,
            Operator::Equal
            | Operator::NotEqual
            | Operator::Less
            | Operator::LessOrEqual
            | Operator::Greater
            | Operator::GreaterOrEqual
            | Operator::Contains
            | Operator::NotContains
            | Operator::BeginsWith => count == 1,
        }
    }

    /// Whether values of a type can stand behind the operator.
    fn takes_type(self, value: &AttributeValue) -> bool {
        use AttributeValue as V;
        match self {
            Operator::Equal | Operator::NotEqual | Operator::Null | Operator::NotNull => true,
            Operator::BeginsWith => matches!(value, V::S(_) | V::B(_)),
            Operator::Contains | Operator::NotContains => {
                !matches!(value, V::Ss(_) | V::Ns(_) | V::Bs(_) | V::L(_) | V::M(_))
            }
            Operator::Less
            | Operator::LessOrEqual
            | Operator::Greater
            | Operator::GreaterOrEqual
            | Operator::In
            | Operator::Between => matches!(value, V::S(_) | V::N(_) | V::B(_)),
        }
    }
}

/// An operator with its values.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Comparison {
    operator: Operator,
    values: Vec<AttributeValue>,
}

impl Comparison {
    /// Takes `ComparisonOperator` and `AttributeValueList`, or `Value`.
    fn take(entry: &mut Fields, wording: Wording) -> Result<Self, ApiError> {
        let name = entry.take_text("ComparisonOperator").unwrap_or_default();
        let operator = Operator::read(&name);
        let listed = entry.take_list("AttributeValueList").unwrap_or_default();
        let listed = listed.into_iter().map(|value| value.into_value().checked(wording));
        let mut values = listed.collect::<Result<Vec<_>, _>>()?;
        if entry.names("Value") {
            values.extend(value(entry, "Value", wording)?);
        }
        if !operator.takes(values.len()) {
            return Err(invalid_parameter(format!(
                "Invalid number of argument(s) for the {name} ComparisonOperator"
            )));
        }
        let comparison = Comparison { operator, values };
        comparison.check(&name)?;
        Ok(comparison)
    }

    fn check(&self, name: &str) -> Result<(), ApiError> {
        let Some(first) = self.values.first() else { return Ok(()) };
        if self.values.iter().any(|value| value.type_name() != first.type_name()) {
            return Err(invalid_parameter(
                "AttributeValues inside AttributeValueList must all be of the same type",
            ));
        }
        if !self.operator.takes_type(first) {
            return Err(invalid_parameter(format!(
                "ComparisonOperator {name} is not valid for {} AttributeValue type",
                first.type_name()
            )));
        }
        if let (Operator::Between, [low, high]) = (self.operator, self.values.as_slice())
            && compared(low, Comparator::Greater, high)
        {
            return Err(invalid(
                "The BETWEEN condition was provided a range where the lower bound is greater than \
                 the upper bound",
            ));
        }
        Ok(())
    }

    fn predicate(self, name: String) -> Predicate {
        let path = Path::new(name);
        let operand = Operand::Path(path.clone());
        let mut values = self.values.into_iter().map(Operand::Value);
        let mut next = || values.next().expect("the number of values was checked");
        let compare = |comparator, right| Predicate::Compare {
            comparator,
            left: Operand::Path(path.clone()),
            right,
        };
        match self.operator {
            Operator::Equal => compare(Comparator::Equal, next()),
            Operator::NotEqual => compare(Comparator::NotEqual, next()),
            Operator::Less => compare(Comparator::Less, next()),
            Operator::LessOrEqual => compare(Comparator::LessOrEqual, next()),
            Operator::Greater => compare(Comparator::Greater, next()),
            Operator::GreaterOrEqual => compare(Comparator::GreaterOrEqual, next()),
            Operator::In => Predicate::In { operand, list: values.collect() },
            Operator::Between => Predicate::Between { operand, low: next(), high: next() },
            Operator::Null => Predicate::NotExists(path),
            Operator::NotNull => Predicate::Exists(path),
            Operator::Contains => Predicate::Contains(operand, next()),
            Operator::NotContains => Predicate::Not(Box::new(Predicate::Contains(operand, next()))),
            Operator::BeginsWith => Predicate::BeginsWith(operand, next()),
        }
    }

    fn key_term(self) -> Result<SortCondition, ApiError> {
        let mut values = self.values.into_iter();
        let mut next = || values.next().expect("the number of values was checked");
        Ok(match self.operator {
            Operator::Equal => SortCondition::Equal(next()),
            Operator::Less => SortCondition::Less(next()),
            Operator::LessOrEqual => SortCondition::LessOrEqual(next()),
            Operator::Greater => SortCondition::Greater(next()),
            Operator::GreaterOrEqual => SortCondition::GreaterOrEqual(next()),
            Operator::Between => SortCondition::Between(next(), next()),
            Operator::BeginsWith => SortCondition::BeginsWith(next()),
            Operator::NotEqual
            | Operator::In
            | Operator::Null
            | Operator::NotNull
            | Operator::Contains
            | Operator::NotContains => {
                return Err(invalid(
                    "Attempted conditional constraint is not an indexable operation",
                ));
            }
        })
    }
}

/// Compares two values of a request as an item's would be.
fn compared(left: &AttributeValue, comparator: Comparator, right: &AttributeValue) -> bool {
    let (left, right) = (Operand::Value(left.clone()), Operand::Value(right.clone()));
    Predicate::Compare { comparator, left, right }.matches(&Default::default())
}

//! Plans `SELECT`.
//!
//! The whole key of an item is a GetItem; a value of the partition key, or some of them, are
//! Queries; anything else is a Scan.
//!
//! # Invariants
//!
//! - What the key range does not say of an item, the filter does.
//!
//! Source: AWS developer guide, "PartiQL select statements", for what is a Scan; texts about
//! `ORDER BY` are the service's as its clients report them. Tested by `partiql/tests.rs`.

use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::Arc;

use meridian_control::region::TableRecord;
use meridian_expression::partiql::{Order, Select};
use meridian_expression::{Condition, KeyConditionTerms, SortCondition};
use meridian_model::{AttributeValue, Item, Key, KeyAttributes, KeyNames, KeySchema};
use meridian_wire::ApiError;

use super::columns::Columns;
use super::plan::{OneRead, Pages, Plan, check_condition};
use super::terms::Terms;
use crate::backend::Consistency;
use crate::errors::{expression, invalid, key as key_error};
use crate::index_source::Source;
use crate::reads::{self, Bounds};

/// Most values of the partition key in one statement (AWS developer guide, "PartiQL operators").
const PARTITION_VALUES_MAX: usize = 50;

/// Plans a SELECT of a table.
pub fn plan(table: Arc<TableRecord>, statement: Select) -> Result<Plan, ApiError> {
    let source = Source::of(&table, statement.index.as_deref(), Consistency::Eventual)?;
    let keys = source.keys();
    let columns = Columns::new(statement.columns, &keys)?;
    let condition = statement.condition;
    if let Some(condition) = &condition {
        check_condition(condition, &keys)?;
    }
    check_order(&statement.order, condition.is_some(), &keys)?;
    let mut terms = Terms::of(condition.as_ref());
    if statement.index.is_none()
        && let Some(key) = terms.take_key(&table.definition.key)
    {
        let key = one_key(&table.definition.key, &key)?;
        let filter = terms.rest().map(Condition::new);
        return Ok(Plan::One(OneRead { table, key, filter, columns }));
    }
    let index = statement.index.clone();
    let (ranges, reverse) = match partition_values(&keys, &mut terms) {
        Some(values) => queries(&keys, values, &mut terms, (&statement.order, index.is_some()))?,
        None if statement.order.is_empty() => (vec![(Bound::Unbounded, Bound::Unbounded)], false),
        None => {
            return Err(invalid(
                "Must have at least one non-optional hash key condition in WHERE clause when using \
                 ORDER BY clause.",
            ));
        }
    };
    let filter = terms.rest().map(Condition::new);
    reads::check_shown(source, reads::Select::Shown, columns.attributes(), filter.as_ref())?;
    Ok(Plan::Pages(Pages { table, index, ranges, reverse, filter, columns }))
}

/// Takes the values that the partition attributes may have. Where there are several attributes, each
/// must equal one value.
fn partition_values(keys: &KeyAttributes, terms: &mut Terms) -> Option<Vec<Vec<AttributeValue>>> {
    match keys.partition.as_slice() {
        [one] => {
            let values = terms.take_values(&one.name)?;
            Some(values.into_iter().map(|value| vec![value]).collect())
        }
        several => terms.take_equal(several).map(|values| vec![values]),
    }
}

/// The ranges of values of the partition key, and whether each is read backwards. Takes what is
/// said of the sort key out of the terms.
fn queries(
    keys: &KeyAttributes,
    mut values: Vec<Vec<AttributeValue>>,
    terms: &mut Terms,
    (order, of_index): (&[Order], bool),
) -> Result<(Vec<Bounds>, bool), ApiError> {
    if values.len() > PARTITION_VALUES_MAX {
        return Err(invalid(format!(
            "The IN operator is provided with too many operands for a partition key; number of \
             operands: {}",
            values.len()
        )));
    }
    let reverse = in_order(order, keys, &mut values)?;
    let sort = sort_conditions(keys, terms);
    let ranges = values.into_iter().map(|value| range(keys, value, sort.clone(), of_index));
    Ok((ranges.collect::<Result<_, _>>()?, reverse))
}

/// Takes the conditions on the sort attributes that a range can say: equalities from the first one
/// on, and one more of any kind.
fn sort_conditions(keys: &KeyAttributes, terms: &mut Terms) -> Vec<(String, SortCondition)> {
    let mut found = Vec::new();
    for attribute in &keys.sort {
        let Some(condition) = terms.take_sort(&attribute.name) else { break };
        let goes_on = matches!(condition, SortCondition::Equal(_));
        found.push((attribute.name.clone(), condition));
        if !goes_on {
            break;
        }
    }
    found
}

/// Reads the key of one item. What is wrong with it is told as of a key condition.
fn one_key(schema: &KeySchema, key: &Item) -> Result<Key, ApiError> {
    let terms = key.iter().map(|(name, value)| (name.clone(), SortCondition::Equal(value.clone())));
    KeyConditionTerms::new(terms.collect()).bind(&schema.into()).map_err(expression)?;
    schema.key_exact(key).map_err(key_error)
}

/// The keys of one value of the partition key.
fn range(
    keys: &KeyAttributes,
    values: Vec<AttributeValue>,
    sort: Vec<(String, SortCondition)>,
    of_index: bool,
) -> Result<Bounds, ApiError> {
    let named = keys.partition.iter().zip(values);
    let equal = named.map(|(key, value)| (key.name.clone(), SortCondition::Equal(value)));
    let terms = equal.chain(sort).collect();
    let bound = KeyConditionTerms::new(terms).bind(keys).map_err(expression)?;
    Ok(if of_index { bound.index_bounds() } else { bound.bounds() })
}

fn check_order(order: &[Order], has_where: bool, keys: &KeyAttributes) -> Result<(), ApiError> {
    if order.is_empty() {
        return Ok(());
    }
    if !has_where {
        return Err(invalid("Must have WHERE clause in the statement when using ORDER BY clause."));
    }
    match order.iter().find(|one| !keys.contains(&one.attribute)) {
        None => Ok(()),
        Some(one) => Err(invalid(format!(
            "Variable reference {} in ORDER BY clause must be part of the primary key",
            one.attribute
        ))),
    }
}

/// Puts the values of the partition key in order; returns whether each is read backwards.
fn in_order(
    order: &[Order],
    keys: &KeyAttributes,
    values: &mut [Vec<AttributeValue>],
) -> Result<bool, ApiError> {
    let is_partition =
        |one: &&Order| keys.partition.iter().any(|attribute| attribute.name == one.attribute);
    let first_is_sort = order.first().is_some_and(|one| !is_partition(&one));
    if first_is_sort && values.len() > 1 {
        return Err(invalid(
            "ORDER BY a sort key is supported for one value of the partition key only, or behind \
             the partition key",
        ));
    }
    // Several partition attributes have one value each, which is in order.
    if let Some(by_partition) = order.iter().find(is_partition) {
        values.sort_by(|one, two| {
            let order =
                one.first().zip(two.first()).map_or(Ordering::Equal, |(a, b)| by_value(a, b));
            if by_partition.descending { order.reverse() } else { order }
        });
    }
    let mut by_sort = order.iter().filter(|one| !is_partition(one)).map(|one| one.descending);
    let first = by_sort.next().unwrap_or(false);
    if by_sort.any(|other| other != first) {
        return Err(invalid("ORDER BY several sort attributes is supported in one direction only"));
    }
    Ok(first)
}

/// Orders key values of one kind.
fn by_value(one: &AttributeValue, two: &AttributeValue) -> Ordering {
    match (one, two) {
        (AttributeValue::S(one), AttributeValue::S(two)) => one.cmp(two),
        (AttributeValue::N(one), AttributeValue::N(two)) => one.cmp(two),
        (AttributeValue::B(one), AttributeValue::B(two)) => one.cmp(two),
        // Such values are refused as keys.
        _ => Ordering::Equal,
    }
}

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
use meridian_model::{AttributeValue, Item, Key, KeySchema};
use meridian_wire::ApiError;

use super::columns::Columns;
use super::plan::{OneRead, Pages, Plan, check_condition};
use super::terms::Terms;
use crate::errors::{expression, invalid, key as key_error};
use crate::indexes::Source;
use crate::reads::Bounds;

/// Most values of the partition key in one statement (AWS developer guide, "PartiQL operators").
const PARTITION_VALUES_MAX: usize = 50;

/// Plans a SELECT of a table.
pub fn plan(table: Arc<TableRecord>, statement: Select) -> Result<Plan, ApiError> {
    let schema = Source::of(&table, statement.index.as_deref())?.schema();
    let columns = Columns::new(statement.columns, &schema)?;
    let condition = statement.condition;
    if let Some(condition) = &condition {
        check_condition(condition, &schema)?;
    }
    check_order(&statement.order, condition.is_some(), &schema)?;
    let mut terms = Terms::of(condition.as_ref());
    if statement.index.is_none()
        && let Some(key) = terms.take_key(&schema)
    {
        let key = one_key(&schema, &key)?;
        let filter = terms.rest().map(Condition::new);
        return Ok(Plan::One(OneRead { table, key, filter, columns }));
    }
    let index = statement.index;
    let (ranges, reverse) = match terms.take_values(&schema.partition.name) {
        Some(values) => queries(&schema, values, &mut terms, (&statement.order, index.is_some()))?,
        None if statement.order.is_empty() => (vec![(Bound::Unbounded, Bound::Unbounded)], false),
        None => {
            return Err(invalid(
                "Must have at least one non-optional hash key condition in WHERE clause when using \
                 ORDER BY clause.",
            ));
        }
    };
    let filter = terms.rest().map(Condition::new);
    Ok(Plan::Pages(Pages { table, index, ranges, reverse, filter, columns }))
}

/// The ranges of values of the partition key, and whether each is read backwards. Takes what is
/// said of the sort key out of the terms.
fn queries(
    schema: &KeySchema,
    mut values: Vec<AttributeValue>,
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
    let reverse = in_order(order, schema, &mut values)?;
    let sort = schema.sort.as_ref().and_then(|attribute| terms.take_sort(&attribute.name));
    let ranges = values.into_iter().map(|value| range(schema, value, sort.clone(), of_index));
    Ok((ranges.collect::<Result<_, _>>()?, reverse))
}

/// Reads the key of one item. What is wrong with it is told as of a key condition.
fn one_key(schema: &KeySchema, key: &Item) -> Result<Key, ApiError> {
    let terms = key.iter().map(|(name, value)| (name.clone(), SortCondition::Equal(value.clone())));
    KeyConditionTerms::new(terms.collect()).bind(schema).map_err(expression)?;
    schema.key_exact(key).map_err(key_error)
}

/// The keys of one value of the partition key.
fn range(
    schema: &KeySchema,
    value: AttributeValue,
    sort: Option<SortCondition>,
    of_index: bool,
) -> Result<Bounds, ApiError> {
    let mut terms = vec![(schema.partition.name.clone(), SortCondition::Equal(value))];
    if let (Some(attribute), Some(sort)) = (&schema.sort, sort) {
        terms.push((attribute.name.clone(), sort));
    }
    let keys = KeyConditionTerms::new(terms).bind(schema).map_err(expression)?;
    Ok(if of_index { keys.index_bounds() } else { keys.bounds() })
}

fn check_order(order: &[Order], has_where: bool, schema: &KeySchema) -> Result<(), ApiError> {
    if order.is_empty() {
        return Ok(());
    }
    if !has_where {
        return Err(invalid("Must have WHERE clause in the statement when using ORDER BY clause."));
    }
    match order.iter().find(|one| !schema.contains(&one.attribute)) {
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
    schema: &KeySchema,
    values: &mut [AttributeValue],
) -> Result<bool, ApiError> {
    let by_partition = order.iter().find(|one| one.attribute == schema.partition.name);
    let first_is_sort = order.first().is_some_and(|one| one.attribute != schema.partition.name);
    if first_is_sort && values.len() > 1 {
        return Err(invalid(
            "ORDER BY a sort key is supported for one value of the partition key only, or behind \
             the partition key",
        ));
    }
    if let Some(by_partition) = by_partition {
        values.sort_by(|one, two| {
            let order = by_value(one, two);
            if by_partition.descending { order.reverse() } else { order }
        });
    }
    let by_sort = order.iter().find(|one| one.attribute != schema.partition.name);
    Ok(by_sort.is_some_and(|one| one.descending))
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

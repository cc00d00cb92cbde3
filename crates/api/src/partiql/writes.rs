//! Plans `INSERT`, `UPDATE` and `DELETE`, and `EXISTS` of a transaction.
//!
//! # Invariants
//!
//! - The `WHERE` of a write has an equality for each key attribute; the rest of it is the write's
//!   condition.
//! - INSERT never replaces an item, UPDATE never makes one, DELETE of no item is no failure.
//!
//! Tested by `partiql/tests.rs` and the golden transcripts.

use std::sync::Arc;

use meridian_base::limits::ITEM_BYTES_MAX;
use meridian_control::region::TableRecord;
use meridian_expression::partiql::{Delete, Exists, Insert, Returning, Update};
use meridian_expression::{Condition, Path, Predicate};
use meridian_model::{Key, KeySchema, item_bytes};
use meridian_partition::{Action, Returns, Write};

use super::plan::{OneWrite, check_condition};
use super::terms::Terms;
use crate::errors::{WriteFault, expression, invalid};
use crate::indexes;

/// Plans an INSERT: a put where no item is.
pub fn insert(table: Arc<TableRecord>, statement: Insert) -> Result<OneWrite, WriteFault> {
    let item = statement.item;
    if item_bytes(&item) > ITEM_BYTES_MAX {
        return Err(invalid("Item size has exceeded the maximum allowed size").into());
    }
    let schema = &table.definition.key;
    let key = schema.key_of_item(&item)?;
    indexes::check_item(&table.definition, &item)?;
    let condition = Some(Condition::new(Predicate::NotExists(partition_key(schema))));
    let write = Write { key, action: Action::Put(item), condition, returns: Returns::default() };
    Ok(OneWrite { table, write, returning: None, inserts: true })
}

/// Plans an UPDATE: an update of an item that is there.
pub fn update(
    table: Arc<TableRecord>,
    statement: Update,
    old_on_failure: bool,
) -> Result<OneWrite, WriteFault> {
    let schema = &table.definition.key;
    let (key, rest) = one_item(&statement.condition, schema)?;
    statement.update.check_keys(schema).map_err(expression)?;
    let condition = of_present(schema, rest);
    let returning = statement.returning;
    let returns = Returns {
        old: matches!(returning, Some(Returning::AllOld | Returning::ModifiedOld)),
        new: matches!(returning, Some(Returning::AllNew | Returning::ModifiedNew)),
        old_on_failure,
    };
    let write = Write { key, action: Action::Update(statement.update), condition, returns };
    Ok(OneWrite { table, write, returning, inserts: false })
}

/// Plans a DELETE. An item that is not there satisfies any condition: nothing is deleted then.
pub fn delete(
    table: Arc<TableRecord>,
    statement: Delete,
    old_on_failure: bool,
) -> Result<OneWrite, WriteFault> {
    let schema = &table.definition.key;
    let (key, rest) = one_item(&statement.condition, schema)?;
    let absent = || Predicate::NotExists(partition_key(schema));
    let condition = rest.map(|rest| Condition::new(Predicate::Or(vec![absent(), rest])));
    let returns = Returns { old: statement.returning_old, new: false, old_on_failure };
    let returning = statement.returning_old.then_some(Returning::AllOld);
    let write = Write { key, action: Action::Delete, condition, returns };
    Ok(OneWrite { table, write, returning, inserts: false })
}

/// Plans an EXISTS: a check of an item that is there.
pub fn exists(
    table: Arc<TableRecord>,
    statement: Exists,
    old_on_failure: bool,
) -> Result<OneWrite, WriteFault> {
    let schema = &table.definition.key;
    let (key, rest) = one_item(&statement.condition, schema)?;
    let condition = of_present(schema, rest);
    let returns = Returns { old_on_failure, ..Returns::default() };
    let write = Write { key, action: Action::Check, condition, returns };
    Ok(OneWrite { table, write, returning: None, inserts: false })
}

/// Splits a condition into the key of one item and the rest.
fn one_item(
    condition: &Condition,
    schema: &KeySchema,
) -> Result<(Key, Option<Predicate>), WriteFault> {
    check_condition(condition, schema)?;
    let mut terms = Terms::of(Some(condition));
    let key = terms.take_key(schema).ok_or_else(|| {
        invalid("Where clause does not contain a mandatory equality on all key attributes")
    })?;
    let key = schema.key_exact(&key)?;
    Ok((key, terms.rest()))
}

/// That the item is there and satisfies the rest.
fn of_present(schema: &KeySchema, rest: Option<Predicate>) -> Option<Condition> {
    let parts = std::iter::once(Predicate::Exists(partition_key(schema))).chain(rest).collect();
    Predicate::all(parts).map(Condition::new)
}

/// Every item has its partition key, so this tells whether there is one.
fn partition_key(schema: &KeySchema) -> Path {
    Path::new(schema.partition.name.clone())
}

//! Which operation a statement is.

use std::sync::Arc;

use meridian_control::region::TableRecord;
use meridian_expression::Condition;
use meridian_expression::partiql::{Returning, Statement};
use meridian_model::{Key, KeyNames};
use meridian_partition::Write;
use meridian_wire::{ApiError, table_name};

use super::columns::Columns;
use super::{select, writes};
use crate::backend::Backend;
use crate::errors::{WriteFault, expression};
use crate::reads::Bounds;
use crate::tables;

/// What a statement asks of the backend.
#[derive(Debug)]
pub enum Plan {
    /// One item by its key.
    One(OneRead),
    /// Pages of the items of key ranges.
    Pages(Pages),
    /// One conditional write.
    Write(OneWrite),
}

/// GetItem, and a condition that its item must satisfy to be shown.
#[derive(Debug)]
pub struct OneRead {
    /// The table.
    pub table: Arc<TableRecord>,
    /// The item's key.
    pub key: Key,
    /// What the item must satisfy.
    pub filter: Option<Condition>,
    /// What is shown of it.
    pub columns: Columns,
}

/// Query, one for each value of the partition key, or Scan.
#[derive(Debug)]
pub struct Pages {
    /// The table.
    pub table: Arc<TableRecord>,
    /// The index to read; the table itself when there is none.
    pub index: Option<String>,
    /// The ranges of encoded keys, in the order in which they are read; at least one.
    pub ranges: Vec<Bounds>,
    /// Each range from its highest key to the lowest.
    pub reverse: bool,
    /// What items must satisfy.
    pub filter: Option<Condition>,
    /// What is shown of them.
    pub columns: Columns,
}

/// PutItem, UpdateItem, DeleteItem, or the ConditionCheck of a transaction.
#[derive(Debug)]
pub struct OneWrite {
    /// The table.
    pub table: Arc<TableRecord>,
    /// The write.
    pub write: Write,
    /// What to answer with.
    pub returning: Option<Returning>,
    /// Whether a condition that fails means that the item is there already.
    pub inserts: bool,
}

/// Plans a statement; finds its table and checks it against the table's keys.
pub fn plan(
    backend: &dyn Backend,
    statement: Statement,
    old_on_failure: bool,
) -> Result<Plan, WriteFault> {
    let table = tables::serving(backend, table_name(statement.table()))?;
    match statement {
        Statement::Select(statement) => Ok(select::plan(table, statement)?),
        Statement::Insert(statement) => writes::insert(table, statement).map(Plan::Write),
        Statement::Update(statement) => {
            writes::update(table, statement, old_on_failure).map(Plan::Write)
        }
        Statement::Delete(statement) => {
            writes::delete(table, statement, old_on_failure).map(Plan::Write)
        }
        Statement::Exists(statement) => {
            writes::exists(table, statement, old_on_failure).map(Plan::Write)
        }
    }
}

/// Refuses a condition with paths into key attributes.
pub fn check_condition(condition: &Condition, keys: &dyn KeyNames) -> Result<(), ApiError> {
    condition.check_keys(keys).map_err(expression)
}

//! PartiQL statements: `SELECT`, `INSERT`, `UPDATE` and `DELETE` as DynamoDB takes them.
//!
//! A statement becomes the same trees that expressions become: paths, predicates and update
//! actions. Nothing here knows a table; which operation a statement is, the planner decides by the
//! key schema.
//!
//! # Invariants
//!
//! - No text makes this module panic or recurse without bound.
//! - A `?` stands for a value and for nothing else: never for a name, never for a part of a text.
//! - Conditions and updates pass the checks that expressions of a client pass.
//!
//! Source: AWS developer guide, "PartiQL for DynamoDB". Tested by `partiql/tests.rs`.

mod condition;
mod cursor;
mod error;
mod lexer;
mod literal;
mod path;
#[cfg(test)]
mod print;
mod statement;
#[cfg(test)]
mod tests;
mod update;

pub use error::{Malformed, StatementError};

use meridian_model::{AttributeValue, Item};

use crate::condition::Condition;
use crate::path::Path;

/// One statement, with its parameters put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// `SELECT`
    Select(Select),
    /// `INSERT`
    Insert(Insert),
    /// `UPDATE`
    Update(Update),
    /// `DELETE`
    Delete(Delete),
    /// `EXISTS(SELECT ...)`, in transactions alone.
    Exists(Exists),
}

/// `SELECT columns FROM table.index WHERE condition ORDER BY order`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Select {
    /// What to show of each item; all of it when there are none (`*`).
    pub columns: Vec<Path>,
    /// The table.
    pub table: String,
    /// The index.
    pub index: Option<String>,
    /// What items must satisfy.
    pub condition: Option<Condition>,
    /// In which order.
    pub order: Vec<Order>,
}

/// One attribute of `ORDER BY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The attribute as it is written.
    pub attribute: String,
    /// `DESC`
    pub descending: bool,
}

/// `INSERT INTO table VALUE item`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Insert {
    /// The table.
    pub table: String,
    /// The item.
    pub item: Item,
}

/// `UPDATE table SET ... REMOVE ... WHERE condition RETURNING returning`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The table.
    pub table: String,
    /// What to change.
    pub update: crate::update::Update,
    /// Which item, and what it must satisfy.
    pub condition: Condition,
    /// What to answer with.
    pub returning: Option<Returning>,
}

/// `DELETE FROM table WHERE condition RETURNING ALL OLD *`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delete {
    /// The table.
    pub table: String,
    /// Which item, and what it must satisfy.
    pub condition: Condition,
    /// Whether to answer with the item.
    pub returning_old: bool,
}

/// `EXISTS(SELECT * FROM table WHERE condition)`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exists {
    /// The table.
    pub table: String,
    /// Which item, and what it must satisfy.
    pub condition: Condition,
}

/// What of an item an `UPDATE` answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Returning {
    /// `ALL OLD *`
    AllOld,
    /// `MODIFIED OLD *`
    ModifiedOld,
    /// `ALL NEW *`
    AllNew,
    /// `MODIFIED NEW *`
    ModifiedNew,
}

impl Statement {
    /// Reads a statement; `parameters` stand for its question marks, one each, in order.
    pub fn parse(text: &str, parameters: &[AttributeValue]) -> Result<Self, StatementError> {
        statement::parse(text, parameters)
    }

    /// The name of the table.
    pub fn table(&self) -> &str {
        match self {
            Statement::Select(select) => &select.table,
            Statement::Insert(insert) => &insert.table,
            Statement::Update(update) => &update.table,
            Statement::Delete(delete) => &delete.table,
            Statement::Exists(exists) => &exists.table,
        }
    }

    /// Tells whether the statement only reads; what `EXISTS` asks goes with writes.
    pub fn reads(&self) -> bool {
        match self {
            Statement::Select(_) => true,
            Statement::Insert(_)
            | Statement::Update(_)
            | Statement::Delete(_)
            | Statement::Exists(_) => false,
        }
    }
}

//! PartiQL statements, planned onto the operations.
//!
//! A statement is read to trees without a table, then planned by the table's key: one item by its
//! key, pages of key ranges, or one conditional write. A plan holds what the operation of that kind
//! would have asked of the backend, so a statement can do nothing that an operation could not; a
//! write's plan is one member of a transaction.
//!
//! # Invariants
//!
//! - Everything is checked before anything is read or written.
//! - A write names one item by its whole key.
//!
//! Tested by `partiql/tests.rs` and `tests/golden/partiql*.txt`.

mod columns;
mod one;
mod pages;
mod plan;
mod select;
mod terms;
#[cfg(test)]
mod tests;
mod token;
mod writes;

pub use one::{One, Outcome, run_one};
pub use pages::{Start, run_pages};
pub use plan::{OneRead, OneWrite, Plan, plan};
pub use token::{Fingerprint, mismatch};

use meridian_expression::partiql::{Statement, StatementError};
use meridian_model::AttributeValue;
use meridian_wire::{ApiError, Fields, Wording};

use crate::backend::Consistency;
use crate::errors::invalid;
use crate::{reads, writes as item_writes};

/// A statement as a request states it.
#[derive(Debug)]
pub struct Request {
    /// The text.
    pub text: String,
    /// What its question marks stand for.
    pub parameters: Vec<AttributeValue>,
    /// How fresh a read must be.
    pub consistency: Consistency,
    /// Whether a condition that fails answers with the item.
    pub old_on_failure: bool,
}

impl Request {
    /// Takes the members of a request that state a statement.
    pub fn take(fields: &mut Fields) -> Result<Self, ApiError> {
        let parameters = fields.take_list("Parameters").unwrap_or_default();
        let parameters = parameters.into_iter().map(|node| node.into_value());
        // A transaction always reads the newest.
        let consistency = match fields.names("ConsistentRead") {
            true => reads::consistency(fields),
            false => Consistency::Strong,
        };
        Ok(Request {
            consistency,
            text: fields.take_text("Statement").unwrap_or_default(),
            parameters: parameters
                .map(|value| value.checked(Wording::Current))
                .collect::<Result<_, _>>()?,
            old_on_failure: item_writes::old_on_failure(fields),
        })
    }

    /// Reads a statement that stands alone.
    pub fn statement(&self) -> Result<Statement, ApiError> {
        match self.member()? {
            Statement::Exists(_) => {
                let alone = "EXISTS outside a transaction".to_owned();
                Err(invalid(StatementError::Unsupported(alone).to_string()))
            }
            statement => Ok(statement),
        }
    }

    /// Reads a member of a transaction.
    pub fn member(&self) -> Result<Statement, ApiError> {
        Statement::parse(&self.text, &self.parameters).map_err(|error| invalid(error.to_string()))
    }
}

//! Runs a plan about one item.

use meridian_expression::partiql::Returning;
use meridian_model::Item;
use meridian_partition::{Action, Done};
use meridian_wire::ApiError;

use super::plan::{OneRead, OneWrite};
use crate::backend::{Backend, Consistency};
use crate::capacity::{Consumed, read_units};
use crate::errors::backend as backend_error;
use crate::writes::write;

/// A plan about one item.
#[derive(Debug)]
pub enum One {
    /// Reads it.
    Read(OneRead, Consistency),
    /// Writes it.
    Write(OneWrite),
}

/// What a plan about one item gave.
#[derive(Debug)]
pub struct Outcome {
    /// The item to answer with, if there is one.
    pub item: Option<Item>,
    /// The table.
    pub table: String,
    /// What it cost.
    pub consumed: Consumed,
}

/// Reads or writes one item.
pub async fn run_one(backend: &dyn Backend, one: One) -> Result<Outcome, ApiError> {
    match one {
        One::Read(read, consistency) => run_read(backend, read, consistency).await,
        One::Write(write) => run_write(backend, write).await,
    }
}

async fn run_read(
    backend: &dyn Backend,
    read: OneRead,
    consistency: Consistency,
) -> Result<Outcome, ApiError> {
    let found = backend.get(&read.table, read.key, consistency).await.map_err(backend_error)?;
    let consumed = read_units(found.bytes, consistency).into();
    let shown = |item: &Item| read.filter.as_ref().is_none_or(|filter| filter.matches(item));
    let item = found.item.filter(shown).map(|item| read.columns.of(item));
    Ok(Outcome { item, table: read.table.name.clone(), consumed })
}

async fn run_write(backend: &dyn Backend, one: OneWrite) -> Result<Outcome, ApiError> {
    let OneWrite { table, write: planned, returning, inserts } = one;
    let action = planned.action.clone();
    let done = write(backend, &table, planned).await.map_err(|error| match error {
        ApiError::ConditionalCheckFailed(_) if inserts => {
            ApiError::DuplicateItem("Duplicate primary key exists in table".to_owned())
        }
        other => other,
    })?;
    let consumed = Consumed::of_write(&table, &done);
    let item = returning.and_then(|returning| returned(returning, &action, done));
    Ok(Outcome { item, table: table.name.clone(), consumed })
}

/// Picks what `RETURNING` asks for; nothing at all is no item.
fn returned(returning: Returning, action: &Action, done: Done) -> Option<Item> {
    let touched = |item: Item| match action {
        Action::Update(update) | Action::UpdateExisting(update) => update.touched(&item),
        Action::Put(_) | Action::Delete | Action::Check => item,
    };
    let item = match returning {
        Returning::AllOld => done.old,
        Returning::AllNew => done.new,
        Returning::ModifiedOld => done.old.map(touched),
        Returning::ModifiedNew => done.new.map(touched),
    };
    item.filter(|item| !item.is_empty())
}

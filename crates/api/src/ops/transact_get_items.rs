//! TransactGetItems.
//!
//! Tested by `transact_get.txt`.

use std::sync::Arc;

use meridian_base::limits::TRANSACTION_BYTES_MAX;
use meridian_control::region::TableRecord;
use meridian_model::Key;
use meridian_wire::json::{Array, Object};
use meridian_wire::{ApiError, Fields, Wording, write_item};

use crate::backend::{Backend, Consistency};
use crate::capacity::{Consumed, Report, Units, read_units};
use crate::errors::{invalid, key as key_error};
use crate::expressions::{Parameters, unused};
use crate::projection::Wanted;
use crate::transact::TransactGetOutcome;
use crate::{tables, transactions};

const PARAMETERS: Parameters =
    Parameters { expressions: &["ProjectionExpression"], legacy: &[], wording: Wording::Current };

/// Answers TransactGetItems.
pub async fn run(backend: &dyn Backend, mut fields: Fields) -> Result<Vec<u8>, ApiError> {
    let report = Report::take(&mut fields);
    let list = fields.take_list("TransactItems").unwrap_or_default();
    let mut reads = Vec::with_capacity(list.len());
    for node in list {
        let get = node.into_fields().take_fields("Get");
        reads.push(Read::take(backend, get.ok_or(ApiError::InternalServerError)?)?);
    }
    transactions::check_distinct(reads.iter().map(|read| (&read.table, &read.key)))?;
    let asked = reads.iter().map(|read| (Arc::clone(&read.table), read.key.clone())).collect();
    let outcome = backend.transact_get(asked).await.map_err(transactions::failed)?;
    let found = match outcome {
        TransactGetOutcome::Items(found) => found,
        TransactGetOutcome::Cancelled(reasons) => {
            return Err(transactions::cancelled(reasons, &[]));
        }
    };
    if found.iter().map(|one| one.bytes).sum::<usize>() > TRANSACTION_BYTES_MAX {
        return Err(invalid(
            "Transaction size exceeded: the aggregate size of the items in the transaction cannot \
             exceed 4 MB",
        ));
    }
    let parts = reads.iter().zip(&found).map(|(read, found)| {
        let units = read_units(found.bytes, Consistency::Strong);
        (read.table.as_ref(), Consumed::from(units))
    });
    let costs = transactions::costs(parts);
    let mut out = Vec::with_capacity(256);
    let mut answer = Object::open(&mut out);
    report.write_list_of(&mut answer, &costs, Units::Read);
    let mut responses = Array::open(answer.key("Responses"));
    for (read, found) in reads.iter().zip(found) {
        let mut response = Object::open(responses.element());
        if let Some(item) = found.item {
            write_item(response.key("Item"), &read.wanted.of(item));
        }
        response.close();
    }
    responses.close();
    answer.close();
    Ok(out)
}

struct Read {
    table: Arc<TableRecord>,
    key: Key,
    wanted: Wanted,
}

impl Read {
    fn take(backend: &dyn Backend, mut fields: Fields) -> Result<Self, ApiError> {
        let mut placeholders = PARAMETERS.placeholders(&mut fields)?;
        let key = fields.take_item("Key").ok_or(ApiError::InternalServerError)?;
        let key = key.checked(PARAMETERS.wording)?;
        let wanted = Wanted::take(&mut fields, &mut placeholders)?;
        unused(&placeholders)?;
        let table = tables::serving(backend, &tables::take_name(&mut fields))?;
        let schema = &table.definition.key;
        wanted.check_keys(schema)?;
        let key = schema.key_exact(&key).map_err(key_error)?;
        Ok(Read { table, key, wanted })
    }
}

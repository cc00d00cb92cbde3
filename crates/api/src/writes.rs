//! What the operations that write one item share.

use std::sync::Arc;

use meridian_control::region::TableRecord;
use meridian_expression::Update;
use meridian_partition::{Action, Done, Write, WriteOutcome};
use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::errors::{backend as backend_error, invalid};

/// `ReturnValues`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReturnValues {
    /// NONE
    None,
    /// ALL_OLD
    AllOld,
    /// UPDATED_OLD
    UpdatedOld,
    /// ALL_NEW
    AllNew,
    /// UPDATED_NEW
    UpdatedNew,
}

impl ReturnValues {
    /// Takes the parameter out of a request.
    pub fn take(fields: &mut Fields) -> Self {
        match fields.take_text("ReturnValues").as_deref() {
            Some("ALL_OLD") => ReturnValues::AllOld,
            Some("UPDATED_OLD") => ReturnValues::UpdatedOld,
            Some("ALL_NEW") => ReturnValues::AllNew,
            Some("UPDATED_NEW") => ReturnValues::UpdatedNew,
            _ => ReturnValues::None,
        }
    }

    /// Takes the parameter of PutItem or DeleteItem; returns whether the old item is wanted.
    pub fn take_old(fields: &mut Fields) -> Result<bool, ApiError> {
        match ReturnValues::take(fields) {
            ReturnValues::None => Ok(false),
            ReturnValues::AllOld => Ok(true),
            ReturnValues::UpdatedOld | ReturnValues::AllNew | ReturnValues::UpdatedNew => {
                Err(invalid("ReturnValues can only be ALL_OLD or NONE"))
            }
        }
    }
}

/// Takes `ReturnValuesOnConditionCheckFailure`.
pub fn old_on_failure(fields: &mut Fields) -> bool {
    fields.take_text("ReturnValuesOnConditionCheckFailure").as_deref() == Some("ALL_OLD")
}

/// What an update does: one that only takes away makes no item where there is none, one that does
/// nothing at all does.
pub fn update_action(update: Update) -> Action {
    if update.only_removes() { Action::UpdateExisting(update) } else { Action::Update(update) }
}

/// Writes one item.
pub async fn write(
    backend: &dyn Backend,
    table: &Arc<TableRecord>,
    write: Write,
) -> Result<Done, ApiError> {
    match backend.write(table, write).await.map_err(backend_error)? {
        WriteOutcome::Done(done) => Ok(done),
        WriteOutcome::ConditionFailed { old, .. } => Err(ApiError::ConditionalCheckFailed(old)),
        WriteOutcome::Refused(refusal) => Err(invalid(refusal.to_string())),
        WriteOutcome::Conflict => {
            Err(ApiError::TransactionConflict("Transaction is ongoing for the item".to_owned()))
        }
    }
}

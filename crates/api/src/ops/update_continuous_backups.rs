//! UpdateContinuousBackups.
//!
//! As on the service, it takes effect at once, and what is so already is no error. Turned off and on
//! again, recovery begins anew.
//!
//! Tested by `point_in_time.txt` and `tests/backups.rs`.

use std::sync::Arc;

use meridian_control::region::{OwnChange, Refusal, TableRecord};
use meridian_control::table::TableStatus;
use meridian_wire::{ApiError, Fields};

use crate::backend::{Backend, ChangeError};
use crate::errors::{change, invalid};
use crate::{backups, tables};

/// How many days are kept where nobody says (AWS: point-in-time recovery).
const DAYS: u32 = 35;

/// Answers UpdateContinuousBackups.
pub async fn run(backend: &dyn Backend, mut fields: Fields) -> Result<Vec<u8>, ApiError> {
    let name = tables::take_name(&mut fields);
    let specification = fields.take_fields("PointInTimeRecoverySpecification");
    let mut specification = specification.ok_or(ApiError::InternalServerError)?;
    let enabled = specification.take_flag("PointInTimeRecoveryEnabled").unwrap_or(false);
    // The constraints keep it between 1 and 35.
    let days = specification.take_number("RecoveryPeriodInDays");
    let days = days.and_then(|days| u32::try_from(days).ok());
    if !enabled && days.is_some() {
        return Err(invalid(
            "Invalid Request: Cannot specify RecoveryPeriodInDays when disabling point-in-time \
             recovery.",
        ));
    }
    // Whoever deletes a table may still say that no backup is to be left of it.
    let going = |table: &Arc<TableRecord>| table.status == TableStatus::Deleting && !enabled;
    let table = backups::known(backend, &name).or_else(|| backend.table(&name).filter(going));
    let table = table.ok_or_else(|| backups::not_found(&name))?;
    if table.status == TableStatus::Creating {
        return Err(being_enabled(&name));
    }
    if enabled && !backend.archives() {
        return Err(backups::no_archive());
    }
    let wanted = OwnChange::Recovery(enabled.then(|| days.unwrap_or(DAYS)));
    let changed = backend.change_own(&name, wanted).await;
    let table = changed.map_err(|error| refused(error, &name))?;
    backups::describe(backend, &table).await
}

fn refused(error: ChangeError, name: &str) -> ApiError {
    match error {
        ChangeError::Region(Refusal::TableNotFound) => backups::not_found(name),
        ChangeError::Region(Refusal::InUse { status: TableStatus::Creating }) => {
            being_enabled(name)
        }
        ChangeError::Region(Refusal::InUse { status: TableStatus::Deleting }) => {
            backups::not_found(name)
        }
        error @ (ChangeError::Region(_) | ChangeError::Global(_) | ChangeError::Backend(_)) => {
            change(error, name)
        }
    }
}

fn being_enabled(name: &str) -> ApiError {
    ApiError::ContinuousBackupsUnavailable(format!(
        "Backups are being enabled for the table: {name}. Please retry later"
    ))
}

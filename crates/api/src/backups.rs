//! What the API knows of archives: which times of a table can be brought back, and how that is shown.
//!
//! # Invariants
//!
//! - No time is shown that the archive cannot bring back: neither bound, while it can bring back none.
//!
//! Tested by `tests/backups.rs` and `point_in_time.txt`.

use std::sync::Arc;

use meridian_base::TableId;
use meridian_control::region::{ArchiveOwner, Recovery, TableRecord};
use meridian_control::table::{TableDefinition, TableStatus};
use meridian_wire::ApiError;
use meridian_wire::json::Object;

use crate::backend::Backend;
use crate::errors::backend as unanswered;

/// Length of a day, ms.
const DAY_MS: u64 = 24 * 3600 * 1000;

/// Which times of a table the archive can bring back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restorable {
    /// The earliest, ms since the Unix epoch.
    pub earliest_ms: u64,
    /// The latest, ms since the Unix epoch.
    pub latest_ms: u64,
}

/// A table of another region, as that region's archive has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedTable {
    /// Whose archive it is.
    pub owner: ArchiveOwner,
    /// Its id.
    pub id: TableId,
    /// What it is.
    pub definition: TableDefinition,
    /// Which times can be brought back; none while there is none.
    pub times: Option<Restorable>,
}

/// Finds a table that the backup operations know: neither being restored nor being deleted.
pub fn known(backend: &dyn Backend, name: &str) -> Option<Arc<TableRecord>> {
    backend.table(name).filter(|table| match table.status {
        TableStatus::Active | TableStatus::Updating => true,
        TableStatus::Creating => table.restore.is_none(),
        TableStatus::Deleting => false,
    })
}

/// Says that the backup operations know no such table.
pub fn not_found(name: &str) -> ApiError {
    ApiError::TableNotFound(format!("Table not found: {name}"))
}

/// Returns what can be restored of a table with this recovery: what the archive has, of the days kept.
pub async fn window(
    backend: &dyn Backend,
    table: &TableRecord,
    recovery: Recovery,
) -> Result<Option<Restorable>, ApiError> {
    let Some(archived) = backend.restorable(table).await.map_err(unanswered)? else {
        return Ok(None);
    };
    let kept_from = backend.now_ms().saturating_sub(u64::from(recovery.days) * DAY_MS);
    let earliest_ms = archived.earliest_ms.max(recovery.since_ms).max(kept_from);
    let window = Restorable { earliest_ms, latest_ms: archived.latest_ms };
    Ok((window.earliest_ms <= window.latest_ms).then_some(window))
}

/// Answers with `ContinuousBackupsDescription`. Its status is ENABLED on every table of the service.
pub async fn describe(backend: &dyn Backend, table: &TableRecord) -> Result<Vec<u8>, ApiError> {
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    let mut description = Object::open(answer.key("ContinuousBackupsDescription"));
    description.text("ContinuousBackupsStatus", "ENABLED");
    let mut shown = Object::open(description.key("PointInTimeRecoveryDescription"));
    match table.own.recovery {
        None => {
            shown.text("PointInTimeRecoveryStatus", "DISABLED");
        }
        Some(recovery) => {
            // An archive that cannot be read now has no dates to show; recovery is on all the same.
            if let Ok(Some(window)) = window(backend, table, recovery).await {
                // As on the service, to the second.
                shown.number("EarliestRestorableDateTime", window.earliest_ms / 1000);
                shown.number("LatestRestorableDateTime", window.latest_ms / 1000);
            }
            shown.text("PointInTimeRecoveryStatus", "ENABLED");
            shown.number("RecoveryPeriodInDays", u64::from(recovery.days));
        }
    }
    shown.close();
    description.close();
    answer.close();
    Ok(out)
}

/// Says that there is no archive.
pub fn no_archive() -> ApiError {
    ApiError::ContinuousBackupsUnavailable(
        "This server keeps no archive, from which a table could be recovered. The setting \
         archive_dir in the configuration of its nodes turns one on."
            .to_owned(),
    )
}

//! RestoreTableFromBackup.
//!
//! A backup feeds one restore at a time. The settings are those that the table had when it was backed
//! up, apart from what a restore leaves out and overrides.
//!
//! Tested by `backups.txt` and `cluster_tests/backups.rs` of the node.

use meridian_control::region::{LaterSettings, Refusal, RestoreSource};
use meridian_wire::arn::table_arn;
use meridian_wire::{ApiError, Fields};

use crate::backend::{Backend, ChangeError, TableSize};
use crate::context::RequestContext;
use crate::errors::change;
use crate::restores::{Overrides, taken};
use crate::{backup_records, describe, unbuilt};

/// Answers RestoreTableFromBackup.
pub async fn run(
    backend: &dyn Backend,
    context: &RequestContext,
    mut fields: Fields,
) -> Result<Vec<u8>, ApiError> {
    let arn = fields.take_text("BackupArn").unwrap_or_default();
    let backup = backup_records::find(backend, &arn)?;
    if !backup.is_available() {
        return Err(ApiError::BackupInUse(format!("Backup is being created: {arn}")));
    }
    unbuilt::parameters(&fields, &["VectorIndexOverride"])?;
    let definition = Overrides::take(&mut fields)?.applied_to(&backup.definition)?;
    let target = fields.take_text("TargetTableName").unwrap_or_default();
    if let Some(table) = backend.table(&target) {
        return Err(taken(&target, Some(&table)));
    }
    let source = RestoreSource {
        owner: None,
        table: backup.table,
        table_name: backup.table_name.clone(),
        table_arn: table_arn(&context.region, &backup.table_name),
        backup_arn: Some(arn.clone()),
        backup: Some(backup.id),
        at_ms: backup.at_ms,
        later: LaterSettings::default(),
        is_scratch: false,
    };
    let made = backend.restore_table(&target, definition, source).await;
    let table = made.map_err(|error| match error {
        ChangeError::Region(Refusal::TableExists { .. }) => {
            taken(&target, backend.table(&target).as_deref())
        }
        ChangeError::Region(Refusal::BackupInUse) => {
            ApiError::BackupInUse(format!("Backup is being used to restore another table: {arn}"))
        }
        ChangeError::Region(Refusal::BackupNotFound) => backup_records::not_found(&arn),
        error => change(error, &target),
    })?;
    Ok(describe::answer("TableDescription", context, &table, TableSize::default()))
}

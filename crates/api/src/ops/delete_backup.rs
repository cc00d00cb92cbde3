//! DeleteBackup.
//!
//! The backup is gone with the answer; its objects go soon after.
//!
//! Tested by `backups.txt`.

use meridian_control::region::{BackupKind, Refusal};
use meridian_control::time::iso_label;
use meridian_wire::{ApiError, Fields};

use crate::backend::{Backend, ChangeError};
use crate::backup_records;
use crate::context::RequestContext;
use crate::errors::{change, invalid};

/// Answers DeleteBackup.
pub async fn run(
    backend: &dyn Backend,
    context: &RequestContext,
    mut fields: Fields,
) -> Result<Vec<u8>, ApiError> {
    let arn = fields.take_text("BackupArn").unwrap_or_default();
    let backup = backup_records::find(backend, &arn)?;
    if let (BackupKind::System, Some(expires_ms)) = (backup.kind, backup.expires_ms) {
        return Err(invalid(format!(
            "User is not allowed to delete the system backup with arn {arn}. It will automatically \
             expire on {}",
            iso_label(expires_ms)
        )));
    }
    let deleted = backend.delete_backup(backup.id).await;
    deleted.map_err(|error| match error {
        ChangeError::Region(Refusal::BackupNotFound) => backup_records::not_found(&arn),
        ChangeError::Region(Refusal::BackupInUse) if backup.is_available() => {
            ApiError::BackupInUse(format!("Backup is being used to restore table: {arn}"))
        }
        ChangeError::Region(Refusal::BackupInUse) => {
            ApiError::BackupInUse(format!("Backup is being created: {arn}"))
        }
        error => change(error, &backup.table_name),
    })?;
    Ok(backup_records::answer(context, &backup, &arn, "DELETED"))
}

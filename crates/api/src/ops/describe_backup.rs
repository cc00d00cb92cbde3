//! DescribeBackup.
//!
//! Tested by `backups.txt`.

use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::backup_records;
use crate::context::RequestContext;

/// Answers DescribeBackup.
pub fn run(
    backend: &dyn Backend,
    context: &RequestContext,
    mut fields: Fields,
) -> Result<Vec<u8>, ApiError> {
    let arn = fields.take_text("BackupArn").unwrap_or_default();
    let backup = backup_records::find(backend, &arn)?;
    let status = backup_records::status_name(&backup);
    Ok(backup_records::answer(context, &backup, &arn, status))
}

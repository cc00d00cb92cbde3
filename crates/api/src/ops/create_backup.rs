//! CreateBackup.
//!
//! A backup's name is not unique. It begins CREATING, and holds everything that was acknowledged before
//! the request, and nothing that is asked for after the answer.
//!
//! Tested by `backups.txt`.

use meridian_control::region::Refusal;
use meridian_control::table::TableStatus;
use meridian_wire::json::Object;
use meridian_wire::{ApiError, Fields};

use crate::backend::{Backend, ChangeError};
use crate::context::RequestContext;
use crate::errors::change;
use crate::{backup_records, backups, tables};

/// Answers CreateBackup.
pub async fn run(
    backend: &dyn Backend,
    context: &RequestContext,
    mut fields: Fields,
) -> Result<Vec<u8>, ApiError> {
    let table = tables::take_name(&mut fields);
    let name = fields.take_text("BackupName").unwrap_or_default();
    let record = backend.table(&table).filter(|table| table.status != TableStatus::Creating);
    let record = record.ok_or_else(|| backups::not_found(&table))?;
    if !backend.archives() {
        return Err(backups::no_archive());
    }
    let made = backend.create_backup(&record, &name).await;
    let backup = made.map_err(|error| refused(error, &table))?;
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    let mut details = Object::open(answer.key("BackupDetails"));
    let arn = backup_records::backup_arn(context, &backup);
    backup_records::details(&mut details, &backup, &arn, "CREATING");
    details.close();
    answer.close();
    Ok(out)
}

fn refused(error: ChangeError, table: &str) -> ApiError {
    match error {
        ChangeError::Region(Refusal::TableNotFound)
        | ChangeError::Region(Refusal::InUse { status: TableStatus::Creating }) => {
            backups::not_found(table)
        }
        ChangeError::Region(Refusal::InUse { .. }) => {
            ApiError::TableInUse(format!("Table is being deleted: {table}"))
        }
        error @ (ChangeError::Region(_) | ChangeError::Global(_) | ChangeError::Backend(_)) => {
            change(error, table)
        }
    }
}

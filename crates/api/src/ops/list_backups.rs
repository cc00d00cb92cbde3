//! ListBackups.
//!
//! Oldest first, those of deleted tables too. Where no type is named, only those that users asked for.
//!
//! Tested by `backups.txt` and `tests/backups.rs`.

use meridian_control::region::{BackupKind, BackupRecord};
use meridian_wire::arn::table_arn;
use meridian_wire::json::{Array, Object};
use meridian_wire::{ApiError, Fields, table_name};

use crate::backend::Backend;
use crate::context::RequestContext;
use crate::errors::invalid;
use crate::moments::milliseconds;
use crate::{backup_records, describe};

/// Most backups of one answer (AWS: ListBackups).
const BACKUPS_MAX: usize = 100;

/// Answers ListBackups.
pub fn run(
    backend: &dyn Backend,
    context: &RequestContext,
    mut fields: Fields,
) -> Result<Vec<u8>, ApiError> {
    let table = fields.take_text("TableName");
    let from_ms = milliseconds(fields.take("TimeRangeLowerBound"));
    let until_ms = milliseconds(fields.take("TimeRangeUpperBound"));
    if let (Some(from), Some(until)) = (from_ms, until_ms)
        && from > until
    {
        return Err(invalid("Time range lower bound must be less than or equal to upper bound"));
    }
    let limit = fields.take_number("Limit").and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(BACKUPS_MAX).min(BACKUPS_MAX);
    let kinds: &[BackupKind] = match fields.take_text("BackupType").as_deref() {
        None | Some("USER") => &[BackupKind::User],
        Some("SYSTEM") => &[BackupKind::System],
        Some("ALL") => &[BackupKind::User, BackupKind::System],
        // Those of AWS Backup: there are none.
        Some(_) => &[],
    };
    let after = fields.take_text("ExclusiveStartBackupArn");
    let after = after.as_deref().map(backup_records::label).transpose()?;
    let table = table.as_deref().map(table_name);
    let mut found: Vec<BackupRecord> = backend.backups();
    found.retain(|one| {
        kinds.contains(&one.kind)
            && table.is_none_or(|table| one.table_name == table)
            && from_ms.is_none_or(|from| one.created_ms >= from)
            && until_ms.is_none_or(|until| one.created_ms < until)
            && after.is_none_or(|after| one.label().as_str() > after)
    });
    found.sort_by_cached_key(BackupRecord::label);
    Ok(answer(context, &found, limit))
}

fn answer(context: &RequestContext, found: &[BackupRecord], limit: usize) -> Vec<u8> {
    let shown = found.get(..limit).unwrap_or(found);
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    let mut list = Array::open(answer.key("BackupSummaries"));
    for backup in shown {
        let mut one = Object::open(list.element());
        let arn = backup_records::backup_arn(context, backup);
        backup_records::details(&mut one, backup, &arn, backup_records::status_name(backup));
        one.text("TableArn", &table_arn(&context.region, &backup.table_name));
        one.text("TableId", &describe::uuid_of(backup.table.0));
        one.text("TableName", &backup.table_name);
        one.close();
    }
    list.close();
    if let Some(last) = shown.last().filter(|_| shown.len() < found.len()) {
        answer.text("LastEvaluatedBackupArn", &backup_records::backup_arn(context, last));
    }
    answer.close();
    out
}

//! RestoreTableToPointInTime.
//!
//! The order of the checks is the service's: how the request is put, the source, whether recovery is
//! on, the time, the overrides, the target.
//!
//! # Invariants
//!
//! - Times are compared to the second, as they are shown; one in the first or last second is moved to
//!   what can be restored of it.
//! - A refused request makes no table.
//!
//! Tested by `point_in_time.txt` and `tests/backups.rs`.

use std::sync::Arc;

use meridian_control::region::{LaterSettings, Refusal, RestoreSource, TableRecord};
use meridian_control::table::TableDefinition;
use meridian_control::time::iso_label;
use meridian_wire::arn::{arn_region, table_arn};
use meridian_wire::{ApiError, Fields, table_name};

use crate::backend::{Backend, ChangeError, TableSize};
use crate::backups::{ArchivedTable, Restorable};
use crate::context::RequestContext;
use crate::errors::{backend as unanswered, change, invalid, invalid_parameter};
use crate::moments::milliseconds;
use crate::restores::{Overrides, taken};
use crate::{backups, describe, unbuilt};

/// Which time is asked for, ms since the Unix epoch.
enum Asked {
    Latest,
    At(u64),
}

/// Answers RestoreTableToPointInTime.
pub async fn run(
    backend: &dyn Backend,
    context: &RequestContext,
    mut fields: Fields,
) -> Result<Vec<u8>, ApiError> {
    let asked = asked(&mut fields)?;
    let source = source(backend, context, &mut fields).await?;
    unbuilt::parameters(&fields, &["VectorIndexOverride"])?;
    let at_ms = moment(&source, backend, &asked).await?;
    let definition = Overrides::take(&mut fields)?.applied_to(source.definition())?;
    let target = fields.take_text("TargetTableName").unwrap_or_default();
    if let Some(table) = backend.table(&target) {
        return Err(taken(&target, Some(&table)));
    }
    let from = source.restored_at(context, at_ms);
    let table = match backend.restore_table(&target, definition, from).await {
        Ok(table) => table,
        Err(ChangeError::Region(Refusal::TableExists { .. })) => {
            return Err(taken(&target, backend.table(&target).as_deref()));
        }
        Err(error) => return Err(change(error, &target)),
    };
    Ok(describe::answer("TableDescription", context, &table, TableSize::default()))
}

fn asked(fields: &mut Fields) -> Result<Asked, ApiError> {
    let latest = fields.take_flag("UseLatestRestorableTime").unwrap_or(false);
    match (milliseconds(fields.take("RestoreDateTime")), latest) {
        (Some(_), true) => Err(invalid(
            "Invalid Request: Both RestoreDateTime and UseLatestRestorableTime cannot be set for \
             point-in-time restore request. Please specify either RestoreDateTime time or \
             UseLatestRestorableTime",
        )),
        (Some(at_ms), false) => Ok(Asked::At(at_ms)),
        (None, true) => Ok(Asked::Latest),
        (None, false) => Err(invalid(
            "Invalid Request: Either one of RestoreDateTime or UseLatestRestorableTime must be \
             specified, but not both",
        )),
    }
}

/// What is restored.
enum Source {
    /// A table of this region.
    Here(Arc<TableRecord>),
    /// A table of that name of another region, whose archive is in the same object store.
    Elsewhere(String, Box<ArchivedTable>),
}

impl Source {
    fn name(&self) -> &str {
        match self {
            Source::Here(table) => &table.name,
            Source::Elsewhere(name, _) => name,
        }
    }

    fn definition(&self) -> &TableDefinition {
        match self {
            Source::Here(table) => &table.definition,
            Source::Elsewhere(_, table) => &table.definition,
        }
    }

    /// Which of its times can be brought back.
    async fn window(&self, backend: &dyn Backend) -> Result<Option<Restorable>, ApiError> {
        let table = match self {
            Source::Here(table) => table,
            Source::Elsewhere(_, table) => return Ok(table.times),
        };
        let recovery = table.own.recovery.ok_or_else(|| {
            ApiError::PointInTimeRecoveryUnavailable(format!(
                "Point in time recovery is not enabled for table '{}'",
                table.name
            ))
        })?;
        backups::window(backend, table, recovery).await
    }

    fn restored_at(&self, context: &RequestContext, at_ms: u64) -> RestoreSource {
        let (owner, region, table) = match self {
            Source::Here(table) => (None, &context.region, table.id),
            Source::Elsewhere(_, table) => {
                (Some(table.owner.clone()), &table.owner.region, table.id)
            }
        };
        RestoreSource {
            table_arn: table_arn(region, self.name()),
            owner,
            table,
            table_name: self.name().to_owned(),
            backup_arn: None,
            backup: None,
            at_ms,
            later: LaterSettings::default(),
            is_scratch: false,
        }
    }
}

/// Finds the source. An ARN of another region means the table there if its archive can be read here; if
/// not, the table of that name here: after a region was left, programs still name it.
async fn source(
    backend: &dyn Backend,
    context: &RequestContext,
    fields: &mut Fields,
) -> Result<Source, ApiError> {
    let stated = (fields.take_text("SourceTableName"), fields.take_text("SourceTableArn"));
    match stated {
        (Some(_), Some(_)) => Err(invalid(
            "Invalid Request: Must provide exactly one of: sourceTableArn, sourceTableName",
        )),
        (None, None) => {
            Err(invalid("The parameter 'TableName' is required but was not present in the request"))
        }
        (Some(name), None) => {
            let found = backups::known(backend, &name);
            found.map(Source::Here).ok_or_else(|| backups::not_found(&name))
        }
        (None, Some(arn)) => {
            if !arn.starts_with("arn:") {
                return Err(invalid_parameter(format!("ARNs must start with 'arn:': {arn}")));
            }
            let (name, region) = (table_name(&arn), arn_region(&arn));
            let other =
                region.filter(|region| *region != context.region && backend.has_region(region));
            if let Some(region) = other {
                let archived = backend.archived_in(region, name).await.map_err(unanswered)?;
                if let Some(archived) = archived {
                    return Ok(Source::Elsewhere(name.to_owned(), Box::new(archived)));
                }
            }
            let found = backups::known(backend, name).map(Source::Here);
            found.ok_or_else(|| ApiError::TableNotFound("Table not found".to_owned()))
        }
    }
}

async fn moment(source: &Source, backend: &dyn Backend, asked: &Asked) -> Result<u64, ApiError> {
    let window = source.window(backend).await?.ok_or_else(|| {
        ApiError::PointInTimeRecoveryUnavailable(format!(
            "The archive cannot bring back any time of table '{}' yet. Please retry later",
            source.name()
        ))
    })?;
    match asked {
        Asked::Latest => Ok(window.latest_ms),
        Asked::At(at_ms) if within(*at_ms, window) => {
            Ok((*at_ms).clamp(window.earliest_ms, window.latest_ms))
        }
        Asked::At(at_ms) => Err(ApiError::InvalidRestoreTime(format!(
            "RestoreDateTime '{}' must be within EarliestRestorableDateTime '{}' and \
             LatestRestorableDateTime '{}'",
            date(*at_ms),
            date(window.earliest_ms),
            date(window.latest_ms)
        ))),
    }
}

fn within(at_ms: u64, window: Restorable) -> bool {
    (window.earliest_ms / 1000..=window.latest_ms / 1000).contains(&(at_ms / 1000))
}

/// `2015-05-20T23:46:10Z`.
fn date(ms: u64) -> String {
    let label = iso_label(ms);
    let seconds = label.split_once('.').map_or(label.as_str(), |(seconds, _)| seconds);
    format!("{seconds}Z")
}

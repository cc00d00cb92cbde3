//! The switches of Contributor Insights, of tables and of global indexes, as they are shown.
//!
//! Tested by `contributor_insights.txt`.

use std::sync::Arc;

use meridian_control::region::{Insights, InsightsMode, TableRecord};
use meridian_control::table::{IndexStatus, TableStatus};
use meridian_wire::ApiError;
use meridian_wire::json::Object;

use crate::backend::Backend;
use crate::errors::{invalid, table_not_found};

/// Finds the table, and the index where one is named.
pub fn table(
    backend: &dyn Backend,
    name: &str,
    index: Option<&str>,
) -> Result<Arc<TableRecord>, ApiError> {
    let table = backend.table(name).ok_or_else(|| table_not_found(name))?;
    match index {
        Some(index) if !is_known(&table, index) => Err(ApiError::ResourceNotFound(format!(
            "Requested resource not found: Index: {index} not found for table: {name}"
        ))),
        Some(_) | None => Ok(table),
    }
}

/// An index that is to be made is not known before it is filled.
fn is_known(table: &TableRecord, index: &str) -> bool {
    table
        .index(index)
        .is_some_and(|known| known.status != IndexStatus::Creating || known.backfilling)
}

/// Refuses to turn it on for what is not made yet.
pub fn check_made(table: &TableRecord, index: Option<&str>) -> Result<(), ApiError> {
    let is_made = match index {
        None => table.status != TableStatus::Creating,
        Some(index) => {
            table.index(index).is_some_and(|known| known.status != IndexStatus::Creating)
        }
    };
    if is_made {
        return Ok(());
    }
    let status = if index.is_some() { "IndexStatus" } else { "TableStatus" };
    Err(invalid(format!(
        "Table or Index is not in a valid state to update Key Access Insights: {status} must be \
         ACTIVE to enable ContributorInsights."
    )))
}

/// The switch of a table or of an index of it; none as long as nobody touched it.
pub fn of(table: &TableRecord, index: Option<&str>) -> Option<Insights> {
    match index {
        None => table.own.insights,
        Some(index) => table.own.index_insights.get(index).copied(),
    }
}

/// Writes what every answer shows of a switch.
pub fn write(
    object: &mut Object<'_>,
    table: &TableRecord,
    index: Option<&str>,
    mode: Option<InsightsMode>,
    status: &str,
) {
    if let Some(mode) = mode {
        object.text("ContributorInsightsMode", mode_name(mode));
    }
    object.text("ContributorInsightsStatus", status);
    if let Some(index) = index {
        object.text("IndexName", index);
    }
    object.text("TableName", &table.name);
}

/// The status of a switch that has settled.
pub fn settled(mode: Option<InsightsMode>) -> &'static str {
    if mode.is_some() { "ENABLED" } else { "DISABLED" }
}

fn mode_name(mode: InsightsMode) -> &'static str {
    match mode {
        InsightsMode::AccessedAndThrottledKeys => "ACCESSED_AND_THROTTLED_KEYS",
        InsightsMode::ThrottledKeys => "THROTTLED_KEYS",
    }
}

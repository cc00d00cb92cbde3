//! The switches of Contributor Insights, of tables and of global indexes, as they are shown.
//!
//! Tested by `contributor_insights.txt`.

use std::sync::Arc;

use meridian_control::region::{Insights, InsightsMode, TableRecord};
use meridian_wire::ApiError;
use meridian_wire::json::Object;

use crate::backend::Backend;
use crate::errors::table_not_found;

/// Finds the table, and the index where one is named.
pub fn table(
    backend: &dyn Backend,
    name: &str,
    index: Option<&str>,
) -> Result<Arc<TableRecord>, ApiError> {
    let table = backend.table(name).ok_or_else(|| table_not_found(name))?;
    match index {
        Some(index) if table.index(index).is_none() => Err(ApiError::ResourceNotFound(format!(
            "Requested resource not found: Index: {index} not found for table: {name}"
        ))),
        Some(_) | None => Ok(table),
    }
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

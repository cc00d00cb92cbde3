//! The switch of Contributor Insights as it is shown.

use std::sync::Arc;

use meridian_control::region::{InsightsMode, TableRecord};
use meridian_wire::ApiError;
use meridian_wire::json::Object;

use crate::backend::Backend;
use crate::errors::table_not_found;

/// Finds the table; there are no indexes.
pub fn table(
    backend: &dyn Backend,
    name: &str,
    index: Option<&str>,
) -> Result<Arc<TableRecord>, ApiError> {
    let table = backend.table(name).ok_or_else(|| table_not_found(name))?;
    match index {
        None => Ok(table),
        Some(index) => Err(ApiError::ResourceNotFound(format!(
            "Requested resource not found: Index: {index} not found for table: {name}"
        ))),
    }
}

/// Writes what every answer shows of the switch.
pub fn write(object: &mut Object<'_>, table: &TableRecord) {
    let mode = table.own.insights.and_then(|insights| insights.mode);
    if let Some(mode) = mode {
        object.text("ContributorInsightsMode", mode_name(mode));
    }
    let status = if mode.is_some() { "ENABLED" } else { "DISABLED" };
    object.text("ContributorInsightsStatus", status).text("TableName", &table.name);
}

/// Names a mode.
pub fn mode_name(mode: InsightsMode) -> &'static str {
    match mode {
        InsightsMode::AccessedAndThrottledKeys => "ACCESSED_AND_THROTTLED_KEYS",
        InsightsMode::ThrottledKeys => "THROTTLED_KEYS",
    }
}

//! Finds the table that a request names.

use std::sync::Arc;

use meridian_control::region::TableRecord;
use meridian_wire::{ApiError, Fields, table_name};

use crate::backend::Backend;
use crate::errors::not_found;

/// Takes `TableName` out of a request; it may be an ARN.
pub fn take_name(fields: &mut Fields) -> String {
    let text = fields.take_text("TableName").unwrap_or_default();
    table_name(&text).to_owned()
}

/// Returns a table that serves items.
pub fn serving(backend: &dyn Backend, name: &str) -> Result<Arc<TableRecord>, ApiError> {
    backend.table(name).filter(|table| table.serves()).ok_or_else(not_found)
}

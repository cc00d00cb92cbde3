//! Finds the table that a request names.
//!
//! An ARN in place of a name may be of any region of the cluster: after a region was left, programs
//! still name it, and the table here is the one that they mean. Any other region is refused.
//!
//! Tested by `describe_table.txt`.

use std::sync::Arc;

use meridian_control::region::TableRecord;
use meridian_wire::arn::arn_region;
use meridian_wire::{ApiError, Fields, Node, table_name};

use crate::backend::Backend;
use crate::errors::{enveloped, invalid, not_found};

/// Takes `TableName` out of a request; it may be an ARN.
pub fn take_name(fields: &mut Fields) -> String {
    let text = fields.take_text("TableName").unwrap_or_default();
    table_name(&text).to_owned()
}

/// Refuses a request that names a table of a region which the cluster does not have.
pub fn check_regions(backend: &dyn Backend, fields: &Fields) -> Result<(), ApiError> {
    match elsewhere(backend, fields) {
        None => Ok(()),
        Some(name) => enveloped(Err(invalid(format!("Invalid AWS region in '{name}'")))),
    }
}

/// The first table of a request whose region the cluster does not have.
fn elsewhere<'f>(backend: &dyn Backend, fields: &'f Fields) -> Option<&'f str> {
    let is_elsewhere = |name: &&str| arn_region(name).is_some_and(|of| !backend.has_region(of));
    fields.nodes().find_map(|(member, node)| match (member, node) {
        ("TableName", Node::Text(name)) => Some(name.as_str()).filter(is_elsewhere),
        ("RequestItems", Node::Map(entries)) => {
            entries.iter().map(|(name, _)| name.as_str()).find(is_elsewhere)
        }
        ("TransactItems", Node::List(list)) => list.iter().find_map(|one| match one {
            Node::Fields(one) => elsewhere(backend, one),
            _ => None,
        }),
        ("Put" | "Delete" | "Update" | "ConditionCheck" | "Get", Node::Fields(one)) => {
            elsewhere(backend, one)
        }
        _ => None,
    })
}

/// Returns a table that serves items.
pub fn serving(backend: &dyn Backend, name: &str) -> Result<Arc<TableRecord>, ApiError> {
    backend.table(name).filter(|table| table.serves()).ok_or_else(not_found)
}

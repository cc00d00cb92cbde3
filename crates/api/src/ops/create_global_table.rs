//! CreateGlobalTable: the table of this region gets replicas in the others of the group.
//!
//! The service has made no global table in this way since 2026; here it is what `ReplicaUpdates` does.
//!
//! Tested by `global_tables.txt`.

use std::collections::BTreeSet;

use meridian_control::table::TableStatus;
use meridian_wire::{ApiError, Fields};

use crate::backend::{Backend, ReplicaChange};
use crate::context::RequestContext;
use crate::errors::{change, in_use, invalid_parameter};
use crate::global_tables;
use crate::replica_updates::check_region;

/// Answers CreateGlobalTable.
pub async fn run(
    backend: &dyn Backend,
    context: &RequestContext,
    mut fields: Fields,
) -> Result<Vec<u8>, ApiError> {
    let name = global_tables::take_name(&mut fields);
    let list = fields.take_list("ReplicationGroup").unwrap_or_default();
    let mut regions = BTreeSet::new();
    for node in list {
        let region = node.into_fields().take_text("RegionName").unwrap_or_default();
        if let Some(twice) = regions.replace(region) {
            return Err(invalid_parameter(format!(
                "ReplicationGroup names the region {twice} more than once"
            )));
        }
    }
    if !regions.remove(&context.region) {
        return Err(invalid_parameter("ReplicationGroup must name the region of this endpoint"));
    }
    let table = backend.table(&name).ok_or_else(|| {
        ApiError::TableNotFound(format!(
            "Table not found: Table: '{name}' not found in region: '{}'.",
            context.region
        ))
    })?;
    if let Some(global) = &table.global {
        let regions: Vec<&str> = global.replicas.keys().map(String::as_str).collect();
        return Err(ApiError::GlobalTableAlreadyExists(format!(
            "Global table with name: '{name}' already exists with replicas in regions: '{}'.",
            regions.join(", ")
        )));
    }
    if table.status != TableStatus::Active {
        return Err(in_use(table.status, &name));
    }
    regions.iter().try_for_each(|region| check_region(region, backend))?;
    let changes = regions.into_iter().map(ReplicaChange::Create).collect();
    let changed = backend.update_replicas(&name, changes).await;
    let table = changed.map_err(|error| change(error, &name))?;
    let global = table.global.clone().ok_or(ApiError::InternalServerError)?;
    Ok(global_tables::answer(context, &table, &global))
}

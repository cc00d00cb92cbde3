//! UpdateGlobalTable: replicas come and go.
//!
//! Tested by `global_tables.txt`.

use meridian_control::table::{GlobalSnapshot, TableStatus};
use meridian_wire::{ApiError, Fields};

use crate::backend::{Backend, ReplicaChange};
use crate::context::RequestContext;
use crate::errors::{change, in_use, invalid};
use crate::global_tables;
use crate::replica_updates::check_region;

/// Answers UpdateGlobalTable.
pub async fn run(
    backend: &dyn Backend,
    context: &RequestContext,
    mut fields: Fields,
) -> Result<Vec<u8>, ApiError> {
    let name = global_tables::take_name(&mut fields);
    let list = fields.take_list("ReplicaUpdates").unwrap_or_default();
    let changes: Result<Vec<_>, _> = list.into_iter().map(|node| one(node.into_fields())).collect();
    let changes = changes?;
    if changes.is_empty() {
        return Err(unnamed());
    }
    let (table, global) = global_tables::find(backend, &name)?;
    changes.iter().try_for_each(|change| check(change, &global))?;
    changes.iter().try_for_each(|change| match change {
        ReplicaChange::Create(region) => check_region(region, backend),
        ReplicaChange::Delete(_) => Ok(()),
    })?;
    if table.status != TableStatus::Active {
        return Err(in_use(table.status, &name));
    }
    let changed = backend.update_replicas(&name, changes).await;
    let table = changed.map_err(|error| change(error, &name))?;
    let global = table.global.clone().unwrap_or(global);
    Ok(global_tables::answer(context, &table, &global))
}

fn one(mut update: Fields) -> Result<ReplicaChange, ApiError> {
    let region = |mut action: Fields| action.take_text("RegionName").unwrap_or_default();
    match (update.take_fields("Create"), update.take_fields("Delete")) {
        (Some(create), None) => Ok(ReplicaChange::Create(region(create))),
        (None, Some(delete)) => Ok(ReplicaChange::Delete(region(delete))),
        (Some(_), Some(_)) | (None, None) => Err(unnamed()),
    }
}

/// The service says no more than this.
fn unnamed() -> ApiError {
    invalid("One or more parameter values were invalid")
}

fn check(change: &ReplicaChange, global: &GlobalSnapshot) -> Result<(), ApiError> {
    match change {
        ReplicaChange::Create(region) if global.replicas.contains_key(region) => {
            Err(ApiError::ReplicaAlreadyExists(format!(
                "Replica already exists in region: '{region}'."
            )))
        }
        ReplicaChange::Delete(region) if !global.replicas.contains_key(region) => {
            Err(ApiError::ReplicaNotFound(format!("Replica not found in region: '{region}'.")))
        }
        ReplicaChange::Create(_) | ReplicaChange::Delete(_) => Ok(()),
    }
}

//! UpdateTableReplicaAutoScaling: stores the settings; nothing scales by itself.
//!
//! As on the service, the answer shows what was before, and DescribeTableReplicaAutoScaling what is.
//!
//! Tested by `global_tables.txt`; of a global table by `tests/scaling.rs`.

use meridian_control::region::{TableRecord, TableSettings};
use meridian_control::replica_settings::Dimension;
use meridian_control::table::{GlobalSnapshot, TableStatus};
use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::context::RequestContext;
use crate::errors::{change, in_use, invalid};
use crate::scaling::{self, Asked};
use crate::{global_tables, tables};

/// Answers UpdateTableReplicaAutoScaling.
pub async fn run(
    backend: &dyn Backend,
    context: &RequestContext,
    mut fields: Fields,
) -> Result<Vec<u8>, ApiError> {
    let name = tables::take_name(&mut fields);
    let found = global_tables::find(backend, &name);
    let (table, global) =
        found.map_err(|_| ApiError::ResourceNotFound(global_tables::absent(&name)))?;
    let asked = asked(&mut fields, &table, &global)?;
    if asked.is_empty() {
        return Err(invalid(format!(
            "Failed to update settings for global table with name: ‘{name}’ because at least one \
             update parameter must be specified."
        )));
    }
    if table.status != TableStatus::Active {
        return Err(in_use(table.status, &name));
    }
    let scaling = asked.into_iter().map(|one| one.settings(&table)).collect::<Result<_, _>>()?;
    let settings = TableSettings { scaling, ..TableSettings::default() };
    backend.update_table(&name, settings).await.map_err(|error| change(error, &name))?;
    Ok(scaling::answer(context, &table, &global))
}

fn asked(
    fields: &mut Fields,
    table: &TableRecord,
    global: &GlobalSnapshot,
) -> Result<Vec<Asked>, ApiError> {
    let mut all = Vec::new();
    let dimension = Dimension { region: None, index: None };
    all.extend(Asked::take(fields, "ProvisionedWriteCapacityAutoScalingUpdate", dimension));
    for node in fields.take_list("GlobalSecondaryIndexUpdates").unwrap_or_default() {
        let mut update = node.into_fields();
        let dimension = Dimension { region: None, index: Some(index_name(&mut update, table)?) };
        let member = "ProvisionedWriteCapacityAutoScalingUpdate";
        all.extend(Asked::take(&mut update, member, dimension));
    }
    for node in fields.take_list("ReplicaUpdates").unwrap_or_default() {
        let of_replica = of_replica(node.into_fields(), table, global)?;
        all.extend(of_replica);
    }
    Ok(all)
}

fn of_replica(
    mut update: Fields,
    table: &TableRecord,
    global: &GlobalSnapshot,
) -> Result<Vec<Asked>, ApiError> {
    let region = update.take_text("RegionName").unwrap_or_default();
    if !global.replicas.contains_key(&region) {
        return Err(ApiError::ResourceNotFound(format!(
            "Replica with region: ‘{region}’ does not exist for global table with name: ‘{}’.",
            table.name
        )));
    }
    let mut all = Vec::new();
    let dimension = Dimension { region: Some(region.clone()), index: None };
    let member = "ReplicaProvisionedReadCapacityAutoScalingUpdate";
    all.extend(Asked::take(&mut update, member, dimension));
    for node in update.take_list("ReplicaGlobalSecondaryIndexUpdates").unwrap_or_default() {
        let mut index = node.into_fields();
        let name = index_name(&mut index, table)?;
        let dimension = Dimension { region: Some(region.clone()), index: Some(name) };
        let member = "ProvisionedReadCapacityAutoScalingUpdate";
        all.extend(Asked::take(&mut index, member, dimension));
    }
    if all.is_empty() {
        return Err(invalid(format!(
            "Failed to update settings for global table with name: ‘{}’ because at least one update \
             parameter must be specified for region: ‘{region}’.",
            table.name
        )));
    }
    Ok(all)
}

fn index_name(update: &mut Fields, table: &TableRecord) -> Result<String, ApiError> {
    let name = update.take_text("IndexName").unwrap_or_default();
    match table.definition.global_index(&name) {
        Some(_) => Ok(name),
        None => Err(ApiError::ResourceNotFound(format!(
            "Requested resource not found: Index {name} for table {}",
            table.name
        ))),
    }
}

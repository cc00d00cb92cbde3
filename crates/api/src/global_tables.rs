//! The global-table operations of 2017, on the replicas of today's tables.
//!
//! The service joined empty tables that its users had made in every region; here, as with
//! `ReplicaUpdates`, a new replica is made and filled from the table that is there.
//!
//! Tested by `global_tables.txt`.

use std::sync::Arc;

use meridian_control::region::TableRecord;
use meridian_control::table::{GlobalSnapshot, ReplicaStatus};
use meridian_wire::arn::global_table_arn;
use meridian_wire::json::{Array, Object};
use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::context::RequestContext;
use crate::describe::{billing_name, index_status_name, replica_status, replica_status_name};

/// Takes `GlobalTableName`.
pub fn take_name(fields: &mut Fields) -> String {
    fields.take_text("GlobalTableName").unwrap_or_default()
}

/// Finds a global table.
pub fn find(
    backend: &dyn Backend,
    name: &str,
) -> Result<(Arc<TableRecord>, GlobalSnapshot), ApiError> {
    let table = backend.table(name).ok_or_else(|| not_found(name))?;
    let global = table.global.clone().ok_or_else(|| not_found(name))?;
    Ok((table, global))
}

/// Says that there is no such global table.
pub fn not_found(name: &str) -> ApiError {
    ApiError::GlobalTableNotFound(absent(name))
}

/// The same, as the operations about auto scaling say it.
pub fn absent(name: &str) -> String {
    format!("Global table with name: '{name}' does not exist.")
}

/// Answers with one member that describes a global table.
pub fn answer(context: &RequestContext, table: &TableRecord, global: &GlobalSnapshot) -> Vec<u8> {
    let status =
        |(region, known): (&String, &ReplicaStatus)| replica_status(context, table, region, *known);
    let all: Vec<ReplicaStatus> = global.replicas.iter().map(status).collect();
    let is_active = all.iter().all(|status| *status == ReplicaStatus::Active);
    let mut out = Vec::new();
    let mut object = Object::open(&mut out);
    let mut shown = Object::open(object.key("GlobalTableDescription"));
    shown.seconds("CreationDateTime", table.created_ms);
    shown.text("GlobalTableArn", &global_table_arn(&table.name));
    shown.text("GlobalTableName", &table.name);
    shown.text("GlobalTableStatus", if is_active { "ACTIVE" } else { "UPDATING" });
    let mut group = Array::open(shown.key("ReplicationGroup"));
    for (region, status) in global.replicas.keys().zip(all) {
        let mut one = Object::open(group.element());
        one.text("RegionName", region).text("ReplicaStatus", replica_status_name(status));
        one.close();
    }
    group.close();
    shown.close();
    object.close();
    out
}

/// Writes `ReplicaSettings`: the settings of a table are the same in every region.
pub fn settings(context: &RequestContext, table: &TableRecord, global: &GlobalSnapshot) -> Vec<u8> {
    let mut out = Vec::new();
    let mut object = Object::open(&mut out);
    object.text("GlobalTableName", &table.name);
    let mut list = Array::open(object.key("ReplicaSettings"));
    for (region, known) in &global.replicas {
        let mut one = Object::open(list.element());
        one.text("RegionName", region);
        let mut billing = Object::open(one.key("ReplicaBillingModeSummary"));
        billing.text("BillingMode", billing_name(table.definition.billing));
        billing.close();
        index_settings(&mut one, table);
        let units = table.definition.throughput;
        one.number("ReplicaProvisionedReadCapacityUnits", units.map_or(0, |t| t.read_units));
        one.number("ReplicaProvisionedWriteCapacityUnits", units.map_or(0, |t| t.write_units));
        one.text(
            "ReplicaStatus",
            replica_status_name(replica_status(context, table, region, *known)),
        );
        one.close();
    }
    list.close();
    object.close();
    out
}

fn index_settings(replica: &mut Object<'_>, table: &TableRecord) {
    if table.indexes.is_empty() {
        return;
    }
    let mut list = Array::open(replica.key("ReplicaGlobalSecondaryIndexSettings"));
    for index in &table.indexes {
        let units = index.definition.throughput;
        let mut one = Object::open(list.element());
        one.text("IndexName", &index.definition.index.name);
        one.text("IndexStatus", index_status_name(index.status));
        one.number("ProvisionedReadCapacityUnits", units.map_or(0, |t| t.read_units));
        one.number("ProvisionedWriteCapacityUnits", units.map_or(0, |t| t.write_units));
        one.close();
    }
    list.close();
}

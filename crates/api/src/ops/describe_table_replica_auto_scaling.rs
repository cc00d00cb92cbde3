//! DescribeTableReplicaAutoScaling: no replica scales by itself.
//!
//! Tested by `global_tables.txt`; of a global table by `tests/replicas.rs`.

use meridian_wire::json::{Array, Object};
use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::context::RequestContext;
use crate::describe::{replica_status, replica_status_name, status_name};
use crate::{global_tables, tables};

/// Answers DescribeTableReplicaAutoScaling.
pub fn run(
    backend: &dyn Backend,
    context: &RequestContext,
    mut fields: Fields,
) -> Result<Vec<u8>, ApiError> {
    let name = tables::take_name(&mut fields);
    let found = global_tables::find(backend, &name);
    let (table, global) =
        found.map_err(|_| ApiError::ResourceNotFound(global_tables::absent(&name)))?;
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    let mut shown = Object::open(answer.key("TableAutoScalingDescription"));
    let mut list = Array::open(shown.key("Replicas"));
    for (region, known) in &global.replicas {
        let mut one = Object::open(list.element());
        one.text("RegionName", region);
        for side in ["Read", "Write"] {
            let member = format!("ReplicaProvisioned{side}CapacityAutoScalingSettings");
            let mut settings = Object::open(one.key(&member));
            settings.flag("AutoScalingDisabled", true);
            Array::open(settings.key("ScalingPolicies")).close();
            settings.close();
        }
        let status = replica_status(context, &table, region, *known);
        one.text("ReplicaStatus", replica_status_name(status));
        one.close();
    }
    list.close();
    shown.text("TableName", &table.name).text("TableStatus", status_name(table.status));
    shown.close();
    answer.close();
    Ok(out)
}

//! UpdateGlobalTableSettings: billing and write capacity, the same in every region.
//!
//! Tested by `global_tables.txt`.

use meridian_control::region::TableSettings;
use meridian_control::table::{BillingMode, TableStatus, Throughput};
use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::context::RequestContext;
use crate::errors::{change, in_use, invalid_parameter};
use crate::{global_tables, settings, unbuilt};

const UNBUILT: [&str; 3] = [
    "GlobalTableProvisionedWriteCapacityAutoScalingSettingsUpdate",
    "GlobalTableGlobalSecondaryIndexSettingsUpdate",
    "ReplicaSettingsUpdate",
];

/// Answers UpdateGlobalTableSettings.
pub async fn run(
    backend: &dyn Backend,
    context: &RequestContext,
    mut fields: Fields,
) -> Result<Vec<u8>, ApiError> {
    let name = global_tables::take_name(&mut fields);
    let (table, global) = global_tables::find(backend, &name)?;
    unbuilt::parameters(&fields, &UNBUILT)?;
    let billing = settings::billing_member(&mut fields, "GlobalTableBillingMode");
    let write = fields.take_number("GlobalTableProvisionedWriteCapacityUnits");
    let write = write.and_then(|units| u64::try_from(units).ok());
    let after = billing.unwrap_or(table.definition.billing);
    let throughput = match (after, write, table.definition.throughput) {
        (BillingMode::PayPerRequest, None, _) => None,
        (BillingMode::PayPerRequest, Some(_), _) => {
            return Err(invalid_parameter(
                "GlobalTableProvisionedWriteCapacityUnits cannot be specified when BillingMode is \
                 PAY_PER_REQUEST",
            ));
        }
        (BillingMode::Provisioned, None, Some(current)) => Some(current),
        (BillingMode::Provisioned, Some(write_units), Some(current)) => {
            Some(Throughput { write_units, ..current })
        }
        (BillingMode::Provisioned, Some(write_units), None) => {
            Some(Throughput { write_units, read_units: write_units })
        }
        (BillingMode::Provisioned, None, None) => {
            return Err(invalid_parameter(
                "GlobalTableProvisionedWriteCapacityUnits must be specified when BillingMode is \
                 PROVISIONED",
            ));
        }
    };
    let changed = TableSettings {
        billing: billing.filter(|mode| *mode != table.definition.billing),
        throughput: throughput.filter(|units| Some(*units) != table.definition.throughput),
        ..TableSettings::default()
    };
    if changed == TableSettings::default() {
        return Ok(global_tables::settings(context, &table, &global));
    }
    if table.status != TableStatus::Active {
        return Err(in_use(table.status, &name));
    }
    let changed = backend.update_table(&name, changed).await;
    let table = changed.map_err(|error| change(error, &name))?;
    Ok(global_tables::settings(context, &table, &global))
}

//! UpdateTable: billing, throughput, stream, class, deletion protection, global indexes, or replicas.
//!
//! Tested by the golden transcripts.

use meridian_control::region::{Setting, TableRecord, TableSettings};
use meridian_control::table::{BillingMode, Encryption, TableClass, TableStatus, Throughput};
use meridian_model::KeyAttribute;
use meridian_wire::{ApiError, Fields};

use crate::backend::{Backend, ReplicaChange};
use crate::context::RequestContext;
use crate::errors::{change, in_use, invalid, invalid_parameter, table_not_found};
use crate::index_updates::{self, IndexUpdate};
use crate::settings::{Asking, StreamSetting};
use crate::{describe, keys, settings, tables, unbuilt};

const UNBUILT: [&str; 5] = [
    "MultiRegionConsistency",
    "GlobalTableWitnessUpdates",
    "GlobalTableSettingsReplicationMode",
    "DisassociationProtectionEnabled",
    "VectorIndexUpdates",
];

/// Answers UpdateTable.
pub async fn run(
    backend: &dyn Backend,
    context: &RequestContext,
    mut fields: Fields,
) -> Result<Vec<u8>, ApiError> {
    unbuilt::parameters(&fields, &UNBUILT)?;
    let name = tables::take_name(&mut fields);
    let replicas = replica_changes(&mut fields)?;
    let asked = Asked::take(&mut fields)?;
    if replicas.is_empty() && asked.is_empty() {
        return Err(invalid(
            "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, \
             GlobalSecondaryIndexUpdates or SSESpecification or ReplicaUpdates is required",
        ));
    }
    if !replicas.is_empty() && !asked.is_empty() {
        return Err(invalid_parameter(
            "ReplicaUpdates cannot be combined with another change of the table",
        ));
    }
    let known = backend.table(&name).ok_or_else(|| table_not_found(&name))?;
    if known.status != TableStatus::Active {
        return Err(in_use(known.status, &name));
    }
    let changed = if replicas.is_empty() {
        backend.update_table(&name, asked.settings(&known)?).await
    } else {
        check_replicas(&replicas, &known, context)?;
        backend.update_replicas(&name, replicas).await
    };
    let table = changed.map_err(|error| change(error, &name))?;
    let size = backend.table_size(&table).await;
    Ok(describe::answer("TableDescription", context, &table, size))
}

/// The settings that a request names.
struct Asked {
    billing: Option<BillingMode>,
    throughput: Option<Throughput>,
    stream: Option<StreamSetting>,
    class: Option<TableClass>,
    deletion_protection: Option<bool>,
    on_demand: Option<Fields>,
    warm: Option<Fields>,
    encryption: Setting<Encryption>,
    /// Attribute definitions belong to new indexes; on their own they change nothing.
    attributes: Vec<KeyAttribute>,
    indexes: Vec<IndexUpdate>,
}

impl Asked {
    fn take(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Asked {
            attributes: keys::attributes(fields)?,
            indexes: index_updates::take(fields)?,
            billing: settings::billing(fields),
            throughput: settings::throughput(fields)?,
            stream: settings::stream(fields)?,
            class: settings::class(fields),
            deletion_protection: fields.take_flag("DeletionProtectionEnabled"),
            on_demand: settings::some_of(fields, "OnDemandThroughput"),
            warm: settings::some_of(fields, "WarmThroughput"),
            encryption: settings::encryption(fields)?,
        })
    }

    fn is_empty(&self) -> bool {
        let Asked {
            billing,
            throughput,
            stream,
            class,
            deletion_protection,
            on_demand,
            warm,
            encryption,
            attributes: _,
            indexes,
        } = self;
        indexes.is_empty()
            && billing.is_none()
            && throughput.is_none()
            && stream.is_none()
            && class.is_none()
            && deletion_protection.is_none()
            && on_demand.is_none()
            && warm.is_none()
            && encryption.is_keep()
    }

    fn settings(self, table: &TableRecord) -> Result<TableSettings, ApiError> {
        let definition = &table.definition;
        let billing = self.billing.unwrap_or(definition.billing);
        match billing {
            BillingMode::PayPerRequest if self.throughput.is_some() => {
                return Err(invalid_parameter(
                    "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when \
                     BillingMode is PAY_PER_REQUEST",
                ));
            }
            BillingMode::Provisioned
                if self.throughput.is_none() && definition.throughput.is_none() =>
            {
                return Err(settings::throughput_required());
            }
            BillingMode::PayPerRequest | BillingMode::Provisioned => {}
        }
        if let (Some(asked), Some(current)) = (self.throughput, definition.throughput)
            && asked == current
            && self.indexes.is_empty()
        {
            return Err(unchanged(current));
        }
        let warm = definition
            .warm
            .unwrap_or_else(|| settings::warm_at_first(definition.billing, definition.throughput));
        let stream = self.stream_setting(table)?;
        let (attributes, indexes) =
            index_updates::changes(self.indexes, self.attributes, table, billing)?;
        Ok(TableSettings {
            attributes,
            indexes,
            billing: self.billing,
            throughput: self.throughput,
            stream,
            class: self.class,
            deletion_protection: self.deletion_protection,
            on_demand: settings::on_demand(self.on_demand, billing, Asking::Update)?,
            warm: settings::warm(self.warm, warm)?,
            encryption: self.encryption,
            ttl: Setting::Keep,
        })
    }

    fn stream_setting(
        &self,
        table: &TableRecord,
    ) -> Result<Setting<meridian_control::table::StreamView>, ApiError> {
        let Some(stream) = self.stream else { return Ok(Setting::Keep) };
        match (stream.view, table.definition.stream) {
            (Some(view), None) => Ok(Setting::Set(view)),
            (None, Some(_)) => Ok(Setting::Unset),
            (Some(_), Some(_)) => Err(invalid(format!(
                "Table already has an enabled stream: TableName: {}",
                table.name
            ))),
            (None, None) => {
                Err(invalid(format!("Table has no stream to disable: TableName: {}", table.name)))
            }
        }
    }
}

fn unchanged(current: Throughput) -> ApiError {
    let Throughput { read_units, write_units } = current;
    invalid(format!(
        "The provisioned throughput for the table will not change. The requested value equals the \
         current value. Current ReadCapacityUnits provisioned for the table: {read_units}. \
         Requested ReadCapacityUnits: {read_units}. Current WriteCapacityUnits provisioned for the \
         table: {write_units}. Requested WriteCapacityUnits: {write_units}. Refer to the Amazon \
         DynamoDB Developer Guide for current limits and how to request higher limits."
    ))
}

fn replica_changes(fields: &mut Fields) -> Result<Vec<ReplicaChange>, ApiError> {
    let updates = fields.take_list("ReplicaUpdates").unwrap_or_default();
    updates.into_iter().map(|node| replica_change(node.into_fields())).collect()
}

fn replica_change(mut update: Fields) -> Result<ReplicaChange, ApiError> {
    unbuilt::parameters(&update, &["Update", "Disassociate"])?;
    match (update.take_fields("Create"), update.take_fields("Delete")) {
        (Some(mut create), None) => {
            let region = create.take_text("RegionName").unwrap_or_default();
            let rest: Vec<&str> = create.present().collect();
            unbuilt::parameters(&create, &rest)?;
            Ok(ReplicaChange::Create(region))
        }
        (None, Some(mut delete)) => {
            Ok(ReplicaChange::Delete(delete.take_text("RegionName").unwrap_or_default()))
        }
        (Some(_), Some(_)) | (None, None) => Err(invalid_parameter(
            "Exactly one of Create, Update, Delete must be specified in a ReplicaUpdate",
        )),
    }
}

fn check_replicas(
    changes: &[ReplicaChange],
    table: &TableRecord,
    context: &RequestContext,
) -> Result<(), ApiError> {
    let is_replica = |region: &str| {
        table.global.as_ref().is_some_and(|global| global.replicas.contains_key(region))
    };
    let mut regions = Vec::new();
    for replica in changes {
        let region = match replica {
            ReplicaChange::Create(region) if *region == context.region || is_replica(region) => {
                return Err(invalid(format!(
                    "Failed to create a the new replica of table with name: '{}' because one or \
                     more replicas already existed as tables.",
                    table.name
                )));
            }
            ReplicaChange::Delete(region) if !is_replica(region) => {
                return Err(invalid(
                    "Replica specified in the Replica Update or Replica Delete action of the \
                     request was not found.",
                ));
            }
            ReplicaChange::Create(region) | ReplicaChange::Delete(region) => region,
        };
        if regions.contains(&region) {
            return Err(invalid_parameter(format!(
                "Only one replica update per region is allowed: {region}"
            )));
        }
        regions.push(region);
    }
    Ok(())
}

//! UpdateTable: billing, throughput, stream, class, deletion protection, global indexes, or replicas.
//!
//! Tested by the golden transcripts.

use std::collections::BTreeMap;

use meridian_control::region::{Setting, TableRecord, TableSettings};
use meridian_control::table::{BillingMode, Encryption, OnDemandMaximum, TableClass, Throughput};
use meridian_model::KeyAttribute;
use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::context::RequestContext;
use crate::describe::encryption_key;
use crate::errors::{change, invalid, invalid_parameter, table_not_found};
use crate::index_updates::{self, IndexUpdate};
use crate::replica_updates::{self, ReplicaUpdates};
use crate::settings::{Asking, Of, StreamSetting};
use crate::{busy, describe, keys, pace, quotas, settings, tables, unbuilt};

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
    let replicas = replica_updates::take(&mut fields)?;
    let asked = Asked::take(&mut fields)?;
    if replicas.is_none() && asked.is_empty() {
        return Err(invalid(
            "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, \
             GlobalSecondaryIndexUpdates, SSESpecification, ReplicaUpdates, \
             MultiAccountReplicaReady, ReplicaTransitRoleArn, MultiRegionConsistency, \
             DeletionProtectionEnabled, OnDemandThroughput, WarmThroughput or TableClass is required",
        ));
    }
    asked.check_together(!replicas.is_none())?;
    let known = backend.table(&name).ok_or_else(|| table_not_found(&name))?;
    busy::check(&known, &asked.touches(!replicas.is_none()))?;
    let changed = match replicas {
        ReplicaUpdates::None => {
            let own = known.in_region(&context.region);
            backend.update_table(&name, asked.settings(&own, context, backend.now_ms())?).await
        }
        ReplicaUpdates::Members(changes) => {
            replica_updates::check_members(&changes, &known, backend, context)?;
            backend.update_replicas(&name, changes).await
        }
        ReplicaUpdates::Overrides(overrides) => {
            let settings = replica_updates::settings(overrides, &known, context)?;
            backend.update_table(&name, settings).await
        }
    };
    let table = changed.map_err(|error| change(error, &name))?;
    let size = backend.table_size(&table).await;
    Ok(describe::answer_update(context, &known, &table, size))
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
    /// The list of index updates is there, and empty.
    has_no_index: bool,
}

impl Asked {
    fn take(fields: &mut Fields) -> Result<Self, ApiError> {
        let has_indexes = fields.has("GlobalSecondaryIndexUpdates");
        let indexes = index_updates::take(fields)?;
        Ok(Asked {
            has_no_index: has_indexes && indexes.is_empty(),
            attributes: keys::attributes(fields)?,
            indexes,
            billing: settings::billing(fields),
            throughput: settings::throughput(fields)?,
            stream: settings::stream(fields, Asking::Update)?,
            class: settings::class(fields)?,
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
            has_no_index: _,
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

    /// What may be in the way of another change.
    fn touches(&self, replicas: bool) -> busy::Asked {
        busy::Asked {
            iops: self.throughput.is_some() || self.billing.is_some(),
            stream: self.stream.is_some(),
            class: self.class.is_some(),
            on_demand: self.on_demand.is_some(),
            replicas,
            indexes: self.indexes.iter().map(IndexUpdate::named).collect(),
        }
    }

    /// Refuses changes that the service does not make in one request.
    fn check_together(&self, has_replicas: bool) -> Result<(), ApiError> {
        let alone = |what: &str| {
            Err(invalid_parameter(format!("{what} must be the only operation in the request")))
        };
        if self.has_no_index {
            return Err(invalid_parameter("List of GlobalSecondaryIndexUpdates is empty"));
        }
        let changes_iops = self.throughput.is_some() || self.billing.is_some();
        let count = [
            has_replicas,
            !self.encryption.is_keep(),
            self.class.is_some(),
            self.deletion_protection.is_some(),
            self.warm.is_some(),
            self.on_demand.is_some(),
            self.stream.is_some(),
            changes_iops,
            !self.indexes.is_empty(),
        ];
        if count.into_iter().filter(|is_asked| *is_asked).count() == 1 {
            return self.check_iops();
        }
        if has_replicas {
            return alone("Replica modification");
        }
        if !self.encryption.is_keep() {
            return alone("Server-Side Encryption modification");
        }
        if self.class.is_some() {
            return alone("TableClass modification");
        }
        if self.deletion_protection.is_some() {
            return alone("DeletionProtection modification");
        }
        if self.warm.is_some() {
            if self.indexes.iter().any(|one| matches!(one, IndexUpdate::Create(_))) {
                return Err(invalid_parameter(
                    "Create global secondary index cannot be specified when updating \
                     WarmThroughput",
                ));
            }
            return alone("WarmThroughput");
        }
        let with_more = self.stream.is_some() || !self.indexes.is_empty();
        if self.on_demand.is_some() && (with_more || self.billing.is_none()) {
            return Err(invalid_parameter(
                "OnDemandThroughput can only be combined with BillingMode in an UpdateTable request",
            ));
        }
        self.check_iops()
    }

    /// Refuses what cannot go with a change of the provisioned throughput, or of the stream.
    fn check_iops(&self) -> Result<(), ApiError> {
        let provisions = self.billing == Some(BillingMode::Provisioned);
        if self.stream.is_some() && (self.throughput.is_some() || provisions) {
            return Err(invalid_parameter(
                "You cannot modify stream status while updating table IOPS",
            ));
        }
        let is_online = |one: &IndexUpdate| !matches!(one, IndexUpdate::Update(_));
        if !self.indexes.iter().any(is_online) {
            return Ok(());
        }
        if self.throughput.is_some() {
            return Err(invalid_parameter(
                "You cannot create or delete index while updating table IOPS",
            ));
        }
        if self.stream.is_some() {
            return Err(invalid_parameter(
                "You cannot create or delete index while changing stream status",
            ));
        }
        Ok(())
    }

    fn settings(
        self,
        table: &TableRecord,
        context: &RequestContext,
        now_ms: u64,
    ) -> Result<TableSettings, ApiError> {
        let definition = &table.definition;
        let billing = self.billing.unwrap_or(definition.billing);
        match billing {
            BillingMode::PayPerRequest if self.throughput.is_some() => {
                return Err(invalid_parameter(
                    "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when \
                     BillingMode is PAY_PER_REQUEST",
                ));
            }
            BillingMode::Provisioned if self.throughput.is_none() && self.billing.is_some() => {
                return Err(invalid_parameter(
                    "ProvisionedThroughput must be specified when BillingMode is PROVISIONED",
                ));
            }
            BillingMode::PayPerRequest | BillingMode::Provisioned => {}
        }
        if let (Some(asked), Some(current)) = (self.throughput, definition.throughput)
            && asked == current
            && self.indexes.is_empty()
        {
            return Err(unchanged(current));
        }
        if !self.encryption.is_keep() {
            pace::check_encryption(table, now_ms)?;
        }
        self.check_encryption(table, context)?;
        if self.class.is_some() {
            pace::check_class(table, now_ms)?;
        }
        let stream = self.stream_setting(table)?;
        let warm = settings::warm_shown(definition.warm, definition.billing, definition.throughput);
        let asked_warm = settings::warm(self.warm, warm, billing, Asking::Update, Of::Table)?;
        // What a table once took at once it takes for ever.
        let at_first = settings::warm_at_first(billing, self.throughput.or(definition.throughput));
        let kept = Throughput {
            read_units: warm.read_units.max(at_first.read_units),
            write_units: warm.write_units.max(at_first.write_units),
        };
        let kept = (kept != at_first && definition.warm != Some(kept)).then_some(kept);
        let on_demand = settings::on_demand(self.on_demand, billing, Asking::Update, Of::Table)?;
        let (attributes, indexes) =
            index_updates::changes(self.indexes, self.attributes, table, billing)?;
        let asked = quotas::Asked {
            throughput: self.throughput,
            on_demand: on_demand.applied_to(OnDemandMaximum::default()),
            warm: asked_warm,
        };
        quotas::check(&asked, Of::Table, &context.region)?;
        index_updates::check_quotas(&indexes, &context.region)?;
        let lowered = (table.throughput_decreases, table.throughput_lowered_ms);
        pace::check_decrease((definition.throughput, self.throughput), lowered, now_ms)?;
        index_updates::check_decreases(&indexes, table, now_ms)?;
        Ok(TableSettings {
            attributes,
            indexes,
            billing: self.billing,
            throughput: self.throughput,
            stream,
            // A table that never was of another class has none to show.
            class: self
                .class
                .filter(|class| *class != TableClass::Standard || definition.class.is_some()),
            deletion_protection: self.deletion_protection,
            on_demand,
            warm: asked_warm.or(kept),
            encryption: self.encryption,
            ttl: Setting::Keep,
            overrides: BTreeMap::new(),
            scaling: Vec::new(),
        })
    }

    /// Refuses to encrypt a table as it is encrypted.
    fn check_encryption(
        &self,
        table: &TableRecord,
        context: &RequestContext,
    ) -> Result<(), ApiError> {
        match (&self.encryption, &table.definition.encryption) {
            (Setting::Unset, None) => {
                Err(invalid_parameter("Table is already encrypted by default"))
            }
            (Setting::Set(asked), Some(current))
                if asked.key.as_ref().is_some_and(|key| {
                    *key == encryption_key(&context.region, current.key.as_deref())
                }) =>
            {
                Err(invalid_parameter(
                    "Table is already encrypted with given KMSMasterKeyId. Use KMSMasterKeyId \
                     parameter if you want to change Master Key",
                ))
            }
            (Setting::Keep | Setting::Unset | Setting::Set(_), _) => Ok(()),
        }
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

//! `ReplicaUpdates` of UpdateTable: replicas that come and go, and what one has of its own.
//!
//! Overrides are kept with the table in every region, so that all show them and each applies its own.
//! The key of a replica is never changed here, as on the service.
//!
//! Tested by `global_tables.txt` and `tests/replicas.rs`; the texts are the service's.

use std::collections::BTreeMap;

use meridian_control::region::{Setting, TableRecord, TableSettings};
use meridian_control::replica_settings::{ReadOverride, ReplicaOverrides};
use meridian_control::table::{BillingMode, ReplicaStatus, TableClass, TableStatus};
use meridian_wire::{ApiError, Fields};

use crate::backend::{Backend, ReplicaChange};
use crate::context::RequestContext;
use crate::errors::{in_use, invalid, invalid_parameter, replica_exists};
use crate::{settings, unbuilt};

/// What a request asks of the replicas.
pub enum ReplicaUpdates {
    /// Nothing.
    None,
    /// Replicas come or go.
    Members(Vec<ReplicaChange>),
    /// Replicas get settings of their own, by region.
    Overrides(BTreeMap<String, Asked>),
}

/// The settings that one replica is asked to have.
pub struct Asked {
    read: AskedRead,
    class: Option<TableClass>,
    indexes: BTreeMap<String, AskedRead>,
    has_key: bool,
}

/// The read capacity that a table or an index is asked to have in one region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct AskedRead {
    provisioned: Setting<u64>,
    on_demand: Setting<u64>,
}

enum Action {
    Member(ReplicaChange),
    Update(String, Asked),
}

/// Takes `ReplicaUpdates`.
pub fn take(fields: &mut Fields) -> Result<ReplicaUpdates, ApiError> {
    let updates = fields.take_list("ReplicaUpdates").unwrap_or_default();
    let (mut members, mut overrides) = (Vec::new(), BTreeMap::new());
    for update in updates {
        match action(update.into_fields())? {
            Action::Member(change) => members.push(change),
            Action::Update(region, asked) => {
                if overrides.contains_key(&region) {
                    return Err(twice(&region));
                }
                overrides.insert(region, asked);
            }
        }
    }
    match (members.is_empty(), overrides.is_empty()) {
        (true, true) => Ok(ReplicaUpdates::None),
        (false, true) => Ok(ReplicaUpdates::Members(members)),
        (true, false) => Ok(ReplicaUpdates::Overrides(overrides)),
        (false, false) => Err(mixed()),
    }
}

fn mixed() -> ApiError {
    invalid("Update table operation with more than one type of replica actions not allowed.")
}

fn no_action() -> ApiError {
    invalid("There are no actions specified in the Replica Update Action of the request.")
}

fn twice(region: &str) -> ApiError {
    invalid_parameter(format!("Only one replica update per region is allowed: {region}"))
}

fn action(mut update: Fields) -> Result<Action, ApiError> {
    unbuilt::parameters(&update, &["Disassociate"])?;
    let create = update.take_fields("Create");
    let change = update.take_fields("Update");
    match (create, change, update.take_fields("Delete")) {
        (Some(mut create), None, None) => {
            let region = create.take_text("RegionName").unwrap_or_default();
            let rest: Vec<&str> = create.present().collect();
            unbuilt::parameters(&create, &rest)?;
            Ok(Action::Member(ReplicaChange::Create(region)))
        }
        (None, Some(mut change), None) => {
            let region = change.take_text("RegionName").unwrap_or_default();
            Ok(Action::Update(region, asked(change)?))
        }
        (None, None, Some(mut delete)) => {
            let region = delete.take_text("RegionName").unwrap_or_default();
            Ok(Action::Member(ReplicaChange::Delete(region)))
        }
        (None, None, None) => Err(no_action()),
        _ => Err(mixed()),
    }
}

fn asked(mut change: Fields) -> Result<Asked, ApiError> {
    let mut indexes = BTreeMap::new();
    for node in change.take_list("GlobalSecondaryIndexes").unwrap_or_default() {
        let mut index = node.into_fields();
        let name = index.take_text("IndexName").unwrap_or_default();
        let read = AskedRead::take(&mut index)?;
        if read.is_empty() {
            return Err(no_action());
        }
        indexes.insert(name, read);
    }
    let asked = Asked {
        read: AskedRead::take(&mut change)?,
        class: settings::class_member(&mut change, "TableClassOverride")?,
        indexes,
        has_key: change.has("KMSMasterKeyId"),
    };
    let names_none = asked.class.is_none() && asked.indexes.is_empty() && !asked.has_key;
    if names_none && asked.read.is_empty() { Err(no_action()) } else { Ok(asked) }
}

impl AskedRead {
    fn take(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(AskedRead {
            provisioned: units(fields, "ProvisionedThroughputOverride", "ReadCapacityUnits")?,
            on_demand: units(fields, "OnDemandThroughputOverride", "MaxReadRequestUnits")?,
        })
    }

    fn is_empty(&self) -> bool {
        self.provisioned.is_keep() && self.on_demand.is_keep()
    }

    fn over(&self, known: &mut ReadOverride) {
        known.provisioned = self.provisioned.applied_to(&known.provisioned);
        known.on_demand = self.on_demand.applied_to(&known.on_demand);
    }
}

/// An on-demand maximum of -1 is none, as for the table.
fn units(fields: &mut Fields, structure: &str, member: &str) -> Result<Setting<u64>, ApiError> {
    let over = fields.take_fields(structure);
    let Some(units) = over.and_then(|mut over| over.take_number(member)) else {
        return Ok(Setting::Keep);
    };
    match u64::try_from(units) {
        Ok(units) if settings::are_units(units) => Ok(Setting::Set(units)),
        Err(_) if units == -1 => Ok(Setting::Unset),
        Ok(_) | Err(_) => {
            Err(invalid(format!("Given value {units} for {member} is out of bounds")))
        }
    }
}

impl ReplicaUpdates {
    /// True when nothing is asked.
    pub fn is_none(&self) -> bool {
        match self {
            ReplicaUpdates::None => true,
            ReplicaUpdates::Members(_) | ReplicaUpdates::Overrides(_) => false,
        }
    }
}

/// Refuses a region that there is not.
pub fn check_region(region: &str, backend: &dyn Backend) -> Result<(), ApiError> {
    if backend.has_region(region) {
        return Ok(());
    }
    Err(invalid(format!(
        "Region {region} is not supported. The latest version of global tables are only supported in \
         the following regions: [{}]",
        backend.regions().join(", ")
    )))
}

/// Refuses members that cannot come or go.
pub fn check_members(
    changes: &[ReplicaChange],
    table: &TableRecord,
    backend: &dyn Backend,
    context: &RequestContext,
) -> Result<(), ApiError> {
    let mut regions = Vec::new();
    for replica in changes {
        let (ReplicaChange::Create(region) | ReplicaChange::Delete(region)) = replica;
        if *region == context.region {
            return Err(local());
        }
        match replica {
            ReplicaChange::Create(_) if is_replica(table, region) => {
                return Err(replica_exists(&table.name));
            }
            ReplicaChange::Create(_) => check_region(region, backend)?,
            // A region that left the group may still be named.
            ReplicaChange::Delete(_) if is_replica(table, region) => {}
            ReplicaChange::Delete(_) => {
                check_region(region, backend)?;
                return Err(no_member(region));
            }
        }
        if regions.contains(&region) {
            return Err(twice(region));
        }
        regions.push(region);
    }
    Ok(())
}

fn is_replica(table: &TableRecord, region: &str) -> bool {
    table.global.as_ref().is_some_and(|global| global.replicas.contains_key(region))
}

fn local() -> ApiError {
    invalid(
        "Cannot add or delete the local region through ReplicaUpdates. Use CreateTable, \
         DeleteTable, or UpdateTable as required.",
    )
}

fn no_member(region: &str) -> ApiError {
    invalid(format!(
        "Update global table operation failed because one or more replicas were not part of the \
         global table. Please retry the request without these replicas: [{region}]."
    ))
}

/// What the overrides change of the table's settings.
pub fn settings(
    asked: BTreeMap<String, Asked>,
    table: &TableRecord,
    context: &RequestContext,
) -> Result<TableSettings, ApiError> {
    let mut overrides = BTreeMap::new();
    for (region, asked) in asked {
        if asked.has_key {
            return Err(invalid_parameter("KMSMasterKeyId must be specified for each replica."));
        }
        if region == context.region {
            return Err(local());
        }
        let replicas = table.global.as_ref().map(|global| &global.replicas);
        match replicas.and_then(|replicas| replicas.get(&region)) {
            None => return Err(no_member(&region)),
            Some(ReplicaStatus::Active) => {}
            Some(_) => return Err(in_use(TableStatus::Updating, &table.name)),
        }
        check_billing(&asked, table)?;
        let known = table.definition.overrides.get(&region).cloned().unwrap_or_default();
        let merged = merged(asked, known, table)?;
        overrides.insert(region, merged);
    }
    Ok(TableSettings { overrides, ..TableSettings::default() })
}

/// Refuses capacity of the other billing mode.
fn check_billing(asked: &Asked, table: &TableRecord) -> Result<(), ApiError> {
    let all = || std::iter::once(&asked.read).chain(asked.indexes.values());
    match table.definition.billing {
        BillingMode::PayPerRequest if all().any(|read| !read.provisioned.is_keep()) => {
            Err(invalid(
                "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when \
                 BillingMode is PAY_PER_REQUEST",
            ))
        }
        BillingMode::Provisioned if all().any(|read| !read.on_demand.is_keep()) => Err(invalid(
            "MaxReadRequestUnits for OnDemandThroughput cannot be specified when the table \
                 BillingMode is PROVISIONED",
        )),
        BillingMode::PayPerRequest | BillingMode::Provisioned => Ok(()),
    }
}

/// Each setting for itself; what the request does not name stays.
fn merged(
    asked: Asked,
    mut known: ReplicaOverrides,
    table: &TableRecord,
) -> Result<ReplicaOverrides, ApiError> {
    asked.read.over(&mut known.read);
    known.class = asked.class.or(known.class);
    for (name, read) in asked.indexes {
        if table.definition.global_index(&name).is_none() {
            return Err(ApiError::ResourceNotFound(format!(
                "Requested resource not found: Index {name} for table {}",
                table.name
            )));
        }
        read.over(known.indexes.entry(name).or_default());
    }
    Ok(known)
}

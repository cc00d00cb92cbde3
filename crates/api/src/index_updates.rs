//! `GlobalSecondaryIndexUpdates` of UpdateTable.
//!
//! Tested by `global_indexes.txt`; the texts are the service's where they are known.

use meridian_base::limits::GLOBAL_INDEXES_MAX;
use meridian_control::region::{IndexChange, TableRecord};
use meridian_control::table::{BillingMode, Throughput};
use meridian_model::KeyAttribute;
use meridian_wire::{ApiError, Fields};

use crate::errors::{invalid, invalid_parameter, not_found, one_index_at_a_time};
use crate::indexes;
use crate::settings::{self, Asking};

/// One element of the list.
pub enum IndexUpdate {
    /// `Create`, with its content.
    Create(Fields),
    /// `Update`, with its content.
    Update(Fields),
    /// `Delete`, with the index's name.
    Delete(String),
}

/// Takes `GlobalSecondaryIndexUpdates`.
pub fn take(fields: &mut Fields) -> Result<Vec<IndexUpdate>, ApiError> {
    let list = fields.take_list("GlobalSecondaryIndexUpdates").unwrap_or_default();
    list.into_iter().map(|node| one(node.into_fields())).collect()
}

fn one(mut update: Fields) -> Result<IndexUpdate, ApiError> {
    let create = update.take_fields("Create");
    let change = update.take_fields("Update");
    match (create, change, update.take_fields("Delete")) {
        (Some(create), None, None) => Ok(IndexUpdate::Create(create)),
        (None, Some(change), None) => Ok(IndexUpdate::Update(change)),
        (None, None, Some(mut delete)) => {
            Ok(IndexUpdate::Delete(delete.take_text("IndexName").unwrap_or_default()))
        }
        _ => Err(invalid_parameter(
            "Exactly one of Create, Update, Delete must be specified in a \
             GlobalSecondaryIndexUpdate",
        )),
    }
}

/// What the updates change of a table with this billing mode from now on, and the definitions of
/// attributes that are new.
pub fn changes(
    updates: Vec<IndexUpdate>,
    stated: Vec<KeyAttribute>,
    table: &TableRecord,
    billing: BillingMode,
) -> Result<(Vec<KeyAttribute>, Vec<IndexChange>), ApiError> {
    let attributes = all_attributes(stated, table)?;
    let mut changes: Vec<IndexChange> = Vec::new();
    for update in updates {
        let change = change(update, &attributes, table, billing)?;
        if changes.iter().any(|known| known.name() == change.name()) {
            return Err(invalid_parameter(format!(
                "Only one global secondary index update per index is allowed simultaneously. \
                 Index: {}",
                change.name()
            )));
        }
        changes.push(change);
    }
    let online = |change: &&IndexChange| !matches!(change, IndexChange::Update { .. });
    if changes.iter().filter(online).count() > 1 {
        return Err(one_index_at_a_time());
    }
    let is_created = |change: &IndexChange| matches!(change, IndexChange::Create(_));
    if changes.iter().any(is_created) && table.definition.global_indexes.len() >= GLOBAL_INDEXES_MAX
    {
        return Err(indexes::too_many_global());
    }
    if billing == BillingMode::Provisioned {
        check_throughputs(&changes, table)?;
    }
    let used = |attribute: &KeyAttribute| {
        changes.iter().any(|change| match change {
            IndexChange::Create(new) => new.index.keys.all().any(|key| key == attribute),
            IndexChange::Delete(_) | IndexChange::Update { .. } => false,
        })
    };
    let is_new = |attribute: &KeyAttribute| !table.definition.attributes.contains(attribute);
    let added = attributes.into_iter().filter(|one| is_new(one) && used(one)).collect();
    Ok((added, changes))
}

/// Refuses to leave an index of a provisioned table without throughput.
fn check_throughputs(changes: &[IndexChange], table: &TableRecord) -> Result<(), ApiError> {
    for one in table.definition.global_indexes.iter().filter(|one| one.throughput.is_none()) {
        let stated = changes.iter().any(|change| match change {
            IndexChange::Delete(name) => *name == one.index.name,
            IndexChange::Update { name, throughput, .. } => {
                *name == one.index.name && throughput.is_some()
            }
            IndexChange::Create(_) => false,
        });
        if !stated {
            return Err(invalid_parameter(format!(
                "ProvisionedThroughput must be specified for index: {}",
                one.index.name
            )));
        }
    }
    Ok(())
}

/// The table's attributes and those that the request states.
fn all_attributes(
    stated: Vec<KeyAttribute>,
    table: &TableRecord,
) -> Result<Vec<KeyAttribute>, ApiError> {
    let mut all = table.definition.attributes.clone();
    for attribute in stated {
        match table.definition.kind_of(&attribute.name) {
            None => all.push(attribute),
            Some(kind) if kind == attribute.kind => {}
            Some(kind) => {
                return Err(invalid_parameter(format!(
                    "Cannot change the type of attribute {} from {} to {}",
                    attribute.name,
                    kind.name(),
                    attribute.kind.name()
                )));
            }
        }
    }
    Ok(all)
}

fn change(
    update: IndexUpdate,
    attributes: &[KeyAttribute],
    table: &TableRecord,
    billing: BillingMode,
) -> Result<IndexChange, ApiError> {
    let known = |name: &str| table.definition.index_names().any(|known| known == name);
    match update {
        IndexUpdate::Create(create) => {
            let new = indexes::global_index(create, attributes, billing)?;
            if known(&new.index.name) || table.index(&new.index.name).is_some() {
                return Err(invalid("Attempting to create an index which already exists"));
            }
            Ok(IndexChange::Create(new))
        }
        IndexUpdate::Delete(name) if table.index(&name).is_none() => Err(not_found()),
        IndexUpdate::Delete(name) => Ok(IndexChange::Delete(name)),
        IndexUpdate::Update(mut change) => {
            let name = change.take_text("IndexName").unwrap_or_default();
            let current = table.definition.global_index(&name).ok_or_else(not_found)?;
            let throughput = settings::throughput(&mut change)?;
            if billing == BillingMode::PayPerRequest && throughput.is_some() {
                return Err(invalid_parameter(format!(
                    "ProvisionedThroughput should not be specified for index: {name} when \
                     BillingMode is PAY_PER_REQUEST"
                )));
            }
            if let (Some(asked), Some(now)) = (throughput, current.throughput)
                && asked == now
            {
                return Err(unchanged(&name, now));
            }
            let on_demand = settings::some_of(&mut change, "OnDemandThroughput");
            let warm = settings::some_of(&mut change, "WarmThroughput");
            let now = settings::warm_at_first(billing, current.throughput);
            Ok(IndexChange::Update {
                throughput,
                on_demand: settings::on_demand(on_demand, billing, Asking::Update)?,
                warm: settings::warm(warm, current.warm.unwrap_or(now))?,
                name,
            })
        }
    }
}

fn unchanged(index: &str, current: Throughput) -> ApiError {
    let Throughput { read_units, write_units } = current;
    invalid(format!(
        "The provisioned throughput for the index {index} will not change. The requested value \
         equals the current value. Current ReadCapacityUnits provisioned for the index: \
         {read_units}. Requested ReadCapacityUnits: {read_units}. Current WriteCapacityUnits \
         provisioned for the index: {write_units}. Requested WriteCapacityUnits: {write_units}. \
         Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher \
         limits."
    ))
}

//! `GlobalSecondaryIndexUpdates` of UpdateTable.
//!
//! Tested by `global_indexes.txt`; the texts are the service's where they are known.

use meridian_base::limits::GLOBAL_INDEXES_MAX;
use meridian_control::region::{IndexChange, IndexRecord, TableRecord};
use meridian_control::table::{
    BillingMode, GlobalIndexDefinition, IndexStatus, OnDemandMaximum, Throughput,
};
use meridian_model::KeyAttribute;
use meridian_wire::{ApiError, Fields, Node};

use crate::busy::IndexAction;
use crate::errors::{invalid, invalid_parameter, one_index_at_a_time, still_in_use};
use crate::indexes::{self, Stated};
use crate::settings::{self, Asking, Of};
use crate::{pace, quotas};

/// One element of the list.
pub enum IndexUpdate {
    /// `Create`, with its content.
    Create(Fields),
    /// `Update`, with its content.
    Update(Fields),
    /// `Delete`, with the index's name.
    Delete(String),
}

impl IndexUpdate {
    /// The index, and what is to be done to it.
    pub fn named(&self) -> (String, IndexAction) {
        match self {
            IndexUpdate::Create(create) => (name_of(create), IndexAction::Create),
            IndexUpdate::Update(update) => (name_of(update), IndexAction::Update),
            IndexUpdate::Delete(name) => (name.clone(), IndexAction::Delete),
        }
    }
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
        (None, None, None) => Err(invalid_parameter(
            "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, \
             GlobalSecondaryIndexUpdate.Delete must not be null",
        )),
        (Some(create), None, None) => Ok(IndexUpdate::Create(create)),
        (None, Some(change), None) => Ok(IndexUpdate::Update(change)),
        (None, None, Some(mut delete)) => {
            Ok(IndexUpdate::Delete(delete.take_text("IndexName").unwrap_or_default()))
        }
        _ => Err(invalid_parameter(
            "Only one global secondary index action is allowed per GlobalSecondaryIndexUpdate \
             object",
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
    let states_attributes = !stated.is_empty();
    let attributes = all_attributes(&stated, table);
    let mut changes: Vec<IndexChange> = Vec::new();
    for update in updates {
        if let (IndexUpdate::Create(create), false) = (&update, states_attributes) {
            return Err(invalid_parameter(format!(
                "AttributeDefinitions is not specified for index: {}",
                name_of(create)
            )));
        }
        let change = change(update, &attributes, table, billing)?;
        if let IndexChange::Create(new) = &change {
            check_types(new, &stated)?;
        }
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
        return Err(ApiError::LimitExceeded(format!(
            "Subscriber limit exceeded: Number of global secondary indexes exceeds per-table limit \
             of {GLOBAL_INDEXES_MAX}"
        )));
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

/// Refuses more throughput than an index may have.
pub fn check_quotas(changes: &[IndexChange], region: &str) -> Result<(), ApiError> {
    changes.iter().try_for_each(|change| {
        let asked = match change {
            IndexChange::Create(new) => quotas::Asked {
                throughput: new.throughput,
                on_demand: new.on_demand,
                warm: new.warm,
            },
            IndexChange::Update { throughput, on_demand, warm, .. } => quotas::Asked {
                throughput: *throughput,
                on_demand: on_demand.applied_to(OnDemandMaximum::default()),
                warm: *warm,
            },
            IndexChange::Delete(_) => quotas::Asked::default(),
        };
        quotas::check(&asked, Of::Index(change.name()), region)
    })
}

/// Refuses to lower an index's throughput too often.
pub fn check_decreases(
    changes: &[IndexChange],
    table: &TableRecord,
    now_ms: u64,
) -> Result<(), ApiError> {
    changes.iter().try_for_each(|change| match (change, table.index(change.name())) {
        (IndexChange::Update { throughput, .. }, Some(index)) => {
            let lowered = (index.throughput_decreases, index.throughput_lowered_ms);
            pace::check_decrease((index.definition.throughput, *throughput), lowered, now_ms)
        }
        (IndexChange::Update { .. } | IndexChange::Create(_) | IndexChange::Delete(_), _) => Ok(()),
    })
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

/// The table's attributes and those that the request states. The service passes over another type
/// for one that the table knows.
fn all_attributes(stated: &[KeyAttribute], table: &TableRecord) -> Vec<KeyAttribute> {
    let is_new = |one: &&KeyAttribute| table.definition.kind_of(&one.name).is_none();
    let known = table.definition.attributes.iter();
    known.chain(stated.iter().filter(is_new)).cloned().collect()
}

/// Refuses a new index whose keys are stated with other types than the table knows.
fn check_types(new: &GlobalIndexDefinition, stated: &[KeyAttribute]) -> Result<(), ApiError> {
    for key in new.index.keys.all() {
        if let Some(other) = stated.iter().find(|one| one.name == key.name && one.kind != key.kind)
        {
            return Err(invalid_parameter(format!(
                "Cannot change the type of attribute {} from {} to {}",
                key.name,
                key.kind.name(),
                other.kind.name()
            )));
        }
    }
    Ok(())
}

fn name_of(index: &Fields) -> String {
    match index.get("IndexName") {
        Some(Node::Text(name)) => name.clone(),
        _ => String::new(),
    }
}

fn no_index(index: &str, table: &TableRecord) -> ApiError {
    ApiError::ResourceNotFound(format!(
        "Requested resource not found: Index {index} for table {}",
        table.name
    ))
}

/// Refuses what is no global index of the table; `action` would be done to it.
fn check_global(index: &str, action: &str, table: &TableRecord) -> Result<(), ApiError> {
    if table.definition.local_indexes.iter().any(|local| local.name == index) {
        return Err(invalid(format!(
            "Cannot {action} an index that is not a GlobalSecondaryIndex: {index}"
        )));
    }
    Ok(())
}

/// Refuses a second change of an index that is UPDATING.
fn check_settled(index: &IndexRecord, table: &TableRecord) -> Result<(), ApiError> {
    match index.status {
        IndexStatus::Updating => Err(still_in_use(&format!(
            "Index is being updated. Table: {} Index: {}",
            table.name,
            index.name()
        ))),
        IndexStatus::Creating | IndexStatus::Active | IndexStatus::Deleting => Ok(()),
    }
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
            let stated = Stated::take(create);
            let new = indexes::global_index(stated, attributes, billing, Asking::Update)?;
            if known(&new.index.name) || table.index(&new.index.name).is_some() {
                return Err(invalid("Attempting to create an index which already exists"));
            }
            Ok(IndexChange::Create(new))
        }
        IndexUpdate::Delete(name) => {
            check_global(&name, "delete", table)?;
            let known = table.index(&name).ok_or_else(|| no_index(&name, table))?;
            check_settled(known, table)?;
            Ok(IndexChange::Delete(name))
        }
        IndexUpdate::Update(mut change) => {
            let name = change.take_text("IndexName").unwrap_or_default();
            let throughput = settings::throughput(&mut change)?;
            let has_warm = change.has("WarmThroughput");
            let on_demand = settings::some_of(&mut change, "OnDemandThroughput");
            let warm = settings::some_of(&mut change, "WarmThroughput");
            if has_warm && warm.is_none() {
                return Err(invalid_parameter(format!(
                    "WarmThroughput must have at least one of ReadUnitsPerSecond or \
                     WriteUnitsPerSecond specified for index: {name}"
                )));
            }
            check_global(&name, "update", table)?;
            let current =
                table.definition.global_index(&name).ok_or_else(|| no_index(&name, table))?;
            table.index(&name).map_or(Ok(()), |known| check_settled(known, table))?;
            let asks_other = on_demand.is_some() || warm.is_some();
            if billing == BillingMode::PayPerRequest && (throughput.is_some() || !asks_other) {
                return Err(invalid_parameter(format!(
                    "The only Updates for index: {name} when TableThroughputMode is \
                     PAY_PER_REQUEST can be to OnDemandThroughput, WarmThroughput"
                )));
            }
            if let (Some(asked), Some(now)) = (throughput, current.throughput)
                && asked == now
            {
                return Err(unchanged(&name, now));
            }
            let at_first = settings::warm_at_first(billing, current.throughput);
            let (of, now) = (Of::Index(&name), current.warm.unwrap_or(at_first));
            let on_demand = settings::on_demand(on_demand, billing, Asking::Update, of)?;
            let warm = settings::warm(warm, now, billing, Asking::Update, of)?;
            Ok(IndexChange::Update { throughput, on_demand, warm, name })
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

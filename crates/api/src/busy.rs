//! What keeps a table from being changed, in the service's words.
//!
//! Deletion protection, encryption, warm throughput and time to live change beside everything else,
//! and another index's throughput beside an index that is being made. What the service says of other
//! pairs of changes is not known: they are told that the table is being updated.
//!
//! Tested by `tests/busy.rs`, over a backend that lets nothing settle.

use meridian_control::region::{Changing, IndexRecord, TableRecord};
use meridian_control::table::{IndexStatus, TableStatus};
use meridian_wire::ApiError;

use crate::describe::class_name;
use crate::errors::{in_use, one_index_at_a_time, still_in_use};

/// What a request asks to be done to a global index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexAction {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// It is deleted.
    Delete,
}

/// What a request asks to change of a table, as far as it can be in the way of another change.
#[derive(Debug, Default)]
pub struct Asked {
    /// Provisioned throughput, or the billing mode.
    pub iops: bool,
    /// The stream.
    pub stream: bool,
    /// The class.
    pub class: bool,
    /// The on-demand maximum.
    pub on_demand: bool,
    /// Replicas, or what they have of their own.
    pub replicas: bool,
    /// Global indexes, by name.
    pub indexes: Vec<(String, IndexAction)>,
}

/// Refuses what cannot be done now.
pub fn check(table: &TableRecord, asked: &Asked) -> Result<(), ApiError> {
    match table.status {
        TableStatus::Active => return asked.check_indexes(table),
        TableStatus::Creating | TableStatus::Deleting => {
            return Err(in_use(table.status, &table.name));
        }
        TableStatus::Updating => {}
    }
    if table.global.is_some() {
        return Err(in_use_somewhere());
    }
    asked.check_indexes(table)?;
    asked.check_beside_index(table)?;
    if let Some(changing) = table.changing {
        asked.check_beside(changing, table)?;
    }
    let is_update = |one: &(String, IndexAction)| one.1 == IndexAction::Update;
    let waits = asked.iops || asked.stream || asked.class || asked.on_demand || asked.replicas;
    if waits || !asked.indexes.iter().all(is_update) {
        return Err(in_use(table.status, &table.name));
    }
    match table.changing {
        Some(_) if !asked.indexes.is_empty() => Err(in_use(table.status, &table.name)),
        Some(_) | None => Ok(()),
    }
}

/// Refuses to delete a table that is not ACTIVE, with all its indexes.
pub fn check_delete(table: &TableRecord) -> Result<(), ApiError> {
    let is_updating = match table.status {
        TableStatus::Active => false,
        TableStatus::Updating => true,
        TableStatus::Creating | TableStatus::Deleting => {
            return Err(in_use(table.status, &table.name));
        }
    };
    if is_updating && table.global.is_some() {
        return Err(in_use_somewhere());
    }
    let is_busy = |index: &IndexRecord| index.status != IndexStatus::Active;
    if table.indexes.iter().any(is_busy) || allocating(table).next().is_some() {
        return Err(still_in_use(
            "Cannot delete table while indexes are being created, updated, or deleted.",
        ));
    }
    match table.changing {
        _ if !is_updating => Ok(()),
        Some(Changing::Stream) => {
            Err(still_in_use("Cannot delete table while stream is being enabled/disabled."))
        }
        Some(Changing::Throughput | Changing::Billing | Changing::Class) | None => {
            Err(still_in_use(&format!("Table: {} is in the process of being updated.", table.name)))
        }
    }
}

impl Asked {
    /// Refuses a second change of an index, and one of a second index.
    fn check_indexes(&self, table: &TableRecord) -> Result<(), ApiError> {
        let place = |index: &str| format!("Table: {} Index: {index}", table.name);
        let allocating: Vec<&str> = allocating(table).collect();
        for (index, action) in &self.indexes {
            let known = table.index(index).map(|known| known.status);
            let is_allocated = !allocating.contains(&index.as_str());
            match (action, known) {
                (_, Some(IndexStatus::Deleting)) => {
                    let place = place(index);
                    return Err(still_in_use(&format!("Index is being deleted. {place}")));
                }
                (IndexAction::Delete, _) if !is_allocated => {
                    return Err(still_in_use(&format!(
                        "Index creation is in resource allocation phase. Retry deletion during \
                         backfilling phase or when the index is active. {}",
                        place(index)
                    )));
                }
                (IndexAction::Update, _) if !is_allocated => {
                    return Err(still_in_use(&format!(
                        "Index is being created but is not backfilling yet. {}",
                        place(index)
                    )));
                }
                (IndexAction::Create | IndexAction::Delete | IndexAction::Update, _) => {}
            }
        }
        let is_create = |one: &(String, IndexAction)| one.1 == IndexAction::Create;
        if self.indexes.iter().any(is_create) && online(table).next().is_some() {
            return Err(one_index_at_a_time());
        }
        Ok(())
    }

    /// Refuses what cannot be changed beside an index that comes or goes.
    fn check_beside_index(&self, table: &TableRecord) -> Result<(), ApiError> {
        let is_going = |index: &&IndexRecord| index.status == IndexStatus::Deleting;
        let going = table.indexes.iter().filter(is_going).map(IndexRecord::name);
        let what = match (self.iops, self.stream) {
            (true, _) => "table IOPS",
            (false, true) => "stream status",
            (false, false) => return Ok(()),
        };
        for (names, doing) in
            [(allocating(table).collect::<Vec<_>>(), "created"), (going.collect(), "deleted")]
        {
            if !names.is_empty() {
                return Err(still_in_use(&format!(
                    "Can't change {what} when an index is being {doing}. Table: {} Indexes: [{}]",
                    table.name,
                    names.join(", ")
                )));
            }
        }
        Ok(())
    }

    /// Refuses what cannot be changed beside another change of the table.
    fn check_beside(&self, changing: Changing, table: &TableRecord) -> Result<(), ApiError> {
        let name = &table.name;
        let stream = || {
            let label = table.stream_label().unwrap_or_default();
            let operation = if table.definition.stream.is_some() { "ENABLE" } else { "DISABLE" };
            format!("Table: {name} Stream: {label} Operation: {operation}")
        };
        let class = || {
            let class = table.definition.class.map_or("STANDARD", class_name);
            format!("TableClassUpdateInProgress: {class}")
        };
        let why = match changing {
            Changing::Throughput | Changing::Billing if self.iops => {
                format!("Table IOPS are currently being updated. Table: {name}")
            }
            Changing::Throughput | Changing::Billing if self.stream => format!(
                "Can't enable or disable stream while table IOPS are being updated. Table: {name}"
            ),
            Changing::Billing if self.on_demand => {
                "OnDemandThroughput cannot be updated while BillingMode update is in progress"
                    .to_owned()
            }
            Changing::Stream if self.stream => {
                format!("A stream status change is currently in progress. {}", stream())
            }
            Changing::Stream if self.iops => {
                format!("Can't change table IOPS when stream status is being updated. {}", stream())
            }
            Changing::Stream if self.class => {
                format!(
                    "Can't update table class when stream status is being updated. {}",
                    stream()
                )
            }
            Changing::Class if self.class => format!(
                "Can't update table class when a table class update is in progress. Table: {name} {}",
                class()
            ),
            Changing::Class if self.stream => format!(
                "Can't change stream status when a table class update is in progress. Table: {name} \
                 {}",
                class()
            ),
            Changing::Class if self.on_demand => format!(
                "OnDemandThroughput cannot be updated while TableClass update is in progress. {}",
                class()
            ),
            Changing::Throughput | Changing::Billing | Changing::Stream | Changing::Class => {
                return Ok(());
            }
        };
        Err(still_in_use(&why))
    }
}

/// The indexes that are to be made and are not being filled yet.
fn allocating(table: &TableRecord) -> impl Iterator<Item = &str> {
    let wanted = table.definition.global_indexes.iter().map(|one| one.index.name.as_str());
    wanted.filter(|name| match table.index(name) {
        None => true,
        Some(known) => known.status == IndexStatus::Creating && !known.backfilling,
    })
}

/// The indexes that come or go.
fn online(table: &TableRecord) -> impl Iterator<Item = &str> {
    let known = table.indexes.iter().filter(|index| match index.status {
        IndexStatus::Creating | IndexStatus::Deleting => true,
        IndexStatus::Active | IndexStatus::Updating => false,
    });
    allocating(table).chain(known.map(IndexRecord::name))
}

/// The service says no more than this of a table with replicas.
fn in_use_somewhere() -> ApiError {
    ApiError::ResourceInUse("The resource which you are attempting to change is in use.".to_owned())
}

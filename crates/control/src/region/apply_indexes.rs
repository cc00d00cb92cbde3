//! Applies what happens to global indexes.
//!
//! A table's definition says which indexes it is to have; its records say which there are. The
//! planner makes those that are missing, fills them, and takes away those that are DELETING.
//!
//! # Invariants
//!
//! - An index is ACTIVE only when every partition of its table has filled it.
//! - Of a table's indexes at most one is made or deleted at a time, unless the whole table is.
//! - An index whose throughput changes is UPDATING until the planner has seen to the table.
//!
//! Tested by `region/tests.rs`.

use super::command::{CommandResult, Done, PartitionPlacement, Refusal};
use super::settings::IndexChange;
use super::{IndexRecord, RegionState, TableRecord};
use crate::pace::decreases_today;
use crate::table::{GlobalIndexDefinition, IndexStatus, TableDefinition, TableStatus, Throughput};
use meridian_base::{PartitionId, TableId};
use std::collections::BTreeMap;

/// Refuses a change of an index that does not exist, or beside another one.
pub(super) fn check_index_changes(
    table: &TableRecord,
    changes: &[IndexChange],
) -> Result<(), Refusal> {
    for change in changes {
        let is_busy = |one: &&IndexRecord| match one.status {
            IndexStatus::Creating | IndexStatus::Deleting => true,
            IndexStatus::Active | IndexStatus::Updating => false,
        };
        let known = table.index(change.name());
        if known.is_some_and(|known| known.status == IndexStatus::Updating) {
            return Err(Refusal::IndexUpdating);
        }
        let mut busy = table.indexes.iter().filter(is_busy);
        match change {
            IndexChange::Create(_) if busy.next().is_some() => return Err(Refusal::IndexBusy),
            IndexChange::Create(_) => {}
            IndexChange::Delete(_) => {
                let known = known.ok_or(Refusal::IndexNotFound)?;
                let others = busy.any(|one| one.id != known.id);
                if others || known.status == IndexStatus::Deleting {
                    return Err(Refusal::IndexBusy);
                }
            }
            IndexChange::Update { name, .. } => {
                table.definition.global_index(name).ok_or(Refusal::IndexNotFound)?;
            }
        }
    }
    Ok(())
}

impl RegionState {
    pub(super) fn make_index(
        &mut self,
        id: TableId,
        name: &str,
        partitions: &[PartitionPlacement],
    ) -> CommandResult {
        let region = self.region.ok_or(Refusal::NotInitialised)?;
        let table = self.table_by_id(id).ok_or(Refusal::TableNotFound)?;
        if table.status == TableStatus::Deleting {
            return Err(Refusal::InUse { status: table.status });
        }
        let wanted = table.definition.global_index(name).ok_or(Refusal::IndexNotFound)?.clone();
        if table.index(name).is_some() {
            return Err(Refusal::IndexBusy);
        }
        if !self.placement_fits(partitions) {
            return Err(Refusal::StalePlacement);
        }
        let keeper = TableRecord {
            name: format!("{}/{name}", table.name),
            status: TableStatus::Creating,
            changing: None,
            definition: TableDefinition {
                local_indexes: Vec::new(),
                global_indexes: Vec::new(),
                stream: None,
                ttl: None,
                overrides: BTreeMap::new(),
                scaling: Vec::new(),
                ..table.definition.clone()
            },
            stream_ms: None,
            streams: Vec::new(),
            streamless: Vec::new(),
            global: None,
            own: super::OwnSettings::default(),
            indexes: Vec::new(),
            index_of: Some(id),
            restore: None,
            import: None,
            ..table.clone()
        };
        let index = self.claim_table_id(region, None)?;
        let partitions = partitions.iter().map(|p| self.add_partition(index, p)).collect();
        let keeper = TableRecord { id: index, partitions, ..keeper };
        self.tables.insert(keeper.name.clone(), keeper);
        let table = self.table_mut(id)?;
        let unfilled = table.partitions.clone();
        table.indexes.push(IndexRecord {
            definition: wanted,
            id: index,
            status: IndexStatus::Creating,
            backfilling: false,
            unfilled,
            throughput_raised_ms: None,
            throughput_lowered_ms: None,
            throughput_decreases: 0,
        });
        Ok(Done::Table(index))
    }

    /// Every partition of an index has a leader.
    pub(super) fn index_made(&mut self, table: TableId, index: TableId) {
        let Ok(table) = self.table_mut(table) else { return };
        let serves = table.serves();
        let Some(record) = table.indexes.iter_mut().find(|one| one.id == index) else { return };
        if record.status == IndexStatus::Creating {
            record.backfilling = serves && !record.unfilled.is_empty();
            if record.unfilled.is_empty() {
                record.status = IndexStatus::Active;
            }
        }
    }

    pub(super) fn index_filled(&mut self, index: TableId, partition: PartitionId) -> CommandResult {
        let keeper = self.table_by_id(index).ok_or(Refusal::TableNotFound)?;
        let made = keeper.status == TableStatus::Active;
        let of = keeper.index_of.ok_or(Refusal::IndexNotFound)?;
        let table = self.table_mut(of)?;
        let record = table.indexes.iter_mut().find(|one| one.id == index);
        let record = record.ok_or(Refusal::IndexNotFound)?;
        record.unfilled.retain(|one| *one != partition);
        if made && record.unfilled.is_empty() && record.status == IndexStatus::Creating {
            record.status = IndexStatus::Active;
            record.backfilling = false;
        }
        Ok(Done::Table(index))
    }

    /// Brings the records to what the definition says; those that it does not name begin to go.
    pub(super) fn follow_index_definitions(&mut self, name: &str, at_ms: u64) {
        let Some(table) = self.tables.get_mut(name) else { return };
        let mut going = Vec::new();
        for record in &mut table.indexes {
            match table.definition.global_index(&record.definition.index.name) {
                Some(wanted) => record.follow(wanted, at_ms),
                None => {
                    record.status = IndexStatus::Deleting;
                    record.backfilling = false;
                    going.push(record.id);
                }
            }
        }
        for keeper in self.tables.values_mut().filter(|table| going.contains(&table.id)) {
            keeper.status = TableStatus::Deleting;
        }
    }

    /// All indexes of a table begin to go with it.
    pub(super) fn delete_indexes(&mut self, id: TableId) {
        for table in self.tables.values_mut() {
            if table.index_of == Some(id) {
                table.status = TableStatus::Deleting;
            } else if table.id == id {
                table.indexes.iter_mut().for_each(|index| index.status = IndexStatus::Deleting);
            }
        }
    }

    /// An index is gone.
    pub(super) fn index_gone(&mut self, table: TableId, index: TableId) {
        if let Ok(table) = self.table_mut(table) {
            table.indexes.retain(|one| one.id != index);
            let TableRecord { indexes, own, .. } = table;
            own.index_insights.retain(|name, _| indexes.iter().any(|one| one.name() == name));
        }
    }
}

impl IndexRecord {
    fn follow(&mut self, wanted: &GlobalIndexDefinition, at_ms: u64) {
        let (is_raised, is_lowered) = moves(self.definition.throughput, wanted.throughput);
        self.throughput_raised_ms = is_raised.then_some(at_ms).or(self.throughput_raised_ms);
        if is_lowered {
            let count = self.throughput_decreases;
            let today = decreases_today(count, self.throughput_lowered_ms, at_ms);
            self.throughput_decreases = today.saturating_add(1);
        }
        self.throughput_lowered_ms = is_lowered.then_some(at_ms).or(self.throughput_lowered_ms);
        if self.status == IndexStatus::Active && wanted.is_updated_from(&self.definition) {
            self.status = IndexStatus::Updating;
        }
        self.definition.clone_from(wanted);
    }
}

/// Whether provisioned throughput is raised, and whether it is lowered.
pub(super) fn moves(before: Option<Throughput>, after: Option<Throughput>) -> (bool, bool) {
    let (Some(old), Some(new)) = (before, after) else { return (false, false) };
    let is_raised = new.read_units > old.read_units || new.write_units > old.write_units;
    let is_lowered = new.read_units < old.read_units || new.write_units < old.write_units;
    (is_raised, is_lowered)
}

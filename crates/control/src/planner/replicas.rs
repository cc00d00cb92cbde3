//! What a region does about the global tables that it has, or should have, a replica of.
//!
//! The leader of each region group compares the global state with its own catalog. It acts on a
//! global state confirmed by a linearizable read: an old one could bring a removed replica back.
//!
//! # Invariants
//!
//! - Level-triggered, as the planner: a step that is done is not named again.
//! - Nothing is deleted unless the global group says Deleting for this table id in this region.
//!
//! Tested by `planner/replica_tests.rs`.

use crate::global::{self, GlobalState, GlobalTable, Replica};
use crate::region::{self, RegionState, TableRecord, TableSettings};
use crate::table::{GlobalSnapshot, ReplicaStatus, TableDefinition, TableStatus};
use meridian_base::TableId;
use std::collections::BTreeSet;

/// One thing that a region does about a global table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplicaStep {
    /// Place the table and propose `CreateTable` with this id to the region group.
    Create {
        /// Its name.
        name: String,
        /// Its id in every region.
        table: TableId,
        /// What it is.
        definition: TableDefinition,
        /// What the catalog keeps of the global table.
        global: GlobalSnapshot,
    },
    /// Propose to the region group.
    Region(region::Command),
    /// Propose to the global group.
    Global(global::Command),
}

/// The next steps of a region. `filled` are the replicas here whose partitions hold a copy of all
/// that the other regions held when they were added.
pub fn replica_steps(
    global: &GlobalState,
    state: &RegionState,
    filled: &BTreeSet<TableId>,
    now_ms: u64,
) -> Vec<ReplicaStep> {
    let mut steps = Vec::new();
    for (name, table, replica) in global.tables_of(state.name()) {
        let local = state.tables().get(name);
        let here = Here { name, region: state.name(), table, local, now_ms };
        steps.extend(here.step(replica, filled.contains(&table.table)));
    }
    let left = state
        .tables()
        .values()
        .filter(|local| local.global.is_some() && !is_replica(global, state.name(), local));
    steps.extend(left.map(|local| set_global(local.id, None)));
    steps
}

fn is_replica(global: &GlobalState, region: &str, local: &TableRecord) -> bool {
    let table = global.tables().get(&local.name);
    table.is_some_and(|t| t.table == local.id && t.replicas.contains_key(region))
}

fn set_global(table: TableId, global: Option<GlobalSnapshot>) -> ReplicaStep {
    ReplicaStep::Region(region::Command::SetGlobal { table, global })
}

/// A global table as seen from one region.
struct Here<'s> {
    name: &'s str,
    region: &'s str,
    table: &'s GlobalTable,
    local: Option<&'s TableRecord>,
    now_ms: u64,
}

impl Here<'_> {
    fn step(&self, replica: Replica, is_filled: bool) -> Option<ReplicaStep> {
        let own = self.local.filter(|local| local.id == self.table.table);
        match (replica.status, own, self.local) {
            (ReplicaStatus::Creating, None, None) => Some(self.create()),
            (ReplicaStatus::Creating, None, Some(_)) => Some(self.failed()),
            (ReplicaStatus::Creating, Some(local), _) => {
                let ready = local.status == TableStatus::Active && is_filled;
                self.follow(local).or_else(|| ready.then(|| self.active()))
            }
            (ReplicaStatus::Active, Some(local), _) => self.follow(local),
            (ReplicaStatus::Active, None, _) | (ReplicaStatus::CreationFailed, _, _) => None,
            (ReplicaStatus::Deleting, None, _) => Some(self.removed()),
            (ReplicaStatus::Deleting, Some(local), _) => self.delete(local),
        }
    }

    /// Brings the local record up to the global one.
    fn follow(&self, local: &TableRecord) -> Option<ReplicaStep> {
        let snapshot = self.table.snapshot();
        if local.global.as_ref() != Some(&snapshot) {
            return Some(set_global(local.id, Some(snapshot)));
        }
        let settings = TableSettings::between(&local.definition, &self.table.definition);
        let differs = local.status == TableStatus::Active && !settings.is_empty();
        let (name, at_ms) = (self.name.to_owned(), self.now_ms);
        let update = region::Command::UpdateTable { name, settings: Box::new(settings), at_ms };
        differs.then_some(ReplicaStep::Region(update))
    }

    fn delete(&self, local: &TableRecord) -> Option<ReplicaStep> {
        let pending = match local.status {
            TableStatus::Creating | TableStatus::Active | TableStatus::Updating => true,
            TableStatus::Deleting => false,
        };
        let command = region::Command::DeleteTable {
            name: self.name.to_owned(),
            force: true,
            backup_ms: None,
        };
        pending.then_some(ReplicaStep::Region(command))
    }

    fn create(&self) -> ReplicaStep {
        ReplicaStep::Create {
            name: self.name.to_owned(),
            table: self.table.table,
            definition: self.table.definition.clone(),
            global: self.table.snapshot(),
        }
    }

    fn active(&self) -> ReplicaStep {
        let (name, region) = (self.name.to_owned(), self.region.to_owned());
        let command = global::Command::ReplicaActive { name, region, at_ms: self.now_ms };
        ReplicaStep::Global(command)
    }

    fn failed(&self) -> ReplicaStep {
        let (name, region) = (self.name.to_owned(), self.region.to_owned());
        let command = global::Command::ReplicaFailed { name, region, at_ms: self.now_ms };
        ReplicaStep::Global(command)
    }

    fn removed(&self) -> ReplicaStep {
        let (name, region) = (self.name.to_owned(), self.region.to_owned());
        ReplicaStep::Global(global::Command::ReplicaRemoved { name, region })
    }
}

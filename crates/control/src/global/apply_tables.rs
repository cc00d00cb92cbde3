//! Applies committed commands to the global state: global tables and their replicas.
//!
//! # Invariants
//!
//! - Of a global table's replicas at least one is Active.
//! - Each change of a global table raises its version by one.
//!
//! Tested by `global/tests.rs`.

use super::{Command, CommandResult, Done, GlobalState, GlobalTable, Refusal, Replica};
use crate::table::{ReplicaStatus, TableDefinition};
use meridian_base::TableId;
use std::collections::BTreeMap;

impl GlobalState {
    /// Applies a command about a global table; other commands change nothing.
    pub(super) fn apply_to_tables(&mut self, command: &Command) -> CommandResult {
        match command {
            Command::CreateGlobalTable { name, table, definition, region, at_ms } => {
                let home = Replica { status: ReplicaStatus::Active, since_ms: *at_ms };
                self.create_global_table(name, *table, definition, (region, home))
            }
            Command::AddReplica { name, region, at_ms } => self.add_replica(name, region, *at_ms),
            Command::ReplicaActive { name, region, at_ms } => {
                self.finish_replica(name, region, ReplicaStatus::Active, *at_ms)
            }
            Command::ReplicaFailed { name, region, at_ms } => {
                self.finish_replica(name, region, ReplicaStatus::CreationFailed, *at_ms)
            }
            Command::RemoveReplica { name, region, at_ms } => {
                self.remove_replica(name, region, *at_ms)
            }
            Command::ReplicaRemoved { name, region } => self.replica_removed(name, region),
            Command::UpdateTableDefinition { name, expected_version, definition } => {
                self.update_definition(name, *expected_version, definition)
            }
            Command::InitCluster { .. }
            | Command::AddRegion { .. }
            | Command::RebuildRegion { .. }
            | Command::SetRegionState { .. }
            | Command::ReportSilence { .. }
            | Command::UpsertNode { .. }
            | Command::DrainNode { .. }
            | Command::LoseNodeLog { .. }
            | Command::ReturnNode { .. }
            | Command::RemoveNode { .. } => Ok(Done::Changed),
        }
    }

    fn create_global_table(
        &mut self,
        name: &str,
        id: TableId,
        definition: &TableDefinition,
        (region, home): (&str, Replica),
    ) -> CommandResult {
        if !self.regions.contains_key(region) {
            return Err(Refusal::RegionNotFound);
        }
        let holder = self.tables.iter().find(|(other, t)| *other == name || t.table == id);
        if let Some((known_name, known)) = holder {
            let same = known_name == name
                && known.table == id
                && known.replicas.get(region).is_some_and(|r| r.status == ReplicaStatus::Active);
            let exists = Refusal::TableExists { table: known.table };
            return if same { Ok(Done::Version(known.version)) } else { Err(exists) };
        }
        definition.check().map_err(Refusal::Definition)?;
        let table = GlobalTable {
            table: id,
            definition: shared(definition),
            replicas: BTreeMap::from([(region.to_owned(), home)]),
            version: 1,
        };
        self.tables.insert(name.to_owned(), table);
        Ok(Done::Version(1))
    }

    fn add_replica(&mut self, name: &str, region: &str, at_ms: u64) -> CommandResult {
        let record = self.regions.get(region).ok_or(Refusal::RegionNotFound)?;
        if !record.status.is_active() {
            return Err(Refusal::IllegalMove { from: record.status.clone() });
        }
        let table = self.tables.get_mut(name).ok_or(Refusal::TableNotFound)?;
        if let Some(replica) = table.replicas.get(region) {
            return Err(Refusal::ReplicaInUse { status: replica.status });
        }
        let replica = Replica { status: ReplicaStatus::Creating, since_ms: at_ms };
        table.replicas.insert(region.to_owned(), replica);
        Ok(table.changed())
    }

    fn finish_replica(
        &mut self,
        name: &str,
        region: &str,
        to: ReplicaStatus,
        at_ms: u64,
    ) -> CommandResult {
        let table = self.tables.get_mut(name).ok_or(Refusal::TableNotFound)?;
        let replica = table.replicas.get_mut(region).ok_or(Refusal::ReplicaNotFound)?;
        match replica.status {
            status if status == to => return Ok(Done::Version(table.version)),
            ReplicaStatus::Creating => {}
            status @ (ReplicaStatus::CreationFailed
            | ReplicaStatus::Active
            | ReplicaStatus::Deleting) => return Err(Refusal::ReplicaInUse { status }),
        }
        *replica = Replica { status: to, since_ms: at_ms };
        Ok(table.changed())
    }

    fn remove_replica(&mut self, name: &str, region: &str, at_ms: u64) -> CommandResult {
        let table = self.tables.get_mut(name).ok_or(Refusal::TableNotFound)?;
        let replica = table.replicas.get(region).ok_or(Refusal::ReplicaNotFound)?;
        if replica.status == ReplicaStatus::Deleting {
            return Ok(Done::Version(table.version));
        }
        let mut others = table.replicas.iter().filter(|(other, _)| *other != region);
        if !others.any(|(_, other)| other.status == ReplicaStatus::Active) {
            return Err(Refusal::LastReplica);
        }
        let replica = Replica { status: ReplicaStatus::Deleting, since_ms: at_ms };
        table.replicas.insert(region.to_owned(), replica);
        Ok(table.changed())
    }

    fn replica_removed(&mut self, name: &str, region: &str) -> CommandResult {
        let table = self.tables.get_mut(name).ok_or(Refusal::TableNotFound)?;
        let status = table.replicas.get(region).ok_or(Refusal::ReplicaNotFound)?.status;
        match status {
            ReplicaStatus::Deleting => {}
            ReplicaStatus::Creating | ReplicaStatus::CreationFailed | ReplicaStatus::Active => {
                return Err(Refusal::ReplicaInUse { status });
            }
        }
        table.replicas.remove(region);
        table.definition.drop_replica(region);
        if table.replicas.len() > 1 {
            return Ok(table.changed());
        }
        self.tables.remove(name);
        Ok(Done::Changed)
    }

    fn update_definition(
        &mut self,
        name: &str,
        expected_version: u64,
        definition: &TableDefinition,
    ) -> CommandResult {
        let table = self.tables.get_mut(name).ok_or(Refusal::TableNotFound)?;
        if table.version != expected_version {
            return Err(Refusal::StaleVersion { current: table.version });
        }
        if table.definition.key != definition.key {
            return Err(Refusal::KeysChanged);
        }
        definition.check().map_err(Refusal::Definition)?;
        table.definition = shared(definition);
        Ok(table.changed())
    }
}

impl GlobalTable {
    fn changed(&mut self) -> Done {
        self.version += 1;
        Done::Version(self.version)
    }
}

/// The part of a definition that all replicas share.
fn shared(definition: &TableDefinition) -> TableDefinition {
    TableDefinition { deletion_protection: false, ..definition.clone() }
}

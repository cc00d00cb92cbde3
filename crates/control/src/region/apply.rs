//! Applies committed commands to the region's state: tables.
//!
//! # Invariants
//!
//! - A refused command changes nothing but the applied index.
//! - `apply` reads nothing but the state and the command, and never panics.
//!
//! Tested by `region/tests.rs`.

use super::apply_indexes::{check_index_changes, moves};
use super::command::{Command, CommandResult, Done, PartitionPlacement, Refusal};
use super::own::{OwnChange, OwnSettings};
use super::settings::TableSettings;
use super::{
    PartitionRecord, RegionState, Replicas, Restore, RestoreSource, STREAM_KEPT_MS, StreamRecord,
    TableRecord,
};
use crate::pace;
use crate::table::{BillingMode, GlobalSnapshot, IndexStatus, TableDefinition, TableStatus};
use meridian_base::limits::TABLES_MAX;
use meridian_base::{LogIndex, PartitionId, RegionId, TableId};
use std::collections::BTreeSet;

/// Most partitions of one table in one region: keeps a CreateTable command within one log entry.
pub const TABLE_PARTITIONS_MAX: usize = 1024;

/// Bits of a table id that hold the table's number in the region that made it.
const TABLE_NUMBER_BITS: u32 = 48;

/// True when a region gave the id out.
pub(super) fn made_by(id: TableId, region: RegionId) -> bool {
    id.0 >> TABLE_NUMBER_BITS == u64::from(region.number)
}

/// The number of a table in the region that made it.
pub(super) fn number_of(id: TableId) -> u64 {
    id.0 & ((1 << TABLE_NUMBER_BITS) - 1)
}

/// What CreateTable states, apart from the name.
pub(super) struct NewTable<'a> {
    pub(super) definition: &'a TableDefinition,
    pub(super) partitions: &'a [PartitionPlacement],
    pub(super) forced: Option<TableId>,
    pub(super) global: Option<&'a GlobalSnapshot>,
    pub(super) own: &'a [OwnChange],
    pub(super) restore: Option<&'a RestoreSource>,
    pub(super) created_ms: u64,
}

impl RegionState {
    /// Applies the command at `index`. A command that was applied before is refused.
    pub fn apply(&mut self, index: LogIndex, command: &Command) -> CommandResult {
        if index <= self.applied {
            return Err(Refusal::Replayed);
        }
        self.applied = index;
        if self.region.is_none() && !matches!(command, Command::InitRegion { .. }) {
            return Err(Refusal::NotInitialised);
        }
        match command {
            Command::InitRegion { region, name } => self.init(*region, name),
            Command::CreateTable {
                name,
                definition,
                partitions,
                forced,
                global,
                own,
                restore,
                created_ms,
            } => {
                let (forced, created_ms) = (*forced, *created_ms);
                let (global, restore) = (global.as_ref(), restore.as_deref());
                let new =
                    NewTable { definition, partitions, forced, global, own, restore, created_ms };
                self.create_table(name, &new)
            }
            Command::TableActive { table } => self.table_active(*table),
            Command::UpdateTable { name, settings, at_ms } => {
                self.update_table(name, settings, *at_ms)
            }
            Command::MakeIndex { table, index, partitions } => {
                self.make_index(*table, index, partitions)
            }
            Command::StreamStarted { table, partition } => {
                let table = self.table_mut(*table)?;
                table.streamless.retain(|one| one != partition);
                Ok(Done::Table(table.id))
            }
            Command::PartitionRestored { table, partition, at_ms } => {
                self.partition_restored(*table, *partition, *at_ms)
            }
            Command::RestoreProgress { table, partition, restored } => {
                self.restore_progress(*table, *partition, *restored)
            }
            Command::DropRestoring { table } => self.drop_restoring(*table),
            Command::SwapTables { first, second } => self.swap_tables(first, second),
            Command::Export(command) => self.export(command),
            Command::Import(command) => self.import(command),
            Command::IndexFilled { index, partition } => self.index_filled(*index, *partition),
            Command::ChangeOwn { name, change, at_ms } => self.change_own(name, change, *at_ms),
            Command::SetGlobal { table, global } => self.set_global(*table, global.as_ref()),
            Command::Backup(command) => self.change_backups(command),
            Command::DeleteTable { name, force, backup_ms } => {
                self.delete_table(name, *force, *backup_ms)
            }
            Command::TableGone { table } => self.table_gone(*table),
            Command::PartitionReplicas { partition, expected_epoch, replicas } => {
                self.partition_replicas(*partition, *expected_epoch, replicas)
            }
            Command::JoinNode { node, zone, addresses } => self.join_node(*node, zone, addresses),
            Command::DrainNode { node } => self.drain_node(*node),
            Command::ActivateNode { node } => self.activate_node(*node),
            Command::LoseNodeLog { node, loss } => self.lose_node_log(*node, *loss),
            Command::ReturnNode { node, loss } => self.return_node(*node, *loss),
            Command::RemoveNode { node, replaced_by } => self.remove_node(*node, *replaced_by),
        }
    }

    fn init(&mut self, region: RegionId, name: &str) -> CommandResult {
        let fits = self.region.is_none_or(|known| {
            known.number == region.number
                && known.incarnation <= region.incarnation
                && self.name == name
        });
        if !fits {
            return Err(Refusal::InitialisedOtherwise);
        }
        self.region = Some(region);
        self.name = name.to_owned();
        Ok(Done::Changed)
    }

    pub(super) fn create_table(&mut self, name: &str, new: &NewTable<'_>) -> CommandResult {
        let region = self.region.ok_or(Refusal::NotInitialised)?;
        if let Some(table) = self.tables.get(name) {
            return Err(Refusal::TableExists { table: table.id });
        }
        if let Some(table) = new.forced.filter(|id| self.table_by_id(*id).is_some()) {
            return Err(Refusal::TableExists { table });
        }
        let known = self.tables.values().filter(|table| table.index_of.is_none()).count();
        if known >= TABLES_MAX || new.partitions.len() > TABLE_PARTITIONS_MAX {
            return Err(Refusal::LimitExceeded);
        }
        new.definition.check().map_err(Refusal::Definition)?;
        let own_backup = |source: &RestoreSource| source.backup.filter(|_| source.owner.is_none());
        if let Some(backup) = new.restore.and_then(own_backup) {
            self.check_restorable(backup)?;
        }
        if !self.placement_fits(new.partitions) {
            return Err(Refusal::StalePlacement);
        }
        let mut own = OwnSettings::default();
        new.own.iter().try_for_each(|change| own.change(change, new.created_ms))?;
        let id = self.claim_table_id(region, new.forced)?;
        let partitions: Vec<PartitionId> =
            new.partitions.iter().map(|p| self.add_partition(id, p)).collect();
        let restore = new.restore.map(|source| Restore::begin(source.clone(), &partitions));
        let definition = new.definition.clone();
        let mut record = TableRecord {
            id,
            name: name.to_owned(),
            status: TableStatus::Creating,
            changing: None,
            created_ms: new.created_ms,
            stream_ms: definition.stream.map(|_| new.created_ms),
            pay_per_request_ms: (definition.billing == BillingMode::PayPerRequest)
                .then_some(new.created_ms),
            ttl_ms: None,
            throughput_raised_ms: None,
            throughput_lowered_ms: None,
            throughput_decreases: 0,
            class_changed_ms: Vec::new(),
            encryption_changed_ms: Vec::new(),
            global: new.global.cloned(),
            definition,
            own,
            partitions,
            indexes: Vec::new(),
            streams: Vec::new(),
            streamless: Vec::new(),
            index_of: None,
            restore,
            import: None,
        };
        record.follow_stream(new.created_ms);
        self.tables.insert(record.name.clone(), record);
        Ok(Done::Table(id))
    }

    /// True when the ranges tile the key space and every replica goes to a node that takes it.
    pub(super) fn placement_fits(&self, partitions: &[PartitionPlacement]) -> bool {
        let first = partitions.first().is_some_and(|p| p.range.start.is_empty());
        let last = partitions.last().is_some_and(|p| p.range.end.is_none());
        let adjacent = partitions.windows(2).all(|pair| match pair {
            [left, right] => left.range.end.as_ref() == Some(&right.range.start),
            _ => false,
        });
        first && last && adjacent && partitions.iter().all(|p| self.replicas_fit(p))
    }

    fn replicas_fit(&self, placement: &PartitionPlacement) -> bool {
        let distinct: BTreeSet<_> = placement.voters.iter().collect();
        let taken = |id| self.nodes.get(id).is_some_and(|node| node.state.takes_replicas());
        !placement.range.is_empty()
            && distinct.len() == placement.voters.len()
            && distinct.contains(&placement.first_leader)
            && distinct.into_iter().all(taken)
    }

    /// The forced id, or the next one of this region. A forced id that this region once made is
    /// never made again.
    pub(super) fn claim_table_id(
        &mut self,
        region: RegionId,
        forced: Option<TableId>,
    ) -> Result<TableId, Refusal> {
        let high = u64::from(region.number) << TABLE_NUMBER_BITS;
        let number = match forced {
            Some(id) if !made_by(id, region) => return Ok(id),
            Some(id) => number_of(id),
            None => self.next_table,
        };
        if number >> TABLE_NUMBER_BITS != 0 {
            return Err(Refusal::LimitExceeded);
        }
        self.next_table = self.next_table.max(number + 1);
        Ok(TableId(high | number))
    }

    pub(super) fn add_partition(
        &mut self,
        table: TableId,
        placement: &PartitionPlacement,
    ) -> PartitionId {
        let id = PartitionId(self.next_partition);
        self.next_partition += 1;
        let record = PartitionRecord {
            id,
            table,
            range: placement.range.clone(),
            replicas: Replicas::of(placement.voters.iter().copied()),
            epoch: 1,
            first_leader: Some(placement.first_leader),
        };
        self.partitions.insert(id, record);
        id
    }

    pub(super) fn table_mut(&mut self, id: TableId) -> Result<&mut TableRecord, Refusal> {
        self.tables.values_mut().find(|table| table.id == id).ok_or(Refusal::TableNotFound)
    }

    fn table_active(&mut self, id: TableId) -> CommandResult {
        let table = self.table_mut(id)?;
        match table.status {
            TableStatus::Creating | TableStatus::Updating | TableStatus::Active => {
                table.status = TableStatus::Active;
                table.changing = None;
                for index in &mut table.indexes {
                    if index.status == IndexStatus::Updating {
                        index.status = IndexStatus::Active;
                    }
                }
                if let Some(of) = table.index_of {
                    self.index_made(of, id);
                }
                Ok(Done::Table(id))
            }
            TableStatus::Deleting => Err(Refusal::InUse { status: table.status }),
        }
    }

    fn update_table(&mut self, name: &str, change: &TableSettings, at_ms: u64) -> CommandResult {
        let table = self.tables.get_mut(name).ok_or(Refusal::TableNotFound)?;
        match table.status {
            TableStatus::Active => {}
            TableStatus::Updating if change.is_beside() => {}
            TableStatus::Creating | TableStatus::Updating | TableStatus::Deleting => {
                return Err(Refusal::InUse { status: table.status });
            }
        }
        check_index_changes(table, &change.indexes)?;
        let definition = change.applied_to(&table.definition);
        definition.check().map_err(Refusal::Definition)?;
        note_times(table, &definition, at_ms);
        if !change.encryption.is_keep() {
            pace::note_encryption(&mut table.encryption_changed_ms, at_ms);
        }
        table.definition = definition;
        table.follow_stream(at_ms);
        if !change.is_at_once() {
            table.status = TableStatus::Updating;
            table.changing = change.changing();
        }
        let id = table.id;
        self.follow_index_definitions(name, at_ms);
        Ok(Done::Table(id))
    }

    fn set_global(&mut self, id: TableId, global: Option<&GlobalSnapshot>) -> CommandResult {
        let own = self.name.clone();
        let table = self.table_mut(id)?;
        table.global = global.cloned();
        if global.is_none() {
            table.leave_replicas(&own);
        }
        Ok(Done::Table(id))
    }

    fn delete_table(&mut self, name: &str, force: bool, backup_ms: Option<u64>) -> CommandResult {
        let table = self.tables.get_mut(name).ok_or(Refusal::TableNotFound)?;
        match table.status {
            // DynamoDB answers a second DeleteTable as it did the first.
            TableStatus::Deleting => return Ok(Done::Table(table.id)),
            TableStatus::Active => {}
            TableStatus::Creating | TableStatus::Updating if force => {}
            TableStatus::Creating | TableStatus::Updating => {
                return Err(Refusal::InUse { status: table.status });
            }
        }
        if table.definition.deletion_protection && !force {
            return Err(Refusal::DeletionProtected);
        }
        table.status = TableStatus::Deleting;
        let id = table.id;
        if let Some(at_ms) = backup_ms {
            self.back_up_deleted(name, at_ms);
        }
        self.delete_indexes(id);
        Ok(Done::Table(id))
    }

    fn table_gone(&mut self, id: TableId) -> CommandResult {
        let table = self.table_by_id(id).ok_or(Refusal::TableNotFound)?;
        match table.status {
            TableStatus::Deleting => {}
            TableStatus::Creating | TableStatus::Active | TableStatus::Updating => {
                return Err(Refusal::InUse { status: table.status });
            }
        }
        let (of, status) = (table.index_of, table.status);
        if self.is_held(id) {
            return Err(Refusal::InUse { status });
        }
        self.tables.retain(|_, table| table.id != id && table.index_of != Some(id));
        let tables: BTreeSet<TableId> = self.tables.values().map(|table| table.id).collect();
        self.partitions.retain(|_, partition| tables.contains(&partition.table));
        if let Some(of) = of {
            self.index_gone(of, id);
        }
        Ok(Done::Table(id))
    }
}

impl TableRecord {
    /// It stays what it was in its region, and is nobody's replica any more.
    fn leave_replicas(&mut self, region: &str) {
        let mut definition = self.definition.in_region(region);
        definition.overrides.clear();
        definition.scaling.clear();
        for index in &mut self.indexes {
            if let Some(kept) = definition.global_index(index.name()) {
                index.definition.clone_from(kept);
            }
        }
        self.definition = definition;
    }

    /// Brings the streams to what the definition says.
    pub(super) fn follow_stream(&mut self, at_ms: u64) {
        self.streams.retain(|stream| {
            stream.off_ms.is_none_or(|off| off.saturating_add(STREAM_KEPT_MS) > at_ms)
        });
        let labels: BTreeSet<String> = self.streams.iter().map(StreamRecord::label).collect();
        self.own.stream_policies.retain(|label, _| labels.contains(label));
        let on = self.streams.last_mut().filter(|stream| stream.off_ms.is_none());
        let view = self.definition.stream;
        if on.as_ref().map(|stream| stream.view) == view {
            return;
        }
        if let Some(on) = on {
            on.off_ms = Some(at_ms);
            self.streamless.clear();
        }
        if let Some(view) = view {
            self.streams.push(StreamRecord { on_ms: at_ms, off_ms: None, view });
            self.streamless.clone_from(&self.partitions);
        }
    }
}

/// Notes when settings became what they are now.
pub(super) fn note_times(table: &mut TableRecord, after: &TableDefinition, at_ms: u64) {
    let before = &table.definition;
    if after.stream.is_some() && after.stream != before.stream {
        table.stream_ms = Some(at_ms);
    }
    if after.ttl != before.ttl {
        table.ttl_ms = Some(at_ms);
    }
    if after.billing != before.billing && after.billing == BillingMode::PayPerRequest {
        table.pay_per_request_ms = Some(at_ms);
    }
    let (is_raised, is_lowered) = moves(before.throughput, after.throughput);
    if is_raised {
        table.throughput_raised_ms = Some(at_ms);
    }
    if after.class != before.class {
        pace::note_class(&mut table.class_changed_ms, at_ms);
    }
    if is_lowered {
        let count = table.throughput_decreases;
        let today = pace::decreases_today(count, table.throughput_lowered_ms, at_ms);
        table.throughput_decreases = today.saturating_add(1);
        table.throughput_lowered_ms = Some(at_ms);
    }
}

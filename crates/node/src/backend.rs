//! The node as the API sees it.

use crate::control::client::ControlError;
use crate::items::ItemError;
use crate::items::message::{ItemAnswer, ItemRequest};
use crate::meters::Access;
use crate::node::Node;
use crate::pipeline::CLOCK_APART_MS_MAX;
use crate::planner;
use async_trait::async_trait;
use meridian_api::backend::{
    Backend, BackendError, ChangeError, Consistency, ReplicaChange, Size, TableSize,
};
use meridian_api::backups::{ArchivedTable, Restorable};
use meridian_api::capacity::{Consumed, read_units};
use meridian_api::streams::{StreamPage, StreamRead};
use meridian_api::transact::{
    TransactGetOutcome, TransactToken, TransactWrite, TransactWriteOutcome,
};
use meridian_base::{BackupId, PartitionId, TableId};
use meridian_control::global::{self, Command as GlobalCommand};
use meridian_control::planner::{Limits, View, place_table};
use meridian_control::region::{
    BackupCommand, BackupRecord, Command, CommandResult, Done, ExportRecord, ExportRequest,
    ImportRecord, ImportRequest, IndexRecord, JobId, OwnChange, PartitionPlacement, Refusal,
    RestoreSource, TableRecord, TableSettings,
};
use meridian_control::table::{GlobalSnapshot, IndexStatus, TableDefinition, TableStatus};
use meridian_model::{Key, KeyRange};
use meridian_partition::{Get, GetOutcome, Page, PageRequest, Write, WriteOutcome};
use meridian_raft::rt;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long creating a table waits for it to be usable before it answers CREATING anyway: the
/// SDKs' waiters look again only after 20 s.
const ACTIVE_PATIENCE: Duration = Duration::from_secs(5);
/// How long CreateBackup waits for the backup's moment.
const MOMENT_PATIENCE: Duration = Duration::from_secs(2);
/// How often a command is planned again when the catalog has moved under it.
const STALE_ATTEMPTS: usize = 8;

/// Words an item request that failed.
pub(crate) fn item_error(error: ItemError) -> BackendError {
    match error {
        ItemError::Unavailable => BackendError::Unavailable { maybe_applied: false },
        ItemError::Unknown => BackendError::Timeout,
        ItemError::NoTable => BackendError::ResourceNotFound,
        ItemError::NoRoom => BackendError::NoRoom,
        ItemError::Broken(_) => BackendError::Internal,
    }
}

fn control_error(error: ControlError) -> ChangeError {
    ChangeError::Backend(match error {
        ControlError::NoLeader(_) => BackendError::Unavailable { maybe_applied: false },
        ControlError::Unknown => BackendError::Unavailable { maybe_applied: true },
    })
}

/// A table as a change of it is answered: the planner may have moved it on already.
fn with_status(table: &TableRecord, status: TableStatus) -> Arc<TableRecord> {
    Arc::new(TableRecord { status, ..table.clone() })
}

/// Where a table comes from.
pub(crate) enum TableOrigin {
    /// A user makes it, with what belongs to this region's copy alone.
    New(Vec<OwnChange>),
    /// It is this region's copy of a global table.
    Replica(TableId, GlobalSnapshot),
    /// It is restored.
    Restore(RestoreSource, Vec<OwnChange>),
}

impl Node {
    fn record(&self, name: &str) -> Result<Arc<TableRecord>, ChangeError> {
        let catalog = self.catalog();
        catalog.table(name).cloned().ok_or(ChangeError::Region(Refusal::TableNotFound))
    }

    /// Places the partitions of a new table and proposes it.
    pub(crate) async fn make_table(
        &self,
        name: &str,
        definition: TableDefinition,
        origin: TableOrigin,
    ) -> Result<CommandResult, ChangeError> {
        let (mut forced, mut global, mut own, mut restore) = (None, None, Vec::new(), None);
        match origin {
            TableOrigin::New(settings) => own = settings,
            TableOrigin::Replica(id, replicas) => (forced, global) = (Some(id), Some(replicas)),
            TableOrigin::Restore(source, settings) => (restore, own) = (Some(source), settings),
        }
        for _ in 0..STALE_ATTEMPTS {
            let Some(partitions) = self.placement().await else {
                rt::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let command = Command::CreateTable {
                name: name.to_owned(),
                definition: Box::new(definition.clone()),
                partitions,
                forced,
                global: global.clone(),
                own: own.clone(),
                restore: restore.clone().map(Box::new),
                created_ms: self.options.clock.now_ms(),
            };
            match self.control.region(&command).await.map_err(control_error)? {
                Err(Refusal::StalePlacement) => {}
                done => return Ok(done),
            }
        }
        Err(ChangeError::Backend(BackendError::Unavailable { maybe_applied: false }))
    }

    /// What the partitions hold of which this node has a replica.
    fn size_here(&self, partitions: &[PartitionId]) -> Size {
        let mut size = Size::default();
        for hosted in partitions.iter().filter_map(|id| self.hosting.partition(*id)) {
            let header = hosted.replica.header();
            size.items += header.items;
            size.bytes += header.item_bytes;
        }
        size
    }

    /// How much a local index holds in the partitions that are here.
    fn local_size_here(&self, partitions: &[PartitionId], number: usize) -> Size {
        let mut size = Size::default();
        for hosted in partitions.iter().filter_map(|id| self.hosting.partition(*id)) {
            let held = hosted.replica.header().local.get(number).copied();
            size.items += held.map_or(0, |held| held.entries);
            size.bytes += held.map_or(0, |held| held.bytes);
        }
        size
    }

    async fn wait_until_active(&self, name: &str) {
        let mut state = self.control.watch_region();
        let active = state.wait_for(|state| {
            state.tables().get(name).is_none_or(|table| table.status != TableStatus::Creating)
        });
        let _ = rt::timeout(ACTIVE_PATIENCE, active).await;
    }

    /// Where the partitions of a new table go; none while no node takes them.
    pub(crate) async fn placement(&self) -> Option<Vec<PartitionPlacement>> {
        let ranges = KeyRange::full().split_evenly(self.options.partitions);
        let state = self.control.region_state();
        let view = View {
            state: &state,
            silent_ms: planner::silent_ms(self),
            short_of_room: planner::observe_region(self).await.short_of_room,
            groups: BTreeMap::new(),
            limits: Limits::default(),
        };
        place_table(&view, &ranges).ok()
    }

    pub(crate) async fn change(&self, command: &Command) -> Result<Done, ChangeError> {
        Ok(self.control.region(command).await.map_err(control_error)??)
    }

    /// Changes what the replicas of a global table share. Each region follows; this one is waited for.
    async fn change_definition_globally(
        &self,
        name: &str,
        settings: &TableSettings,
    ) -> Result<(), ChangeError> {
        for _ in 0..STALE_ATTEMPTS {
            let global = self.control.global_state();
            let Some(table) = global.tables().get(name) else { return Ok(()) };
            let definition = settings.applied_to(&table.definition);
            let command = GlobalCommand::UpdateTableDefinition {
                name: name.to_owned(),
                expected_version: table.version,
                definition,
            };
            match self.change_globally(&command).await {
                Err(ChangeError::Global(global::Refusal::StaleVersion { .. })) => {
                    rt::sleep(Duration::from_millis(50)).await;
                }
                done => {
                    done?;
                    self.wait_until_followed(name).await;
                    return Ok(());
                }
            }
        }
        Err(ChangeError::Backend(BackendError::Unavailable { maybe_applied: false }))
    }

    /// Waits until this region's table is what the global one is to be.
    async fn wait_until_followed(&self, name: &str) {
        let mut state = self.control.watch_region();
        let followed = state.wait_for(|state| {
            let global = self.control.global_state();
            let (Some(here), Some(all)) = (state.tables().get(name), global.tables().get(name))
            else {
                return true;
            };
            TableSettings::between(&here.definition, &all.definition).is_empty()
        });
        let _ = rt::timeout(ACTIVE_PATIENCE, followed).await;
    }

    async fn change_globally(&self, command: &GlobalCommand) -> Result<(), ChangeError> {
        self.control.global(command).await.map_err(control_error)??;
        Ok(())
    }
}

#[async_trait]
impl Backend for Node {
    fn has_region(&self, name: &str) -> bool {
        name == self.options.region || self.control.global_state().regions().contains_key(name)
    }

    fn table(&self, name: &str) -> Option<Arc<TableRecord>> {
        self.catalog().table(name).filter(|table| table.index_of.is_none()).cloned()
    }

    fn table_names(&self, after: Option<&str>, limit: usize) -> Vec<String> {
        let catalog = self.catalog();
        catalog.tables_after(after).take(limit).map(|table| table.name.clone()).collect()
    }

    async fn table_size(&self, table: &TableRecord) -> TableSize {
        let local = (0..).zip(&table.definition.local_indexes);
        let local = local.map(|(number, index)| {
            (index.name.clone(), self.local_size_here(&table.partitions, number))
        });
        let catalog = self.catalog();
        let index = |index: &IndexRecord| {
            let keeper = catalog.table_by_id(index.id);
            let size = keeper.map(|keeper| self.size_here(&keeper.partitions));
            (index.name().to_owned(), size.unwrap_or_default())
        };
        let indexes = table.indexes.iter().map(index).chain(local).collect();
        let at_ms = self.options.clock.now_ms();
        TableSize { table: self.size_here(&table.partitions), indexes, at_ms }
    }

    async fn create_table(
        &self,
        name: &str,
        definition: TableDefinition,
        own: Vec<OwnChange>,
    ) -> Result<Arc<TableRecord>, ChangeError> {
        self.make_table(name, definition, TableOrigin::New(own)).await??;
        let created = self.record(name)?;
        self.wait_until_active(name).await;
        Ok(with_status(&created, TableStatus::Creating))
    }

    async fn update_table(
        &self,
        name: &str,
        settings: TableSettings,
    ) -> Result<Arc<TableRecord>, ChangeError> {
        let at_ms = self.options.clock.now_ms();
        let is_global = self.control.global_state().tables().contains_key(name);
        let is_at_once = settings.is_at_once();
        let (own, shared) = if is_global { settings.divided() } else { (settings, None) };
        if !own.is_empty() {
            let name = name.to_owned();
            self.change(&Command::UpdateTable { name, settings: Box::new(own), at_ms }).await?;
        }
        if let Some(shared) = shared {
            self.change_definition_globally(name, &shared).await?;
        }
        let table = self.record(name)?;
        Ok(if is_at_once { table } else { with_status(&table, TableStatus::Updating) })
    }

    async fn change_own(
        &self,
        name: &str,
        change: OwnChange,
    ) -> Result<Arc<TableRecord>, ChangeError> {
        let at_ms = self.options.clock.now_ms();
        self.change(&Command::ChangeOwn { name: name.to_owned(), change, at_ms }).await?;
        self.record(name)
    }

    fn regions(&self) -> Vec<String> {
        self.control.global_state().regions().keys().cloned().collect()
    }

    async fn update_replicas(
        &self,
        name: &str,
        changes: Vec<ReplicaChange>,
    ) -> Result<Arc<TableRecord>, ChangeError> {
        let table = self.record(name)?;
        let at_ms = self.options.clock.now_ms();
        if !self.control.global_state().tables().contains_key(name) {
            let command = GlobalCommand::CreateGlobalTable {
                name: name.to_owned(),
                table: table.id,
                definition: table.definition.clone(),
                region: self.options.region.clone(),
                at_ms,
            };
            match self.change_globally(&command).await {
                // Another request was first with the same table.
                Err(ChangeError::Global(global::Refusal::TableExists { table: id }))
                    if id == table.id => {}
                done => done?,
            }
        }
        for change in changes {
            let name = name.to_owned();
            let command = match change {
                ReplicaChange::Create(region) => GlobalCommand::AddReplica { name, region, at_ms },
                ReplicaChange::Delete(region) => {
                    GlobalCommand::RemoveReplica { name, region, at_ms }
                }
            };
            self.change_globally(&command).await?;
        }
        self.note_global(name).await?;
        Ok(with_status(&*self.record(name)?, TableStatus::Updating))
    }

    fn archives(&self) -> bool {
        self.archive.is_kept()
    }

    async fn restorable(&self, table: &TableRecord) -> Result<Option<Restorable>, BackendError> {
        Node::restorable(self, table).await
    }

    async fn archived_in(
        &self,
        region: &str,
        table: &str,
    ) -> Result<Option<ArchivedTable>, BackendError> {
        Node::archived_in(self, region, table).await
    }

    async fn restore_table(
        &self,
        name: &str,
        definition: TableDefinition,
        source: RestoreSource,
    ) -> Result<Arc<TableRecord>, ChangeError> {
        self.make_table(name, definition, TableOrigin::Restore(source, Vec::new())).await??;
        Ok(with_status(&*self.record(name)?, TableStatus::Creating))
    }

    fn backups(&self) -> Vec<BackupRecord> {
        self.control.region_state().backups().cloned().collect()
    }

    async fn create_backup(
        &self,
        table: &TableRecord,
        name: &str,
    ) -> Result<BackupRecord, ChangeError> {
        let Size { items, bytes } = self.table_size(table).await.table;
        let (table, backup) = (table.name.clone(), name.to_owned());
        let at_ms = self.options.clock.now_ms();
        let command = Command::Backup(BackupCommand::Create { table, backup, items, bytes, at_ms });
        let Done::Backup(id) = self.change(&command).await? else {
            return Err(ChangeError::Backend(BackendError::Internal));
        };
        // What is written after the answer is not in it, unless a leader is lost meanwhile.
        let mut state = self.control.watch_region();
        let has_moment = state.wait_for(|state| {
            let backup = state.all_backups().get(&id);
            backup.is_none_or(|backup| backup.moment_ms().is_some())
        });
        let _ = rt::timeout(MOMENT_PATIENCE, has_moment).await;
        let state = self.control.region_state();
        state.all_backups().get(&id).cloned().ok_or(ChangeError::Region(Refusal::BackupNotFound))
    }

    async fn delete_backup(&self, backup: BackupId) -> Result<(), ChangeError> {
        self.change(&Command::Backup(BackupCommand::Delete { backup })).await?;
        Ok(())
    }

    async fn begin_export(
        &self,
        table: &TableRecord,
        request: ExportRequest,
    ) -> Result<ExportRecord, ChangeError> {
        Node::begin_export(self, table.id, request).await
    }

    fn export(&self, id: JobId) -> Option<ExportRecord> {
        self.control.region_state().jobs().exports.get(&id).cloned()
    }

    fn exports(
        &self,
        of: Option<TableId>,
        after: Option<JobId>,
        limit: usize,
    ) -> Vec<ExportRecord> {
        self.control.region_state().jobs().exports_before(of, after, limit)
    }

    async fn begin_import(&self, request: ImportRequest) -> Result<ImportRecord, ChangeError> {
        Node::begin_import(self, request).await
    }

    fn import(&self, id: JobId) -> Option<ImportRecord> {
        self.control.region_state().jobs().imports.get(&id).cloned()
    }

    fn imports(&self, into: Option<&str>, after: Option<JobId>, limit: usize) -> Vec<ImportRecord> {
        self.control.region_state().jobs().imports_before(into, after, limit)
    }

    async fn delete_table(&self, name: &str) -> Result<Arc<TableRecord>, ChangeError> {
        let table = self.record(name)?;
        let backup_ms = Some(self.options.clock.now_ms() + CLOCK_APART_MS_MAX);
        self.change(&Command::DeleteTable { name: name.to_owned(), force: false, backup_ms })
            .await?;
        let mut going = TableRecord { status: TableStatus::Deleting, ..TableRecord::clone(&table) };
        going.indexes.iter_mut().for_each(|index| index.status = IndexStatus::Deleting);
        Ok(Arc::new(going))
    }

    async fn write(
        &self,
        table: &Arc<TableRecord>,
        write: Write,
    ) -> Result<WriteOutcome, BackendError> {
        self.admit_write(table).await?;
        let key = write.key.encode().into_bytes();
        let request = ItemRequest::Write(Box::new(write));
        match self.items.at_key(table.id, &key, &request).await.map_err(item_error)? {
            ItemAnswer::Write(outcome) => {
                self.charge(table, Access::Write, || Consumed::of_outcome(table, &outcome));
                Ok(outcome)
            }
            _ => Err(BackendError::Internal),
        }
    }

    async fn get(
        &self,
        table: &Arc<TableRecord>,
        key: Key,
        consistency: Consistency,
    ) -> Result<GetOutcome, BackendError> {
        self.admit(table, None, Access::Read).await?;
        let encoded = key.encode().into_bytes();
        let get = Get { key };
        let answer = match consistency {
            Consistency::Strong => {
                self.items.at_key(table.id, &encoded, &ItemRequest::Get(get, true)).await
            }
            Consistency::Eventual => self.items.read_anywhere(table.id, &encoded, &get).await,
        };
        match answer.map_err(item_error)? {
            ItemAnswer::Get(outcome) => {
                let used = || Consumed::from(read_units(outcome.bytes, consistency));
                self.charge(table, Access::Read, used);
                Ok(outcome)
            }
            _ => Err(BackendError::Internal),
        }
    }

    async fn page(
        &self,
        table: &Arc<TableRecord>,
        index: Option<&str>,
        request: PageRequest,
        consistency: Consistency,
    ) -> Result<Page, BackendError> {
        let strong = consistency == Consistency::Strong;
        let index = match index {
            None => None,
            Some(name) => Some(table.index(name).ok_or(BackendError::ResourceNotFound)?),
        };
        self.admit(table, index, Access::Read).await?;
        let from = index.map_or(table.id, |index| index.id);
        let page = self.items.page(from, request, strong).await.map_err(item_error)?;
        let used = || Consumed::of_page(index.map(IndexRecord::name), &page, consistency);
        self.charge(table, Access::Read, used);
        Ok(page)
    }

    async fn transact_write(
        &self,
        writes: Vec<TransactWrite>,
        token: Option<TransactToken>,
    ) -> Result<TransactWriteOutcome, BackendError> {
        let tables: Vec<_> = writes.iter().map(|one| Arc::clone(&one.table)).collect();
        if let Some(reasons) = self.stopped(&tables, Access::Write).await? {
            return Ok(TransactWriteOutcome::Cancelled(reasons));
        }
        let outcome = self.coordinate(writes, token).await?;
        // Both phases count (AWS: transactions).
        let used = match &outcome {
            TransactWriteOutcome::Done(done) => {
                let parts = tables.iter().zip(done);
                parts.map(|(table, done)| Consumed::of_write(table, done)).collect()
            }
            TransactWriteOutcome::Cancelled(_) => vec![Consumed::from(1.0); tables.len()],
            TransactWriteOutcome::DoneBefore
            | TransactWriteOutcome::OtherParameters
            | TransactWriteOutcome::InProgress => Vec::new(),
        };
        for (table, mut used) in tables.iter().zip(used) {
            used.scale(2.0);
            self.charge(table, Access::Write, || used);
        }
        Ok(outcome)
    }

    async fn transact_get(
        &self,
        reads: Vec<(Arc<TableRecord>, Key)>,
    ) -> Result<TransactGetOutcome, BackendError> {
        let tables: Vec<_> = reads.iter().map(|(table, _)| Arc::clone(table)).collect();
        if let Some(reasons) = self.stopped(&tables, Access::Read).await? {
            return Ok(TransactGetOutcome::Cancelled(reasons));
        }
        let keys = reads.into_iter().map(|(table, key)| (table.id, key)).collect();
        let outcome = self.read_together(keys).await?;
        if let TransactGetOutcome::Items(found) = &outcome {
            for (table, found) in tables.iter().zip(found) {
                let units = 2.0 * read_units(found.bytes, Consistency::Strong);
                self.charge(table, Access::Read, || Consumed::from(units));
            }
        }
        Ok(outcome)
    }

    fn now_ms(&self) -> u64 {
        self.options.clock.now_ms()
    }

    async fn stream_page(
        &self,
        table: &Arc<TableRecord>,
        partition: PartitionId,
        read: StreamRead,
    ) -> Result<StreamPage, BackendError> {
        Node::stream_page(self, table.id, partition, read).await
    }
}

impl Node {
    /// Shows the replicas of a global table in this region's catalog.
    async fn note_global(&self, name: &str) -> Result<(), ChangeError> {
        let global = self.control.global_state();
        let Some(table) = global.tables().get(name) else { return Ok(()) };
        let snapshot = Some(table.snapshot());
        self.change(&Command::SetGlobal { table: table.table, global: snapshot }).await.map(drop)
    }
}

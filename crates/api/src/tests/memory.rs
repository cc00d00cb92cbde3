//! A backend in memory: what operations are tested over.
//!
//! The catalog is the region group's real state machine; items are a map. Tables answer CREATING,
//! UPDATING and DELETING once and have settled at the next request. Failures are planned per
//! partition key value.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use meridian_base::limits::ITEM_BYTES_MAX;
use meridian_base::{BackupId, Cause, LogIndex, NodeId, PartitionId, Position, RegionId, TableId};
use meridian_control::NodeAddresses;
use meridian_control::region::{
    BackupCommand, BackupRecord, Catalog, Command, Done as Changed, ExportCommand, ExportRecord,
    ExportRequest, ImportCommand, ImportRecord, ImportRequest, JobId, OwnChange,
    PartitionPlacement, Refusal as RegionRefusal, RegionState, RestoreSource, TableRecord,
    TableSettings,
};
use meridian_control::table::{GlobalSnapshot, IndexStatus, ReplicaStatus, TableDefinition};
use meridian_model::{
    AttributeValue, GlobalIndex, Item, Key, KeyRange, SecondaryIndex, item_bytes,
};
use meridian_partition::{
    Action, Done, GetOutcome, Page, PageRequest, Refusal, Write, WriteOutcome, index,
};

use super::memory_jobs::{Buckets, items_of, run_export, run_import};
use crate::backups::{ArchivedTable, Restorable};
use crate::reads;
use crate::streams::{StreamChange, StreamPage, StreamRead};
use crate::transact::{
    CancelReason, TransactGetOutcome, TransactToken, TransactWrite, TransactWriteOutcome,
};
use crate::{Backend, BackendError, ChangeError, Consistency, ReplicaChange, Size, TableSize};

pub(super) const NOW_MS: u64 = 1_770_000_000_123;
pub(super) const REGION: &str = "eu-test-1";

pub(super) type Items = BTreeMap<Vec<u8>, Item>;

pub struct Memory {
    region: Mutex<RegionState>,
    items: Mutex<BTreeMap<TableId, Items>>,
    failures: Mutex<BTreeMap<String, BackendError>>,
    tokens: Mutex<BTreeMap<String, u64>>,
    changes: Mutex<BTreeMap<PartitionId, Vec<StreamChange>>>,
    archive: Mutex<Archive>,
    /// A table that another region's archive has, and its name.
    pub elsewhere: Mutex<Option<(String, ArchivedTable)>>,
    backed_up: Mutex<BTreeMap<BackupId, Items>>,
    holds: AtomicBool,
    pub buckets: Buckets,
    /// How long ago tables are made and recovery is turned on.
    before_ms: Mutex<u64>,
    /// Jobs that were begun.
    jobs: Mutex<u32>,
}

/// What there is of an archive. The clock stands still, so that one which keeps up needs no history:
/// every moment that it can bring back is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Archive {
    /// There is none.
    Absent,
    /// It has nothing yet.
    Empty,
    /// It has times before now, and what is now for each of them.
    KeepsUp {
        /// How far back they reach.
        before_ms: u64,
    },
}

impl Default for Memory {
    fn default() -> Self {
        let memory = Memory {
            region: Mutex::new(RegionState::new()),
            items: Mutex::default(),
            failures: Mutex::default(),
            tokens: Mutex::default(),
            changes: Mutex::default(),
            backed_up: Mutex::default(),
            archive: Mutex::new(Archive::KeepsUp { before_ms: 0 }),
            elsewhere: Mutex::default(),
            holds: AtomicBool::new(false),
            buckets: Buckets::default(),
            before_ms: Mutex::default(),
            jobs: Mutex::default(),
        };
        let region = Command::InitRegion { region: RegionId::new(1), name: REGION.to_owned() };
        memory.apply(region).expect("the region is new");
        let addresses = NodeAddresses {
            peer: "peer:1".to_owned(),
            client: "client:1".to_owned(),
            admin: "admin:1".to_owned(),
        };
        let node = Command::JoinNode { node: NodeId(1), zone: "a".to_owned(), addresses };
        memory.apply(node).expect("the node is new");
        memory
    }
}

impl Memory {
    /// Fails every request on the items of a partition key value from now on.
    pub fn fail(&self, partition: &str, error: BackendError) {
        self.failures.lock().unwrap().insert(partition.to_owned(), error);
    }

    /// Changes what there is of an archive.
    pub fn set_archive(&self, archive: Archive) {
        *self.archive.lock().unwrap() = archive;
    }

    /// Ends the making of a table's replicas.
    pub fn activate_replicas(&self, name: &str) {
        let table = self.table(name).expect("it is known");
        let mut global = table.global.clone().expect("it has replicas");
        global.replicas.values_mut().for_each(|status| *status = ReplicaStatus::Active);
        self.apply(Command::SetGlobal { table: table.id, global: Some(global) })
            .expect("it is known");
    }

    /// Lets no change of a table settle from now on.
    pub fn hold(&self) {
        self.holds.store(true, Ordering::Relaxed);
    }

    /// Makes the indexes that a table is to have, and leaves them to be filled.
    pub fn begin_to_fill(&self, name: &str) {
        let table = self.table(name).expect("it is known");
        for wanted in &table.definition.global_indexes {
            let (index, partitions) = (wanted.index.name.clone(), partitions());
            let made = Command::MakeIndex { table: table.id, index, partitions };
            let Ok(Changed::Table(index)) = self.apply(made) else { continue };
            self.apply(Command::TableActive { table: index }).expect("it was just made");
        }
        self.apply(Command::TableActive { table: table.id }).expect("it is known");
    }

    fn planned(&self, partition: &AttributeValue) -> Result<(), BackendError> {
        let AttributeValue::S(partition) = partition else { return Ok(()) };
        match self.failures.lock().unwrap().get(partition) {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    fn with_items<T>(
        &self,
        table: &TableRecord,
        run: impl FnOnce(&mut Items) -> T,
    ) -> Result<T, BackendError> {
        if self.table(&table.name).is_none_or(|known| known.id != table.id) {
            return Err(BackendError::ResourceNotFound);
        }
        Ok(run(self.items.lock().unwrap().entry(table.id).or_default()))
    }

    /// Keeps a change of an item for the table's stream.
    fn note_change(&self, table: &TableRecord, key: &[u8], old: Option<Item>, new: Option<Item>) {
        let on = table.streams.last().is_some_and(|stream| stream.off_ms.is_none());
        if old == new || !on {
            return;
        }
        let catalog = Catalog::of(&self.region.lock().unwrap());
        let partition = catalog.partition_at(table.id, key).expect("every key has one").id;
        let mut changes = self.changes.lock().unwrap();
        let changes = changes.entry(partition).or_default();
        let position = Position(changes.len() as u64 + 1);
        let (commit_ms, cause) = (NOW_MS, Cause::Write);
        changes.push(StreamChange { position, commit_ms, cause, old, new });
    }

    pub(super) fn apply(&self, command: Command) -> Result<Changed, RegionRefusal> {
        let mut region = self.region.lock().unwrap();
        let next = LogIndex(region.applied().0 + 1);
        region.apply(next, &command)
    }

    /// Tells that all of a backup is there.
    fn cover(&self, backup: &BackupRecord) {
        let (id, based_ms) = (backup.id, backup.at_ms);
        for &partition in backup.parts.keys() {
            self.apply(Command::Backup(BackupCommand::Based { backup: id, partition, based_ms }))
                .unwrap();
        }
        for &partition in backup.parts.keys() {
            let covered_ms = based_ms;
            self.apply(Command::Backup(BackupCommand::Covered {
                backup: id,
                partition,
                covered_ms,
            }))
            .unwrap();
        }
    }

    /// Lets tables be made, and recovery be turned on, so long ago.
    pub fn begin_before(&self, before_ms: u64) {
        *self.before_ms.lock().unwrap() = before_ms;
    }

    fn begin_ms(&self) -> u64 {
        NOW_MS - *self.before_ms.lock().unwrap()
    }

    /// The id of the next job.
    fn next_job(&self) -> JobId {
        let mut jobs = self.jobs.lock().unwrap();
        *jobs += 1;
        JobId { at_ms: NOW_MS, random: *jobs }
    }

    pub(super) fn set_items(&self, table: TableId, items: Items) {
        self.items.lock().unwrap().insert(table, items);
    }

    /// Applies a change of a table; returns it in the passing status, and then lets it settle.
    fn change(&self, name: &str, command: Command) -> Result<Arc<TableRecord>, ChangeError> {
        self.apply(command)?;
        let table = self.table(name).ok_or(RegionRefusal::TableNotFound)?;
        if self.holds.load(Ordering::Relaxed) {
            return Ok(table);
        }
        self.settle_indexes(&table);
        for partition in table.partitions.clone() {
            self.apply(Command::StreamStarted { table: table.id, partition }).expect("it is known");
        }
        // A change without effect leaves the table as it is.
        let _ = self.apply(Command::TableActive { table: table.id });
        Ok(table)
    }

    /// Makes and fills the indexes that the table is to have, and takes away those that go.
    pub(super) fn settle_indexes(&self, table: &TableRecord) {
        for wanted in &table.definition.global_indexes {
            let (index, partitions) = (wanted.index.name.clone(), partitions());
            let made = Command::MakeIndex { table: table.id, index, partitions };
            let Ok(Changed::Table(index)) = self.apply(made) else { continue };
            self.apply(Command::TableActive { table: index }).expect("it was just made");
            for partition in table.partitions.clone() {
                let filled = Command::IndexFilled { index, partition };
                self.apply(filled).expect("it was just made");
            }
        }
        for going in table.indexes.iter().filter(|one| one.status == IndexStatus::Deleting) {
            self.apply(Command::TableGone { table: going.id }).expect("it is to go");
        }
    }
}

#[async_trait]
impl Backend for Memory {
    fn has_region(&self, name: &str) -> bool {
        [REGION, "us-test-1", "ap-test-1"].contains(&name)
    }

    fn table(&self, name: &str) -> Option<Arc<TableRecord>> {
        let region = self.region.lock().unwrap();
        let known = region.tables().get(name).filter(|table| table.index_of.is_none());
        known.cloned().map(Arc::new)
    }

    fn table_names(&self, after: Option<&str>, limit: usize) -> Vec<String> {
        let region = self.region.lock().unwrap();
        let tables = region.tables().values().filter(|table| table.index_of.is_none());
        let names = tables.map(|table| &table.name).filter(|name| Some(name.as_str()) > after);
        names.take(limit).cloned().collect()
    }

    async fn table_size(&self, table: &TableRecord) -> TableSize {
        let size = self.with_items(table, |items| {
            let size = |items: &[&Item]| Size {
                items: items.len() as u64,
                bytes: items.iter().map(|item| item_bytes(item)).sum::<usize>() as u64,
            };
            let indexes = table.indexes.iter().map(|one| {
                let index = &one.definition.index;
                let held = items.iter().filter_map(|(key, item)| {
                    index.entry(key, item)?;
                    let names = index.shown(&table.definition.key);
                    Some(names.map_or_else(|| item.clone(), |names| index::retained(item, &names)))
                });
                let held: Vec<Item> = held.collect();
                (one.name().to_owned(), size(&held.iter().collect::<Vec<_>>()))
            });
            let local = table.definition.local_indexes.iter().map(|index| {
                let held = items.iter().filter_map(|(key, item)| {
                    index.entry(key, item)?;
                    let names = index.shown(&table.definition.key);
                    Some(names.map_or_else(|| item.clone(), |names| index::retained(item, &names)))
                });
                let held: Vec<Item> = held.collect();
                (index.name.clone(), size(&held.iter().collect::<Vec<_>>()))
            });
            let indexes = indexes.chain(local).collect();
            TableSize { table: size(&items.values().collect::<Vec<_>>()), indexes, at_ms: NOW_MS }
        });
        size.unwrap_or_default()
    }

    async fn create_table(
        &self,
        name: &str,
        definition: TableDefinition,
        own: Vec<OwnChange>,
    ) -> Result<Arc<TableRecord>, ChangeError> {
        self.change(
            name,
            Command::CreateTable {
                name: name.to_owned(),
                definition: Box::new(definition),
                partitions: partitions(),
                forced: None,
                global: None,
                own,
                restore: None,
                created_ms: self.begin_ms(),
            },
        )
    }

    async fn update_table(
        &self,
        name: &str,
        settings: TableSettings,
    ) -> Result<Arc<TableRecord>, ChangeError> {
        self.change(
            name,
            Command::UpdateTable {
                name: name.to_owned(),
                settings: Box::new(settings),
                at_ms: NOW_MS + 1000,
            },
        )
    }

    async fn change_own(
        &self,
        name: &str,
        change: OwnChange,
    ) -> Result<Arc<TableRecord>, ChangeError> {
        self.apply(Command::ChangeOwn { name: name.to_owned(), change, at_ms: self.begin_ms() })?;
        Ok(self.table(name).ok_or(RegionRefusal::TableNotFound)?)
    }

    fn regions(&self) -> Vec<String> {
        ["ap-test-1", REGION, "us-test-1"].map(str::to_owned).into()
    }

    async fn update_replicas(
        &self,
        name: &str,
        changes: Vec<ReplicaChange>,
    ) -> Result<Arc<TableRecord>, ChangeError> {
        let table = self.table(name).ok_or(RegionRefusal::TableNotFound)?;
        let own = BTreeMap::from([(REGION.to_owned(), ReplicaStatus::Active)]);
        let fresh = GlobalSnapshot { version: 0, replicas: own };
        let mut global = table.global.clone().unwrap_or(fresh);
        global.version += 1;
        for change in changes {
            match change {
                ReplicaChange::Create(region) => {
                    global.replicas.insert(region, ReplicaStatus::Creating);
                }
                ReplicaChange::Delete(region) => drop(global.replicas.remove(&region)),
            }
        }
        self.change(name, Command::SetGlobal { table: table.id, global: Some(global) })
    }

    fn archives(&self) -> bool {
        *self.archive.lock().unwrap() != Archive::Absent
    }

    async fn restorable(&self, table: &TableRecord) -> Result<Option<Restorable>, BackendError> {
        Ok(match (*self.archive.lock().unwrap(), table.own.recovery) {
            (Archive::Absent | Archive::Empty, _) | (Archive::KeepsUp { .. }, None) => None,
            (Archive::KeepsUp { before_ms }, Some(_)) => {
                Some(Restorable { earliest_ms: NOW_MS - before_ms, latest_ms: NOW_MS })
            }
        })
    }

    async fn archived_in(
        &self,
        region: &str,
        table: &str,
    ) -> Result<Option<ArchivedTable>, BackendError> {
        let archived = self.elsewhere.lock().unwrap().clone();
        let (name, archived) = archived.unzip();
        let is_it = name.is_some_and(|name| name == table);
        Ok(archived.filter(|one| is_it && one.owner.region == region))
    }

    async fn restore_table(
        &self,
        name: &str,
        definition: TableDefinition,
        source: RestoreSource,
    ) -> Result<Arc<TableRecord>, ChangeError> {
        let (from, backup) = (source.table, source.backup);
        self.apply(Command::CreateTable {
            name: name.to_owned(),
            definition: Box::new(definition),
            partitions: partitions(),
            forced: None,
            global: None,
            own: Vec::new(),
            restore: Some(Box::new(source)),
            created_ms: NOW_MS,
        })?;
        let table = self.table(name).ok_or(RegionRefusal::TableNotFound)?;
        self.settle_indexes(&table);
        {
            let mut items = self.items.lock().unwrap();
            let restored = match backup {
                None => items.get(&from).cloned(),
                Some(backup) => self.backed_up.lock().unwrap().get(&backup).cloned(),
            };
            let restored = restored.unwrap_or_default();
            items.insert(table.id, restored);
        }
        for partition in table.partitions.clone() {
            let filled = Command::PartitionRestored { table: table.id, partition, at_ms: NOW_MS };
            self.apply(filled).expect("it was just made");
        }
        self.apply(Command::TableActive { table: table.id }).expect("it was just made");
        Ok(table)
    }

    fn backups(&self) -> Vec<BackupRecord> {
        self.region.lock().unwrap().backups().cloned().collect()
    }

    async fn create_backup(
        &self,
        table: &TableRecord,
        name: &str,
    ) -> Result<BackupRecord, ChangeError> {
        let (backup, at_ms) = (name.to_owned(), NOW_MS);
        let (items, bytes, table_name) = (0, 0, table.name.clone());
        let made = Command::Backup(BackupCommand::Create {
            table: table_name,
            backup,
            items,
            bytes,
            at_ms,
        });
        let Changed::Backup(id) = self.apply(made)? else { panic!("no backup was made") };
        let begun = self.region.lock().unwrap().all_backups()[&id].clone();
        self.cover(&begun);
        let held = self.items.lock().unwrap().get(&table.id).cloned().unwrap_or_default();
        self.backed_up.lock().unwrap().insert(id, held);
        Ok(begun)
    }

    async fn delete_backup(&self, backup: BackupId) -> Result<(), ChangeError> {
        self.apply(Command::Backup(BackupCommand::Delete { backup }))?;
        self.apply(Command::Backup(BackupCommand::Gone { backup }))?;
        Ok(())
    }

    async fn begin_export(
        &self,
        table: &TableRecord,
        request: ExportRequest,
    ) -> Result<ExportRecord, ChangeError> {
        let begin = ExportCommand::Begin { id: self.next_job(), table: table.id, request };
        let begun = self.apply(Command::Export(begin))?;
        let Changed::Job(id) = begun else { panic!("not a job: {begun:?}") };
        let export = self.export(id).expect("it was just begun");
        if export.ended.is_none() {
            run_export(self, &items_of(&self.items, table.id), &export);
        }
        Ok(export)
    }

    fn export(&self, id: JobId) -> Option<ExportRecord> {
        self.region.lock().unwrap().jobs().exports.get(&id).cloned()
    }

    fn exports(
        &self,
        of: Option<TableId>,
        after: Option<JobId>,
        limit: usize,
    ) -> Vec<ExportRecord> {
        self.region.lock().unwrap().jobs().exports_before(of, after, limit)
    }

    async fn begin_import(&self, request: ImportRequest) -> Result<ImportRecord, ChangeError> {
        let begin = ImportCommand::Begin { id: self.next_job(), request };
        let begun = self.apply(Command::Import(begin))?;
        let Changed::Job(id) = begun else { panic!("not a job: {begun:?}") };
        let import = self.import(id).expect("it was just begun");
        if import.ended.is_none() {
            run_import(self, &import);
        }
        Ok(import)
    }

    fn import(&self, id: JobId) -> Option<ImportRecord> {
        self.region.lock().unwrap().jobs().imports.get(&id).cloned()
    }

    fn imports(&self, into: Option<&str>, after: Option<JobId>, limit: usize) -> Vec<ImportRecord> {
        self.region.lock().unwrap().jobs().imports_before(into, after, limit)
    }

    async fn delete_table(&self, name: &str) -> Result<Arc<TableRecord>, ChangeError> {
        let (name_owned, backup_ms) = (name.to_owned(), Some(NOW_MS));
        self.apply(Command::DeleteTable { name: name_owned, force: false, backup_ms })?;
        let table = self.table(name).ok_or(RegionRefusal::TableNotFound)?;
        let under_way: Vec<BackupRecord> =
            self.region.lock().unwrap().backups_under_way(table.id).cloned().collect();
        for backup in under_way {
            self.cover(&backup);
            let held = self.items.lock().unwrap().get(&table.id).cloned().unwrap_or_default();
            self.backed_up.lock().unwrap().insert(backup.id, held);
        }
        self.apply(Command::TableGone { table: table.id })?;
        self.items.lock().unwrap().remove(&table.id);
        Ok(table)
    }

    async fn write(
        &self,
        table: &Arc<TableRecord>,
        write: Write,
    ) -> Result<WriteOutcome, BackendError> {
        self.planned(&write.key.partition)?;
        let key = write.key.encode().into_bytes();
        let (before, outcome, after) = self.with_items(table, |items| {
            let before = items.get(&key).cloned();
            let outcome = evaluate(table, items, write);
            (before, outcome, items.get(&key).cloned())
        })?;
        self.note_change(table, &key, before, after);
        Ok(outcome)
    }

    async fn get(
        &self,
        table: &Arc<TableRecord>,
        key: Key,
        _: Consistency,
    ) -> Result<GetOutcome, BackendError> {
        self.planned(&key.partition)?;
        self.with_items(table, |items| {
            let item = items.get(key.encode().as_bytes()).cloned();
            GetOutcome { bytes: item.as_ref().map_or(0, item_bytes), item }
        })
    }

    async fn page(
        &self,
        table: &Arc<TableRecord>,
        index: Option<&str>,
        request: PageRequest,
        _: Consistency,
    ) -> Result<Page, BackendError> {
        let global = index.map(|name| &table.index(name).expect("it is known").definition.index);
        self.with_items(table, |items| page(&table.definition, global, items, &request))
    }

    async fn transact_write(
        &self,
        writes: Vec<TransactWrite>,
        token: Option<TransactToken>,
    ) -> Result<TransactWriteOutcome, BackendError> {
        let mut tokens = self.tokens.lock().unwrap();
        if let Some(token) = &token
            && let Some(known) = tokens.get(&token.token)
        {
            return Ok(match *known == token.fingerprint {
                true => TransactWriteOutcome::DoneBefore,
                false => TransactWriteOutcome::OtherParameters,
            });
        }
        // Each is evaluated on a copy: they are of different items.
        let mut items = self.items.lock().unwrap().clone();
        let (mut done, mut reasons) = (Vec::new(), Vec::new());
        let key =
            |one: &TransactWrite| (Arc::clone(&one.table), one.write.key.encode().into_bytes());
        let keys: Vec<(Arc<TableRecord>, Vec<u8>)> = writes.iter().map(key).collect();
        for one in writes {
            if let Err(error) = self.planned(&one.write.key.partition) {
                let BackendError::Exceeded(limit) = error else { return Err(error) };
                reasons.push(Some(CancelReason::Exceeded(limit)));
                continue;
            }
            let outcome = evaluate(&one.table, items.entry(one.table.id).or_default(), one.write);
            reasons.push(match outcome {
                WriteOutcome::Done(one) => {
                    done.push(one);
                    None
                }
                WriteOutcome::ConditionFailed { old, .. } => {
                    Some(CancelReason::ConditionFailed(old))
                }
                WriteOutcome::Refused(refusal) => Some(CancelReason::Refused(refusal)),
                WriteOutcome::Conflict => Some(CancelReason::Conflict),
            });
        }
        if reasons.iter().any(Option::is_some) {
            return Ok(TransactWriteOutcome::Cancelled(reasons));
        }
        for (table, key) in keys {
            let of = |all: &BTreeMap<TableId, Items>| all.get(&table.id)?.get(&key).cloned();
            let (before, after) = (of(&self.items.lock().unwrap()), of(&items));
            self.note_change(&table, &key, before, after);
        }
        *self.items.lock().unwrap() = items;
        tokens.extend(token.map(|token| (token.token, token.fingerprint)));
        Ok(TransactWriteOutcome::Done(done))
    }

    async fn transact_get(
        &self,
        reads: Vec<(Arc<TableRecord>, Key)>,
    ) -> Result<TransactGetOutcome, BackendError> {
        let mut found = Vec::new();
        let mut reasons = Vec::new();
        for (table, key) in reads {
            let got = self.get(&table, key, Consistency::Strong).await;
            if let Err(BackendError::Exceeded(limit)) = got {
                reasons.push(Some(CancelReason::Exceeded(limit)));
                continue;
            }
            reasons.push(None);
            found.push(got?);
        }
        if reasons.iter().any(Option::is_some) {
            return Ok(TransactGetOutcome::Cancelled(reasons));
        }
        Ok(TransactGetOutcome::Items(found))
    }

    fn now_ms(&self) -> u64 {
        NOW_MS
    }

    async fn stream_page(
        &self,
        _: &Arc<TableRecord>,
        partition: PartitionId,
        read: StreamRead,
    ) -> Result<StreamPage, BackendError> {
        let changes = self.changes.lock().unwrap();
        let all = changes.get(&partition).map(Vec::as_slice).unwrap_or_default();
        let end = all.last().map_or(Position(0), |last| last.position);
        let after = all.iter().filter(|change| change.position > read.after);
        let changes = after.take(read.limit).cloned().collect();
        Ok(StreamPage { kept_after: Position(0), end, changes })
    }
}

/// As many as a node makes where nobody says how many.
pub(super) fn partitions() -> Vec<PartitionPlacement> {
    let placed =
        |range| PartitionPlacement { range, voters: vec![NodeId(1)], first_leader: NodeId(1) };
    KeyRange::full().split_evenly(4).into_iter().map(placed).collect()
}

pub(super) fn evaluate(table: &TableRecord, items: &mut Items, write: Write) -> WriteOutcome {
    let schema = &table.definition.key;
    let local: Vec<&dyn SecondaryIndex> =
        table.definition.local_indexes.iter().map(|index| index as &dyn SecondaryIndex).collect();
    let global: Vec<(TableId, &dyn SecondaryIndex)> = table
        .indexes
        .iter()
        .map(|one| (one.id, &one.definition.index as &dyn SecondaryIndex))
        .collect();
    let encoded = write.key.encode().into_bytes();
    let before = items.get(&encoded).cloned();
    let old_bytes = before.as_ref().map_or(0, item_bytes);
    let empty = Item::new();
    if let Some(condition) = &write.condition
        && !condition.matches(before.as_ref().unwrap_or(&empty))
    {
        let old = before.filter(|_| write.returns.old_on_failure);
        return WriteOutcome::ConditionFailed { old, old_bytes };
    }
    let too_large = match write.action {
        Action::Put(_) => Refusal::ItemTooLarge,
        _ => Refusal::UpdatedItemTooLarge,
    };
    let after = match write.action {
        Action::Put(item) => Some(item),
        Action::Delete => None,
        Action::Check => before.clone(),
        Action::UpdateExisting(_) if before.is_none() => None,
        Action::Update(update) | Action::UpdateExisting(update) => {
            let updated = match &before {
                Some(item) => update.apply(item),
                None => update.create(&write.key.to_item(schema)),
            };
            match updated {
                Ok(updated) => Some(updated.item),
                Err(error) => return WriteOutcome::Refused(Refusal::Expression(error.to_string())),
            }
        }
    };
    let all = || local.iter().copied().chain(global.iter().map(|(_, index)| *index));
    if let Some(Err(refusal)) = after.as_ref().map(|item| index::check(all(), item)) {
        return WriteOutcome::Refused(refusal);
    }
    let new_bytes = after.as_ref().map_or(0, item_bytes);
    let with_entries = |item: &Item| {
        let local = local.iter().copied();
        index::are_too_large(schema, local, &encoded, (item, new_bytes))
    };
    if new_bytes > ITEM_BYTES_MAX || after.as_ref().is_some_and(with_entries) {
        return WriteOutcome::Refused(too_large);
    }
    let (old, new) = (before.as_ref(), after.as_ref());
    let units = |index: &dyn SecondaryIndex| index::write_units(schema, index, &encoded, old, new);
    let local_units = local.iter().map(|index| units(*index)).collect();
    let global_units = global.iter().map(|(id, index)| (*id, units(*index))).collect();
    match &after {
        Some(item) => drop(items.insert(encoded, item.clone())),
        None => drop(items.remove(&encoded)),
    }
    let old = before.filter(|_| write.returns.old);
    let new = after.filter(|_| write.returns.new);
    WriteOutcome::Done(Done { old, new, old_bytes, new_bytes, local_units, global_units })
}

fn page(
    definition: &TableDefinition,
    global: Option<&GlobalIndex>,
    items: &Items,
    request: &PageRequest,
) -> Page {
    let bounds = (request.start.clone(), request.end.clone());
    let index = request.index.as_ref();
    let local = index.map(|index| &definition.local_indexes[usize::from(index.number)]);
    let keyed = items.iter().filter_map(|(key, item)| match (local, global) {
        (None, None) => Some((key.clone(), item)),
        (Some(local), _) => Some((local.entry(key, item)?, item)),
        (None, Some(global)) => Some((global.entry(key, item)?, item)),
    });
    let shows = global.and_then(|global| global.shown(&definition.key));
    let mut in_order: Vec<(Vec<u8>, &Item)> =
        keyed.filter(|(key, _)| reads::within(&bounds, key)).collect();
    in_order.sort_by(|a, b| a.0.cmp(&b.0));
    if request.reverse {
        in_order.reverse();
    }
    let mut page = Page::default();
    for (key, whole) in in_order {
        let shown = index.and_then(|index| index.shown.as_ref()).or(shows.as_ref());
        let shown = shown.map(|names| index::retained(whole, names));
        page.scanned += 1;
        page.bytes += item_bytes(shown.as_ref().unwrap_or(whole));
        let fetched = shown.is_some() && index.is_some_and(|index| index.whole);
        if fetched {
            page.fetched += u32::try_from(item_bytes(whole).div_ceil(4096)).unwrap();
        }
        let item = shown.filter(|_| !fetched).unwrap_or_else(|| whole.clone());
        if request.filter.as_ref().is_none_or(|filter| filter.matches(&item)) {
            page.count += 1;
            if !request.count_only {
                page.items.push(item);
            }
        }
        let limited = request.limit.is_some_and(|limit| page.scanned >= limit);
        if limited || page.bytes >= request.bytes_max {
            page.resume = Some(key);
            break;
        }
    }
    page
}

//! The point-in-time archive: the leader of each partition of a table with recovery on sends its
//! changes to an object store, and the leader of each partition of a table that is being restored
//! fills it from there.
//!
//! # Invariants
//!
//! - Only a replica that leads archives or restores; what a former leader still puts is the same.
//! - A slow or absent object store slows no write: changes wait in the change log.
//!
//! Tested by `cluster_tests/archive.rs`.

mod archiver;
mod backupper;
mod base;
pub(crate) mod catalogue;
mod cleaner;
mod log;
pub(crate) mod objects;
mod readback;
pub(crate) mod reading;
mod restorer;

use crate::hosting::HostedPartition;
use crate::node::Node;
use crate::pipeline::Order;
use crate::task::Task;
use archiver::Archiver;
use backupper::Backupper;
use cleaner::backup_subject;
pub use cleaner::run as clean;
use log::LogWriter;
use meridian_api::backend::BackendError;
use meridian_api::backups::Restorable;
use meridian_archive::{ArchivedPartition, MasterKey, Prefix, Subject, TableMeta};
use meridian_base::BackupId;
use meridian_control::region::{
    ArchiveOwner, BackupKind, Command, PartitionRecord, Recovery, RegionState, RestoreSource,
    TableRecord,
};
use meridian_control::stored::Stored;
use meridian_partition::Reader;
use meridian_raft::rt;
use object_store::ObjectStore;
use objects::Objects;
use reading::archived_times;
use restorer::Restorer;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Before an order that failed is given again.
const AGAIN: Duration = Duration::from_millis(200);

/// How long what was put in the archive stays in the change log, unless set: longer than stores take
/// until they have on disk what they acknowledge.
pub const CHECK_EVERY: Duration = Duration::from_secs(10);

/// Where the archive is, and what protects it.
#[derive(Clone)]
pub struct ArchiveOptions {
    /// The object store.
    pub store: Arc<dyn ObjectStore>,
    /// The key that wraps the data keys.
    pub key: MasterKey,
    /// Bytes a second that this node's restores write at most, together; none for no limit.
    pub restore_bytes_per_s_max: Option<u64>,
    /// How long what was put stays in the change log at least, before it is read back and let go.
    pub check_every: Duration,
}

/// The archive as a node uses it.
#[derive(Default)]
pub struct Archive {
    options: Option<ArchiveOptions>,
    /// When the next bytes of a restore may be written.
    restore_at: Mutex<Option<rt::Instant>>,
}

impl Archive {
    /// The archive of a node; none is kept without options.
    pub fn new(options: Option<ArchiveOptions>) -> Self {
        Archive { options, restore_at: Mutex::new(None) }
    }

    /// True where an archive is kept.
    pub fn is_kept(&self) -> bool {
        self.options.is_some()
    }

    /// Waits until a restore may write so many bytes.
    async fn pace(&self, bytes: u64) {
        let limit = self.options.as_ref().and_then(|options| options.restore_bytes_per_s_max);
        let Some(limit) = limit.filter(|limit| *limit > 0) else { return };
        let takes = Duration::from_micros(bytes.saturating_mul(1_000_000) / limit);
        let begin = {
            let mut next = self.restore_at.lock().expect("no holder panics");
            let begin = next.unwrap_or_else(rt::now).max(rt::now());
            *next = Some(begin + takes);
            begin
        };
        rt::sleep_until(begin).await;
    }
}

/// Runs until the replica is closed or the node stops.
pub fn start(node: &Arc<Node>, hosted: &Arc<HostedPartition>) {
    let (node, hosted) = (Arc::clone(node), Arc::clone(hosted));
    let (archiving, restoring, backing_up) = (None, None, BTreeMap::new());
    rt::spawn(Keeper { node, hosted, archiving, restoring, backing_up }.run());
}

struct Keeper {
    node: Arc<Node>,
    hosted: Arc<HostedPartition>,
    /// The term and the settings with which it was started.
    archiving: Option<(u64, Recovery, Task)>,
    restoring: Option<(u64, Task)>,
    backing_up: BTreeMap<BackupId, (u64, Task)>,
}

impl Keeper {
    async fn run(mut self) {
        let mut leadership = self.hosted.group.watch();
        let mut state = self.node.control.watch_region();
        let mut stopping = self.node.stopping();
        loop {
            let now = Arc::clone(&state.borrow_and_update());
            let settled = self.look(&now).await;
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => return,
                changed = leadership.changed() => if changed.is_err() { return },
                changed = state.changed() => if changed.is_err() { return },
                () = rt::sleep(AGAIN), if !settled => {}
            }
        }
    }

    /// Starts and ends what the table asks for; true when nothing is left to do.
    async fn look(&mut self, state: &RegionState) -> bool {
        let leading = self.hosted.group.leading();
        let (Some(term), Some(table)) = (leading, state.table_by_id(self.hosted.spec.table)) else {
            (self.archiving, self.restoring) = (None, None);
            self.backing_up.clear();
            return true;
        };
        let archived = self.archive(term, table).await;
        let backed_up = self.back_up(term, state).await;
        self.restore(term, table) && archived && backed_up
    }

    async fn back_up(&mut self, term: u64, state: &RegionState) -> bool {
        let under_way = state.backups_under_way(self.hosted.spec.table);
        let wanted: Vec<BackupId> =
            under_way.filter(|one| one.kind == BackupKind::User).map(|one| one.id).collect();
        self.backing_up.retain(|id, (old, _)| *old == term && wanted.contains(id));
        for backup in &wanted {
            if self.backing_up.contains_key(backup) {
                continue;
            }
            let subject = Subject::Backup(*backup);
            let Some(objects) = self.node.objects_of(subject) else { return false };
            let (node, hosted, backup) =
                (Arc::clone(&self.node), Arc::clone(&self.hosted), *backup);
            let task = Backupper { node, hosted, objects, backup }.start();
            self.backing_up.insert(backup, (term, task));
        }
        !wanted.is_empty()
            || self.hosted.cursor(Reader::Backup).is_none()
            || self.hosted.order(Order::DropReader(Reader::Backup)).await.is_ok()
    }

    async fn archive(&mut self, term: u64, table: &TableRecord) -> bool {
        let Some(recovery) = table.own.recovery else {
            self.archiving = None;
            return self.hosted.cursor(Reader::Archive).is_none()
                || self.hosted.order(Order::DropReader(Reader::Archive)).await.is_ok();
        };
        let same =
            |(old, settings, _): &(u64, Recovery, Task)| (*old, *settings) == (term, recovery);
        if self.archiving.as_ref().is_some_and(same) {
            return true;
        }
        self.archiving = None;
        let Some(objects) = self.node.objects_of(Subject::Table(table.id)) else {
            if self.node.archive.is_kept() {
                return false;
            }
            tracing::warn!(
                partition = self.hosted.spec.partition.0,
                "recovery is on and this node, which leads, has no archive: changes stay in the \
                 change log"
            );
            return true;
        };
        let (node, hosted) = (Arc::clone(&self.node), Arc::clone(&self.hosted));
        let log = LogWriter { hosted: Arc::clone(&hosted), objects: Arc::clone(&objects) };
        let task = Archiver { node, hosted, objects, log, recovery }.start();
        self.archiving = Some((term, recovery, task));
        true
    }

    fn restore(&mut self, term: u64, table: &TableRecord) -> bool {
        let partition = self.hosted.spec.partition;
        let restore = table.restore.as_ref().filter(|r| r.pending.contains(&partition));
        let Some(restore) = restore else {
            self.restoring = None;
            return true;
        };
        if self.restoring.as_ref().is_some_and(|(old, _)| *old == term) {
            return true;
        }
        self.restoring = None;
        let source = restore.source.clone();
        let Some(objects) = self.node.objects_of_source(&source) else { return false };
        let (node, hosted) = (Arc::clone(&self.node), Arc::clone(&self.hosted));
        let task = Restorer { node, hosted, objects, source, restored: Mutex::default() }.start();
        self.restoring = Some((term, task));
        true
    }
}

impl Node {
    /// Whose archive this region writes; none before the cluster is founded.
    pub(crate) fn own_archive(&self) -> Option<ArchiveOwner> {
        let cluster = self.control.global_state().cluster()?.id.clone();
        Some(ArchiveOwner { cluster, region: self.options.region.clone() })
    }

    /// The objects of a table or backup in somebody's archive; none where no archive is kept.
    pub(crate) fn objects_in(&self, owner: ArchiveOwner, subject: Subject) -> Option<Arc<Objects>> {
        let options = self.archive.options.as_ref()?;
        let prefix = Prefix { cluster: owner.cluster, region: owner.region, subject };
        Some(Arc::new(Objects::new(Arc::clone(&options.store), options.key.clone(), prefix)))
    }

    /// The objects of a table or backup in this region's archive; none where no archive is kept, or
    /// before the cluster is founded.
    pub(crate) fn objects_of(&self, subject: Subject) -> Option<Arc<Objects>> {
        self.objects_in(self.own_archive()?, subject)
    }

    /// The objects that a table is restored from.
    fn objects_of_source(&self, source: &RestoreSource) -> Option<Arc<Objects>> {
        let state = self.control.region_state();
        match (&source.owner, source.backup) {
            (None, None) => self.objects_of(Subject::Table(source.table)),
            (None, Some(id)) => self.objects_of(backup_subject(state.all_backups().get(&id)?)),
            (Some(owner), None) => self.objects_in(owner.clone(), Subject::Table(source.table)),
            (Some(owner), Some(id)) => self.objects_in(owner.clone(), Subject::Backup(id)),
        }
    }

    /// Tells the region group something once.
    pub(crate) async fn tell_region(&self, command: &Command) -> Result<(), String> {
        let told = self.control.region(command).await.map_err(|e| e.to_string())?;
        told.map(drop).map_err(|refusal| refusal.to_string())
    }

    /// What a table is now, as the archive keeps it.
    fn table_meta(&self, table: &TableRecord) -> TableMeta {
        let state = self.control.region_state();
        let records = table.partitions.iter().filter_map(|id| state.partitions().get(id));
        let archived = |record: &PartitionRecord| ArchivedPartition {
            partition: record.id,
            start: record.range.start.clone(),
            end: record.range.end.clone(),
        };
        TableMeta {
            at_ms: self.options.clock.now_ms(),
            name: table.name.clone(),
            definition: table.definition.encode(),
            partitions: records.map(archived).collect(),
            own: table.own.encode(),
        }
    }

    /// The times to which a table can be restored; none as long as there is none.
    pub(crate) async fn restorable(
        &self,
        table: &TableRecord,
    ) -> Result<Option<Restorable>, BackendError> {
        let (Some(objects), Some(recovery)) =
            (self.objects_of(Subject::Table(table.id)), table.own.recovery)
        else {
            return Ok(None);
        };
        let range =
            archived_times(&objects, table.partitions.iter().copied()).await.map_err(|why| {
                tracing::warn!(table = table.name, %why, "the archive cannot be read");
                BackendError::Internal
            })?;
        let range = range.map(|range| Restorable {
            earliest_ms: range.earliest_ms.max(recovery.since_ms),
            latest_ms: range.latest_ms,
        });
        Ok(range.filter(|range| range.earliest_ms <= range.latest_ms))
    }
}

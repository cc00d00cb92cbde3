//! Takes one partition's part of a backup while its replica here leads.
//!
//! The items are taken in one view, as of now; that time is told at once, so that the backup's moment
//! is known while the items are still being copied. Then the change log is copied up to the moment. A
//! leader that comes later goes on with what is in the store, or opens a view of its own.
//!
//! # Invariants
//!
//! - The change log is held back from before the view is opened until the backup is available.
//! - A partition counts as covered only when its watermark is in the store.
//!
//! Tested by `cluster_tests/backups.rs`.

use super::base::BaseView;
use super::log::{Interrupted, LogWriter};
use super::objects::Objects;
use super::reading::stored;
use crate::hosting::HostedPartition;
use crate::node::Node;
use crate::pause::Pause;
use crate::task::Task;
use meridian_archive::{BaseEnd, ObjectName, TableMeta};
use meridian_base::{BackupId, Position};
use meridian_control::region::{BackupCommand, BackupRecord, Command};
use meridian_control::stored::Stored;
use meridian_partition::Reader;
use meridian_raft::rt;
use std::sync::Arc;
use std::time::Duration;

/// Pauses after a failure: the first, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Between two looks whether the moment is over.
const AGAIN: Duration = Duration::from_millis(50);

/// Takes one partition's part of one backup.
pub struct Backupper {
    /// The node.
    pub node: Arc<Node>,
    /// The partition.
    pub hosted: Arc<HostedPartition>,
    /// The backup's objects.
    pub objects: Arc<Objects>,
    /// The backup.
    pub backup: BackupId,
}

impl Backupper {
    /// Starts to take it; ends with the task.
    pub fn start(self) -> Task {
        Task::start(self.run())
    }

    async fn run(self) {
        let mut pause = Pause::new(PAUSE_MIN, PAUSE_MAX);
        while let Err(why) = self.attempt().await {
            let (backup, partition) = (self.backup.0, self.hosted.spec.partition.0);
            tracing::warn!(backup, partition, %why, "a backup is not taken yet; it is tried again");
            metrics::counter!("meridian_backup_failures_total").increment(1);
            pause.wait().await;
        }
    }

    /// The backup, as long as it is being taken.
    fn record(&self) -> Option<BackupRecord> {
        let state = self.node.control.region_state();
        state.all_backups().get(&self.backup).filter(|one| !one.is_available()).cloned()
    }

    async fn attempt(&self) -> Result<(), Interrupted> {
        let Some(record) = self.record() else { return Ok(()) };
        self.hosted.start_reading(Reader::Backup).await?;
        let mut archived = self.base(&record).await?;
        let log =
            LogWriter { hosted: Arc::clone(&self.hosted), objects: Arc::clone(&self.objects) };
        let mut state = self.node.control.watch_region();
        while let Some(record) = self.record() {
            state.mark_unchanged();
            let partition = self.hosted.spec.partition;
            let covered_ms = record.parts.get(&partition).map_or(0, |part| part.covered_ms);
            let Some(moment_ms) = record.moment_ms().filter(|at_ms| *at_ms > covered_ms) else {
                // Another partition has to begin, or to get as far.
                let _ = state.changed().await;
                continue;
            };
            let closed = self.hosted.close_commits().await?;
            while archived < closed.position {
                archived = log.put_segment(archived).await?.last;
            }
            if closed.commit_ms < moment_ms {
                rt::sleep(AGAIN).await;
                continue;
            }
            log.put_watermark(archived, closed.commit_ms).await?;
            let (backup, covered_ms) = (self.backup, closed.commit_ms);
            self.tell(BackupCommand::Covered { backup, partition, covered_ms }).await?;
        }
        Ok(())
    }

    async fn tell(&self, command: BackupCommand) -> Result<(), Interrupted> {
        self.node.tell_region(&Command::Backup(command)).await.map_err(Interrupted::Control)
    }

    async fn tell_based(&self, end: BaseEnd) -> Result<(), Interrupted> {
        let (backup, partition) = (self.backup, self.hosted.spec.partition);
        self.tell(BackupCommand::Based { backup, partition, based_ms: end.commit_ms }).await
    }

    /// Takes the items, unless they are there; tells up to which position of the change log all is.
    async fn base(&self, record: &BackupRecord) -> Result<Position, Interrupted> {
        let partition = self.hosted.spec.partition;
        let begun = record.parts.get(&partition).is_some_and(|part| part.based_ms.is_some());
        if begun && let Some((end, archived)) = stored(&self.objects, partition).await? {
            self.tell_based(end).await?;
            return Ok(archived);
        }
        // Before all else, since the request waits for it.
        let view = BaseView::open(&self.hosted).await?;
        self.tell_based(view.end).await?;
        self.describe(record).await?;
        Ok(view.store(&self.hosted, &self.objects).await?.position)
    }

    /// Stores what the table is, once.
    async fn describe(&self, record: &BackupRecord) -> Result<(), Interrupted> {
        if self.objects.meta(u64::MAX).await?.is_some() {
            return Ok(());
        }
        let state = self.node.control.region_state();
        // It does not go while a backup of it is taken.
        let Some(table) = state.table_by_id(record.table) else { return Ok(()) };
        let meta = TableMeta {
            at_ms: record.created_ms,
            name: record.table_name.clone(),
            definition: record.definition.encode(),
            ..self.node.table_meta(table)
        };
        let name = ObjectName::Meta { at_ms: record.created_ms };
        self.objects.put(&name, meta.encode()).await?;
        Ok(())
    }
}

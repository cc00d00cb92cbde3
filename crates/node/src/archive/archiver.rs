//! Archives the changes of one partition while its replica here leads.
//!
//! # Invariants
//!
//! - The archive reads the change log before the view is opened that becomes a base.
//! - A watermark is put only when the changes that it counts are in the store, and nothing more can
//!   be committed at or before its time.
//! - The cursor in the partition group never passes a change that is not in the store.
//!
//! Tested by `cluster_tests/archive.rs`.

use super::base::BaseView;
use super::log::{Interrupted, LogWriter};
use super::merger::{Merged, merge};
use super::objects::Objects;
use super::reading::stored;
use crate::hosting::HostedPartition;
use crate::node::Node;
use crate::pause::Pause;
use crate::pipeline::{Order, Refused};
use crate::task::Task;
use meridian_archive::{BaseEnd, ObjectName, TableMeta, expired};
use meridian_base::Position;
use meridian_control::region::{BackupCommand, BackupKind, Command, Recovery, TableRecord};
use meridian_partition::Reader;
use meridian_raft::rt;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// Between two watermarks.
const EVERY: Duration = Duration::from_secs(1);
/// Pauses after a failure: the first, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Bytes of segments below which no new base is taken, however small the last one is.
const LOG_BYTES_MIN: u64 = 64 * 1024 * 1024;
/// Between two looks for what has expired.
const EXPIRE_EVERY: Duration = Duration::from_secs(600);
/// How many bases there are at least in the time that is kept, if there are changes.
const BASES_IN_TIME: u32 = 7;
const DAY_MS: u64 = 24 * 3600 * 1000;

/// Archives one partition.
pub struct Archiver {
    /// The node.
    pub node: Arc<Node>,
    /// The partition.
    pub hosted: Arc<HostedPartition>,
    /// The table's objects.
    pub objects: Arc<Objects>,
    /// What writes into them.
    pub log: LogWriter,
    /// What is to be kept.
    pub recovery: Recovery,
}

/// How far the archive is.
struct Progress {
    /// Everything up to here is in the store.
    archived: Position,
    /// The cursor that the partition group keeps.
    saved: Position,
    base: BaseEnd,
    /// Bytes of segments since that base, as far as this leader wrote them.
    log_bytes: u64,
    next_base: Option<rt::JoinHandle<Result<BaseEnd, Interrupted>>>,
    /// Makes few segments out of many; the last one that was begun.
    merging: Option<Task>,
    expire_at: rt::Instant,
}

impl Archiver {
    /// Starts to archive; ends with the task.
    pub fn start(self) -> Task {
        Task::start(self.run())
    }

    async fn run(self) {
        let mut pause = Pause::new(PAUSE_MIN, PAUSE_MAX);
        let mut closed_ms = self.node.options.clock.now_ms();
        loop {
            let began = rt::now();
            let Err(why) = self.attempt(&mut closed_ms).await;
            let partition = self.hosted.spec.partition.0;
            tracing::warn!(partition, %why, "a partition is not archived; it is tried again");
            metrics::counter!("meridian_archive_failures_total").increment(1);
            if began.elapsed() > PAUSE_MAX * 2 {
                pause.reset();
            }
            pause.wait().await;
        }
    }

    /// Archives until it fails; `closed_ms` is the time of the last watermark.
    async fn attempt(&self, closed_ms: &mut u64) -> Result<Infallible, Interrupted> {
        let cursor = self.hosted.start_reading(Reader::Archive).await?;
        let mut described = None;
        self.describe(&mut described).await?;
        let mut progress = self.resume(cursor).await?;
        loop {
            let due = rt::now() + EVERY;
            self.describe(&mut described).await?;
            let closed = self.hosted.close_commits().await?;
            while progress.archived < closed.position {
                self.put_segment(&mut progress).await?;
            }
            self.log.put_watermark(progress.archived, closed.commit_ms).await?;
            self.tell_backup(closed.commit_ms).await?;
            self.measure(std::mem::replace(closed_ms, closed.commit_ms));
            if progress.saved < progress.archived {
                let order = Order::Cursor(Reader::Archive, progress.archived);
                self.hosted.order(order).await?;
                progress.saved = progress.archived;
            }
            self.renew_base(&mut progress).await?;
            if rt::now() >= progress.expire_at {
                self.expire().await?;
                progress.merging = Some(self.merge(progress.saved));
                progress.expire_at = rt::now() + EXPIRE_EVERY;
            }
            rt::sleep_until(due).await;
        }
    }

    /// Where to go on: after what the store holds without a hole, or with a new base.
    async fn resume(&self, cursor: Position) -> Result<Progress, Interrupted> {
        let partition = self.hosted.spec.partition;
        let kept = stored(&self.objects, partition).await?.filter(|(_, upto)| *upto >= cursor);
        let (base, archived) = match kept {
            Some(kept) => kept,
            None => {
                let view = BaseView::open(&self.hosted).await?;
                let base = view.store(&self.hosted, &self.objects).await?;
                (base, base.position)
            }
        };
        Ok(Progress {
            archived,
            saved: cursor,
            base,
            log_bytes: 0,
            next_base: None,
            merging: None,
            expire_at: rt::now() + EXPIRE_EVERY,
        })
    }

    /// Stores the next changes.
    async fn put_segment(&self, progress: &mut Progress) -> Result<(), Interrupted> {
        let (last, bytes) = self.log.put_segment(progress.archived).await?;
        progress.archived = last;
        progress.log_bytes = progress.log_bytes.saturating_add(bytes);
        Ok(())
    }

    /// Tells that the backup that is left of a table that is being deleted has all of this partition.
    async fn tell_backup(&self, covered_ms: u64) -> Result<(), Interrupted> {
        let partition = self.hosted.spec.partition;
        let state = self.node.control.region_state();
        for backup in state.backups_under_way(self.hosted.spec.table) {
            let part = backup.parts.get(&partition).filter(|_| backup.kind == BackupKind::System);
            if part.is_some_and(|part| part.covered_ms < backup.at_ms) && backup.at_ms <= covered_ms
            {
                let backup = backup.id;
                let command =
                    Command::Backup(BackupCommand::Covered { backup, partition, covered_ms });
                self.node.tell_region(&command).await.map_err(Interrupted::Control)?;
            }
        }
        Ok(())
    }

    /// Shows how far behind the archive was just before a watermark: since the one before.
    fn measure(&self, before_ms: u64) {
        let lag_ms = self.node.options.clock.now_ms().saturating_sub(before_ms);
        let state = self.node.control.region_state();
        let Some(table) = state.table_by_id(self.hosted.spec.table) else { return };
        metrics::histogram!("meridian_archive_lag_seconds", "table" => table.name.clone())
            .record(Duration::from_millis(lag_ms));
    }

    /// Takes a new base, beside everything else, when the log since the last one outweighs it, or
    /// has gone on for so long that old objects would outlive their time.
    async fn renew_base(&self, progress: &mut Progress) -> Result<(), Interrupted> {
        if let Some(under_way) = progress.next_base.take_if(|task| task.is_finished()) {
            progress.base = under_way.await.map_err(|_| Refused::Retry)??;
            progress.log_bytes = 0;
        }
        let outweighs = progress.log_bytes > progress.base.bytes.max(LOG_BYTES_MIN);
        let age_ms = self.node.options.clock.now_ms().saturating_sub(progress.base.closed_ms);
        let age_ms_max = u64::from(self.recovery.days.div_ceil(BASES_IN_TIME)) * DAY_MS;
        let is_old = age_ms > age_ms_max && progress.archived > progress.base.position;
        if (outweighs || is_old) && progress.next_base.is_none() {
            let (hosted, objects) = (Arc::clone(&self.hosted), Arc::clone(&self.objects));
            let taken =
                async move { BaseView::open(&hosted).await?.store(&hosted, &objects).await };
            progress.next_base = Some(rt::spawn(taken));
        }
        Ok(())
    }

    /// Stores what the table is, where that is not what is stored; its first partition does.
    async fn describe(&self, described: &mut Option<TableMeta>) -> Result<(), Interrupted> {
        let state = self.node.control.region_state();
        let table = state.table_by_id(self.hosted.spec.table);
        let first =
            |table: &&TableRecord| table.partitions.first() == Some(&self.hosted.spec.partition);
        let Some(table) = table.filter(first) else { return Ok(()) };
        let mut meta = self.node.table_meta(table);
        let mut is_known = |known: &TableMeta| {
            meta.at_ms = known.at_ms;
            meta == *known
        };
        if described.as_ref().is_some_and(&mut is_known) {
            return Ok(());
        }
        let stored = self.objects.meta(u64::MAX).await?;
        if !stored.as_ref().is_some_and(is_known) {
            meta.at_ms = self.node.options.clock.now_ms();
            self.objects.put(&ObjectName::Meta { at_ms: meta.at_ms }, meta.encode()).await?;
        }
        *described = Some(meta);
        Ok(())
    }

    /// Makes few segments out of many, beside everything else. One that still goes on is given up: it
    /// left nothing missing.
    fn merge(&self, upto: Position) -> Task {
        let (objects, partition) = (Arc::clone(&self.objects), self.hosted.spec.partition);
        Task::start(async move {
            match merge(&objects, partition, upto).await {
                Ok(Merged { put: 0, deleted: 0 }) => {}
                Ok(Merged { put, deleted }) => {
                    tracing::debug!(partition = partition.0, put, deleted, "segments were merged");
                }
                Err(why) => {
                    tracing::warn!(partition = partition.0, %why, "segments are not merged yet");
                }
            }
        })
    }

    /// Deletes what is needed for no time that can still be asked for.
    async fn expire(&self) -> Result<(), Interrupted> {
        let partition = self.hosted.spec.partition;
        let kept_ms = u64::from(self.recovery.days).saturating_mul(DAY_MS);
        let now_ms = self.node.options.clock.now_ms();
        let from_ms = now_ms.saturating_sub(kept_ms).max(self.recovery.since_ms);
        let (mut names, ends) = self.objects.bases(partition).await?;
        names.extend(self.objects.segments(partition, Position(0)).await?);
        for name in expired(partition, &names, &ends, from_ms) {
            self.objects.delete(&name).await?;
        }
        Ok(())
    }
}

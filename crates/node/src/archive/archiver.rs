//! Archives the changes of one partition while its replica here leads.
//!
//! # Invariants
//!
//! - The archive reads the change log before the view is opened that becomes a base.
//! - A watermark is put only when the changes that it counts are in the store, and nothing more can
//!   be committed at or before its time.
//! - The cursor in the partition group never passes a change that was not read back from the store, some
//!   time after it was put.
//!
//! Tested by `cluster_tests/archive.rs` and `cluster_tests/store_faults.rs`.

use super::CHECK_EVERY;
use super::base::BaseView;
use super::log::{Interrupted, LogWriter};
use super::objects::{Bases, ObjectError, Objects, as_put};
use super::readback::{mend, note_damaged, read_base};
use crate::hosting::HostedPartition;
use crate::node::Node;
use crate::pause::Pause;
use crate::pipeline::{Order, Refused};
use crate::task::Task;
use meridian_archive::{ArchiveError, BaseEnd, ObjectName, TableMeta, expired, reach};
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
/// How many of the newest segments a new leader reads again.
const READ_AGAIN_MAX: usize = 60;
/// A base that was closed longer than this before recovery was turned on is of an earlier time.
const BASED_WITHIN_MS: u64 = 5_000;
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

/// What the store holds.
struct Reached {
    base: BaseEnd,
    /// Everything up to here, from the base on.
    archived: Position,
    /// The segments behind the cursor.
    unchecked: Vec<ObjectName>,
}

/// True for a segment that holds changes after a position.
fn ends_after(name: &ObjectName, position: Position) -> bool {
    matches!(name, ObjectName::Log { last, .. } if *last > position)
}

/// How far the archive is.
struct Progress {
    /// Everything up to here is in the store.
    archived: Position,
    /// The cursor that the partition group keeps.
    saved: Position,
    /// Up to here a base holds everything, and segments need not.
    based: Position,
    base: BaseEnd,
    /// Bytes of segments since that base, as far as this leader wrote them.
    log_bytes: u64,
    next_base: Option<rt::JoinHandle<Result<BaseEnd, Interrupted>>>,
    expire_at: rt::Instant,
    /// The segments that were not read back since.
    unchecked: Vec<ObjectName>,
    /// What was archived when there was a check last.
    checkpoint: Position,
    /// When the next one is due.
    check_at: rt::Instant,
    /// When the last base is to be read back; none when it was.
    check_base_at: Option<rt::Instant>,
    base_read: Option<rt::JoinHandle<Result<Option<ArchiveError>, ObjectError>>>,
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
            if rt::now() >= progress.check_at {
                self.check(&mut progress).await?;
                progress.checkpoint = progress.archived;
                progress.check_at = rt::now() + self.check_every();
            }
            self.renew_base(&mut progress).await?;
            if rt::now() >= progress.expire_at {
                self.expire().await?;
                progress.expire_at = rt::now() + EXPIRE_EVERY;
            }
            rt::sleep_until(due).await;
        }
    }

    /// Where to go on: after what the store holds, or with a new base.
    async fn resume(&self, cursor: Position) -> Result<Progress, Interrupted> {
        let (stored, based) = match self.read_again(cursor).await? {
            Some(stored) => (stored, Position(0)),
            None => {
                let view = BaseView::open(&self.hosted).await?;
                let base = view.store(&self.hosted, &self.objects).await?;
                let stored = Reached { base, archived: base.position, unchecked: Vec::new() };
                (stored, base.position)
            }
        };
        let Reached { base, archived, unchecked } = stored;
        let now = rt::now();
        Ok(Progress {
            archived,
            saved: cursor,
            based,
            unchecked,
            base,
            log_bytes: 0,
            next_base: None,
            expire_at: now + EXPIRE_EVERY,
            checkpoint: archived,
            check_at: now + self.check_every(),
            check_base_at: Some(now + self.check_every()),
            base_read: None,
        })
    }

    fn check_every(&self) -> Duration {
        let options = self.node.archive.options.as_ref();
        options.map_or(CHECK_EVERY, |options| options.check_every)
    }

    /// Where to go on after what is stored, once the newest segments were read and, where that was needed
    /// and the change log allowed it, mended; none where a new base is needed.
    async fn read_again(&self, cursor: Position) -> Result<Option<Reached>, Interrupted> {
        let partition = self.hosted.spec.partition;
        let Bases { mut names, ends, damaged } = self.objects.bases(partition).await?;
        if let Some(damaged) = damaged {
            note_damaged(&damaged);
        }
        let oldest = ends.iter().map(|end| end.position).min().unwrap_or_default();
        let mut segments = self.objects.segments(partition, oldest).await?;
        names.extend(segments.iter().copied());
        let Some((base, reached)) = reach(partition, &names, &ends) else { return Ok(None) };
        if reached < cursor
            && base.closed_ms.saturating_add(BASED_WITHIN_MS) < self.recovery.since_ms
        {
            // Recovery was off in between: nothing was lost.
            return Ok(None);
        }
        segments.retain(|name| ends_after(name, base.position));
        let kept = segments.iter().filter(|name| ends_after(name, cursor)).count();
        let mut newest =
            segments.split_off(segments.len().saturating_sub(kept.max(READ_AGAIN_MAX)));
        let (mut after, mut upto) = (reached, reached.max(cursor));
        for name in &newest {
            let ObjectName::Log { first, last, .. } = *name else { continue };
            after = after.min(Position(first.0.saturating_sub(1)));
            upto = upto.max(last);
        }
        match mend(&self.log, &mut newest, after.max(base.position), upto).await {
            Ok(_) => {
                newest.retain(|name| ends_after(name, cursor));
                Ok(Some(Reached { base, archived: upto, unchecked: newest }))
            }
            Err(why @ Interrupted::Hole { .. }) => {
                tracing::warn!(
                    partition = partition.0,
                    %why,
                    "what the archive has lost is not in the change log any more; a new base is taken"
                );
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads back what was archived at the last check; lets the change log go up to there, if nothing had
    /// to be put anew.
    async fn check(&self, progress: &mut Progress) -> Result<(), Interrupted> {
        if let Some(wrong) = self.objects.keep_keys().await? {
            note_damaged(&wrong);
        }
        if let Some(at) = progress.check_base_at {
            if rt::now() < at || !self.has_base(progress).await? {
                return Ok(());
            }
            progress.check_base_at = None;
        }
        let (saved, upto) = (progress.saved, progress.checkpoint);
        let (names, after) = (&mut progress.unchecked, saved.max(progress.based));
        if saved < upto && mend(&self.log, names, after, upto).await? {
            self.hosted.order(Order::Cursor(Reader::Archive, upto)).await?;
            progress.saved = upto;
            progress.unchecked.retain(|name| ends_after(name, upto));
        }
        Ok(())
    }

    /// Reads the last base back, beside everything else. True when it is as it was put; when it is not,
    /// another one is taken.
    async fn has_base(&self, progress: &mut Progress) -> Result<bool, Interrupted> {
        if progress.next_base.is_some() {
            return Ok(false);
        }
        let (objects, base) = (Arc::clone(&self.objects), progress.base);
        let read = async move { read_base(&objects, base).await };
        let under_way = progress.base_read.get_or_insert_with(|| rt::spawn(read));
        if !under_way.is_finished() {
            return Ok(false);
        }
        let read = under_way.await;
        progress.base_read = None;
        let Some(wrong) = read.map_err(|_| Refused::Retry)?? else { return Ok(true) };
        note_damaged(&wrong);
        progress.log_bytes = u64::MAX;
        Ok(false)
    }

    /// Stores the next changes.
    async fn put_segment(&self, progress: &mut Progress) -> Result<(), Interrupted> {
        let put = self.log.put_segment(progress.archived).await?;
        progress.archived = put.last;
        progress.unchecked.push(put.name);
        progress.log_bytes = progress.log_bytes.saturating_add(put.bytes);
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
            progress.base_read = None;
            progress.check_base_at = Some(rt::now() + self.check_every());
        }
        let outweighs = progress.log_bytes > progress.base.bytes.max(LOG_BYTES_MIN);
        let age_ms = self.node.options.clock.now_ms().saturating_sub(progress.base.closed_ms);
        let age_ms_max = u64::from(self.recovery.days.div_ceil(BASES_IN_TIME)) * DAY_MS;
        let is_old = age_ms > age_ms_max && progress.archived > progress.base.position;
        // The last one is read back first: otherwise a busy partition would never have one that counts.
        let is_judged = progress.check_base_at.is_none() || progress.log_bytes == u64::MAX;
        if (outweighs || is_old) && is_judged && progress.next_base.is_none() {
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
        let stored = as_put(self.objects.meta(u64::MAX).await)?.unwrap_or_else(|damaged| {
            note_damaged(&damaged);
            None
        });
        if !stored.as_ref().is_some_and(is_known) {
            meta.at_ms = self.node.options.clock.now_ms();
            self.objects.put(&ObjectName::Meta { at_ms: meta.at_ms }, meta.encode()).await?;
        }
        *described = Some(meta);
        Ok(())
    }

    /// Deletes what is needed for no time that can still be asked for.
    async fn expire(&self) -> Result<(), Interrupted> {
        let partition = self.hosted.spec.partition;
        let kept_ms = u64::from(self.recovery.days).saturating_mul(DAY_MS);
        let now_ms = self.node.options.clock.now_ms();
        let from_ms = now_ms.saturating_sub(kept_ms).max(self.recovery.since_ms);
        let Bases { mut names, ends, .. } = self.objects.bases(partition).await?;
        names.extend(self.objects.segments(partition, Position(0)).await?);
        for name in expired(partition, &names, &ends, from_ms) {
            self.objects.delete(&name).await?;
        }
        Ok(())
    }
}

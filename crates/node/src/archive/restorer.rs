//! Fills one partition of a restored table from the archive of its source.
//!
//! The items come with the versions that they had, and are merged like changes of another region:
//! writing one again changes nothing.
//!
//! # Invariants
//!
//! - Items are written in order of their keys, one request after the other, and nobody else writes as
//!   long as the table is restored. So the last item that is there says how far it is, and a new
//!   leader goes on after it.
//! - A partition counts as restored when all of its items are committed and every global index has
//!   taken them.
//!
//! Tested by `cluster_tests/archive.rs`.

use super::objects::{ObjectError, Objects};
use super::reading::{chunk, folded};
use crate::hosting::HostedPartition;
use crate::node::Node;
use crate::pause::Pause;
use crate::pipeline::Refused;
use crate::task::Task;
use meridian_archive::{ArchiveError, ArchivedItem, ArchivedPartition};
use meridian_base::{Cause, Change, Incarnation, Origin, PartitionId, Position, VersionVector};
use meridian_control::region::{Command, RestoreSource, Restored};
use meridian_model::KeyRange;
use meridian_partition::{Reader, layout};
use meridian_raft::rt;
use meridian_storage::Control;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;

/// Pauses after a failure: the first, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// After so many attempts in a row that failed by what is in the archive, nothing but an operator helps.
const HOPELESS_MIN: u32 = 5;
/// Between two attempts from then on.
const HOPELESS_PAUSE: Duration = Duration::from_secs(15);
/// Between two attempts to write some items, and between two looks at the indexes.
const AGAIN: Duration = Duration::from_millis(20);
/// Between two tellings of how far it is.
const TELL_EVERY: Duration = Duration::from_secs(2);
/// Items, and bytes of items, that one request writes: about as much as one log entry takes.
const BATCH_ITEMS: usize = 2048;
const BATCH_BYTES: u64 = 1000 * 1024;
/// Batches that wait to be written, while more is read.
const BATCHES_AHEAD: usize = 2;

/// Why restoring stopped for now.
#[derive(Debug, thiserror::Error)]
pub enum Interrupted {
    /// The object store, or what is in it.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The partition group.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The archive says nothing of the table.
    #[error("the archive has no description of the table")]
    Undescribed,
    /// The region group.
    #[error("the region group: {0}")]
    Control(String),
}

impl Interrupted {
    /// True when the archive lacks what is needed, or has it damaged.
    fn is_of_archive(&self) -> bool {
        match self {
            // The leader of the source may yet get there.
            Interrupted::Object(ObjectError::Archive(ArchiveError::NotArchived { .. })) => false,
            Interrupted::Object(ObjectError::Archive(_)) | Interrupted::Undescribed => true,
            Interrupted::Object(ObjectError::Store(_) | ObjectError::Silent)
            | Interrupted::Refused(_)
            | Interrupted::Control(_) => false,
        }
    }
}

impl From<ArchiveError> for Interrupted {
    fn from(error: ArchiveError) -> Self {
        Interrupted::Object(error.into())
    }
}

/// Restores one partition.
pub struct Restorer {
    /// The node.
    pub node: Arc<Node>,
    /// The partition.
    pub hosted: Arc<HostedPartition>,
    /// The objects of the source.
    pub objects: Arc<Objects>,
    /// What is restored.
    pub source: RestoreSource,
    /// How far it is.
    pub restored: Mutex<Restored>,
}

impl Restorer {
    /// Starts to restore; ends with the task.
    pub fn start(self) -> Task {
        Task::start(self.run())
    }

    async fn run(self) {
        let mut pause = Pause::new(PAUSE_MIN, PAUSE_MAX);
        let partition = self.hosted.spec.partition.0;
        let mut hopeless = 0u32;
        while let Err(why) = self.attempt().await {
            hopeless = if why.is_of_archive() { hopeless + 1 } else { 0 };
            let cause = if hopeless > 0 { "archive" } else { "other" };
            metrics::counter!("meridian_restore_failures_total", "cause" => cause).increment(1);
            if hopeless >= HOPELESS_MIN {
                let table = self.hosted.spec.table.0;
                tracing::error!(table, partition, %why, "a restore cannot be done; it is tried again");
                rt::sleep(HOPELESS_PAUSE).await;
                continue;
            }
            tracing::warn!(partition, %why, "a partition is not restored yet; it is tried again");
            pause.wait().await;
        }
        tracing::info!(partition, "a partition is restored");
    }

    async fn attempt(&self) -> Result<(), Interrupted> {
        let meta = self.objects.meta(self.source.at_ms).await?.ok_or(Interrupted::Undescribed)?;
        *self.restored.lock().expect("no holder panics") = Restored::default();
        tokio::select! {
            filled = self.fill(meta.partitions) => filled?,
            never = self.tell_progress() => match never {},
        }
        self.await_indexes().await;
        let (table, partition) = (self.hosted.spec.table, self.hosted.spec.partition);
        let at_ms = self.node.options.clock.now_ms();
        let restored = Command::PartitionRestored { table, partition, at_ms };
        self.node.tell_region(&restored).await.map_err(Interrupted::Control)
    }

    async fn fill(&self, mut parts: Vec<ArchivedPartition>) -> Result<(), Interrupted> {
        let range = &self.hosted.spec.range;
        let done = self.last_key().await?;
        parts.sort_by(|one, other| one.start.cmp(&other.start));
        for part in parts {
            if range.overlaps(&KeyRange { start: part.start, end: part.end }) {
                self.copy(part.partition, done.as_deref()).await?;
            }
        }
        Ok(())
    }

    /// The key of the last item that is there; none when there is none.
    async fn last_key(&self) -> Result<Option<Vec<u8>>, Interrupted> {
        // Not held up by a freeze, as merging is not.
        self.hosted.barrier.pass().await?;
        let spec = &self.hosted.spec;
        let mut last = None;
        let items = layout::items(spec.table, &spec.range).reversed();
        let scanned = self.hosted.engine.scan(items, &mut |key, _| {
            last = Some(layout::encoded_of(key).to_vec());
            Control::Break(())
        });
        scanned.map_err(|e| Refused::Broken(e.to_string()))?;
        Ok(last)
    }

    /// Tells the region group again and again how far the partition is.
    async fn tell_progress(&self) -> Infallible {
        let (table, partition) = (self.hosted.spec.table, self.hosted.spec.partition);
        loop {
            rt::sleep(TELL_EVERY).await;
            let restored = *self.restored.lock().expect("no holder panics");
            let command = Command::RestoreProgress { table, partition, restored };
            // One that is lost is followed by the next.
            let _ = self.node.tell_region(&command).await;
        }
    }

    /// Writes what a partition of the source held, as far as it belongs here and is not `done`.
    async fn copy(&self, from: PartitionId, done: Option<&[u8]>) -> Result<(), Interrupted> {
        let (batches, mut read) = mpsc::channel(BATCHES_AHEAD);
        let write = async {
            while let Some(batch) = read.recv().await {
                self.write(batch).await?;
            }
            Ok(())
        };
        tokio::try_join!(self.read(from, done, batches), write)?;
        Ok(())
    }

    /// Reads what a partition of the source held, in order of key.
    async fn read(
        &self,
        from: PartitionId,
        done: Option<&[u8]>,
        batches: mpsc::Sender<Vec<ArchivedItem>>,
    ) -> Result<(), Interrupted> {
        let (plan, mut fold) = folded(&self.objects, from, self.source.at_ms).await?;
        self.restored.lock().expect("no holder panics").bytes_total += plan.base.bytes;
        for name in plan.chunks() {
            let (whole, chunk) = chunk(&self.objects, name).await?;
            self.send(fold.merge_chunk(&whole, chunk)?, done, &batches).await;
        }
        let rest = fold.finish(&self.objects.name_of(&plan.end()))?;
        self.send(rest, done, &batches).await;
        Ok(())
    }

    async fn send(
        &self,
        mut items: Vec<ArchivedItem>,
        done: Option<&[u8]>,
        to: &mpsc::Sender<Vec<ArchivedItem>>,
    ) {
        let there =
            done.map_or(0, |done| items.partition_point(|item| item.key.as_slice() <= done));
        for item in items.drain(..there) {
            self.count(usize::from(self.hosted.spec.range.contains(&item.key)), item.bytes());
        }
        for batch in batches(items) {
            // Who writes them has failed: that error is the one that counts.
            if to.send(batch).await.is_err() {
                return;
            }
        }
    }

    async fn write(&self, items: Vec<ArchivedItem>) -> Result<(), Interrupted> {
        let bytes: u64 = items.iter().map(ArchivedItem::bytes).sum();
        self.node.archive.pace(bytes).await;
        let here = items.into_iter().filter(|item| self.hosted.spec.range.contains(&item.key));
        let changes: Vec<Change> = here.map(|item| self.change(item)).collect();
        if changes.is_empty() {
            self.count(0, bytes);
            return Ok(());
        }
        loop {
            match self.hosted.replicate(changes.clone(), false).await {
                Ok(_) => break,
                // It may have been applied: merging it twice is merging it once.
                Err(Refused::Retry | Refused::Unknown | Refused::NoRoom) => rt::sleep(AGAIN).await,
                Err(refused) => return Err(refused.into()),
            }
        }
        metrics::counter!("meridian_restored_bytes_total").increment(bytes);
        self.count(changes.len(), bytes);
        Ok(())
    }

    fn count(&self, items: usize, bytes: u64) {
        let mut restored = self.restored.lock().expect("no holder panics");
        *restored = *restored + Restored { items: items as u64, bytes, bytes_total: 0 };
    }

    fn change(&self, item: ArchivedItem) -> Change {
        Change {
            key: item.key,
            image: Some(item.image),
            origin: Origin {
                region: item.version.region,
                partition: self.hosted.spec.partition,
                incarnation: Incarnation(0),
                position: Position(0),
            },
            version: item.version,
            base: VersionVector::default(),
            cause: Cause::Write,
            commit_ms: self.source.at_ms,
        }
    }

    /// Waits until every global index has taken what is written.
    async fn await_indexes(&self) {
        let end = self.hosted.replica.header().position;
        let behind = |(reader, cursor): (&Reader, &Position)| match reader {
            Reader::Index(_) => *cursor < end,
            Reader::Region(_)
            | Reader::Stream
            | Reader::Archive
            | Reader::Backup
            | Reader::Copy(_) => false,
        };
        while self.hosted.replica.marks().cursors.iter().any(behind) {
            rt::sleep(AGAIN).await;
        }
    }
}

/// Items in portions for one request each.
fn batches(items: Vec<ArchivedItem>) -> Vec<Vec<ArchivedItem>> {
    let mut batches: Vec<Vec<ArchivedItem>> = Vec::new();
    let mut bytes = 0;
    for item in items {
        bytes += item.bytes();
        match batches.last_mut() {
            Some(last) if last.len() < BATCH_ITEMS && bytes < BATCH_BYTES => last.push(item),
            Some(_) | None => {
                bytes = item.bytes();
                batches.push(vec![item]);
            }
        }
    }
    batches
}

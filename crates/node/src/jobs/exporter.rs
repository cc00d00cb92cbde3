//! Writes an export: the archive's state of a table at a time, or what was written between two, as files
//! in a bucket.
//!
//! # Invariants
//!
//! - The manifests come last, the checksum of the summary after everything else.
//! - An export that is tried again writes the same files under the same names.
//!
//! Tested by `cluster_tests/jobs.rs`.

use super::files::Files;
use super::{Attempts, Stop};
use crate::archive::objects::{ObjectError, Objects};
use crate::archive::reading::{archived_times, chunk, differed, folded};
use crate::node::Node;
use crate::task::Task;
use meridian_api::exports;
use meridian_archive::{ArchiveError, ArchivedItem, Difference, Subject, TableMeta};
use meridian_base::PartitionId;
use meridian_base::codec::Reader;
use meridian_control::region::{Command, ExportCommand, ExportOutcome, ExportRecord, ExportScope};
use meridian_control::stored::Stored;
use meridian_control::table::TableDefinition;
use meridian_interchange::{Change, DataFile, ExportLayout, FileEntry, checksum, files_manifest};
use meridian_model::{Item, KeySchema, decode_item, item_bytes};
use meridian_raft::rt;
use std::sync::Arc;
use std::time::Duration;

/// Between two looks at how far the archive is.
const AGAIN: Duration = Duration::from_millis(200);

impl From<ObjectError> for Stop {
    fn from(error: ObjectError) -> Self {
        match error {
            // Trying again brings back nothing that is not there.
            ObjectError::Archive(
                error @ (ArchiveError::TooEarly { .. } | ArchiveError::Missing { .. }),
            ) => Stop::failed("PointInTimeRecoveryUnavailable", error.to_string()),
            ObjectError::Archive(_) | ObjectError::Store(_) | ObjectError::Silent => {
                Stop::again(error)
            }
        }
    }
}

impl From<ArchiveError> for Stop {
    fn from(error: ArchiveError) -> Self {
        ObjectError::Archive(error).into()
    }
}

/// One export.
pub struct Exporter {
    /// The node.
    pub node: Arc<Node>,
    /// The export.
    pub export: ExportRecord,
}

/// What is exported, with times that the archive can bring back.
#[derive(Clone, Copy)]
enum Times {
    Full { at_ms: u64 },
    Incremental { from_ms: u64, to_ms: u64, old_images: bool },
}

impl Times {
    /// The latest moment that has to be archived.
    fn last_ms(self) -> u64 {
        match self {
            Times::Full { at_ms } => at_ms,
            Times::Incremental { to_ms, .. } => to_ms,
        }
    }
}

/// The data files of an export.
struct Written {
    layout: ExportLayout,
    files: Vec<FileEntry>,
    items: u64,
    /// Bytes of the items, as the service counts them.
    bytes: u64,
}

/// The files of one partition.
struct Output {
    partition: PartitionId,
    number: u32,
    file: DataFile,
}

impl Exporter {
    /// Starts to export; ends with the task.
    pub fn start(self) -> Task {
        Task::start(self.run())
    }

    async fn run(self) {
        let id = self.export.id;
        let mut attempts = Attempts::of(id);
        let outcome = loop {
            match self.attempt().await {
                Ok(outcome) => break outcome,
                Err(stop) => {
                    if let Some(failure) = attempts.after(stop).await {
                        break ExportOutcome::Failed(failure);
                    }
                }
            }
        };
        let at_ms = self.node.options.clock.now_ms();
        tracing::info!(%id, ?outcome, "an export has ended");
        self.node.tell(&Command::Export(ExportCommand::End { id, at_ms, outcome })).await;
    }

    async fn attempt(&self) -> Result<ExportOutcome, Stop> {
        let to = &self.export.request.to;
        let (node, bucket) = (Arc::clone(&self.node), to.bucket.clone());
        let opened = rt::blocking(move || node.options.buckets.to_write(&bucket)).await;
        let files = Files::of(to, opened)?;
        let layout = exports::layout(&self.export);
        files.put(&layout.started(), Vec::new()).await?;
        let objects = self.node.objects_of(Subject::Table(self.export.table));
        let objects = objects.ok_or_else(|| Stop::again("this node keeps no archive"))?;
        let (times, meta) = self.reached(&objects).await?;
        let definition = TableDefinition::decode(&meta.definition).map_err(Stop::again)?;
        let mut written = Written { layout, files: Vec::new(), items: 0, bytes: 0 };
        for part in &meta.partitions {
            let (objects, partition) = (objects.as_ref(), part.partition);
            match times {
                Times::Full { at_ms } => {
                    self.full(objects, &files, partition, at_ms, &mut written).await?;
                }
                Times::Incremental { .. } => {
                    let key = &definition.key;
                    self.incremental(objects, &files, partition, times, key, &mut written).await?;
                }
            }
        }
        self.end(&files, &written).await
    }

    /// Waits until the archive has all of the time; gives what the table was then.
    async fn reached(&self, objects: &Objects) -> Result<(Times, TableMeta), Stop> {
        loop {
            if let Some(found) = self.look(objects).await? {
                return Ok(found);
            }
            let state = self.node.control.region_state();
            let table = state.table_by_id(self.export.table);
            if table.is_none_or(|table| table.own.recovery.is_none()) {
                let name = &self.export.table_name;
                return Err(Stop::failed(
                    "PointInTimeRecoveryUnavailable",
                    format!("Point in time recovery is not enabled for table '{name}'"),
                ));
            }
            rt::sleep(AGAIN).await;
        }
    }

    /// The times to export, once all of them are archived.
    async fn look(&self, objects: &Objects) -> Result<Option<(Times, TableMeta)>, Stop> {
        let asked = self.asked();
        let Some(meta) = objects.meta(asked.last_ms()).await? else { return Ok(None) };
        let partitions = meta.partitions.iter().map(|part| part.partition);
        let Some(archived) = archived_times(objects, partitions).await? else { return Ok(None) };
        let times = self.moved(asked, archived.earliest_ms);
        Ok((times.last_ms() <= archived.latest_ms).then_some((times, meta)))
    }

    fn asked(&self) -> Times {
        let started_ms = self.export.id.at_ms;
        match self.export.request.scope {
            ExportScope::Full { at_ms } => Times::Full { at_ms: at_ms.unwrap_or(started_ms) },
            ExportScope::Incremental { from_ms, to_ms, old_images } => {
                Times::Incremental { from_ms, to_ms: to_ms.unwrap_or(started_ms), old_images }
            }
        }
    }

    /// The first second is taken as far as it is archived; so is an export that was asked for just after
    /// recovery was turned on, before the archive began.
    fn moved(&self, asked: Times, earliest_ms: u64) -> Times {
        let is_near = |ms: u64| ms / 1000 == earliest_ms / 1000;
        match asked {
            Times::Full { at_ms } => {
                let is_now = self.export.request.scope == ExportScope::Full { at_ms: None };
                let at_ms = if is_now || is_near(at_ms) { at_ms.max(earliest_ms) } else { at_ms };
                Times::Full { at_ms }
            }
            Times::Incremental { from_ms, to_ms, old_images } => {
                let first = earliest_ms.saturating_add(1);
                let from_ms = if is_near(from_ms) { from_ms.max(first) } else { from_ms };
                Times::Incremental { from_ms, to_ms, old_images }
            }
        }
    }

    /// Writes the items of a partition as they were at a time.
    async fn full(
        &self,
        objects: &Objects,
        files: &Files,
        partition: PartitionId,
        at_ms: u64,
        written: &mut Written,
    ) -> Result<(), Stop> {
        let (plan, mut fold) = folded(objects, partition, at_ms).await?;
        let mut output = Output { partition, number: 0, file: DataFile::default() };
        for name in plan.chunks() {
            let (whole, chunk) = chunk(objects, name).await?;
            let items = fold.merge_chunk(&whole, chunk)?;
            output = self.add_items(files, output, items, written).await?;
        }
        let items = fold.finish(&objects.name_of(&plan.end()))?;
        output = self.add_items(files, output, items, written).await?;
        store(files, output, written).await.map(drop)
    }

    async fn add_items(
        &self,
        files: &Files,
        output: Output,
        items: Vec<ArchivedItem>,
        written: &mut Written,
    ) -> Result<Output, Stop> {
        let Output { partition, number, mut file } = output;
        let added = rt::blocking(move || {
            let mut bytes = 0;
            for archived in items {
                let item = item(&archived.image)?;
                bytes += item_bytes(&item) as u64;
                file.add_item(&item);
            }
            Ok::<_, Stop>((file, bytes))
        });
        let (file, bytes) = added.await?;
        written.bytes += bytes;
        next_if_full(files, Output { partition, number, file }, written).await
    }

    /// Writes what was written to a partition between two times.
    async fn incremental(
        &self,
        objects: &Objects,
        files: &Files,
        partition: PartitionId,
        times: Times,
        key: &KeySchema,
        written: &mut Written,
    ) -> Result<(), Stop> {
        let Times::Incremental { from_ms, to_ms, old_images } = times else { return Ok(()) };
        let (plan, mut delta) = differed(objects, partition, from_ms, to_ms).await?;
        let mut output = Output { partition, number: 0, file: DataFile::default() };
        for name in plan.chunks() {
            let (whole, chunk) = chunk(objects, name).await?;
            let found = delta.pass_chunk(&whole, chunk)?;
            add_changes(&mut output.file, found, key, old_images, written)?;
            output = next_if_full(files, output, written).await?;
        }
        let found = delta.finish(&objects.name_of(&plan.end()))?;
        add_changes(&mut output.file, found, key, old_images, written)?;
        store(files, output, written).await.map(drop)
    }

    /// Writes the manifests.
    async fn end(&self, files: &Files, written: &Written) -> Result<ExportOutcome, Stop> {
        let Written { layout, items, .. } = written;
        let listed = files_manifest(&written.files);
        let sum = checksum(&listed).into_bytes();
        files.put(&layout.files(), listed).await?;
        files.put(&layout.files_checksum(), sum).await?;
        let billed_bytes = exports::billed_bytes(&self.export, written.bytes);
        let (region, ended_ms) = (&self.node.options.region, self.node.options.clock.now_ms());
        let summary = exports::summary(region, &self.export, ended_ms, *items, billed_bytes);
        let sum = checksum(&summary).into_bytes();
        files.put(&layout.summary(), summary).await?;
        files.put(&layout.summary_checksum(), sum).await?;
        Ok(ExportOutcome::Completed { items: *items, billed_bytes })
    }
}

fn item(image: &[u8]) -> Result<Item, Stop> {
    decode_item(&mut Reader::new(image)).map_err(Stop::again)
}

fn add_changes(
    file: &mut DataFile,
    found: Vec<Difference>,
    key: &KeySchema,
    old_images: bool,
    written: &mut Written,
) -> Result<(), Stop> {
    for one in found {
        let keys = key.decode_key(&one.key).map_err(Stop::again)?.to_item(key);
        let old = one.old.as_deref().filter(|_| old_images).map(item).transpose()?;
        let new = one.new.as_deref().map(item).transpose()?;
        let sizes = [&old, &new].into_iter().flatten().map(item_bytes).sum::<usize>();
        written.bytes += sizes as u64;
        let (old, new) = (old.as_ref(), new.as_ref());
        file.add_change(Change {
            written_micros: one.written_ms.saturating_mul(1000),
            keys: &keys,
            old,
            new,
        });
    }
    Ok(())
}

async fn next_if_full(
    files: &Files,
    output: Output,
    written: &mut Written,
) -> Result<Output, Stop> {
    if output.file.is_full() { store(files, output, written).await } else { Ok(output) }
}

/// Stores a file; gives the next one of the partition.
async fn store(files: &Files, output: Output, written: &mut Written) -> Result<Output, Stop> {
    let Output { partition, number, file } = output;
    let finished = rt::blocking(move || file.finish()).await;
    let key = written.layout.data(partition.0, number);
    written.items += finished.items;
    written.files.push(FileEntry::of(key.clone(), &finished));
    files.put(&key, finished.bytes).await?;
    let number = number.saturating_add(1);
    Ok(Output { partition, number, file: DataFile::default() })
}

//! Reads an import: the objects of a bucket, into a table that is made for them.
//!
//! # Invariants
//!
//! - The table stays CREATING until all that can be read is in it; nobody else writes it before, so
//!   that an import may begin again.
//! - A row is counted once, as imported or as an error, and only what its partition committed as
//!   imported.
//!
//! Tested by `cluster_tests/jobs.rs`.

use super::files::Files;
use super::{Attempts, Stop};
use crate::backend::item_error;
use crate::items::message::{ItemAnswer, ItemRequest};
use crate::node::Node;
use crate::task::Task;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use meridian_api::backend::BackendError;
use meridian_api::imports;
use meridian_control::region::{
    Command, Done, Failure, ImportCommand, ImportCounts, ImportRecord, Refusal,
};
use meridian_control::table::TableStatus;
use meridian_interchange::{ErrorReport, IMPORT_ERRORS_FOLDER, ObjectReader, Row, report_key};
use meridian_partition::{Action, Returns, Write, WriteOutcome};
use meridian_raft::rt;
use object_store::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Most objects of an import (AWS: 50,000).
const OBJECTS_MAX: usize = 50_000;
/// Writes under way at a time.
const IN_FLIGHT_MAX: usize = 64;
/// How long a write is tried again while its partition has no leader or no room.
const WRITE_LIMIT: Duration = Duration::from_secs(60);
/// Between two attempts to write an item, and between two looks at the table.
const AGAIN: Duration = Duration::from_millis(50);
/// How long the end of an import waits for its table to serve.
const ACTIVE_LIMIT: Duration = Duration::from_secs(60);

/// One import.
pub struct Importer {
    /// The node.
    pub node: Arc<Node>,
    /// The import.
    pub import: ImportRecord,
}

/// What was read so far.
struct Progress {
    counts: ImportCounts,
    report: ErrorReport,
}

/// A row that is written, or why it is not.
type Written = Result<(u64, Result<(), String>), Stop>;

impl Importer {
    /// Starts to import; ends with the task.
    pub fn start(self) -> Task {
        Task::start(self.run())
    }

    async fn run(self) {
        let id = self.import.id;
        let failure = match self.import.counts {
            // A leader before this one has filled the table.
            Some(counts) => rows_failed(counts),
            None => {
                let (counts, failure) = self.fill().await;
                self.filled(counts).await;
                failure.or_else(|| rows_failed(counts))
            }
        };
        self.await_active().await;
        let at_ms = self.node.options.clock.now_ms();
        tracing::info!(%id, ?failure, "an import has ended");
        self.node.tell(&Command::Import(ImportCommand::End { id, at_ms, failure })).await;
    }

    /// Tries until all is read. What is in the table when it fails stays there, as on the service.
    async fn fill(&self) -> (ImportCounts, Option<Failure>) {
        let mut attempts = Attempts::of(self.import.id);
        loop {
            match self.attempt().await {
                Ok(counts) => return (counts, None),
                Err(stop) => {
                    if let Some(failure) = attempts.after(stop).await {
                        return (ImportCounts::default(), Some(failure));
                    }
                }
            }
        }
    }

    async fn filled(&self, counts: ImportCounts) {
        let id = self.import.id;
        self.node.tell(&Command::Import(ImportCommand::Filled { id, counts })).await;
    }

    /// Waits until the table serves, so that it does when the import is seen to have ended.
    async fn await_active(&self) {
        let mut state = self.node.control.watch_region();
        let settled = state.wait_for(|state| {
            let table = state.table_by_id(self.import.table);
            table.is_none_or(|table| table.status != TableStatus::Creating)
        });
        let _ = rt::timeout(ACTIVE_LIMIT, settled).await;
    }

    async fn attempt(&self) -> Result<ImportCounts, Stop> {
        let from = &self.import.request.from;
        let (node, bucket) = (Arc::clone(&self.node), from.bucket.clone());
        let opened = rt::blocking(move || node.options.buckets.to_read(&bucket)).await;
        let files = Files::of(from, opened)?;
        let mut objects = files.under(from.prefix.as_deref().unwrap_or_default()).await?;
        objects.retain(|path| !path.as_ref().starts_with(IMPORT_ERRORS_FOLDER));
        if objects.len() > OBJECTS_MAX {
            let what = format!("There are more than {OBJECTS_MAX} objects to import");
            return Err(Stop::failed("LimitExceeded", what));
        }
        self.make_table().await?;
        let (counts, report) = (ImportCounts::default(), ErrorReport::default());
        let mut progress = Progress { counts, report };
        for path in &objects {
            self.read(&files, path, &mut progress).await?;
        }
        if let Some(report) = progress.report.finish() {
            let key = report_key(&self.import.id.to_string());
            let put = files.put(&key, report).await;
            let id = self.import.id;
            match put {
                Ok(()) => tracing::warn!(%id, key, "rows were not imported; see the report"),
                Err(why) => tracing::warn!(%id, %why, "the report of an import is not written"),
            }
        }
        Ok(progress.counts)
    }

    async fn make_table(&self) -> Result<(), Stop> {
        let partitions = self.node.placement().await;
        let partitions = partitions.ok_or_else(|| Stop::again("no node takes partitions"))?;
        let (id, at_ms) = (self.import.id, self.node.options.clock.now_ms());
        let make = Command::Import(ImportCommand::MakeTable { id, partitions, at_ms });
        match self.node.control.region(&make).await.map_err(Stop::again)? {
            Ok(Done::Table(_)) => Ok(()),
            Ok(other) => Err(Stop::again(format!("{other:?} instead of a table"))),
            Err(Refusal::TableExists { .. }) => {
                let (code, message) = imports::table_exists(&self.import.request.table_name);
                Err(Stop::failed(code, message))
            }
            Err(Refusal::LimitExceeded) => {
                Err(Stop::failed("LimitExceeded", "There are too many tables"))
            }
            Err(refusal) => Err(Stop::again(refusal)),
        }
    }

    /// Reads one object.
    async fn read(&self, files: &Files, path: &Path, progress: &mut Progress) -> Result<(), Stop> {
        // An object that is gone since it was listed is an error, as on the service.
        let Some(mut stream) = files.read(path).await? else {
            self.count(progress, path, 0, Err("The object is gone".to_owned()));
            return Ok(());
        };
        let (format, compression) = imports::format(&self.import.request);
        let attributes = &self.import.request.definition.attributes;
        let mut reader = ObjectReader::new(&format, compression, attributes);
        let mut in_flight = FuturesUnordered::new();
        loop {
            let bytes = Files::next(&mut stream).await?;
            let rows = match &bytes {
                Some(bytes) => reader.push(bytes),
                None => reader.finish(),
            };
            for row in rows {
                if in_flight.len() >= IN_FLIGHT_MAX
                    && let Some(done) = in_flight.next().await
                {
                    let (index, written) = done?;
                    self.count(progress, path, index, written);
                }
                in_flight.push(self.write(row));
            }
            if bytes.is_none() || reader.is_over() {
                break;
            }
        }
        while let Some(done) = in_flight.next().await {
            let (index, written) = done?;
            self.count(progress, path, index, written);
        }
        progress.counts.bytes += reader.plain_bytes();
        Ok(())
    }

    fn count(&self, progress: &mut Progress, path: &Path, index: u64, written: Result<(), String>) {
        progress.counts.processed += 1;
        match written {
            Ok(()) => progress.counts.imported += 1,
            Err(error) => {
                progress.counts.errors += 1;
                let arn = imports::import_arn(&self.node.options.region, &self.import);
                let bucket = &self.import.request.from.bucket;
                progress.report.add(&arn, bucket, path.as_ref(), index, &error);
            }
        }
    }

    /// Writes the item of a row, by whoever leads its partition.
    async fn write(&self, row: Row) -> Written {
        let item = match row.item {
            Ok(item) => item,
            Err(error) => return Ok((row.index, Err(error.to_string()))),
        };
        let key = match imports::checked(&self.import.request.definition, &item) {
            Ok(key) => key,
            Err(error) => return Ok((row.index, Err(error))),
        };
        let encoded = key.encode().into_bytes();
        let (action, returns) = (Action::Put(item), Returns::default());
        let put = Write { key, action, condition: None, returns };
        let request = ItemRequest::Write(Box::new(put));
        let deadline = rt::now() + WRITE_LIMIT;
        loop {
            let answer = self.node.items.at_key(self.import.table, &encoded, &request).await;
            match answer.map_err(item_error) {
                Ok(ItemAnswer::Write(WriteOutcome::Done(_))) => return Ok((row.index, Ok(()))),
                Ok(ItemAnswer::Write(WriteOutcome::Refused(refusal))) => {
                    return Ok((row.index, Err(refusal.to_string())));
                }
                Ok(other) => return Err(Stop::again(format!("a put was answered {other:?}"))),
                // It may have been applied: putting it twice is putting it once.
                Err(error) if rt::now() >= deadline => return Err(Stop::again(error)),
                Err(BackendError::ResourceNotFound) if self.is_known() => {
                    return Err(Stop::failed("TableNotFound", "The table is gone"));
                }
                Err(_) => rt::sleep(AGAIN).await,
            }
        }
    }

    /// True when this node's catalog has come past the making of the table.
    fn is_known(&self) -> bool {
        let state = self.node.control.region_state();
        state.is_table_gone(self.import.table) && state.jobs().imports.contains_key(&self.import.id)
    }
}

fn rows_failed(counts: ImportCounts) -> Option<Failure> {
    let (code, message) = imports::ROWS_FAILED;
    (counts.errors > 0).then(|| Failure { code: code.to_owned(), message: message.to_owned() })
}

//! DynamoDB Streams: the leader of a partition keeps its changes for them, and reads them out.
//!
//! # Invariants
//!
//! - A table with a new stream is ACTIVE only when every partition keeps its changes.
//! - Changes are kept for a day, or as many as [`KEPT_MAX`]; the oldest go first.
//!
//! Tested by `cluster_tests/streams.rs`.

use crate::hosting::HostedPartition;
use crate::items::message::{ItemAnswer, ItemRequest};
use crate::node::Node;
use crate::pipeline::{Order, Refused};
use meridian_api::backend::BackendError;
use meridian_api::streams::{StreamChange, StreamPage, StreamRead};
use meridian_base::{PartitionId, Position, TableId};
use meridian_control::region::{Command, STREAM_KEPT_MS};
use meridian_partition::record::item_of;
use meridian_partition::{ChangeRecord, ReadLimits, Reader, read_changes};
use meridian_raft::rt;
use std::sync::Arc;
use std::time::Duration;

/// Before an order that failed is given again.
const AGAIN: Duration = Duration::from_millis(20);
/// Between two looks for changes that are too old.
const TRIM_EVERY: Duration = Duration::from_secs(10);
/// Changes of a partition that are kept for its stream at most.
const KEPT_MAX: u64 = 10_000_000;
/// How much one look reads.
const TRIM_READ: ReadLimits = ReadLimits { records: 4096, bytes: 8 * 1024 * 1024 };
/// What one reading answers with at most, bytes of stored records (AWS: 1 MB).
const READ_BYTES: usize = 1024 * 1024;

/// Runs until the replica is closed or the node stops.
pub fn start(node: &Arc<Node>, hosted: &Arc<HostedPartition>) {
    let (node, hosted) = (Arc::clone(node), Arc::clone(hosted));
    rt::spawn(Keeper { node, hosted }.run());
}

struct Keeper {
    node: Arc<Node>,
    hosted: Arc<HostedPartition>,
}

impl Keeper {
    async fn run(self) {
        let mut leadership = self.hosted.group.watch();
        let mut state = self.node.control.watch_region();
        let mut stopping = self.node.stopping();
        loop {
            state.borrow_and_update();
            let leads = self.hosted.group.leading().is_some();
            let settled = !leads || self.look().await.is_ok();
            let pause = if settled { TRIM_EVERY } else { AGAIN };
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => return,
                changed = leadership.changed() => if changed.is_err() { return },
                changed = state.changed() => if changed.is_err() { return },
                () = rt::sleep(pause), if leads => {}
            }
        }
    }

    /// Starts, moves or ends the stream's reader, as the table says.
    async fn look(&self) -> Result<(), String> {
        let state = self.node.control.region_state();
        let (table, partition) = (self.hosted.spec.table, self.hosted.spec.partition);
        let Some(record) = state.table_by_id(table) else { return Ok(()) };
        let now_ms = self.node.options.clock.now_ms();
        let cursor = self.hosted.cursor(Reader::Stream);
        match (record.keeps_changes(now_ms), cursor) {
            (true, None) => self.order(Order::StartReader(Reader::Stream)).await?,
            (true, Some(cursor)) => {
                self.trim(cursor, now_ms.saturating_sub(STREAM_KEPT_MS)).await?
            }
            (false, Some(_)) => self.order(Order::DropReader(Reader::Stream)).await?,
            (false, None) => {}
        }
        if record.streamless.contains(&partition) {
            let started = Command::StreamStarted { table, partition };
            let told = self.node.control.region(&started).await;
            told.map_err(|e| e.to_string())?.map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    async fn order(&self, order: Order) -> Result<(), String> {
        self.hosted.order(order).await.map(|_| ()).map_err(|e| e.to_string())
    }

    /// Lets go of changes from before a time, and of those that are too many.
    async fn trim(&self, cursor: Position, before_ms: u64) -> Result<(), String> {
        let (engine, partition) = (self.hosted.engine.as_ref(), self.hosted.spec.partition);
        let page = read_changes(engine, partition, cursor, TRIM_READ).map_err(|e| e.to_string())?;
        let end = self.hosted.replica.header().position;
        let least = end.0.saturating_sub(KEPT_MAX);
        let old = page
            .records
            .iter()
            .take_while(|record| record.commit_ms < before_ms || record.position.0 <= least);
        match old.last() {
            Some(last) => self.order(Order::Cursor(Reader::Stream, last.position)).await,
            None => Ok(()),
        }
    }
}

impl HostedPartition {
    /// Reads the change log for a stream, if this replica leads.
    pub async fn changes(&self, after: Position, limit: usize) -> Result<ChangesAnswer, Refused> {
        self.barrier.pass().await?;
        let (header, marks) = self.replica.state();
        let (end, kept) = (header.position, marks.cursors.get(&Reader::Stream).copied());
        let kept_after = kept.unwrap_or(end);
        if limit == 0 || after >= end || after < kept_after {
            return Ok(ChangesAnswer { kept_after, end, records: Vec::new() });
        }
        let limits = ReadLimits { records: limit, bytes: READ_BYTES };
        let page = read_changes(self.engine.as_ref(), self.spec.partition, after, limits);
        let page = page.map_err(|e| Refused::Broken(e.to_string()))?;
        Ok(ChangesAnswer { kept_after, end, records: page.records })
    }
}

/// Some of a partition's changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangesAnswer {
    /// Changes after this position are there.
    pub kept_after: Position,
    /// The position of the last change.
    pub end: Position,
    /// The changes after the position that was asked for.
    pub records: Vec<ChangeRecord>,
}

impl Node {
    /// Reads a partition's changes for a stream.
    pub(crate) async fn stream_page(
        &self,
        table: TableId,
        partition: PartitionId,
        read: StreamRead,
    ) -> Result<StreamPage, BackendError> {
        let request = ItemRequest::Changes(read.after, read.limit);
        let answer = self.items.at_partition(table, partition, &request).await;
        let ItemAnswer::Changes(answer) = answer.map_err(crate::backend::item_error)? else {
            return Err(BackendError::Internal);
        };
        let item = |image: Option<&Vec<u8>>| {
            image.map(|image| item_of(image)).transpose().map_err(|_| BackendError::Internal)
        };
        let change = |record: &ChangeRecord| {
            Ok(StreamChange {
                position: record.position,
                commit_ms: record.commit_ms,
                cause: record.cause,
                old: item(record.old.as_ref())?,
                new: item(record.new.as_ref())?,
            })
        };
        Ok(StreamPage {
            kept_after: answer.kept_after,
            end: answer.end,
            changes: answer.records.iter().map(change).collect::<Result<_, BackendError>>()?,
        })
    }
}

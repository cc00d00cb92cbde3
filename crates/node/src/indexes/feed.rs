//! Feeds one global index from one partition of its table.
//!
//! # Invariants
//!
//! - The index's reader holds the change log before the view is opened that is copied.
//! - The cursor never passes a change that not every partition of the index has taken.

use crate::hosting::HostedPartition;
use crate::node::Node;
use crate::pause::Pause;
use crate::pipeline::Order;
use futures_util::future::try_join_all;
use meridian_base::{PartitionId, Position, TableId};
use meridian_control::region::Command;
use meridian_model::GlobalIndex;
use meridian_partition::{
    Feed, IndexEntry, PartitionSpec, ReadLimits, Reader, entries_of_change, entry_of_stored,
    layout, read_changes,
};
use meridian_raft::rt;
use meridian_storage::{Control, Range, View};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

/// How much of the change log, or of the items, is sent at a time.
const READ: ReadLimits = ReadLimits { records: 512, bytes: 512 * 1024 };
/// Pauses after a failure: the first, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// Between two stored cursors. A new leader sends again what was taken since.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// Least time between two feeds: under a steady flow one carries several changes.
const PACE: Duration = Duration::from_millis(10);

/// What a feed is made of.
pub struct IndexFeed {
    /// The node.
    pub node: Arc<Node>,
    /// The partition that it sends.
    pub hosted: Arc<HostedPartition>,
    /// The table that keeps the index's entries.
    pub id: TableId,
    /// The index.
    pub index: GlobalIndex,
}

impl IndexFeed {
    /// Runs until it is dropped.
    pub async fn run(self) {
        let mut pause = Pause::new(PAUSE_MIN, PAUSE_MAX);
        loop {
            let began = rt::now();
            let Err(why) = self.attempt().await;
            tracing::debug!(partition = %self.hosted.spec.partition, index = self.index.name, %why,
                "an index is fed again");
            if began.elapsed() > PAUSE_MAX * 4 {
                pause.reset();
            }
            pause.wait().await;
        }
    }

    async fn attempt(&self) -> Result<Infallible, String> {
        let cursor = self.hosted.start_reading(self.reader()).await.map_err(|e| e.to_string())?;
        if !self.is_filled() {
            self.fill(cursor).await?;
        }
        self.follow(cursor).await
    }

    fn reader(&self) -> Reader {
        Reader::Index(self.id.0)
    }

    fn is_filled(&self) -> bool {
        let state = self.node.control.region_state();
        let table = state.table_by_id(self.hosted.spec.table);
        let record = table.and_then(|t| t.indexes.iter().find(|index| index.id == self.id));
        record.is_none_or(|record| !record.unfilled.contains(&self.hosted.spec.partition))
    }

    /// Copies what the partition holds, and tells every partition of the index that this was all.
    async fn fill(&self, begun: Position) -> Result<(), String> {
        let mut view = self.hosted.engine.view().map_err(|e| e.to_string())?;
        let (spec, index) = (self.hosted.spec.clone(), self.index.clone());
        let (spec, index) = (Arc::new(spec), Arc::new(index));
        let mut from = Some(None);
        while let Some(after) = from.take() {
            let (spec, index) = (Arc::clone(&spec), Arc::clone(&index));
            let (back, page) = rt::blocking(move || {
                let page = copy_page(view.as_ref(), &spec, &index, after);
                (view, page)
            })
            .await;
            view = back;
            let (entries, next) = page?;
            self.send(entries, Position(0), true).await?;
            from = next.map(Some);
        }
        let all = self.node.catalog().partitions_of(self.id).to_vec();
        if all.is_empty() {
            return Err("the index has no partitions yet".to_owned());
        }
        let source = self.hosted.spec.partition;
        let done = Feed { source, upto: begun, copy: false, entries: Vec::new() };
        try_join_all(all.iter().map(|p| self.send_one(p.id, done.clone()))).await?;
        let filled = Command::IndexFilled { index: self.id, partition: source };
        match self.node.control.region(&filled).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(refusal)) => Err(refusal.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Follows the change log.
    async fn follow(&self, mut cursor: Position) -> Result<Infallible, String> {
        let mut position = self.hosted.position();
        let (mut saved, mut save_at) = (cursor, rt::now() + SAVE_EVERY);
        loop {
            let end = *position.borrow_and_update();
            if saved < cursor && rt::now() >= save_at {
                let order = Order::Cursor(self.reader(), cursor);
                self.hosted.order(order).await.map_err(|e| e.to_string())?;
                (saved, save_at) = (cursor, rt::now() + SAVE_EVERY);
            }
            if cursor >= end {
                tokio::select! {
                    changed = position.changed() => changed.map_err(|_| "the replica is closed")?,
                    () = rt::sleep_until(save_at), if saved < cursor => {}
                }
                continue;
            }
            let pace = rt::now() + PACE;
            cursor = self.send_changes(cursor).await?;
            rt::sleep_until(pace).await;
        }
    }

    /// Sends the changes after a position; gives that of the last one.
    async fn send_changes(&self, after: Position) -> Result<Position, String> {
        let spec = &self.hosted.spec;
        let page = read_changes(self.hosted.engine.as_ref(), spec.partition, after, READ);
        let page = page.map_err(|e| e.to_string())?;
        let Some(first) = page.records.first() else { return Ok(after) };
        if first.position != after.next() {
            return Err(format!("the change log after {after} begins only at {}", first.position));
        }
        let mut entries = Vec::new();
        for record in &page.records {
            let found = entries_of_change(&spec.schema, &self.index, record);
            entries.extend(found.map_err(|e| e.to_string())?);
        }
        self.send(entries, page.upto, false).await?;
        self.measure(first.commit_ms);
        Ok(page.upto)
    }

    /// How long the oldest change of a feed took from its commit until the index had it.
    fn measure(&self, commit_ms: u64) {
        let state = self.node.control.region_state();
        let Some(table) = state.table_by_id(self.hosted.spec.table) else { return };
        let (table, index) = (table.name.clone(), self.index.name.clone());
        let lag_ms = self.node.options.clock.now_ms().saturating_sub(commit_ms);
        metrics::histogram!("meridian_index_lag_seconds", "table" => table, "index" => index)
            .record(Duration::from_millis(lag_ms));
    }

    /// Brings entries to the partitions of the index that hold them.
    async fn send(
        &self,
        entries: Vec<IndexEntry>,
        upto: Position,
        copy: bool,
    ) -> Result<(), String> {
        let catalog = self.node.catalog();
        let mut parts: BTreeMap<PartitionId, Vec<IndexEntry>> = BTreeMap::new();
        for entry in entries {
            let holder = catalog.partition_at(self.id, &entry.key);
            let holder = holder.ok_or("the index has no partitions yet")?;
            parts.entry(holder.id).or_default().push(entry);
        }
        let source = self.hosted.spec.partition;
        let feeds = parts
            .into_iter()
            .map(|(to, entries)| self.send_one(to, Feed { source, upto, copy, entries }));
        try_join_all(feeds).await.map(|_| ())
    }

    async fn send_one(&self, to: PartitionId, feed: Feed) -> Result<(), String> {
        self.node.items.feed(self.id, to, feed).await.map_err(|e| e.to_string())
    }
}

/// Entries of some items, and the engine key after which the next ones stand; none at the end.
type CopyPage = (Vec<IndexEntry>, Option<Vec<u8>>);

/// The entries that some items of a table's partition are to have in an index.
pub fn copy_page(
    view: &dyn View,
    spec: &PartitionSpec,
    index: &GlobalIndex,
    after: Option<Vec<u8>>,
) -> Result<CopyPage, String> {
    let whole = layout::items(spec.table, &spec.range);
    let range = match after {
        None => whole,
        Some(after) => Range { start: Bound::Excluded(after), ..whole },
    };
    let (mut entries, mut last, mut read, mut bytes) = (Vec::new(), None, 0usize, 0usize);
    let mut damage = None;
    let scanned = view.scan(range, &mut |key, value| {
        match entry_of_stored(&spec.schema, index, (layout::encoded_of(key), value)) {
            Ok(entry) => entries.extend(entry),
            Err(error) => {
                damage = Some(error.to_string());
                return Control::Break(());
            }
        }
        read += 1;
        bytes = bytes.saturating_add(value.len());
        if read < READ.records && bytes < READ.bytes {
            return Control::Continue(());
        }
        last = Some(key.to_vec());
        Control::Break(())
    });
    scanned.map_err(|e| e.to_string())?;
    damage.map_or(Ok((entries, last)), Err)
}

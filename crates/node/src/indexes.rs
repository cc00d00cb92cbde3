//! Global indexes: the leader of a table's partition feeds those of its table.
//!
//! An index's entries are the items of a table that no user sees, with partitions and groups of its
//! own. For each index the leader of each partition of the table runs a [`feed`], which fills the
//! index from what is there and then follows the change log.
//!
//! # Invariants
//!
//! - Only a replica that leads feeds; what a former leader still sends does no harm
//!   (`meridian_partition::feed`).
//! - The reader of an index is dropped only when the catalog, which never goes back, has given the
//!   index's id out and has it no more.
//!
//! Tested by `cluster_tests/indexes.rs`.

mod feed;

use crate::hosting::HostedPartition;
use crate::node::Node;
use crate::pipeline::{Order, TableSettings};
use crate::task::Task;
use feed::IndexFeed;
pub use feed::copy_page;
use meridian_base::TableId;
use meridian_control::region::RegionState;
use meridian_model::GlobalIndex;
use meridian_partition::Reader;
use meridian_raft::rt;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Before an order that failed is given again.
const AGAIN: Duration = Duration::from_millis(20);

struct Indexing {
    node: Arc<Node>,
    hosted: Arc<HostedPartition>,
    /// The term in which the feeds were started.
    term: Option<u64>,
    feeds: BTreeMap<TableId, Task>,
}

/// Runs until the replica is closed or the node stops.
pub fn start(node: &Arc<Node>, hosted: &Arc<HostedPartition>) {
    let (node, hosted) = (Arc::clone(node), Arc::clone(hosted));
    let indexing = Indexing { node, hosted, term: None, feeds: BTreeMap::new() };
    rt::spawn(indexing.run());
}

impl Indexing {
    async fn run(mut self) {
        let mut leadership = self.hosted.group.watch();
        let mut state = self.node.control.watch_region();
        let mut stopping = self.node.stopping();
        loop {
            let now = Arc::clone(&state.borrow_and_update());
            let table = now.table_by_id(self.hosted.spec.table);
            let settings = table.map(TableSettings::of).unwrap_or_default();
            if *self.hosted.settings.borrow() != settings {
                self.hosted.tell(&settings).await;
            }
            self.follow_leadership().await;
            self.adjust(settings.indexes);
            let settled = self.drop_readers(&now).await;
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => return,
                changed = leadership.changed() => if changed.is_err() { return },
                changed = state.changed() => if changed.is_err() { return },
                () = rt::sleep(AGAIN), if !settled => {}
            }
        }
    }

    /// Ends feeds when the leadership ends; waits, when one begins, until this replica shows all
    /// that was acknowledged before.
    async fn follow_leadership(&mut self) {
        loop {
            let leading = self.hosted.group.leading();
            if leading == self.term {
                return;
            }
            self.feeds.clear();
            self.term = None;
            let Some(term) = leading else { return };
            if self.hosted.close().await.is_ok() && self.hosted.group.leading() == Some(term) {
                self.term = leading;
                return;
            }
            rt::sleep(AGAIN).await;
        }
    }

    /// Starts and ends feeds.
    fn adjust(&mut self, indexes: Vec<(TableId, GlobalIndex)>) {
        let indexes = if self.term.is_some() { indexes } else { Vec::new() };
        self.feeds.retain(|id, _| indexes.iter().any(|(wanted, _)| wanted == id));
        for (id, index) in indexes {
            self.feeds.entry(id).or_insert_with(|| {
                let (node, hosted) = (Arc::clone(&self.node), Arc::clone(&self.hosted));
                Task::start(IndexFeed { node, hosted, id, index }.run())
            });
        }
    }

    /// Lets go of the change log for indexes that are gone; true when nothing is left to do.
    async fn drop_readers(&self, state: &RegionState) -> bool {
        if self.term.is_none() {
            return true;
        }
        let readers: Vec<Reader> = self.hosted.replica.marks().cursors.keys().copied().collect();
        let mut settled = true;
        for reader in readers {
            let Reader::Index(id) = reader else { continue };
            if state.is_table_gone(TableId(id)) {
                settled &= self.hosted.order(Order::DropReader(reader)).await.is_ok();
            }
        }
        settled
    }
}

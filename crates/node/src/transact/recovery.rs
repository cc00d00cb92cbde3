//! Finishes what coordinators left behind, on the leaders of the partitions concerned.
//!
//! # Invariants
//!
//! - What holds an item is resolved as the transaction's home has decided, and only then.
//! - A decision is forgotten only when it is old and resolved everywhere.
//!
//! Tested by `cluster_tests/transact.rs`.

use crate::hosting::HostedPartition;
use crate::items::ItemError;
use crate::node::Node;
use meridian_partition::layout;
use meridian_partition::transact::{Decision, Head, Transact, TransactAnswer, Unfinished};
use meridian_raft::rt;
use meridian_storage::{Control, Range};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

/// Between two looks.
const EVERY: Duration = Duration::from_millis(500);
/// How long a coordinator has before others finish its work, ms: longer than it looks for items.
const PATIENCE_MS: u64 = 3_500;
/// The same of a transaction that is committed: nothing can go wrong with it any more.
const COMMITTED_PATIENCE_MS: u64 = 1_500;
/// Looks between two searches for decisions to forget.
const FORGET_EVERY: u32 = 20;
/// Decisions looked at in one search, and forgotten in one step.
const SEARCH_MAX: usize = 20_000;
const FORGET_MAX: usize = 1_000;

/// Runs until the replica is closed or the node stops.
pub fn start_recovery(node: &Arc<Node>, hosted: &Arc<HostedPartition>) {
    let (node, hosted) = (Arc::clone(node), Arc::clone(hosted));
    rt::spawn(Recovery { node, hosted, looks: 0, after: None }.run());
}

struct Recovery {
    node: Arc<Node>,
    hosted: Arc<HostedPartition>,
    looks: u32,
    /// Where the search for decisions to forget goes on.
    after: Option<Vec<u8>>,
}

impl Recovery {
    async fn run(mut self) {
        let mut leadership = self.hosted.group.watch();
        let mut stopping = self.node.stopping();
        loop {
            let leads = self.hosted.group.leading().is_some();
            if leads && let Err(why) = self.look().await {
                let partition = self.hosted.spec.partition;
                tracing::debug!(%partition, %why, "transactions are looked at again");
            }
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => return,
                changed = leadership.changed() => if changed.is_err() { return },
                () = rt::sleep(EVERY), if leads => {}
            }
        }
    }

    async fn look(&mut self) -> Result<(), String> {
        let now_ms = self.node.options.clock.now_ms();
        let before = now_ms.saturating_sub(COMMITTED_PATIENCE_MS);
        let left = self.hosted.left_behind(before).await.map_err(|e| e.to_string())?;
        for unfinished in left.unfinished {
            self.finish(&unfinished).await?;
        }
        let before = now_ms.saturating_sub(PATIENCE_MS);
        for head in left.held.into_iter().filter(|head| head.began_ms < before) {
            self.settle(head).await?;
        }
        self.looks += 1;
        if self.looks >= FORGET_EVERY {
            self.looks = 0;
            self.forget(now_ms).await?;
        }
        Ok(())
    }

    /// Has every place do what it holds of a transaction that was committed here.
    async fn finish(&self, committed: &Unfinished) -> Result<(), String> {
        let id = committed.id;
        for place in &committed.places {
            let step = Transact::Resolve(id, Some(committed.at_ms));
            match self.node.transact_at(*place, step).await {
                Ok(_) | Err(ItemError::NoTable) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        let finished = self.hosted.transact(Transact::Finish(id)).await;
        finished.map(|_| ()).map_err(|e| e.to_string())
    }

    /// Asks a transaction's home how it was decided, which aborts it if it was not; does so here.
    async fn settle(&self, head: Head) -> Result<(), String> {
        let committed_ms = match self.node.transact_at(head.home, Transact::Abort(head)).await {
            Ok(TransactAnswer::Committed(at_ms)) => Some(at_ms),
            Ok(TransactAnswer::Aborted) => None,
            Ok(other) => return Err(format!("no decision: {other:?}")),
            // The home's table is deleted, and nobody will ever commit there.
            Err(ItemError::NoTable) => None,
            Err(error) => return Err(error.to_string()),
        };
        tracing::info!(partition = %self.hosted.spec.partition, committed_ms,
            "a transaction that was left behind is finished");
        let resolved = self.hosted.transact(Transact::Resolve(head.id, committed_ms)).await;
        resolved.map(|_| ()).map_err(|e| e.to_string())
    }

    /// Forgets some decisions that nobody can ask for any more.
    async fn forget(&mut self, now_ms: u64) -> Result<(), String> {
        let (engine, partition) = (Arc::clone(&self.hosted.engine), self.hosted.spec.partition);
        let after = self.after.take();
        let searched = rt::blocking(move || {
            let whole = layout::decisions(partition);
            let range = match after {
                None => whole,
                Some(after) => Range { start: Bound::Excluded(after), ..whole },
            };
            let (mut old, mut next, mut read) = (Vec::new(), None, 0usize);
            let scanned = engine.scan(range, &mut |key, value| {
                // What cannot be read stays; the evaluator tells of it.
                if let Ok(decision) = Decision::decode(value)
                    && decision.is_old(now_ms)
                {
                    old.extend(layout::decided_of(key));
                }
                read += 1;
                if read < SEARCH_MAX && old.len() < FORGET_MAX {
                    return Control::Continue(());
                }
                next = Some(key.to_vec());
                Control::Break(())
            });
            scanned.map(|()| (old, next)).map_err(|e| e.to_string())
        });
        let (old, next) = searched.await?;
        self.after = next;
        if !old.is_empty() {
            let forgotten = self.hosted.transact(Transact::Forget(old)).await;
            forgotten.map_err(|e| e.to_string())?;
        }
        Ok(())
    }
}

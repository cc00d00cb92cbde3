//! Free disk: a node that is short of it leads nothing and takes no writes, until there is room.
//!
//! Below `disk_free_bytes_min` the node hands every leadership to a voter that has room. Where no
//! such voter is, it keeps the leadership, refuses writes and serves reads. What others lead it goes
//! on storing: the bytes below the setting are the reserve for that.
//!
//! # Invariants
//!
//! - A write that is refused for want of room was not proposed.
//! - A leadership is never handed to a node that says it is short too.
//!
//! Tested by `cluster_tests/full_disk.rs`, and on a small file system by `tests/operations`.

use crate::control::message::ControlAnswer;
use crate::node::Node;
use crate::options::DataDir;
use crate::planner;
use futures_util::future::join_all;
use meridian_base::NodeId;
use meridian_raft::{Group, rt};
use meridian_storage::StorageError;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Between two looks at the free disk.
const LOOK: Duration = Duration::from_millis(500);
/// How long leaderships may take to go.
const HAND_OVER_LIMIT: Duration = Duration::from_secs(2);

/// Tells how many bytes are free where a directory is.
pub type FreeBytes = Arc<dyn Fn(&Path) -> Result<u64, StorageError> + Send + Sync>;

/// What a node knows of its free disk.
#[derive(Debug, Default)]
pub struct Room {
    short: AtomicBool,
    refusing: AtomicBool,
}

impl Room {
    /// True while less is free than there should be.
    pub fn is_short(&self) -> bool {
        self.short.load(Ordering::Relaxed)
    }

    /// True while writes are refused where this node leads: it is short, and has tried to hand over.
    pub fn refuses(&self) -> bool {
        self.refusing.load(Ordering::Relaxed)
    }

    /// Takes note of a look. There must be a quarter more than the least to have room again, so that
    /// a node at the edge does not go to and fro.
    fn note(&self, free: u64, least: u64) {
        let short = if self.is_short() { free < resume_at(least) } else { free < least };
        if short == self.short.swap(short, Ordering::Relaxed) {
            return;
        }
        if short {
            tracing::warn!(
                free,
                least,
                "short of disk: this node leads nothing, or takes no writes"
            );
        } else {
            self.refusing.store(false, Ordering::Relaxed);
            tracing::info!(free, "there is room on the disk again: this node takes writes");
        }
    }
}

/// Free bytes from which on a node that was short has room again.
fn resume_at(least: u64) -> u64 {
    least.saturating_add(least / 4)
}

/// Runs until the node stops; at once for a node in memory.
pub async fn watch(node: Arc<Node>) {
    let DataDir::Path(dir) = node.options.data.clone() else { return };
    let least = node.options.disk_free_bytes_min;
    let mut stopping = node.stopping();
    loop {
        let (free_bytes, place) = (Arc::clone(&node.options.free_bytes), dir.clone());
        match rt::blocking(move || free_bytes(&place)).await {
            Ok(free) => {
                node.room.note(free, least);
                metrics::gauge!("meridian_disk_free_bytes").set(free as f64);
            }
            Err(error) => tracing::warn!(%error, "the free disk cannot be told"),
        }
        let short = node.room.is_short();
        metrics::gauge!("meridian_disk_short").set(if short { 1.0 } else { 0.0 });
        if short {
            hand_over(&node).await;
            node.room.refusing.store(true, Ordering::Relaxed);
        }
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = rt::sleep(LOOK) => {}
        }
    }
}

/// Hands every leadership to a voter that has room, where there is one.
async fn hand_over(node: &Node) {
    let led = node.hosting.groups().into_iter().filter(|group| group.leading().is_some());
    let led: Vec<Group> = led.collect();
    let voters: BTreeSet<NodeId> = led.iter().flat_map(|group| group.status().voters).collect();
    let others = voters.into_iter().filter(|voter| *voter != node.id());
    let asked = others.map(|voter| async move { (voter, has_room(node, voter).await) });
    let answers = join_all(asked).await;
    let roomy: BTreeSet<NodeId> =
        answers.into_iter().filter(|(_, roomy)| *roomy).map(|(voter, _)| voter).collect();
    join_all(led.iter().map(|group| hand_one_over(group, &roomy))).await;
}

async fn hand_one_over(group: &Group, roomy: &BTreeSet<NodeId>) {
    let status = group.status();
    let heirs = status.voters.iter().filter(|voter| roomy.contains(voter));
    let Some(heir) = heirs.max_by_key(|voter| status.matched.get(voter).copied()) else { return };
    tracing::info!(group = %group.id(), to = heir.0, "a leadership goes where there is room");
    if let Err(why) = group.hand_over_and_wait(*heir, HAND_OVER_LIMIT).await {
        tracing::debug!(group = %group.id(), %why, "a leadership was not taken over");
    }
}

async fn has_room(node: &Node, other: NodeId) -> bool {
    let answer = planner::ask(node, other).await;
    matches!(answer, Some(ControlAnswer::Observed { short_of_room: false, .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_at_the_edge_does_not_go_to_and_fro() {
        let room = Room::default();
        let looks =
            [(100, false), (99, true), (100, true), (124, true), (125, false), (100, false)];
        for (free, short) in looks {
            room.note(free, 100);
            assert_eq!(room.is_short(), short, "{free}");
        }
        room.note(0, 0);
        assert!(!room.is_short(), "0 turns it off");
    }
}

//! Lets the oldest segments of the node's Raft log go: a group that writes little would hold them, and
//! with them what all others wrote since, for as long as it writes little.
//!
//! # Invariants
//!
//! - Only what the engine holds durably goes, and of each group only what stands in the oldest segment.
//!
//! Tested by `cluster_tests/old_log.rs`.

use crate::node::Node;
use futures_util::future::join_all;
use meridian_base::{GroupId, LogIndex};
use meridian_raft::log::Held;
use meridian_raft::rt;
use meridian_storage::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Above this the oldest segments go, bytes. What is behind it, a member that was away need not be sent
/// as a snapshot.
const BYTES_KEPT: u64 = 512 * 1024 * 1024;
/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// How often, and how long after each other, it is seen whether a segment is gone that nobody holds.
const GONE_LOOKS: u32 = 20;
const GONE_LOOK: Duration = Duration::from_millis(10);

/// Runs until the node stops.
pub async fn watch(node: Arc<Node>) {
    let mut stopping = node.stopping();
    loop {
        let held_bytes = let_go(&node, BYTES_KEPT).await;
        metrics::gauge!("meridian_log_bytes").set(held_bytes as f64);
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = rt::sleep(LOOK) => {}
        }
    }
}

/// Has segments go until no more than `bytes` are held, or nothing more can go for now. Gives what is held.
pub async fn let_go(node: &Node, bytes: u64) -> u64 {
    let mut held = node.log.held();
    while held.bytes > bytes {
        let released = held.pins.iter().map(|pin| async {
            let id = GroupId::from_u64(pin.group);
            // One that is not open yet, or gone already, is seen to at the next look.
            let Some(group) = node.hosting.group(id) else { return };
            // Nor is one waited for that has not come so far.
            if group.status().applied < Some(LogIndex(pin.upto)) {
                return;
            }
            if let Err(why) = group.release(LogIndex(pin.upto)).await {
                tracing::debug!(group = %id, why, "a group keeps its part of the log");
            }
        });
        join_all(released).await;
        let pins = held.pins;
        held = after(node, &pins).await;
        if held.pins == pins {
            break;
        }
    }
    held.bytes
}

/// What is held once other groups, or the same ones elsewhere, hold the oldest segment: what is released
/// goes with one of the writer's next rounds.
async fn after(node: &Node, pins: &[Pin]) -> Held {
    for _ in 0..GONE_LOOKS {
        let held = node.log.held();
        if held.pins != pins {
            return held;
        }
        rt::sleep(GONE_LOOK).await;
    }
    node.log.held()
}

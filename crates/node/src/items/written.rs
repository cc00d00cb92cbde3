//! What was written through this node is shown by the replicas here: a client of one node reads its
//! own writes also where it reads eventually consistent.
//!
//! Tested by `cluster_tests/reads.rs`.

use super::Items;
use meridian_base::{PartitionId, Position};
use meridian_raft::rt;
use std::time::Duration;

/// How long an eventually consistent read waits for the replica here to show what was written
/// through this node.
const CATCH_UP_LIMIT: Duration = Duration::from_millis(50);
/// Partitions of which it is remembered what was written.
const WRITTEN_MAX: usize = 4096;

impl Items {
    /// Notes how far a leader was when it answered a write.
    pub(super) fn note_written(&self, partition: PartitionId, position: Position) {
        let mut written = self.written.lock().expect("no holder panics");
        if written.len() >= WRITTEN_MAX {
            written.clear();
        }
        let known = written.entry(partition).or_default();
        *known = position.max(*known);
    }

    /// Waits until the replica here shows what was written through this node. One that stays behind
    /// is waited for once a write.
    pub(super) async fn catch_up(&self, partition: PartitionId) {
        let wanted = self.written.lock().expect("no holder panics").get(&partition).copied();
        let (Some(wanted), Some(hosted)) = (wanted, self.hosting.partition(partition)) else {
            return;
        };
        let mut position = hosted.position();
        if *position.borrow() >= wanted {
            return;
        }
        let caught_up = position.wait_for(|shown| *shown >= wanted);
        if rt::timeout(CATCH_UP_LIMIT, caught_up).await.is_err() {
            self.written.lock().expect("no holder panics").remove(&partition);
        }
    }
}

//! What this node knows of the regions, for requests that belong to another one.

use crate::hosting::Hosting;
use crate::items::RegionGate;
use async_trait::async_trait;
use meridian_base::{NodeId, PartitionId};
use meridian_control::global::GlobalState;
use meridian_partition::header::{Freeze, Reader};
use meridian_raft::rt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Between two looks at a cursor that has not arrived yet.
const LOOK: Duration = Duration::from_millis(5);

/// The regions as this node knows them.
pub struct Regions {
    own: String,
    hosting: Arc<Hosting>,
    global: watch::Receiver<Arc<GlobalState>>,
}

impl Regions {
    /// Regions as the global group's replica shows them.
    pub fn new(
        own: String,
        hosting: Arc<Hosting>,
        global: watch::Receiver<Arc<GlobalState>>,
    ) -> Self {
        Regions { own, hosting, global }
    }

    /// This node's region.
    pub fn own(&self) -> &str {
        &self.own
    }
}

#[async_trait]
impl RegionGate for Regions {
    async fn drained(&self, partition: PartitionId, freeze: &Freeze) {
        let target = Reader::Region(freeze.target.number);
        loop {
            let arrived = self.hosting.partition(partition).is_none_or(|hosted| {
                let replica = hosted.replica.lock();
                let cursor = replica.marks().cursors.get(&target);
                cursor.is_some_and(|position| *position >= freeze.position)
            });
            if arrived {
                return;
            }
            rt::sleep(LOOK).await;
        }
    }

    fn nodes_of(&self, freeze: &Freeze) -> Vec<NodeId> {
        let global = self.global.borrow();
        let Some((name, _)) = global.region_numbered(freeze.target.number) else {
            return Vec::new();
        };
        global.nodes_of(name).map(|(id, _)| id).collect()
    }
}

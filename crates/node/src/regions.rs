//! What this node knows of the regions, and what regions do about each other: noticing silence,
//! leaving one, coming back.
//!
//! # Invariants
//!
//! - A held request goes to the target region only when everything that was written here before the
//!   freeze is acknowledged there.
//!
//! Tested by `cluster_tests`.

pub mod clocks;
pub mod evacuate;
pub mod message;
pub mod restore;
pub mod standing;
pub mod watch;

use crate::hosting::Hosting;
use crate::items::RegionGate;
use crate::replication::progress::Exchange;
use async_trait::async_trait;
use meridian_base::{NodeId, PartitionId, TableId};
use meridian_control::global::GlobalState;
use meridian_control::table::ReplicaStatus;
use meridian_partition::header::{Freeze, Reader};
use meridian_raft::rt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch as channel;

/// Between two looks at a cursor that has not arrived yet.
const LOOK: Duration = Duration::from_millis(2);

/// A region that a table's changes go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its number.
    pub number: u16,
    /// Its name.
    pub name: String,
    /// True while this region's own replica is being filled: of what it holds, only its own writes
    /// are news to others.
    pub own_writes_only: bool,
}

/// The regions as this node knows them.
pub struct Regions {
    own: String,
    hosting: Arc<Hosting>,
    global: channel::Receiver<Arc<GlobalState>>,
    /// Both ends of the streams between regions.
    pub exchange: Arc<Exchange>,
}

impl Regions {
    /// Regions as the global group's replica shows them.
    pub fn new(
        own: String,
        hosting: Arc<Hosting>,
        global: channel::Receiver<Arc<GlobalState>>,
    ) -> Self {
        Regions { own, hosting, global, exchange: Arc::default() }
    }

    /// This node's region.
    pub fn own(&self) -> &str {
        &self.own
    }

    /// The other regions that have, or are getting, a replica of a table of which this region has
    /// one.
    pub fn targets(&self, table: TableId) -> Vec<Target> {
        let global = self.global.borrow();
        let Some(known) = global.tables().values().find(|known| known.table == table) else {
            return Vec::new();
        };
        let holds = |status| match status {
            ReplicaStatus::Creating | ReplicaStatus::Active => true,
            ReplicaStatus::CreationFailed | ReplicaStatus::Deleting => false,
        };
        let Some(own) = known.replicas.get(&self.own).filter(|own| holds(own.status)) else {
            return Vec::new();
        };
        let own_writes_only = own.status == ReplicaStatus::Creating;
        let others = known
            .replicas
            .iter()
            .filter(|(name, replica)| **name != self.own && holds(replica.status));
        others
            .filter_map(|(name, _)| {
                let number = global.regions().get(name)?.id.number;
                Some(Target { number, name: name.clone(), own_writes_only })
            })
            .collect()
    }
}

#[async_trait]
impl RegionGate for Regions {
    async fn drained(&self, partition: PartitionId, freeze: &Freeze) {
        let target = freeze.target.number;
        loop {
            let arrived = self.hosting.partition(partition).is_none_or(|hosted| {
                let acked = self.exchange.progress(partition, target).map(|known| known.acked);
                let marks = hosted.replica.marks();
                let stored = marks.cursors.get(&Reader::Region(target)).copied();
                let is_copied = !marks.cursors.contains_key(&Reader::Copy(target));
                is_copied && acked.max(stored).is_some_and(|position| position >= freeze.position)
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

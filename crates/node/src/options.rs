//! What a node is started with.

use crate::archive::ArchiveOptions;
use crate::buckets::Buckets;
use crate::room::FreeBytes;
use meridian_base::{Clock, NodeId};
use meridian_control::NodeAddresses;
use meridian_storage::EngineKind;
use meridian_transport::{Delays, Secret, Switch};
use std::path::PathBuf;
use std::sync::Arc;

/// Where a node keeps its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataDir {
    /// In a directory: the log under `log`, the engine under `engine`.
    Path(PathBuf),
    /// In memory: gone with the process.
    Memory,
}

/// What a node is started with.
pub struct NodeOptions {
    /// Its id, unique in the cluster.
    pub node: NodeId,
    /// The region's name.
    pub region: String,
    /// The failure domain within the region.
    pub zone: String,
    /// Where others reach it.
    pub addresses: NodeAddresses,
    /// Peer addresses of other nodes, asked for the cluster until one is known.
    pub seeds: Vec<String>,
    /// Where its data is.
    pub data: DataDir,
    /// Which engine holds the items.
    pub engine: EngineKind,
    /// Partitions of a new table.
    pub partitions: u32,
    /// The cluster's secret.
    pub secret: Option<Secret>,
    /// Delay added to what is sent to other regions.
    pub delays: Delays,
    /// Marks a region Lost when a majority of the others has not heard of it for so long, ms;
    /// none leaves that to the operator.
    pub auto_fail_ms: Option<u64>,
    /// Free bytes on disk below which the node takes no writes.
    pub disk_free_bytes_min: u64,
    /// Tells how much is free.
    pub free_bytes: FreeBytes,
    /// The black-hole switch, shared with the client listener.
    pub switch: Switch,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Where the point-in-time archive is; none is kept without it.
    pub archive: Option<ArchiveOptions>,
    /// The buckets of exports and imports.
    pub buckets: Buckets,
    /// Founds a cluster of this one node at its first start (`dev`).
    pub alone: bool,
}

/// The system's wall clock.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }
}

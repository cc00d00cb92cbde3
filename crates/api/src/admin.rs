//! What operators ask of a node: the seam between the admin listener and the node behind it.
//!
//! # Invariants
//!
//! - No HTTP here: a listener turns requests into [`AdminCall`]s and [`AdminError`]s into status
//!   codes.
//! - Answers are JSON values, because their only readers are programs and the tables of the CLI.
//!
//! Tested by the admin listener's tests in `server`, which put a scripted backend behind it.

use async_trait::async_trait;
use serde_json::Value;

/// What a restored table is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestoreKind {
    /// What DynamoDB makes of it.
    Usual,
    /// With every setting that the source had then.
    AllSettings,
    /// As usual, for a comparison only.
    Scratch,
}

/// What a restore is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedSource {
    /// Name or number of a table, or number of a backup.
    pub source: String,
    /// It is a backup.
    pub is_backup: bool,
    /// In whose archive: the id of a cluster; this one when absent.
    pub cluster: Option<String>,
    /// The region of that cluster; this one when absent.
    pub region: Option<String>,
}

/// One request of an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminCall {
    /// This node, its region, its groups and their leaders, as the node knows them.
    Status,
    /// The tables of the region with their partitions and replicas.
    Tables,
    /// The regions of the cluster and their states.
    Regions,
    /// The recorded conflicts of a table.
    Conflicts {
        /// Name of the table.
        table: String,
    },
    /// Replication lag per table, origin and target.
    Lag,
    /// A digest of each replica that this node holds of a table, or of one partition.
    Digest {
        /// Name of the table.
        table: String,
        /// Only this partition.
        partition: Option<u64>,
    },
    /// One page of the items that this node holds of a partition, with their versions.
    Dump {
        /// Name of the table.
        table: String,
        /// The partition.
        partition: u64,
        /// Continues after this position, as the previous page named it.
        after: Option<String>,
    },
    /// One page of the entries of a global index: as the items of a partition of the table say, or as
    /// a partition of the index holds them.
    Entries {
        /// Name of the table.
        table: String,
        /// Name of the index.
        index: String,
        /// The partition, of the table or of the index.
        partition: u64,
        /// Continues after this position, as the previous page named it.
        after: Option<String>,
    },
    /// Everything that the archive's object store holds, of whichever clusters and regions.
    Archived,
    /// Wraps the data keys of an archive that older master keys wrapped with the newest.
    Rewrap {
        /// Of the archive of this cluster, by its id; this one when absent.
        cluster: Option<String>,
        /// Of this region; this one when absent.
        region: Option<String>,
    },
    /// Makes a table and begins to fill it from an archive.
    Restore {
        /// What it is filled from.
        from: ArchivedSource,
        /// Name of the new table.
        to: String,
        /// As of when, ms since the Unix epoch; as late as the archive can when absent.
        at_ms: Option<u64>,
        /// What becomes of it.
        kind: RestoreKind,
    },
    /// How far a table is restored.
    Restoring {
        /// Name of the table.
        table: String,
    },
    /// Compares what an archive holds of a partition, as of a time, with a table that was restored
    /// from it, and with the table of which it is the archive, if that still exists.
    Compare {
        /// What the table was restored from.
        from: ArchivedSource,
        /// Name of the restored table.
        restored: String,
        /// The partition, of the source.
        partition: u64,
        /// As of when, ms since the Unix epoch.
        at_ms: u64,
    },
    /// Two tables change their names with each other.
    TableSwap {
        /// Name of one.
        first: String,
        /// Name of the other.
        second: String,
    },
    /// Deletes a table of this region that is still being restored, or that was restored for a
    /// comparison only.
    TableDrop {
        /// Name of the table.
        table: String,
    },
    /// Founds the cluster out of the nodes that know each other.
    ClusterInit {
        /// Refuses unless exactly this many nodes are known.
        nodes: Option<u64>,
    },
    /// Marks a region Lost.
    RegionFail {
        /// Name of the region.
        region: String,
        /// Goes ahead without a majority of the global group, at this epoch.
        override_epoch: Option<u64>,
    },
    /// Brings a region back: catches it up, sends what only it held, makes it Active.
    RegionRestore {
        /// Name of the region.
        region: String,
    },
    /// Drains a region: its traffic moves to another without a failed request.
    RegionEvacuate {
        /// Name of the region.
        region: String,
        /// Where its traffic goes; the node chooses when absent.
        target: Option<String>,
        /// Undoes a drain that is under way.
        abort: bool,
    },
    /// Starts a node that has ended; only the playground, whose child it is, can do that.
    NodeStart {
        /// Id of the node.
        node: u64,
    },
    /// Takes a node that has joined into the planning of its region.
    NodeAdd {
        /// Id of the node.
        node: u64,
    },
    /// Moves every replica off a node.
    NodeDrain {
        /// Id of the node.
        node: u64,
    },
    /// Forgets a node for good; its replicas are rebuilt elsewhere.
    NodeRemove {
        /// Id of the node.
        node: u64,
    },
}

/// Why an operator's request was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// The thing named does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The request makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The cluster is in a state that forbids it.
    #[error("{0}")]
    Refused(String),
    /// It could not be done now (no leader, no majority, a timeout); it may have taken effect.
    #[error("{0}")]
    Unavailable(String),
}

/// A node as its operators see it.
#[async_trait]
pub trait AdminBackend: Send + Sync + 'static {
    /// `Ok` when the node serves clients; otherwise what it is waiting for.
    async fn ready(&self) -> Result<(), String>;

    /// Does what an operator asks; returns when it is done or has failed.
    async fn call(&self, call: AdminCall) -> Result<Value, AdminError>;
}

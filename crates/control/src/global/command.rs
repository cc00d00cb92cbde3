//! The commands of the global group, and how each can be answered.
//!
//! # Invariants
//!
//! - A command carries every time that it needs: applying it reads only the state.
//!
//! Tested by `global/tests.rs`; sample bytes in `samples/`.

use super::RegionStatus;
use crate::node::NodeAddresses;
use crate::stored::{self, Stored};
use crate::table::{DefinitionError, ReplicaStatus, TableDefinition};
use meridian_base::{NodeId, RegionId, TableId};
use serde::{Deserialize, Serialize};

/// A change of the cluster's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Names the cluster and its regions; the first command of the group.
    InitCluster {
        /// Unique text.
        cluster: String,
        /// Names of the regions; they are numbered from 1 in this order.
        regions: Vec<String>,
        /// Now.
        at_ms: u64,
    },
    /// Adds a region, Active and without nodes.
    AddRegion {
        /// Its name.
        region: String,
        /// Now.
        at_ms: u64,
    },
    /// Starts a new incarnation of a region whose data is given up: it will be filled anew.
    RebuildRegion {
        /// The region; Lost or Recovering.
        region: String,
        /// The epoch that the proposer has seen.
        expected_epoch: u64,
    },
    /// Adds a node, or takes over its new addresses.
    UpsertNode {
        /// The node.
        #[serde(with = "stored::id")]
        node: NodeId,
        /// Its region.
        region: String,
        /// Its failure domain within the region.
        zone: String,
        /// Where it is reached.
        addresses: NodeAddresses,
    },
    /// Has a node give away its replicas, or takes that back.
    DrainNode {
        /// The node.
        #[serde(with = "stored::id")]
        node: NodeId,
        /// False takes it back.
        drain: bool,
    },
    /// A node lost its Raft log: it leaves every group of which it is a member.
    LoseNodeLog {
        /// The node.
        #[serde(with = "stored::id")]
        node: NodeId,
        /// Which loss.
        loss: u64,
    },
    /// A node that lost its log is a member of no group any more, and takes replicas again.
    ReturnNode {
        /// The node.
        #[serde(with = "stored::id")]
        node: NodeId,
        /// Which loss.
        loss: u64,
    },
    /// Takes a node away for good.
    RemoveNode {
        /// The node.
        #[serde(with = "stored::id")]
        node: NodeId,
        /// The node that takes its place.
        #[serde(with = "stored::id_option", default)]
        replaced_by: Option<NodeId>,
    },
    /// Makes a region's table global, with that region as its one replica.
    CreateGlobalTable {
        /// The table's name.
        name: String,
        /// The table's id.
        #[serde(with = "stored::id")]
        table: TableId,
        /// What the other regions create.
        definition: TableDefinition,
        /// The region that has it.
        region: String,
        /// Now.
        at_ms: u64,
    },
    /// Adds a replica, Creating.
    AddReplica {
        /// The table's name.
        name: String,
        /// Where.
        region: String,
        /// Now.
        at_ms: u64,
    },
    /// The replica is made and filled.
    ReplicaActive {
        /// The table's name.
        name: String,
        /// Where.
        region: String,
        /// Now.
        at_ms: u64,
    },
    /// The replica cannot be made: the region has another table of that name.
    ReplicaFailed {
        /// The table's name.
        name: String,
        /// Where.
        region: String,
        /// Now.
        at_ms: u64,
    },
    /// Begins to delete a replica.
    RemoveReplica {
        /// The table's name.
        name: String,
        /// Where.
        region: String,
        /// Now.
        at_ms: u64,
    },
    /// The replica is deleted. A table with one replica left is global no more.
    ReplicaRemoved {
        /// The table's name.
        name: String,
        /// Where.
        region: String,
    },
    /// Changes the settings that all replicas share.
    UpdateTableDefinition {
        /// The table's name.
        name: String,
        /// The version that the proposer has seen.
        expected_version: u64,
        /// The whole new definition; keys stay as they are.
        definition: TableDefinition,
    },
    /// Moves a region's status.
    SetRegionState {
        /// The region.
        region: String,
        /// The new status.
        to: RegionStatus,
        /// The epoch that the proposer has seen.
        expected_epoch: u64,
        /// Now.
        at_ms: u64,
    },
    /// Says that a region hears nothing from another, or hears it again. Repeated while the silence
    /// lasts, at most every second: old reports do not count.
    ReportSilence {
        /// The region that reports.
        by: String,
        /// The region that is silent.
        about: String,
        /// When `by` last heard it; none when it is heard again.
        since_ms: Option<u64>,
        /// Now, by the same clock.
        at_ms: u64,
    },
}

impl Stored for Command {}

/// What a command that was carried out answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Done {
    /// Nothing more to say.
    Changed,
    /// The region that was made or rebuilt.
    Region(#[serde(with = "stored::id")] RegionId),
    /// The region's epoch from now on.
    Epoch(u64),
    /// The global table's version from now on.
    Version(u64),
}

/// Why a command changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Refusal {
    /// Any command before `InitCluster`.
    #[error("the cluster is not initialised")]
    NotInitialised,
    /// `InitCluster` for another cluster, or without a region, or with one twice.
    #[error("the cluster is initialised already, or its regions are not distinct names")]
    InitialisedOtherwise,
    /// The log index was applied before.
    #[error("the command was applied before")]
    Replayed,
    /// A region of that name exists.
    #[error("the region exists")]
    RegionExists,
    /// No such region.
    #[error("no such region")]
    RegionNotFound,
    /// There are as many regions, or incarnations of one, as there may be.
    #[error("a limit is reached")]
    LimitExceeded,
    /// The region changed since.
    #[error("the region is at epoch {current}")]
    StaleEpoch {
        /// The epoch that it has.
        current: u64,
    },
    /// The region's status does not allow it.
    #[error("the region is {}", from.name())]
    IllegalMove {
        /// The status that it has.
        from: RegionStatus,
    },
    /// The target of a drain is the region itself, unknown or not Active.
    #[error("the target region is not Active")]
    BadTarget,
    /// No other region would take traffic.
    #[error("no other region takes traffic")]
    LastRegion,
    /// A region's report about itself.
    #[error("a region cannot report itself")]
    SelfReport,
    /// No such node.
    #[error("no such node")]
    NodeNotFound,
    /// The node was removed; its id is not used again.
    #[error("the node was removed")]
    NodeRemoved,
    /// The node lost its log: it is on its way out of its groups, and comes back by itself.
    #[error("the node lost its log and is coming back: it can only be removed")]
    NodeLostLog,
    /// The node id belongs to another region.
    #[error("the node belongs to region {region}")]
    NodeElsewhere {
        /// The region that has it.
        region: String,
    },
    /// A global table of that name, or of that id, exists.
    #[error("global table {table} exists")]
    TableExists {
        /// The one that exists.
        #[serde(with = "stored::id")]
        table: TableId,
    },
    /// No such global table.
    #[error("no such global table")]
    TableNotFound,
    /// The definition contradicts itself.
    #[error("the definition cannot be stored")]
    Definition(#[source] DefinitionError),
    /// The new definition has other keys.
    #[error("the keys of a table do not change")]
    KeysChanged,
    /// The global table changed since.
    #[error("the global table is at version {current}")]
    StaleVersion {
        /// The version that it has.
        current: u64,
    },
    /// The region has a replica, or its status does not allow the change.
    #[error("the replica is {status:?}")]
    ReplicaInUse {
        /// Its status.
        status: ReplicaStatus,
    },
    /// The region has no replica of the table.
    #[error("the region has no replica of the table")]
    ReplicaNotFound,
    /// No other replica is Active.
    #[error("no other replica is Active")]
    LastReplica,
}

/// The answer to a command.
pub type CommandResult = Result<Done, Refusal>;

impl Stored for CommandResult {}

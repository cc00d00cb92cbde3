//! The commands of a region group, and how each can be answered.
//!
//! # Invariants
//!
//! - A command carries every time and every placement that it needs: applying it reads only the
//!   state. Ids are given out by the state, in log order.
//!
//! Tested by `region/tests.rs`; sample bytes in `samples/`.

use super::backups::BackupCommand;
use super::jobs::{ExportCommand, ImportCommand, JobId};
use super::own::OwnChange;
use super::settings::TableSettings;
use super::{Replicas, RestoreSource, Restored};
use crate::node::NodeAddresses;
use crate::stored::{self, Stored};
use crate::table::{DefinitionError, GlobalSnapshot, TableDefinition, TableStatus};
use meridian_base::{BackupId, NodeId, PartitionId, RegionId, TableId};
use meridian_model::KeyRange;
use serde::{Deserialize, Serialize};

/// Where a partition of a new table goes; made by the planner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionPlacement {
    /// The encoded keys that it holds.
    #[serde(with = "stored::range")]
    pub range: KeyRange,
    /// Its replicas.
    #[serde(with = "stored::id_list")]
    pub voters: Vec<NodeId>,
    /// The one of them that starts the group and should lead first.
    #[serde(with = "stored::id")]
    pub first_leader: NodeId,
}

/// A change of the region's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Names the region; the first command of its group. Again with a higher incarnation after the
    /// region was rebuilt from nothing.
    InitRegion {
        /// Its id in the cluster.
        #[serde(with = "stored::id")]
        region: RegionId,
        /// Its name.
        name: String,
    },
    /// Makes a table, CREATING.
    CreateTable {
        /// Its name.
        name: String,
        /// What it is.
        definition: Box<TableDefinition>,
        /// Its partitions, in the order of their ranges.
        partitions: Vec<PartitionPlacement>,
        /// The id, for a replica of a global table; a new one otherwise.
        #[serde(with = "stored::id_option", default)]
        forced: Option<TableId>,
        /// The replicas, for a replica of a global table.
        #[serde(default)]
        global: Option<GlobalSnapshot>,
        /// What belongs to this region's copy alone.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        own: Vec<OwnChange>,
        /// What to fill it from before it is ACTIVE.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        restore: Option<Box<RestoreSource>>,
        /// Now.
        created_ms: u64,
    },
    /// Every partition has a leader, or a change of settings is done: ACTIVE.
    TableActive {
        /// The table.
        #[serde(with = "stored::id")]
        table: TableId,
    },
    /// Changes settings of an ACTIVE table, which becomes UPDATING.
    UpdateTable {
        /// The table's name.
        name: String,
        /// The changes.
        settings: Box<TableSettings>,
        /// Now.
        at_ms: u64,
    },
    /// Makes a global index that the table is to have, CREATING.
    MakeIndex {
        /// The table.
        #[serde(with = "stored::id")]
        table: TableId,
        /// The index's name.
        index: String,
        /// Its partitions, in the order of their ranges.
        partitions: Vec<PartitionPlacement>,
    },
    /// A partition keeps its changes for the table's stream.
    StreamStarted {
        /// The table.
        #[serde(with = "stored::id")]
        table: TableId,
        /// The partition.
        #[serde(with = "stored::id")]
        partition: PartitionId,
    },
    /// A partition of a table that is being restored is filled.
    PartitionRestored {
        /// The table.
        #[serde(with = "stored::id")]
        table: TableId,
        /// The partition.
        #[serde(with = "stored::id")]
        partition: PartitionId,
        /// Now.
        at_ms: u64,
    },
    /// How far a partition of a table is restored.
    RestoreProgress {
        /// The table.
        #[serde(with = "stored::id")]
        table: TableId,
        /// The partition.
        #[serde(with = "stored::id")]
        partition: PartitionId,
        /// How far it is.
        restored: Restored,
    },
    /// Begins to delete a table that is still being restored: DELETING.
    DropRestoring {
        /// The table.
        #[serde(with = "stored::id")]
        table: TableId,
    },
    /// Two tables change their names with each other.
    SwapTables {
        /// The name of one.
        first: String,
        /// The name of the other.
        second: String,
    },
    /// Changes the backups.
    Backup(BackupCommand),
    /// Changes the exports.
    Export(ExportCommand),
    /// Changes the imports.
    Import(ImportCommand),
    /// All items of a table's partition are in an index.
    IndexFilled {
        /// The table that keeps the index's entries.
        #[serde(with = "stored::id")]
        index: TableId,
        /// The partition.
        #[serde(with = "stored::id")]
        partition: PartitionId,
    },
    /// Changes what belongs to this region's copy alone. Changes no status.
    ChangeOwn {
        /// The table's name.
        name: String,
        /// The change.
        change: OwnChange,
        /// Now.
        at_ms: u64,
    },
    /// Takes over what the global group says about the table's replicas. Changes no status.
    SetGlobal {
        /// The table.
        #[serde(with = "stored::id")]
        table: TableId,
        /// The replicas; none when the table is global no more.
        global: Option<GlobalSnapshot>,
    },
    /// Begins to delete a table: DELETING.
    DeleteTable {
        /// The table's name.
        name: String,
        /// Deletes in spite of deletion protection and status: for replicas that the global group
        /// takes away.
        #[serde(default)]
        force: bool,
        /// When all that was written before is committed on any clock, ms since the Unix epoch: the
        /// moment of the backup of a table with recovery; none makes no backup.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        backup_ms: Option<u64>,
    },
    /// The nodes have deleted the replicas of a DELETING table: its name is free.
    TableGone {
        /// The table.
        #[serde(with = "stored::id")]
        table: TableId,
    },
    /// Records who holds a partition, or should.
    PartitionReplicas {
        /// The partition.
        #[serde(with = "stored::id")]
        partition: PartitionId,
        /// The epoch that the proposer has seen.
        expected_epoch: u64,
        /// Who holds it.
        replicas: Replicas,
    },
    /// Adds a node, or takes over its new addresses.
    JoinNode {
        /// The node.
        #[serde(with = "stored::id")]
        node: NodeId,
        /// Its failure domain.
        zone: String,
        /// Where it is reached.
        addresses: NodeAddresses,
    },
    /// Has a node give away its replicas.
    DrainNode {
        /// The node.
        #[serde(with = "stored::id")]
        node: NodeId,
    },
    /// Takes back `DrainNode`.
    ActivateNode {
        /// The node.
        #[serde(with = "stored::id")]
        node: NodeId,
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
    /// Takes a node away for good, whether it lives or not.
    RemoveNode {
        /// The node.
        #[serde(with = "stored::id")]
        node: NodeId,
        /// The node that takes over its replicas.
        #[serde(with = "stored::id_option", default)]
        replaced_by: Option<NodeId>,
    },
}

impl Stored for Command {}

/// What a command that was carried out answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Done {
    /// Nothing more to say.
    Changed,
    /// The table that was made or meant.
    Table(#[serde(with = "stored::id")] TableId),
    /// The partition's epoch from now on.
    Epoch(u64),
    /// The backup that was made or meant.
    Backup(#[serde(with = "stored::id")] BackupId),
    /// The export or import that was begun or meant.
    Job(JobId),
}

/// Why a command changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Refusal {
    /// Any command before `InitRegion`.
    #[error("the region is not initialised")]
    NotInitialised,
    /// `InitRegion` with another number or name.
    #[error("the region is initialised already, as another one")]
    InitialisedOtherwise,
    /// The log index was applied before.
    #[error("the command was applied before")]
    Replayed,
    /// A table of that name, or of the forced id, exists.
    #[error("table {table} exists")]
    TableExists {
        /// The one that exists.
        #[serde(with = "stored::id")]
        table: TableId,
    },
    /// No such table.
    #[error("no such table")]
    TableNotFound,
    /// The table's status does not allow it.
    #[error("the table is {status:?}")]
    InUse {
        /// Its status.
        status: TableStatus,
    },
    /// The region has as many tables, or the table as many partitions, as there may be.
    #[error("a limit is reached")]
    LimitExceeded,
    /// No such backup.
    #[error("no such backup")]
    BackupNotFound,
    /// The backup is being taken, or restored from.
    #[error("the backup is being taken or restored from")]
    BackupInUse,
    /// Another index of the table is being made or deleted, or this one is.
    #[error("an index of the table is being made or deleted")]
    IndexBusy,
    /// The index is UPDATING.
    #[error("the index is being updated")]
    IndexUpdating,
    /// No such index.
    #[error("no such index")]
    IndexNotFound,
    /// More tags than a table may have.
    #[error("the table has too many tags")]
    TooManyTags,
    /// The table has another policy than the change expects, or none.
    #[error("the table has another policy, or none")]
    OtherPolicy,
    /// A job that the same token began was asked for otherwise.
    #[error("the token came before with other parameters")]
    OtherParameters,
    /// No such export or import, or it is over.
    #[error("no such export or import")]
    JobNotFound,
    /// A table was to change names with itself.
    #[error("the two tables are the same one")]
    SameTable,
    /// A table has replicas in other regions, which know it by its name.
    #[error("the table has replicas in other regions")]
    Replicated,
    /// Deletion protection is on.
    #[error("the table is protected against deletion")]
    DeletionProtected,
    /// The definition contradicts itself, perhaps only together with what is stored.
    #[error("the definition cannot be stored")]
    Definition(#[source] DefinitionError),
    /// The ranges do not tile the key space, or a node is unknown, doubled or takes no replicas:
    /// place again.
    #[error("the placement does not fit the region's nodes or the key space")]
    StalePlacement,
    /// No such partition.
    #[error("no such partition")]
    PartitionNotFound,
    /// The partition changed since.
    #[error("the partition is at epoch {current}")]
    StaleEpoch {
        /// The epoch that it has.
        current: u64,
    },
    /// No such node.
    #[error("no such node")]
    NodeNotFound,
    /// The node was removed; its id is not used again.
    #[error("the node was removed")]
    NodeRemoved,
    /// The node lost its log: it is on its way out of its groups, and comes back by itself.
    #[error("the node lost its log and is coming back: it can only be removed")]
    NodeLostLog,
    /// No other node takes replicas.
    #[error("no other node of the region takes replicas")]
    LastNode,
}

/// The answer to a command.
pub type CommandResult = Result<Done, Refusal>;

impl Stored for CommandResult {}

//! The commands of a region group, and how each can be answered.
//!
//! # Invariants
//!
//! - A command carries every time and every placement that it needs: applying it reads only the
//!   state. Ids are given out by the state, in log order.
//!
//! Tested by `region/tests.rs`; sample bytes in `samples/`.

use super::jobs::{ExportCommand, ImportCommand, JobId};
use super::own::OwnChange;
use super::{Replicas, RestoreSource};
use crate::node::NodeAddresses;
use crate::replica_settings::{self, Dimension, ReplicaOverrides, Scaling};
use crate::stored::{self, Stored};
use crate::table::{
    BillingMode, DefinitionError, Encryption, GlobalIndexDefinition, GlobalSnapshot,
    OnDemandMaximum, StreamView, TableClass, TableDefinition, TableStatus, Throughput,
};
use meridian_base::{BackupId, NodeId, PartitionId, RegionId, TableId};
use meridian_model::{KeyAttribute, KeyRange};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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

/// A new value of a setting, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Setting<T> {
    /// The setting stays.
    #[default]
    Keep,
    /// The setting is taken away.
    Unset,
    /// The setting becomes this.
    Set(T),
}

/// What UpdateTable changes of `OnDemandThroughput`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OnDemandChange {
    /// Read request units.
    #[serde(default)]
    pub read_units: Setting<u64>,
    /// Write request units.
    #[serde(default)]
    pub write_units: Setting<u64>,
}

impl OnDemandChange {
    /// What makes `from` equal to `to`.
    fn between(from: OnDemandMaximum, to: OnDemandMaximum) -> Self {
        OnDemandChange {
            read_units: Setting::between(from.read_units, to.read_units),
            write_units: Setting::between(from.write_units, to.write_units),
        }
    }

    /// True when nothing changes.
    pub fn is_empty(&self) -> bool {
        *self == OnDemandChange::default()
    }

    /// The limits after the change.
    pub fn applied_to(&self, before: OnDemandMaximum) -> OnDemandMaximum {
        OnDemandMaximum {
            read_units: self.read_units.applied_to(&before.read_units),
            write_units: self.write_units.applied_to(&before.write_units),
        }
    }
}

impl<T> Setting<T> {
    /// What makes `from` equal to `to`.
    fn between(from: Option<T>, to: Option<T>) -> Self
    where
        T: PartialEq,
    {
        match to {
            to if to == from => Setting::Keep,
            None => Setting::Unset,
            Some(to) => Setting::Set(to),
        }
    }

    /// The value after the change.
    pub fn applied_to(&self, before: &Option<T>) -> Option<T>
    where
        T: Clone,
    {
        match self {
            Setting::Keep => before.clone(),
            Setting::Unset => None,
            Setting::Set(to) => Some(to.clone()),
        }
    }

    /// True when the setting stays.
    pub fn is_keep(&self) -> bool {
        match self {
            Setting::Keep => true,
            Setting::Unset | Setting::Set(_) => false,
        }
    }
}

/// What UpdateTable changes of the global indexes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum IndexChange {
    /// A new index.
    Create(GlobalIndexDefinition),
    /// An index goes.
    Delete(String),
    /// An index changes.
    Update {
        /// Its name.
        name: String,
        /// `ProvisionedThroughput`.
        throughput: Option<Throughput>,
        /// `OnDemandThroughput`.
        #[serde(default, skip_serializing_if = "OnDemandChange::is_empty")]
        on_demand: OnDemandChange,
        /// `WarmThroughput`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        warm: Option<Throughput>,
    },
}

impl IndexChange {
    /// The index that changes.
    pub fn name(&self) -> &str {
        match self {
            IndexChange::Create(definition) => &definition.index.name,
            IndexChange::Delete(name) | IndexChange::Update { name, .. } => name,
        }
    }
}

/// What UpdateTable changes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TableSettings {
    /// `BillingMode`.
    pub billing: Option<BillingMode>,
    /// `ProvisionedThroughput`; taken away by itself when billing becomes per request.
    pub throughput: Option<Throughput>,
    /// `StreamSpecification`: `Unset` turns the stream off.
    #[serde(default)]
    pub stream: Setting<StreamView>,
    /// `TableClass`.
    pub class: Option<TableClass>,
    /// `DeletionProtectionEnabled`.
    pub deletion_protection: Option<bool>,
    /// `OnDemandThroughput`, each of the two for itself; both taken away by themselves when billing
    /// becomes provisioned.
    #[serde(default, skip_serializing_if = "OnDemandChange::is_empty")]
    pub on_demand: OnDemandChange,
    /// `WarmThroughput`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm: Option<Throughput>,
    /// `SSESpecification`: `Unset` goes back to the key that the service owns.
    #[serde(default, skip_serializing_if = "Setting::is_keep")]
    pub encryption: Setting<Encryption>,
    /// `TimeToLiveSpecification`. On its own it changes no status.
    #[serde(default, skip_serializing_if = "Setting::is_keep")]
    pub ttl: Setting<String>,
    /// `AttributeDefinitions` of new indexes' keys.
    #[serde(with = "stored::attributes", default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<KeyAttribute>,
    /// `GlobalSecondaryIndexUpdates`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<IndexChange>,
    /// All that the replicas in these regions have of their own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overrides: BTreeMap<String, ReplicaOverrides>,
    /// Auto scaling of these dimensions, or none any more. On its own it changes no status.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scaling: Vec<(Dimension, Option<Scaling>)>,
}

impl TableSettings {
    /// What makes `from` equal to `to` in the settings that all replicas of a global table share.
    pub fn between(from: &TableDefinition, to: &TableDefinition) -> Self {
        TableSettings {
            billing: (from.billing != to.billing).then_some(to.billing),
            throughput: to.throughput.filter(|_| from.throughput != to.throughput),
            stream: Setting::between(from.stream, to.stream),
            class: to.class.filter(|_| from.class != to.class),
            deletion_protection: None,
            on_demand: OnDemandChange::between(from.on_demand, to.on_demand),
            warm: to.warm.filter(|_| from.warm != to.warm),
            encryption: Setting::between(from.encryption.clone(), to.encryption.clone()),
            attributes: to
                .attributes
                .iter()
                .filter(|a| !from.attributes.contains(a))
                .cloned()
                .collect(),
            indexes: changes_between(from, to),
            ttl: Setting::between(from.ttl.clone(), to.ttl.clone()),
            overrides: replica_settings::overrides_between(from, to),
            scaling: replica_settings::scaling_between(from, to),
        }
    }

    /// What this region alone changes, and what all replicas of a global table share, if anything.
    pub fn divided(self) -> (Self, Option<Self>) {
        let deletion_protection = self.deletion_protection;
        let own = TableSettings { deletion_protection, ..TableSettings::default() };
        let shared = TableSettings { deletion_protection: None, ..self };
        let shared = (!shared.is_empty()).then_some(shared);
        (own, shared)
    }

    /// The definition after the change.
    pub fn applied_to(&self, before: &TableDefinition) -> TableDefinition {
        let billing = self.billing.unwrap_or(before.billing);
        let throughput = match billing {
            BillingMode::Provisioned => self.throughput.or(before.throughput),
            // Stated throughput stays in, so that the check refuses the contradiction.
            BillingMode::PayPerRequest => self.throughput,
        };
        let on_demand = match billing {
            BillingMode::Provisioned => OnDemandMaximum::default(),
            BillingMode::PayPerRequest => self.on_demand.applied_to(before.on_demand),
        };
        let mut after = TableDefinition {
            attributes: [before.attributes.as_slice(), &self.attributes].concat(),
            key: before.key.clone(),
            local_indexes: before.local_indexes.clone(),
            global_indexes: before.global_indexes.clone(),
            billing,
            throughput,
            stream: self.stream.applied_to(&before.stream),
            class: self.class.or(before.class),
            on_demand,
            warm: self.warm.or(before.warm),
            encryption: self.encryption.applied_to(&before.encryption),
            ttl: self.ttl.applied_to(&before.ttl),
            deletion_protection: self.deletion_protection.unwrap_or(before.deletion_protection),
            overrides: before.overrides.clone(),
            scaling: before.scaling.clone(),
        };
        self.indexes.iter().for_each(|change| change.apply_to(&mut after));
        for one in &mut after.global_indexes {
            match billing {
                BillingMode::PayPerRequest => one.throughput = None,
                BillingMode::Provisioned => one.on_demand = OnDemandMaximum::default(),
            }
        }
        after.drop_unused_attributes();
        after.change_replicas(self);
        after
    }

    /// True when nothing changes.
    pub fn is_empty(&self) -> bool {
        *self == TableSettings::default()
    }

    /// True when the table stays ACTIVE: all takes effect at once, or makes only indexes UPDATING.
    pub fn is_at_once(&self) -> bool {
        let is_update = |change: &IndexChange| matches!(change, IndexChange::Update { .. });
        self.indexes.iter().all(is_update)
            && *self
                == TableSettings {
                    ttl: self.ttl.clone(),
                    deletion_protection: self.deletion_protection,
                    on_demand: self.on_demand,
                    warm: self.warm,
                    encryption: self.encryption.clone(),
                    scaling: self.scaling.clone(),
                    indexes: self.indexes.clone(),
                    ..TableSettings::default()
                }
    }
}

/// What makes the global indexes of `from` equal to those of `to`.
fn changes_between(from: &TableDefinition, to: &TableDefinition) -> Vec<IndexChange> {
    let gone = from.global_indexes.iter().filter(|old| to.global_index(&old.index.name).is_none());
    let gone = gone.map(|old| IndexChange::Delete(old.index.name.clone()));
    let other = to.global_indexes.iter().filter_map(|new| {
        let Some(old) = from.global_index(&new.index.name) else {
            return Some(IndexChange::Create(new.clone()));
        };
        let on_demand = OnDemandChange::between(old.on_demand, new.on_demand);
        (old != new).then(|| IndexChange::Update {
            name: new.index.name.clone(),
            throughput: new.throughput.filter(|_| old.throughput != new.throughput),
            on_demand,
            warm: new.warm.filter(|_| old.warm != new.warm),
        })
    });
    gone.chain(other).collect()
}

impl IndexChange {
    fn apply_to(&self, definition: &mut TableDefinition) {
        let indexes = &mut definition.global_indexes;
        match self {
            IndexChange::Create(new) => indexes.push(new.clone()),
            IndexChange::Delete(name) => indexes.retain(|one| one.index.name != *name),
            IndexChange::Update { name, throughput, on_demand, warm } => {
                for one in indexes.iter_mut().filter(|one| one.index.name == *name) {
                    one.throughput = throughput.or(one.throughput);
                    one.on_demand = on_demand.applied_to(one.on_demand);
                    one.warm = warm.or(one.warm);
                }
            }
        }
    }
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
        restore: Option<RestoreSource>,
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
    /// Begins a backup of a table.
    CreateBackup {
        /// The table's name.
        table: String,
        /// The backup's name.
        backup: String,
        /// How many items the table has, about.
        items: u64,
        /// Their size, bytes.
        bytes: u64,
        /// Now.
        at_ms: u64,
    },
    /// The items of a partition are being taken for a backup.
    BackupBased {
        /// The backup.
        #[serde(with = "stored::id")]
        backup: BackupId,
        /// The partition.
        #[serde(with = "stored::id")]
        partition: PartitionId,
        /// As of when, ms since the Unix epoch.
        based_ms: u64,
    },
    /// Everything that a partition had committed by a time is in a backup.
    BackupCovered {
        /// The backup.
        #[serde(with = "stored::id")]
        backup: BackupId,
        /// The partition.
        #[serde(with = "stored::id")]
        partition: PartitionId,
        /// That time, ms since the Unix epoch.
        covered_ms: u64,
    },
    /// Begins to remove a backup.
    DeleteBackup {
        /// The backup.
        #[serde(with = "stored::id")]
        backup: BackupId,
    },
    /// The objects of a backup are removed.
    BackupGone {
        /// The backup.
        #[serde(with = "stored::id")]
        backup: BackupId,
    },
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

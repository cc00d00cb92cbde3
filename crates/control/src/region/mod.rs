//! The region group's state: the catalog of one region.
//!
//! Tables, the partition map with epochs, and the nodes of the region. Every node reads it from its
//! own replica, through a [`Catalog`] made after each command.
//!
//! # Invariants
//!
//! - The ranges of a table's partitions tile the key space, in the order of
//!   [`TableRecord::partitions`].
//! - The replicas of a partition are on different nodes.
//! - Table numbers and partition ids are never given out twice; epochs only grow.
//!
//! Tested by `region/tests.rs`, over random command sequences too.

mod apply;
mod apply_indexes;
mod apply_nodes;
#[cfg(test)]
mod backup_tests;
mod backups;
mod catalog;
mod command;
#[cfg(test)]
mod index_tests;
mod jobs;
#[cfg(test)]
mod jobs_tests;
mod own;
#[cfg(test)]
mod restore_tests;
mod restores;
mod settings;
mod swap;
#[cfg(test)]
mod swap_tests;
#[cfg(test)]
pub(crate) mod tests;

pub use backups::{BackupCommand, BackupKind, BackupPart, BackupRecord, SYSTEM_BACKUP_KEPT_MS};
pub use catalog::Catalog;
pub use command::{Command, CommandResult, Done, PartitionPlacement, Refusal};
pub use jobs::{
    BucketPlace, EXPORTS_MAX, ExportCommand, ExportOutcome, ExportRecord, ExportRequest,
    ExportScope, Failure, IMPORTS_MAX, ImportCommand, ImportCompression, ImportCounts,
    ImportFormat, ImportRecord, ImportRequest, JOBS_KEPT_MAX, JOBS_KEPT_MS, JobId, Jobs,
    TOKEN_KEPT_MS,
};
pub use own::{
    ExpectedPolicy, Insights, InsightsMode, OwnChange, OwnSettings, Recovery, ResourcePolicy,
    TAGS_MAX,
};
pub use restores::{AllSettings, ArchiveOwner, LaterSettings, Restore, RestoreSource, Restored};
pub use settings::{IndexChange, OnDemandChange, Setting, TableSettings};

use crate::node::{NodeAddresses, NodeState};
use crate::stored::{self, Stored};
use crate::table::{
    GlobalIndexDefinition, GlobalSnapshot, IndexStatus, StreamView, TableDefinition, TableStatus,
};
use crate::time::iso_label;
use meridian_base::{BackupId, GroupId, LogIndex, NodeId, PartitionId, RegionId, TableId};
use meridian_model::KeyRange;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A table of the region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRecord {
    /// Its id, the same in every region that has a replica.
    #[serde(with = "stored::id")]
    pub id: TableId,
    /// Its name.
    pub name: String,
    /// `TableStatus`.
    pub status: TableStatus,
    /// What changes while it is UPDATING; none where that is an index, or what replicas have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changing: Option<Changing>,
    /// Keys, billing, stream, class and deletion protection.
    pub definition: TableDefinition,
    /// When it was created here, ms since the Unix epoch.
    pub created_ms: u64,
    /// When the latest stream was turned on, also after it was turned off.
    pub stream_ms: Option<u64>,
    /// When the time to live was last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// When billing last became per request.
    pub pay_per_request_ms: Option<u64>,
    /// When throughput was last raised.
    pub throughput_raised_ms: Option<u64>,
    /// When throughput was last lowered.
    pub throughput_lowered_ms: Option<u64>,
    /// How often that was done on the UTC day of the last time.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub throughput_decreases: u32,
    /// When the class was changed, as long as that counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_changed_ms: Vec<u64>,
    /// When the encryption was changed, as long as that counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub encryption_changed_ms: Vec<u64>,
    /// The replicas, for a global table.
    pub global: Option<GlobalSnapshot>,
    /// What belongs to this region's copy alone.
    #[serde(default, skip_serializing_if = "OwnSettings::is_default")]
    pub own: OwnSettings,
    /// Its partitions in the order of their ranges.
    #[serde(with = "stored::id_list")]
    pub partitions: Vec<PartitionId>,
    /// Its global indexes, as they are: also those that are being deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<IndexRecord>,
    /// Its streams, the newest last: those that were turned off stay readable for a day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<StreamRecord>,
    /// The partitions that do not keep their changes for the newest stream yet.
    #[serde(with = "stored::id_list", default, skip_serializing_if = "Vec::is_empty")]
    pub streamless: Vec<PartitionId>,
    /// The table of which this is a global index. The entries of an index are kept as the items of a
    /// table that no user sees; its name is `table/index`, which no user's table can have.
    #[serde(with = "stored::id_option", default, skip_serializing_if = "Option::is_none")]
    pub index_of: Option<TableId>,
    /// What it was restored from, or is being restored from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<Restore>,
    /// The import that still fills it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import: Option<JobId>,
}

/// A stream of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamRecord {
    /// When it was turned on, ms since the Unix epoch: its label.
    pub on_ms: u64,
    /// When it was turned off; none while it is on.
    pub off_ms: Option<u64>,
    /// What its records show.
    pub view: StreamView,
}

impl StreamRecord {
    /// Its label.
    pub fn label(&self) -> String {
        iso_label(self.on_ms)
    }

    /// True for a change of that time.
    pub fn covers(&self, commit_ms: u64) -> bool {
        self.on_ms <= commit_ms && self.off_ms.is_none_or(|off| commit_ms < off)
    }
}

/// How long changes are kept for a stream, ms (AWS: DynamoDB Streams, 24 hours).
pub const STREAM_KEPT_MS: u64 = 24 * 3600 * 1000;

/// A global index of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexRecord {
    /// What it is.
    pub definition: GlobalIndexDefinition,
    /// The table that keeps its entries.
    #[serde(with = "stored::id")]
    pub id: TableId,
    /// `IndexStatus`.
    pub status: IndexStatus,
    /// `Backfilling`: added to a table that serves, and not filled yet.
    pub backfilling: bool,
    /// The table's partitions whose items are not all in it yet.
    #[serde(with = "stored::id_list")]
    pub unfilled: Vec<PartitionId>,
    /// When throughput was last raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throughput_raised_ms: Option<u64>,
    /// When throughput was last lowered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throughput_lowered_ms: Option<u64>,
    /// How often that was done on the UTC day of the last time.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub throughput_decreases: u32,
}

impl IndexRecord {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.definition.index.name
    }
}

impl TableRecord {
    /// The global index of that name, whatever its status.
    pub fn index(&self, name: &str) -> Option<&IndexRecord> {
        self.indexes.iter().find(|index| index.name() == name)
    }

    /// `LatestStreamLabel`: when the latest stream was turned on, in ISO 8601.
    pub fn stream_label(&self) -> Option<String> {
        self.stream_ms.map(iso_label)
    }

    /// True when changes are kept for a stream, which may be off already.
    pub fn keeps_changes(&self, now_ms: u64) -> bool {
        let kept = |stream: &StreamRecord| {
            stream.off_ms.is_none_or(|off| off.saturating_add(STREAM_KEPT_MS) > now_ms)
        };
        self.streams.iter().any(kept)
    }

    /// True while partitions are still to be filled from an archive.
    pub fn is_being_restored(&self) -> bool {
        self.restore.as_ref().is_some_and(|restore| !restore.pending.is_empty())
    }

    /// The table as it is in one region.
    pub fn in_region(&self, region: &str) -> Cow<'_, TableRecord> {
        if !self.definition.overrides.contains_key(region) {
            return Cow::Borrowed(self);
        }
        let definition = self.definition.in_region(region);
        let mut own = TableRecord { definition, ..self.clone() };
        for index in &mut own.indexes {
            if let Some(wanted) = own.definition.global_index(&index.definition.index.name) {
                index.definition.clone_from(wanted);
            }
        }
        Cow::Owned(own)
    }

    /// True while it is being made or changed, or an index of it is being changed.
    pub fn is_settling(&self) -> bool {
        match self.status {
            TableStatus::Creating | TableStatus::Updating => true,
            TableStatus::Active => {
                self.indexes.iter().any(|index| index.status == IndexStatus::Updating)
            }
            TableStatus::Deleting => false,
        }
    }

    /// True while something is still to come into it before it serves: from an archive or an import.
    pub fn is_being_filled(&self) -> bool {
        self.is_being_restored() || self.import.is_some()
    }

    /// True when item requests are answered: from ACTIVE until deletion begins.
    pub fn serves(&self) -> bool {
        match self.status {
            TableStatus::Active | TableStatus::Updating => true,
            TableStatus::Creating | TableStatus::Deleting => false,
        }
    }
}

/// A replica being made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learner {
    /// Where it is made.
    #[serde(with = "stored::id")]
    pub node: NodeId,
    /// The voter that goes when this one is ready; none when the group grows.
    #[serde(with = "stored::id_option", default)]
    pub replaces: Option<NodeId>,
}

/// What makes a table UPDATING. Its indexes say for themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Changing {
    /// Provisioned throughput.
    Throughput,
    /// The billing mode.
    Billing,
    /// The stream, on or off.
    Stream,
    /// The class.
    Class,
}

/// Who holds a partition.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Replicas {
    /// The voters, in order of id.
    #[serde(with = "stored::id_list")]
    pub voters: Vec<NodeId>,
    /// The replicas being made.
    #[serde(default)]
    pub learners: Vec<Learner>,
}

impl Replicas {
    /// Voters only.
    pub fn of(voters: impl IntoIterator<Item = NodeId>) -> Self {
        let mut voters: Vec<NodeId> = voters.into_iter().collect();
        voters.sort_unstable();
        Replicas { voters, learners: Vec::new() }
    }

    /// Every node that holds a replica or is getting one.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.voters.iter().copied().chain(self.learners.iter().map(|l| l.node))
    }

    /// True when `node` holds a replica or is getting one.
    pub fn holds(&self, node: NodeId) -> bool {
        self.nodes().any(|n| n == node)
    }
}

/// A partition of a table in this region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionRecord {
    /// Its id.
    #[serde(with = "stored::id")]
    pub id: PartitionId,
    /// The table.
    #[serde(with = "stored::id")]
    pub table: TableId,
    /// The encoded keys that it holds.
    #[serde(with = "stored::range")]
    pub range: KeyRange,
    /// Who holds it.
    pub replicas: Replicas,
    /// Grows with every change of this record, from 1.
    pub epoch: u64,
    /// The voter that starts the group of a new partition and should lead it first.
    #[serde(with = "stored::id_option")]
    pub first_leader: Option<NodeId>,
}

/// A node of the region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionNode {
    /// Its failure domain within the region.
    pub zone: String,
    /// Where it is reached.
    pub addresses: NodeAddresses,
    /// Whether it takes replicas.
    pub state: NodeState,
    /// The last loss of its log from which it came back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned: Option<u64>,
}

/// The region group's state.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RegionState {
    #[serde(with = "stored::id")]
    pub(crate) applied: LogIndex,
    #[serde(with = "stored::id_option")]
    pub(crate) region: Option<RegionId>,
    pub(crate) name: String,
    /// By name. A table that is being deleted keeps its name until it is gone.
    pub(crate) tables: BTreeMap<String, TableRecord>,
    #[serde(with = "stored::id_map")]
    pub(crate) partitions: BTreeMap<PartitionId, PartitionRecord>,
    #[serde(with = "stored::id_map")]
    pub(crate) nodes: BTreeMap<NodeId, RegionNode>,
    pub(crate) next_table: u64,
    pub(crate) next_partition: u64,
    #[serde(with = "stored::id_map", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) backups: BTreeMap<BackupId, BackupRecord>,
    /// The id of the last backup.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) last_backup: u64,
    /// Exports and imports.
    #[serde(default, skip_serializing_if = "Jobs::is_empty")]
    pub(crate) jobs: Jobs,
}

fn is_none_yet(count: &u32) -> bool {
    *count == 0
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Stored for RegionState {}

impl RegionState {
    /// A region that was not initialised yet.
    pub fn new() -> Self {
        RegionState { next_table: 1, next_partition: GroupId::FIRST_PARTITION, ..Self::default() }
    }

    /// The last log index applied.
    pub fn applied(&self) -> LogIndex {
        self.applied
    }

    /// The region's id; none before `InitRegion`.
    pub fn region(&self) -> Option<RegionId> {
        self.region
    }

    /// The region's name; empty before `InitRegion`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tables, by name.
    pub fn tables(&self) -> &BTreeMap<String, TableRecord> {
        &self.tables
    }

    /// The table of that id.
    pub fn table_by_id(&self, id: TableId) -> Option<&TableRecord> {
        self.tables.values().find(|table| table.id == id)
    }

    /// The partitions of all tables.
    pub fn partitions(&self) -> &BTreeMap<PartitionId, PartitionRecord> {
        &self.partitions
    }

    /// The nodes, removed ones too.
    pub fn nodes(&self) -> &BTreeMap<NodeId, RegionNode> {
        &self.nodes
    }

    /// True when the id was given out and its partition exists no more: a node that still has such
    /// a replica deletes it.
    pub fn partition_gone(&self, id: PartitionId) -> bool {
        id.0 >= GroupId::FIRST_PARTITION
            && id.0 < self.next_partition
            && !self.partitions.contains_key(&id)
    }

    /// True when the id was given out here and its table, or index, exists no more.
    pub fn is_table_gone(&self, id: TableId) -> bool {
        let own = self.region.is_some_and(|region| apply::made_by(id, region));
        own && apply::number_of(id) < self.next_table && self.table_by_id(id).is_none()
    }

    /// How many replicas, ready or being made, are on `node`. A drained node has none.
    pub fn replica_count(&self, node: NodeId) -> usize {
        self.partitions.values().filter(|p| p.replicas.holds(node)).count()
    }
}

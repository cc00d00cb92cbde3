//! The global group's state: regions, every node of the cluster, global tables.
//!
//! Never on the path of an item request. Each region's controller compares this state with its own
//! catalog and proposes what is missing there; the router reads the regions and nodes.
//!
//! # Invariants
//!
//! - A region's epoch grows by one with each move of its status, and every move is a legal one.
//! - From the first region on, one region at least takes traffic.
//! - A global table has at least one replica that is Active.
//! - Region numbers and node ids are never given to another.
//!
//! Tested by `global/tests.rs`, over random command sequences too.

mod apply;
mod apply_tables;
mod command;
mod silence;
mod status;
#[cfg(test)]
pub(crate) mod tests;

pub use command::{Command, CommandResult, Done, Refusal};
pub use silence::{AutoPolicy, Silence};
pub use status::RegionStatus;

use crate::node::{NodeAddresses, NodeState};
use crate::stored::{self, Stored};
use crate::table::{GlobalSnapshot, ReplicaStatus, TableDefinition};
use meridian_base::{LogIndex, NodeId, RegionId, TableId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A region of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionRecord {
    /// Its number and incarnation.
    #[serde(with = "stored::id")]
    pub id: RegionId,
    /// Whether it takes traffic.
    pub status: RegionStatus,
    /// Grows with every change of this record, from 1.
    pub epoch: u64,
    /// Since when it has this status, ms since the Unix epoch.
    pub since_ms: u64,
    /// When it last came back to Active from Recovering, ms since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_ms: Option<u64>,
}

/// A node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// The name of its region.
    pub region: String,
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

/// One region's copy of a global table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// Its status.
    pub status: ReplicaStatus,
    /// Since when, ms since the Unix epoch.
    pub since_ms: u64,
}

/// A table with replicas in several regions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobalTable {
    /// Its id, the same in every region.
    #[serde(with = "stored::id")]
    pub table: TableId,
    /// What every region creates; deletion protection is each region's own and never set here.
    pub definition: TableDefinition,
    /// The copies, by region name.
    pub replicas: BTreeMap<String, Replica>,
    /// Grows with every change of this record, from 1.
    pub version: u64,
}

impl GlobalTable {
    /// What a region's catalog keeps of it.
    pub fn snapshot(&self) -> GlobalSnapshot {
        let status = |(region, replica): (&String, &Replica)| (region.clone(), replica.status);
        GlobalSnapshot {
            version: self.version,
            replicas: self.replicas.iter().map(status).collect(),
        }
    }
}

/// Which cluster this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterInfo {
    /// Unique text, made when the cluster was initialised.
    pub id: String,
    /// When, ms since the Unix epoch.
    pub created_ms: u64,
}

/// The global group's state.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GlobalState {
    #[serde(with = "stored::id")]
    pub(crate) applied: LogIndex,
    pub(crate) cluster: Option<ClusterInfo>,
    pub(crate) regions: BTreeMap<String, RegionRecord>,
    #[serde(with = "stored::id_map")]
    pub(crate) nodes: BTreeMap<NodeId, NodeRecord>,
    pub(crate) tables: BTreeMap<String, GlobalTable>,
    /// Reports of silence: region that is silent → region that says so → since when.
    pub(crate) silences: BTreeMap<String, BTreeMap<String, Silence>>,
}

impl Stored for GlobalState {}

impl GlobalState {
    /// A cluster that was not initialised yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The last log index applied.
    pub fn applied(&self) -> LogIndex {
        self.applied
    }

    /// The cluster; none before `InitCluster`.
    pub fn cluster(&self) -> Option<&ClusterInfo> {
        self.cluster.as_ref()
    }

    /// The regions, by name.
    pub fn regions(&self) -> &BTreeMap<String, RegionRecord> {
        &self.regions
    }

    /// The region of that number, whatever its incarnation, with its name.
    pub fn region_numbered(&self, number: u16) -> Option<(&String, &RegionRecord)> {
        self.regions.iter().find(|(_, region)| region.id.number == number)
    }

    /// The nodes, removed ones too.
    pub fn nodes(&self) -> &BTreeMap<NodeId, NodeRecord> {
        &self.nodes
    }

    /// The nodes of a region that were not removed.
    pub fn nodes_of<'a>(
        &'a self,
        region: &'a str,
    ) -> impl Iterator<Item = (NodeId, &'a NodeRecord)> + 'a {
        let here = move |(_, node): &(&NodeId, &NodeRecord)| {
            node.region == region && !node.state.is_removed()
        };
        self.nodes.iter().filter(here).map(|(id, node)| (*id, node))
    }

    /// The lowest node id above all that were ever known: for a node that has none yet.
    pub fn next_node(&self) -> NodeId {
        NodeId(self.nodes.last_key_value().map_or(1, |(id, _)| id.0.saturating_add(1)))
    }

    /// The global tables, by name.
    pub fn tables(&self) -> &BTreeMap<String, GlobalTable> {
        &self.tables
    }

    /// The global tables that have or should have a replica in `region`, by name.
    pub fn tables_of<'a>(
        &'a self,
        region: &'a str,
    ) -> impl Iterator<Item = (&'a String, &'a GlobalTable, Replica)> + 'a {
        self.tables
            .iter()
            .filter_map(move |(name, table)| Some((name, table, *table.replicas.get(region)?)))
    }
}

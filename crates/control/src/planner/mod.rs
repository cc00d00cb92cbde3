//! Turns a view of a region into small steps: place, repair, drain, balance.
//!
//! Level-triggered: each call compares what is recorded (the catalog), what is (the members that
//! each group's leader reports) and what should be, and names the next step of each partition. A
//! step that failed, or was carried out by a planner that died, is simply named again or not.
//!
//! A replica moves in this order, each arrow one call or more: record a learner, so that its node
//! makes an empty replica → add it to the group → when it has caught up, change the voters, the new
//! one for the old one in one joint change → record the voters, so that the old node deletes its
//! replica. The record leads where a replica is made and trails where one goes.
//!
//! # Invariants
//!
//! - At most one step per partition and call; none without a leader's report.
//! - No change of voters is named unless a majority of the voters before it and of those after it
//!   are live.
//! - When nothing changes around it, the planner runs out of steps.
//!
//! Tested by `planner/tests.rs` against a model cluster that carries the steps out.

mod leaders;
mod members;
#[cfg(test)]
mod model;
mod place;
mod repair;
#[cfg(test)]
mod replica_tests;
mod replicas;
#[cfg(test)]
mod tests;

pub use members::{Members, global_members, member_step, region_members};
pub use place::{PlaceError, place_table};
pub use replicas::{ReplicaStep, replica_steps};

use crate::region::{Command, PartitionRecord, RegionState, TableRecord};
use crate::table::{IndexStatus, TableStatus};
use meridian_base::{GroupId, NodeId, PartitionId, TableId};
use meridian_model::KeyRange;
use std::collections::{BTreeMap, BTreeSet};

/// How the planner decides; times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Replicas of a partition, if there are as many nodes.
    pub replicas: usize,
    /// A node heard within this time is live.
    pub live_ms_max: u64,
    /// A node not heard for longer than this is dead: its replicas are made elsewhere.
    pub dead_ms_min: u64,
    /// Most replicas that are being made at a time in the region.
    pub moves_max: usize,
    /// Most leaderships that one call moves for balance.
    pub transfers_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            replicas: 3,
            live_ms_max: 2_000,
            dead_ms_min: 300_000,
            moves_max: 8,
            transfers_max: 4,
        }
    }
}

/// What a group's leader says of its group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// The leader that says it.
    pub leader: NodeId,
    /// The voters; twice, old then new, while a change of voters is under way.
    pub configs: Vec<BTreeSet<NodeId>>,
    /// The members that do not vote.
    pub learners: BTreeSet<NodeId>,
    /// The members whose log is close to the leader's, the leader included.
    pub caught_up: BTreeSet<NodeId>,
}

impl Observed {
    /// The voters as they are, or will be once the change under way is done.
    pub fn voters(&self) -> BTreeSet<NodeId> {
        self.configs.last().cloned().unwrap_or_default()
    }
}

/// What the planner sees.
#[derive(Debug, Clone)]
pub struct View<'a> {
    /// The catalog.
    pub state: &'a RegionState,
    /// For how long each node was silent. A node that is missing is neither live nor dead.
    pub silent_ms: BTreeMap<NodeId, u64>,
    /// Nodes that are short of disk: they get nothing new and no leaderships.
    pub short_of_room: BTreeSet<NodeId>,
    /// What the leader of each partition says. Partitions without a leader are missing.
    pub groups: BTreeMap<PartitionId, Observed>,
    /// How to decide.
    pub limits: Limits,
}

/// One small thing to do. All are idempotent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Propose a command to the region group.
    Propose(Command),
    /// Add a member that does not vote; does not wait for it to catch up.
    AddLearner {
        /// The group.
        group: GroupId,
        /// The new member.
        node: NodeId,
    },
    /// Make these the voters, by a joint change.
    ChangeVoters {
        /// The group.
        group: GroupId,
        /// All voters afterwards.
        voters: BTreeSet<NodeId>,
        /// Whether voters that go stay as learners.
        retain: bool,
    },
    /// Take away a member that does not vote.
    RemoveLearner {
        /// The group.
        group: GroupId,
        /// The member.
        node: NodeId,
    },
    /// Have another voter lead.
    TransferLeader {
        /// The group.
        group: GroupId,
        /// The leader that was seen; nothing to do when it leads no more.
        from: NodeId,
        /// The voter that should lead.
        to: NodeId,
    },
}

/// Whether a node answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Health {
    Live,
    Silent,
    Dead,
}

impl Limits {
    pub(crate) fn health(&self, silent_ms: &BTreeMap<NodeId, u64>, node: NodeId) -> Health {
        match silent_ms.get(&node) {
            Some(ms) if *ms <= self.live_ms_max => Health::Live,
            Some(ms) if *ms > self.dead_ms_min => Health::Dead,
            Some(_) | None => Health::Silent,
        }
    }
}

impl View<'_> {
    /// A node that lost its log answers, and is of no use to a quorum.
    pub(crate) fn health(&self, node: NodeId) -> Health {
        let known = self.state.nodes().get(&node);
        match known.and_then(|known| known.state.loss()) {
            Some(_) => Health::Silent,
            None => self.limits.health(&self.silent_ms, node),
        }
    }

    pub(crate) fn is_live(&self, node: NodeId) -> bool {
        self.health(node) == Health::Live
    }

    /// True for a node that may keep its replicas.
    pub(crate) fn is_fit(&self, node: NodeId) -> bool {
        self.takes_replicas(node) && self.health(node) != Health::Dead
    }

    pub(crate) fn takes_replicas(&self, node: NodeId) -> bool {
        self.state.nodes().get(&node).is_some_and(|known| known.state.takes_replicas())
    }

    /// True for a node that may get more than it has.
    pub(crate) fn takes_more(&self, node: NodeId) -> bool {
        self.takes_replicas(node) && self.is_live(node) && !self.short_of_room.contains(&node)
    }

    pub(crate) fn zone(&self, node: NodeId) -> &str {
        self.state.nodes().get(&node).map_or("", |known| known.zone.as_str())
    }

    /// The partitions whose tables stay.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = &PartitionRecord> {
        let going = |table: &&TableRecord| table.status == TableStatus::Deleting;
        let going: BTreeSet<TableId> =
            self.state.tables().values().filter(going).map(|table| table.id).collect();
        self.state.partitions().values().filter(move |p| !going.contains(&p.table))
    }

    /// The nodes that may keep replicas, in order of id.
    pub(crate) fn fit_nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.state.nodes().keys().copied().filter(|node| self.is_fit(*node))
    }
}

/// True when the live ones among `voters` are a majority of them.
pub(crate) fn has_quorum(voters: &BTreeSet<NodeId>, is_live: impl Fn(NodeId) -> bool) -> bool {
    voters.iter().filter(|node| is_live(**node)).count() * 2 > voters.len()
}

/// The next steps for the partitions and tables of a region. For the control groups see
/// [`member_step`].
pub fn plan(view: &View<'_>) -> Vec<Step> {
    let (mut steps, busy) = repair::plan(view);
    steps.extend(leaders::plan(view, &busy));
    steps.extend(missing_indexes(view));
    steps.extend(finished_tables(view));
    steps
}

/// Global indexes that a table is to have and has not.
fn missing_indexes(view: &View<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    for table in view.state.tables().values().filter(|t| t.status != TableStatus::Deleting) {
        let wanted = table.definition.global_indexes.iter().map(|one| &one.index.name);
        for index in wanted.filter(|name| table.index(name).is_none()) {
            let parts = u32::try_from(table.partitions.len()).unwrap_or(u32::MAX);
            let ranges = KeyRange::full().split_evenly(parts);
            let Ok(partitions) = place_table(view, &ranges) else { continue };
            let (table, index) = (table.id, index.clone());
            steps.push(Step::Propose(Command::MakeIndex { table, index, partitions }));
        }
    }
    steps
}

/// True when the indexes of a table hold it back no more: a new table is usable with all of them, one
/// that changes when they are made.
fn indexes_ready(view: &View<'_>, table: &TableRecord) -> bool {
    table.definition.global_indexes.iter().all(|wanted| {
        let Some(index) = table.index(&wanted.index.name) else { return false };
        let made = view.state.table_by_id(index.id);
        let made = made.is_some_and(|keeper| keeper.status != TableStatus::Creating);
        made && (table.status != TableStatus::Creating || index.status == IndexStatus::Active)
    })
}

/// Tables that are being made or changed, of which every partition has a leader, the indexes and the
/// stream are ready and nothing is still to be restored or imported.
fn finished_tables(view: &View<'_>) -> Vec<Step> {
    let tables = view.state.tables().values().filter(|table| table.is_settling());
    let led = tables.filter(|table| table.partitions.iter().all(|p| view.groups.contains_key(p)));
    let filled = led.filter(|table| table.streamless.is_empty() && !table.is_being_filled());
    filled
        .filter(|table| indexes_ready(view, table))
        .map(|table| Step::Propose(Command::TableActive { table: table.id }))
        .collect()
}

//! Where replicas go: the load of each node, the best node for one more, and new tables.
//!
//! # Invariants
//!
//! - A new partition has min(replicas, fit nodes) replicas on different nodes, a majority of them
//!   live and with room on their disks, and such a first leader.
//!
//! Tested by `planner/tests.rs`.

use super::{View, has_quorum};
use crate::region::{PartitionPlacement, PartitionRecord};
use meridian_base::NodeId;
use meridian_model::KeyRange;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Why a table cannot be placed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// A majority of the nodes that would hold it do not answer or have no room, or there are none.
    #[error("too few nodes of the region answer and have room")]
    TooFewNodes,
}

/// How many replicas and leaders each node has, or will have when the moves under way are done.
#[derive(Debug, Default)]
pub(super) struct Loads {
    replicas: BTreeMap<NodeId, usize>,
    leaders: BTreeMap<NodeId, usize>,
}

impl Loads {
    pub(super) fn of(view: &View<'_>) -> Self {
        let mut loads = Loads::default();
        for partition in view.partitions() {
            settled_replicas(partition).for_each(|node| loads.add_replica(node));
            let observed = view.groups.get(&partition.id).map(|group| group.leader);
            observed.or(partition.first_leader).into_iter().for_each(|l| loads.add_leader(l));
        }
        loads
    }

    pub(super) fn replicas(&self, node: NodeId) -> usize {
        self.replicas.get(&node).copied().unwrap_or(0)
    }

    pub(super) fn leaders(&self, node: NodeId) -> usize {
        self.leaders.get(&node).copied().unwrap_or(0)
    }

    pub(super) fn add_replica(&mut self, node: NodeId) {
        *self.replicas.entry(node).or_default() += 1;
    }

    pub(super) fn remove_replica(&mut self, node: NodeId) {
        let count = self.replicas.entry(node).or_default();
        *count = count.saturating_sub(1);
    }

    pub(super) fn add_leader(&mut self, node: NodeId) {
        *self.leaders.entry(node).or_default() += 1;
    }

    pub(super) fn move_leader(&mut self, from: NodeId, to: NodeId) {
        let count = self.leaders.entry(from).or_default();
        *count = count.saturating_sub(1);
        self.add_leader(to);
    }
}

/// The nodes that hold a partition once its moves are done.
fn settled_replicas(partition: &PartitionRecord) -> impl Iterator<Item = NodeId> + '_ {
    let leaving: BTreeSet<NodeId> =
        partition.replicas.learners.iter().filter_map(|learner| learner.replaces).collect();
    partition.replicas.nodes().filter(move |node| !leaving.contains(node))
}

/// How many of `nodes` are in `zone`.
pub(super) fn zone_mates<'n>(
    view: &View<'_>,
    zone: &str,
    nodes: impl IntoIterator<Item = &'n NodeId>,
) -> usize {
    nodes.into_iter().filter(|node| view.zone(**node) == zone).count()
}

/// The best of `candidates` for one more replica beside `kept`: live, in a zone of its own, with
/// few replicas.
pub(super) fn best(
    view: &View<'_>,
    loads: &Loads,
    candidates: impl IntoIterator<Item = NodeId>,
    kept: &BTreeSet<NodeId>,
) -> Option<NodeId> {
    let rank = |node: &NodeId| {
        let mates = zone_mates(view, view.zone(*node), kept);
        let short = view.short_of_room.contains(node);
        (short, view.health(*node), mates, loads.replicas(*node), *node)
    };
    candidates.into_iter().filter(|node| !kept.contains(node)).min_by_key(rank)
}

/// Places the partitions of a new table, in the order of `ranges`.
pub fn place_table(
    view: &View<'_>,
    ranges: &[KeyRange],
) -> Result<Vec<PartitionPlacement>, PlaceError> {
    let mut loads = Loads::of(view);
    ranges.iter().map(|range| place_partition(view, &mut loads, range)).collect()
}

fn place_partition(
    view: &View<'_>,
    loads: &mut Loads,
    range: &KeyRange,
) -> Result<PartitionPlacement, PlaceError> {
    let mut voters = BTreeSet::new();
    while voters.len() < view.limits.replicas {
        let Some(node) = best(view, loads, view.fit_nodes(), &voters) else { break };
        voters.insert(node);
    }
    if !has_quorum(&voters, |node| view.takes_more(node)) {
        return Err(PlaceError::TooFewNodes);
    }
    let able = voters.iter().copied().filter(|node| view.takes_more(*node));
    // Among equals the last one leads, so that a region's first node, which often leads the control
    // groups as well, comes last.
    let first_leader = able
        .min_by_key(|node| (loads.leaders(*node), Reverse(*node)))
        .ok_or(PlaceError::TooFewNodes)?;
    voters.iter().for_each(|node| loads.add_replica(*node));
    loads.add_leader(first_leader);
    let voters = voters.into_iter().collect();
    Ok(PartitionPlacement { range: range.clone(), voters, first_leader })
}

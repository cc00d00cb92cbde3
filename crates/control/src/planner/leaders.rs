//! Evens out how many partitions each node leads.
//!
//! # Invariants
//!
//! - Every transfer lowers the sum of the squared counts, so that there is a last one.
//! - Partitions that are being repaired or moved are left alone.
//!
//! Tested by `planner/tests.rs`.

use super::place::Loads;
use super::{Observed, Step, View};
use meridian_base::{GroupId, NodeId, PartitionId};
use std::collections::BTreeSet;

/// Transfers of leaderships, at most [`super::Limits::transfers_max`].
pub(super) fn plan(view: &View<'_>, busy: &BTreeSet<PartitionId>) -> Vec<Step> {
    let mut loads = Loads::of(view);
    let idle = view.partitions().filter(|partition| !busy.contains(&partition.id));
    let moved = idle.filter_map(|partition| {
        let observed = view.groups.get(&partition.id)?;
        let to = better_leader(view, &loads, observed)?;
        loads.move_leader(observed.leader, to);
        let group = GroupId::Partition(partition.id);
        Some(Step::TransferLeader { group, from: observed.leader, to })
    });
    moved.take(view.limits.transfers_max).collect()
}

/// A voter that leads at least two partitions fewer.
fn better_leader(view: &View<'_>, loads: &Loads, group: &Observed) -> Option<NodeId> {
    let counts = |node: NodeId| loads.leaders(node);
    let fewer = |node: &NodeId| {
        counts(*node) + 2 <= counts(group.leader)
            && group.caught_up.contains(node)
            && view.takes_more(*node)
    };
    let voters = group.voters();
    voters.into_iter().filter(fewer).min_by_key(|node| (counts(*node), *node))
}

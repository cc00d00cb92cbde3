//! The next step of each partition towards the replicas that it should have.
//!
//! # Invariants
//!
//! - As the planner's: one step a partition, quorums live before and after a change of voters.
//! - A replica that a user drained or removed goes even if nothing can take its place, as long as
//!   one is left; one on a dead node stays until another is ready.
//!
//! Tested by `planner/tests.rs`.

use super::place::{Loads, best, zone_mates};
use super::{Observed, Step, View, has_quorum};
use crate::node::NodeState;
use crate::region::{Command, Learner, PartitionRecord, Replicas};
use meridian_base::{GroupId, NodeId, PartitionId};
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Repairs under way in one call.
struct Repair<'v> {
    view: &'v View<'v>,
    loads: Loads,
    /// How many more moves may begin.
    budget: usize,
}

/// One partition: as recorded, and as its leader sees it.
struct Partition<'v> {
    record: &'v PartitionRecord,
    observed: &'v Observed,
    voters: BTreeSet<NodeId>,
}

/// The repair steps, and the partitions that have one or are in the middle of a move.
pub(super) fn plan(view: &View<'_>) -> (Vec<Step>, BTreeSet<PartitionId>) {
    let moving = view.partitions().filter(|p| !p.replicas.learners.is_empty());
    let mut busy: BTreeSet<PartitionId> = moving.map(|p| p.id).collect();
    let budget = view.limits.moves_max.saturating_sub(busy.len());
    let mut repair = Repair { view, loads: Loads::of(view), budget };
    let mut steps = Vec::new();
    let mut settled = Vec::new();
    for record in view.partitions() {
        let Some(observed) = view.groups.get(&record.id) else { continue };
        let partition = Partition { record, observed, voters: observed.voters() };
        match repair.step(&partition) {
            Some(step) => {
                busy.insert(record.id);
                steps.push(step);
            }
            None if busy.contains(&record.id) => {}
            None => settled.push(partition),
        }
    }
    // Moves for balance wait until nothing is being repaired.
    if busy.is_empty() {
        for partition in settled {
            if let Some(step) = repair.balance(&partition) {
                busy.insert(partition.record.id);
                steps.push(step);
            }
        }
    }
    (steps, busy)
}

impl Partition<'_> {
    fn group(&self) -> GroupId {
        GroupId::Partition(self.record.id)
    }

    fn record_replicas(&self, voters: &BTreeSet<NodeId>, learners: Vec<Learner>) -> Step {
        Step::Propose(Command::PartitionReplicas {
            partition: self.record.id,
            expected_epoch: self.record.epoch,
            replicas: Replicas { voters: voters.iter().copied().collect(), learners },
        })
    }
}

impl Repair<'_> {
    fn step(&mut self, partition: &Partition<'_>) -> Option<Step> {
        if partition.observed.configs.len() > 1 {
            return self.change_voters(partition, partition.voters.clone());
        }
        let recorded: BTreeSet<NodeId> = partition.record.replicas.voters.iter().copied().collect();
        if recorded != partition.voters {
            return Some(self.catch_record_up(partition));
        }
        if let Some(step) = self.remove_stray(partition) {
            return Some(step);
        }
        if let Some(step) = self.leave_draining_leader(partition) {
            return Some(step);
        }
        match partition.record.replicas.learners.first() {
            Some(learner) => self.advance(partition, *learner),
            None => self.begin(partition),
        }
    }

    /// The voters changed; the record follows.
    fn catch_record_up(&self, partition: &Partition<'_>) -> Step {
        let pending = partition.record.replicas.learners.iter();
        let pending = pending.filter(|learner| !partition.voters.contains(&learner.node));
        let learners = pending.map(|learner| Learner {
            node: learner.node,
            replaces: learner.replaces.filter(|node| partition.voters.contains(node)),
        });
        partition.record_replicas(&partition.voters, learners.collect())
    }

    fn remove_stray(&self, partition: &Partition<'_>) -> Option<Step> {
        let replicas = &partition.record.replicas;
        let stray = partition.observed.learners.iter().find(|node| !replicas.holds(**node))?;
        Some(Step::RemoveLearner { group: partition.group(), node: *stray })
    }

    /// A node that gives its replicas away gives its leaderships away first: that is quick.
    fn leave_draining_leader(&mut self, partition: &Partition<'_>) -> Option<Step> {
        let leader = partition.observed.leader;
        if self.view.takes_replicas(leader) {
            return None;
        }
        self.transfer(partition, &partition.voters)
    }

    /// Names the least burdened voter of `among` that can lead at once.
    fn transfer(&mut self, partition: &Partition<'_>, among: &BTreeSet<NodeId>) -> Option<Step> {
        let (view, from) = (self.view, partition.observed.leader);
        let ready = |node: &NodeId| {
            *node != from
                && partition.voters.contains(node)
                && partition.observed.caught_up.contains(node)
                && view.takes_more(*node)
        };
        let ready = among.iter().copied().filter(ready);
        let to = ready.min_by_key(|node| (self.loads.leaders(*node), *node))?;
        self.loads.move_leader(from, to);
        Some(Step::TransferLeader { group: partition.group(), from, to })
    }

    /// Brings a learner that the record names one step further.
    fn advance(&mut self, partition: &Partition<'_>, learner: Learner) -> Option<Step> {
        if !self.view.is_fit(learner.node) {
            let mut learners = partition.record.replicas.learners.clone();
            learners.retain(|other| other.node != learner.node);
            return Some(partition.record_replicas(&partition.voters, learners));
        }
        if !self.view.is_live(learner.node) {
            return None;
        }
        if !partition.observed.learners.contains(&learner.node) {
            return Some(Step::AddLearner { group: partition.group(), node: learner.node });
        }
        if !partition.observed.caught_up.contains(&learner.node) {
            return None;
        }
        let mut voters = partition.voters.clone();
        voters.insert(learner.node);
        learner.replaces.iter().for_each(|leaving| {
            voters.remove(leaving);
        });
        self.change_voters(partition, voters)
    }

    /// A change of voters, if it is safe; before it the leadership, if the leader goes.
    fn change_voters(
        &mut self,
        partition: &Partition<'_>,
        voters: BTreeSet<NodeId>,
    ) -> Option<Step> {
        let is_live = |node| self.view.is_live(node);
        let before = &partition.observed.configs;
        let safe = before.iter().chain([&voters]).all(|config| has_quorum(config, is_live));
        if !safe {
            return None;
        }
        let leaves = before.len() == 1 && !voters.contains(&partition.observed.leader);
        if leaves && let Some(step) = self.transfer(partition, &voters) {
            return Some(step);
        }
        Some(Step::ChangeVoters { group: partition.group(), voters, retain: false })
    }

    /// Begins to replace a voter, to add one, or to take one away.
    fn begin(&mut self, partition: &Partition<'_>) -> Option<Step> {
        let voters = &partition.voters;
        let kept: BTreeSet<NodeId> =
            voters.iter().copied().filter(|node| self.view.is_fit(*node)).collect();
        let leaving = voters.difference(&kept).copied().min_by_key(|n| Reverse(self.urgency(*n)));
        let grows = voters.len() < self.view.limits.replicas;
        if leaving.is_none() && !grows {
            return None;
        }
        if let Some(node) = self.candidate(partition, leaving, &kept) {
            // A group that is too small grows first: that never lowers what it can survive.
            let replaces = leaving.filter(|_| !grows);
            return self.begin_move(partition, node, replaces);
        }
        let leaving = leaving.filter(|node| !self.view.takes_replicas(*node))?;
        let mut fewer = voters.clone();
        fewer.remove(&leaving);
        if fewer.is_empty() { None } else { self.change_voters(partition, fewer) }
    }

    /// Nodes that will not serve again come before dead ones, and those before draining ones.
    fn urgency(&self, node: NodeId) -> u8 {
        match self.view.state.nodes().get(&node).map(|known| known.state) {
            None | Some(NodeState::Removed { .. } | NodeState::LostLog { .. }) => 2,
            Some(NodeState::Active) => 1,
            Some(NodeState::Draining) => 0,
        }
    }

    /// A live node for a new replica: the one that the operator named, or the best.
    fn candidate(
        &self,
        partition: &Partition<'_>,
        leaving: Option<NodeId>,
        kept: &BTreeSet<NodeId>,
    ) -> Option<NodeId> {
        let takes = |node: &NodeId| self.view.takes_more(*node) && !partition.voters.contains(node);
        let heir = leaving.and_then(|node| {
            match self.view.state.nodes().get(&node).map(|known| known.state) {
                Some(NodeState::Removed { replaced_by }) => replaced_by,
                Some(NodeState::Active | NodeState::Draining | NodeState::LostLog { .. })
                | None => None,
            }
        });
        heir.filter(takes)
            .or_else(|| best(self.view, &self.loads, self.view.fit_nodes().filter(takes), kept))
    }

    fn begin_move(
        &mut self,
        partition: &Partition<'_>,
        node: NodeId,
        replaces: Option<NodeId>,
    ) -> Option<Step> {
        self.budget = self.budget.checked_sub(1)?;
        self.loads.add_replica(node);
        replaces.iter().for_each(|leaving| self.loads.remove_replica(*leaving));
        Some(partition.record_replicas(&partition.voters, vec![Learner { node, replaces }]))
    }

    /// A move that spreads the replicas over more zones, or evens out the nodes' replica counts.
    fn balance(&mut self, partition: &Partition<'_>) -> Option<Step> {
        let voters = &partition.voters;
        let takes = |node: &NodeId| self.view.takes_more(*node) && !voters.contains(node);
        let spare: Vec<NodeId> = self.view.fit_nodes().filter(takes).collect();
        let moves = voters.iter().flat_map(|from| spare.iter().map(|to| (*from, *to)));
        let useful = moves.filter_map(|(from, to)| Some((self.gain(voters, from, to)?, from, to)));
        let leader = partition.observed.leader;
        let (_, from, to) = useful
            .max_by_key(|(gain, from, to)| (*gain, *from != leader, Reverse((*from, *to))))?;
        self.begin_move(partition, to, Some(from))
    }

    /// What a move brings: zones first, then the difference of the counts; none if it is not worth
    /// it. Every move that is worth it raises the number of zones used by the region's partitions,
    /// or keeps it and lowers the sum of the squared counts: so there is a last one.
    fn gain(&self, voters: &BTreeSet<NodeId>, from: NodeId, to: NodeId) -> Option<(bool, usize)> {
        let others = || voters.iter().filter(|node| **node != from);
        let shared = |node| zone_mates(self.view, self.view.zone(node), others()) > 0;
        let (from_count, to_count) = (self.loads.replicas(from), self.loads.replicas(to));
        let evens = from_count.saturating_sub(to_count);
        match (shared(from), shared(to)) {
            (true, false) => Some((true, evens)),
            (false, true) => None,
            (true, true) | (false, false) => (evens >= 2).then_some((false, evens)),
        }
    }
}

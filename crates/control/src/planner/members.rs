//! Which nodes vote in the control groups, and the next step towards that.
//!
//! # Invariants
//!
//! - With three regions or more, no region has half of the global group's voters or more; with two,
//!   the loss of the second one leaves a majority.
//! - The number of voters is odd, but for two where there are two nodes.
//! - A voter that is chosen stays chosen while its node is fit and no better spread is possible.
//!
//! Tested by `planner/tests.rs`.

use super::{Health, Limits, Observed, Step, has_quorum};
use crate::global::GlobalState;
use crate::region::RegionState;
use meridian_base::{GroupId, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// Most voters of a control group.
pub const CONTROL_VOTERS_MAX: usize = 5;

/// Who should be in a control group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Members {
    /// Those that vote.
    pub voters: BTreeSet<NodeId>,
    /// Those that read from a replica of their own.
    pub learners: BTreeSet<NodeId>,
}

/// A node that could vote.
struct Candidate<'s> {
    node: NodeId,
    zone: &'s str,
    health: Health,
    votes_now: bool,
}

impl Candidate<'_> {
    /// A dead node keeps its vote where nobody can take its place, but gets none.
    fn may_vote(&self) -> bool {
        self.health != Health::Dead || self.votes_now
    }
}

/// Who should be in the region group; `current` are its voters.
pub fn region_members(
    state: &RegionState,
    current: &BTreeSet<NodeId>,
    silent_ms: &BTreeMap<NodeId, u64>,
    limits: &Limits,
) -> Members {
    let active = state.nodes().iter().filter(|(_, known)| known.state.takes_replicas());
    let candidates = active.map(|(node, known)| Candidate {
        node: *node,
        zone: &known.zone,
        health: limits.health(silent_ms, *node),
        votes_now: current.contains(node),
    });
    let candidates: Vec<Candidate<'_>> = candidates.filter(Candidate::may_vote).collect();
    let voters = elect(&candidates, voter_count(candidates.len()));
    let present = state.nodes().iter().filter(|(_, known)| known.state.is_member());
    with_learners(voters, present.map(|(node, _)| *node))
}

/// Who should be in the global group; `current` are its voters. A region keeps its voters while it
/// is lost: they count again when it returns.
pub fn global_members(
    state: &GlobalState,
    current: &BTreeSet<NodeId>,
    silent_ms: &BTreeMap<NodeId, u64>,
    limits: &Limits,
) -> Members {
    let mut by_region: BTreeMap<u16, Vec<Candidate<'_>>> = BTreeMap::new();
    for (node, known) in state.nodes() {
        let Some(region) = state.regions().get(&known.region) else { continue };
        if known.state.takes_replicas() {
            let health = limits.health(silent_ms, *node);
            let votes_now = current.contains(node);
            let candidate = Candidate { node: *node, zone: &known.zone, health, votes_now };
            if candidate.may_vote() {
                by_region.entry(region.id.number).or_default().push(candidate);
            }
        }
    }
    let sizes: Vec<usize> = by_region.values().map(Vec::len).collect();
    let shares = region_shares(&sizes);
    let chosen = by_region.values().zip(shares).map(|(candidates, share)| elect(candidates, share));
    let voters = chosen.flatten().collect();
    let present = state.nodes().iter().filter(|(_, known)| known.state.is_member());
    with_learners(voters, present.map(|(node, _)| *node))
}

fn with_learners(voters: BTreeSet<NodeId>, present: impl Iterator<Item = NodeId>) -> Members {
    let learners = present.filter(|node| !voters.contains(node)).collect();
    Members { voters, learners }
}

/// How many of `nodes` nodes vote.
fn voter_count(nodes: usize) -> usize {
    match nodes {
        // Two voters survive no loss, but hold everything twice.
        0..=2 => nodes,
        3..=4 => 3,
        _ => CONTROL_VOTERS_MAX,
    }
}

/// How many voters each region has, given how many nodes it has, in the order of region numbers:
/// one each in turn, up to a share that its loss may take away.
fn region_shares(sizes: &[usize]) -> Vec<usize> {
    let nodes: usize = sizes.iter().sum();
    let share_max = |total: usize| match sizes.len() {
        0 | 1 => total,
        2 => total - total / 2,
        _ => total.saturating_sub(1) / 2,
    };
    let reach =
        |total: usize| sizes.iter().map(|size| (*size).min(share_max(total))).sum::<usize>();
    let wanted = [CONTROL_VOTERS_MAX, 3].into_iter().find(|total| reach(*total) >= *total);
    let (total, most) = wanted.map_or((nodes, nodes), |total| (total, share_max(total)));
    let mut shares = vec![0usize; sizes.len()];
    let mut left = total;
    while left > 0 {
        for (share, size) in shares.iter_mut().zip(sizes) {
            if left > 0 && *share < (*size).min(most) {
                *share += 1;
                left -= 1;
            }
        }
    }
    shares
}

/// Chooses voters one by one: answering nodes first, then spread over zones, then those that vote
/// already.
fn elect(candidates: &[Candidate<'_>], count: usize) -> BTreeSet<NodeId> {
    let mut chosen: Vec<&Candidate<'_>> = Vec::new();
    while chosen.len() < count {
        let is_chosen = |c: &Candidate<'_>| chosen.iter().any(|other| other.node == c.node);
        let mates = |c: &Candidate<'_>| chosen.iter().filter(|o| o.zone == c.zone).count();
        let free = candidates.iter().filter(|c| !is_chosen(c));
        let rank = |c: &&Candidate<'_>| (c.health == Health::Dead, mates(c), !c.votes_now, c.node);
        let Some(next) = free.min_by_key(rank) else { break };
        chosen.push(next);
    }
    chosen.iter().map(|c| c.node).collect()
}

/// The next step of a control group towards its members; none when it is there or must wait.
pub fn member_step(
    group: GroupId,
    desired: &Members,
    observed: &Observed,
    is_live: impl Fn(NodeId) -> bool,
) -> Option<Step> {
    let voters = observed.voters();
    let safe = |after: &BTreeSet<NodeId>| {
        observed.configs.iter().chain([after]).all(|config| has_quorum(config, &is_live))
    };
    if observed.configs.len() > 1 {
        let retain = true;
        return safe(&voters).then_some(Step::ChangeVoters { group, voters, retain });
    }
    let is_member = |node: &NodeId| voters.contains(node) || observed.learners.contains(node);
    let wanted = desired.voters.iter().chain(&desired.learners);
    if let Some(node) = wanted.copied().find(|node| !is_member(node) && is_live(*node)) {
        return Some(Step::AddLearner { group, node });
    }
    let ready = desired.voters.difference(&voters).all(|n| observed.caught_up.contains(n));
    if voters != desired.voters && !desired.voters.is_empty() && ready && safe(&desired.voters) {
        let from = observed.leader;
        let leads_on = |node: &&NodeId| observed.caught_up.contains(*node) && is_live(**node);
        let heir = voters.intersection(&desired.voters).find(leads_on).copied();
        return Some(match heir {
            Some(to) if !desired.voters.contains(&from) => Step::TransferLeader { group, from, to },
            Some(_) | None => {
                Step::ChangeVoters { group, voters: desired.voters.clone(), retain: true }
            }
        });
    }
    let is_wanted =
        |node: &NodeId| desired.voters.contains(node) || desired.learners.contains(node);
    let stray = observed.learners.iter().copied().find(|node| !is_wanted(node))?;
    Some(Step::RemoveLearner { group, node: stray })
}

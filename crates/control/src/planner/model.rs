//! A model region that carries the planner's steps out, for tests.
//!
//! Groups are reduced to their members; a group has a leader while a majority of its voters is
//! live. Every step is checked before it is carried out.

use super::*;
use crate::region::tests::{Region, check_invariants, create};
use meridian_model::KeyRange;

/// Counts for itself, so that a wrong count in the planner is seen.
fn majority_lives(voters: &BTreeSet<NodeId>, is_live: impl Fn(NodeId) -> bool) -> bool {
    let (live, silent): (Vec<NodeId>, Vec<NodeId>) =
        voters.iter().partition(|node| is_live(**node));
    live.len() > silent.len()
}

/// A partition's group, or a control group.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) leader: Option<NodeId>,
    pub(super) configs: Vec<BTreeSet<NodeId>>,
    pub(super) learners: BTreeSet<NodeId>,
    pub(super) behind: BTreeSet<NodeId>,
}

impl Group {
    pub(super) fn of(voters: impl IntoIterator<Item = NodeId>) -> Self {
        let configs = vec![voters.into_iter().collect()];
        Group { leader: None, configs, learners: BTreeSet::new(), behind: BTreeSet::new() }
    }

    pub(super) fn voters(&self) -> &BTreeSet<NodeId> {
        self.configs.last().unwrap()
    }

    fn members(&self) -> BTreeSet<NodeId> {
        self.configs.iter().flatten().chain(&self.learners).copied().collect()
    }

    /// Elects a leader where there can be one, and lets the live learners catch up.
    pub(super) fn settle(&mut self, is_live: impl Fn(NodeId) -> bool) {
        let quorum = self.configs.iter().all(|config| majority_lives(config, &is_live));
        let keeps = self.leader.filter(|node| is_live(*node) && self.voters().contains(node));
        let elected = keeps.or_else(|| self.voters().iter().copied().find(|node| is_live(*node)));
        self.leader = elected.filter(|_| quorum);
        if self.leader.is_some() {
            self.behind.retain(|node| !is_live(*node));
        }
    }

    pub(super) fn observed(&self) -> Option<Observed> {
        Some(Observed {
            leader: self.leader?,
            configs: self.configs.clone(),
            learners: self.learners.clone(),
            caught_up: self.members().difference(&self.behind).copied().collect(),
        })
    }

    /// Carries a step out as Raft would; `halfway` stops a change of voters in the joint phase.
    pub(super) fn carry_out(
        &mut self,
        step: &Step,
        is_live: impl Fn(NodeId) -> bool,
        halfway: bool,
    ) {
        match step {
            Step::AddLearner { node, .. } => {
                assert!(!self.members().contains(node), "{node} is a member already");
                self.learners.insert(*node);
                self.behind.insert(*node);
            }
            Step::RemoveLearner { node, .. } => {
                assert!(self.learners.remove(node), "{node} is no learner");
                self.behind.remove(node);
            }
            Step::TransferLeader { from, to, .. } => {
                assert_eq!(self.leader, Some(*from));
                assert!(self.voters().contains(to) && !self.behind.contains(to) && is_live(*to));
                self.leader = Some(*to);
            }
            Step::ChangeVoters { voters, retain, .. } => {
                self.change_voters(voters, *retain, &is_live, halfway);
            }
            Step::Propose(command) => panic!("{command:?} is not for a group"),
        }
    }

    fn change_voters(
        &mut self,
        voters: &BTreeSet<NodeId>,
        retain: bool,
        is_live: &impl Fn(NodeId) -> bool,
        halfway: bool,
    ) {
        let safe =
            self.configs.iter().chain([voters]).all(|config| majority_lives(config, is_live));
        assert!(safe, "a quorum is not live: {:?} to {voters:?}", self.configs);
        let new: Vec<NodeId> = voters.difference(self.voters()).copied().collect();
        assert!(new.iter().all(|n| self.learners.contains(n) && !self.behind.contains(n)));
        self.learners.retain(|node| !voters.contains(node));
        if halfway && self.configs.len() == 1 {
            self.configs.push(voters.clone());
            return;
        }
        let before = std::mem::replace(&mut self.configs, vec![voters.clone()]);
        let left = before.into_iter().flatten().filter(|node| !voters.contains(node));
        if retain {
            self.learners.extend(left);
        }
        self.leader = self.leader.filter(|node| voters.contains(node));
    }
}

/// A region with its groups.
pub(super) struct Model {
    pub(super) region: Region,
    pub(super) groups: BTreeMap<PartitionId, Group>,
    pub(super) silent_ms: BTreeMap<NodeId, u64>,
    pub(super) short_of_room: BTreeSet<NodeId>,
    pub(super) limits: Limits,
}

pub(super) const LIVE: u64 = 0;
pub(super) const SILENT: u64 = 10_000;
pub(super) const DEAD: u64 = 1_000_000;

impl Model {
    pub(super) fn with_nodes(nodes: u64) -> Self {
        let region = Region::with_nodes(nodes);
        let silent_ms = (1..=nodes).map(|node| (NodeId(node), LIVE)).collect();
        let (groups, short_of_room) = (BTreeMap::new(), BTreeSet::new());
        Model { region, groups, silent_ms, short_of_room, limits: Limits::default() }
    }

    pub(super) fn view(&self) -> View<'_> {
        let observed = |(id, group): (&PartitionId, &Group)| Some((*id, group.observed()?));
        View {
            state: &self.region.state,
            silent_ms: self.silent_ms.clone(),
            short_of_room: self.short_of_room.clone(),
            groups: self.groups.iter().filter_map(observed).collect(),
            limits: self.limits,
        }
    }

    /// Creates a table if it can be placed.
    pub(super) fn create(&mut self, name: &str, parts: u32) -> Result<(), PlaceError> {
        let ranges = KeyRange::full().split_evenly(parts);
        let placed = place_table(&self.view(), &ranges)?;
        let _ = self.region.answer(&create(name, placed));
        self.settle();
        Ok(())
    }

    /// Starts the groups that the catalog names, deletes those that it does not, elects.
    pub(super) fn settle(&mut self) {
        let partitions = self.region.state.partitions();
        self.groups.retain(|id, _| partitions.contains_key(id));
        for (id, record) in partitions {
            let start = || {
                let first = record.first_leader;
                Group { leader: first, ..Group::of(record.replicas.voters.iter().copied()) }
            };
            self.groups.entry(*id).or_insert_with(start);
        }
        let silent_ms = &self.silent_ms;
        let is_live = |node| silent_ms.get(&node) == Some(&LIVE);
        self.groups.values_mut().for_each(|group| group.settle(is_live));
    }

    /// Plans once and carries out what `luck` lets through. Returns how many steps were named.
    pub(super) fn round(&mut self, mut luck: impl FnMut() -> Luck) -> usize {
        let steps = plan(&self.view());
        self.check_one_each(&steps);
        for step in &steps {
            match luck() {
                Luck::Fails => {}
                luck @ (Luck::Works | Luck::Halfway) => self.carry_out(step, luck),
            }
        }
        check_invariants(&self.region.state);
        self.settle();
        steps.len()
    }

    fn check_one_each(&self, steps: &[Step]) {
        let mut seen = BTreeSet::new();
        for step in steps {
            let partition = match step {
                Step::Propose(Command::PartitionReplicas { partition, .. }) => Some(*partition),
                Step::Propose(_) => None,
                Step::AddLearner { group, .. }
                | Step::ChangeVoters { group, .. }
                | Step::RemoveLearner { group, .. }
                | Step::TransferLeader { group, .. } => Some(PartitionId(group.to_u64())),
            };
            let Some(partition) = partition else { continue };
            assert!(seen.insert(partition), "two steps for {partition}: {steps:?}");
            assert!(self.groups[&partition].leader.is_some(), "a step without a leader: {step:?}");
        }
    }

    fn carry_out(&mut self, step: &Step, luck: Luck) {
        let silent_ms = &self.silent_ms;
        let is_live = |node| silent_ms.get(&node) == Some(&LIVE);
        match step {
            Step::Propose(command) => {
                self.region.done(command.clone());
            }
            Step::AddLearner { group, .. }
            | Step::ChangeVoters { group, .. }
            | Step::RemoveLearner { group, .. }
            | Step::TransferLeader { group, .. } => {
                let id = PartitionId(group.to_u64());
                let record = &self.region.state.partitions()[&id];
                if let Step::AddLearner { node, .. } = step {
                    assert!(record.replicas.holds(*node), "{node} was not told to make a replica");
                }
                let group = self.groups.get_mut(&id).unwrap();
                group.carry_out(step, is_live, matches!(luck, Luck::Halfway));
            }
        }
    }

    /// Plans until nothing is left to do.
    pub(super) fn converge(&mut self) {
        self.settle();
        for _ in 0..200 {
            if self.round(|| Luck::Works) == 0 {
                return;
            }
        }
        panic!("the planner never ends: {:?}", plan(&self.view()));
    }
}

/// What becomes of a step.
#[derive(Debug, Clone, Copy)]
pub(super) enum Luck {
    Works,
    Fails,
    Halfway,
}

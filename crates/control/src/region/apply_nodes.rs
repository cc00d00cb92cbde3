//! Applies committed commands to the region's state: nodes, and who holds which partition.
//!
//! # Invariants
//!
//! - New replicas go only to nodes that take them; those that a partition has already may stay.
//! - A removed node stays in the state, so that its id is never taken for a new node's.
//!
//! Tested by `region/tests.rs`.

use super::command::{CommandResult, Done, Refusal};
use super::{RegionNode, RegionState, Replicas};
use crate::node::{NodeAddresses, NodeState};
use meridian_base::{NodeId, PartitionId};
use std::collections::BTreeSet;

impl RegionState {
    pub(super) fn partition_replicas(
        &mut self,
        id: PartitionId,
        expected_epoch: u64,
        replicas: &Replicas,
    ) -> CommandResult {
        let partition = self.partitions.get(&id).ok_or(Refusal::PartitionNotFound)?;
        if partition.epoch != expected_epoch {
            return Err(Refusal::StaleEpoch { current: partition.epoch });
        }
        if !self.change_fits(&partition.replicas, replicas) {
            return Err(Refusal::StalePlacement);
        }
        let partition = self.partitions.get_mut(&id).ok_or(Refusal::PartitionNotFound)?;
        partition.epoch += 1;
        let mut replicas = replicas.clone();
        replicas.voters.sort_unstable();
        partition.replicas = replicas;
        Ok(Done::Epoch(partition.epoch))
    }

    fn change_fits(&self, before: &Replicas, after: &Replicas) -> bool {
        let all: Vec<NodeId> = after.nodes().collect();
        let distinct: BTreeSet<NodeId> = all.iter().copied().collect();
        let replaced = |node: NodeId| after.voters.contains(&node);
        let allowed = |node: &NodeId| {
            before.holds(*node)
                || self.nodes.get(node).is_some_and(|known| known.state.takes_replicas())
        };
        !after.voters.is_empty()
            && distinct.len() == all.len()
            && after.learners.iter().all(|l| l.replaces.is_none_or(replaced))
            && distinct.iter().all(allowed)
    }

    pub(super) fn join_node(
        &mut self,
        id: NodeId,
        zone: &str,
        addresses: &NodeAddresses,
    ) -> CommandResult {
        let known = self.nodes.get(&id).map(|node| (node.state, node.returned));
        let (state, returned) = known.unwrap_or((NodeState::Active, None));
        if state.is_removed() {
            return Err(Refusal::NodeRemoved);
        }
        let (zone, addresses) = (zone.to_owned(), addresses.clone());
        let node = RegionNode { zone, addresses, state, returned };
        self.nodes.insert(id, node);
        Ok(Done::Changed)
    }

    pub(super) fn drain_node(&mut self, id: NodeId) -> CommandResult {
        self.member(id)?;
        self.another_takes_replicas(id)?;
        self.set_node_state(id, NodeState::Draining)
    }

    pub(super) fn activate_node(&mut self, id: NodeId) -> CommandResult {
        self.member(id)?;
        self.set_node_state(id, NodeState::Active)
    }

    pub(super) fn lose_node_log(&mut self, id: NodeId, loss: u64) -> CommandResult {
        if self.present(id)?.is_removed() {
            return Err(Refusal::NodeRemoved);
        }
        // A report that comes again after the return changes nothing.
        if self.nodes.get(&id).is_some_and(|node| node.returned == Some(loss)) {
            return Ok(Done::Changed);
        }
        self.another_takes_replicas(id)?;
        self.set_node_state(id, NodeState::LostLog { loss })
    }

    pub(super) fn return_node(&mut self, id: NodeId, loss: u64) -> CommandResult {
        if self.present(id)?.is_removed() {
            return Err(Refusal::NodeRemoved);
        }
        let node = self.nodes.get_mut(&id).ok_or(Refusal::NodeNotFound)?;
        if node.state.loss() == Some(loss) {
            node.state = NodeState::Active;
            node.returned = Some(loss);
        }
        Ok(Done::Changed)
    }

    pub(super) fn remove_node(&mut self, id: NodeId, replaced_by: Option<NodeId>) -> CommandResult {
        if self.present(id)?.is_removed() {
            return Ok(Done::Changed);
        }
        if let Some(heir) = replaced_by
            && (heir == id || self.present(heir)?.is_removed())
        {
            return Err(Refusal::NodeNotFound);
        }
        self.another_takes_replicas(id)?;
        self.set_node_state(id, NodeState::Removed { replaced_by })
    }

    fn present(&self, id: NodeId) -> Result<NodeState, Refusal> {
        self.nodes.get(&id).map(|node| node.state).ok_or(Refusal::NodeNotFound)
    }

    fn member(&self, id: NodeId) -> Result<(), Refusal> {
        match self.present(id)? {
            NodeState::Active | NodeState::Draining => Ok(()),
            NodeState::LostLog { .. } => Err(Refusal::NodeLostLog),
            NodeState::Removed { .. } => Err(Refusal::NodeRemoved),
        }
    }

    fn another_takes_replicas(&self, id: NodeId) -> Result<(), Refusal> {
        let mut others = self.nodes.iter().filter(|(other, _)| **other != id);
        let found = others.any(|(_, node)| node.state.takes_replicas());
        if found { Ok(()) } else { Err(Refusal::LastNode) }
    }

    fn set_node_state(&mut self, id: NodeId, state: NodeState) -> CommandResult {
        let node = self.nodes.get_mut(&id).ok_or(Refusal::NodeNotFound)?;
        node.state = state;
        Ok(Done::Changed)
    }
}

//! Applies committed commands to the global state: the cluster, its regions and nodes.
//!
//! # Invariants
//!
//! - A refused command changes nothing but the applied index.
//! - Each change of a region record raises its epoch by one.
//!
//! Tested by `global/tests.rs`.

use super::{
    ClusterInfo, Command, CommandResult, Done, GlobalState, NodeRecord, Refusal, RegionRecord,
    RegionStatus, Silence,
};
use crate::node::{NodeAddresses, NodeState};
use meridian_base::{LogIndex, NodeId, RegionId};
use std::collections::BTreeSet;

impl GlobalState {
    /// Applies the command at `index`. A command that was applied before is refused.
    pub fn apply(&mut self, index: LogIndex, command: &Command) -> CommandResult {
        if index <= self.applied {
            return Err(Refusal::Replayed);
        }
        self.applied = index;
        if self.cluster.is_none() && !matches!(command, Command::InitCluster { .. }) {
            return Err(Refusal::NotInitialised);
        }
        match command {
            Command::InitCluster { cluster, regions, at_ms } => {
                self.init_cluster(cluster, regions, *at_ms)
            }
            Command::AddRegion { region, at_ms } => self.add_region(region, *at_ms),
            Command::RebuildRegion { region, expected_epoch } => {
                self.rebuild_region(region, *expected_epoch)
            }
            Command::SetRegionState { region, to, expected_epoch, at_ms } => {
                self.set_region_state(region, to, *expected_epoch, *at_ms)
            }
            Command::ReportSilence { by, about, since_ms, at_ms } => {
                self.report_silence(by, about, *since_ms, *at_ms)
            }
            Command::UpsertNode { node, region, zone, addresses } => {
                self.upsert_node(*node, region, zone, addresses)
            }
            Command::DrainNode { node, drain } => self.drain_node(*node, *drain),
            Command::LoseNodeLog { node, loss } => self.lose_node_log(*node, *loss),
            Command::ReturnNode { node, loss } => self.return_node(*node, *loss),
            Command::RemoveNode { node, replaced_by } => self.remove_node(*node, *replaced_by),
            Command::CreateGlobalTable { .. }
            | Command::AddReplica { .. }
            | Command::ReplicaActive { .. }
            | Command::ReplicaFailed { .. }
            | Command::RemoveReplica { .. }
            | Command::ReplicaRemoved { .. }
            | Command::UpdateTableDefinition { .. } => self.apply_to_tables(command),
        }
    }

    fn init_cluster(&mut self, cluster: &str, regions: &[String], at_ms: u64) -> CommandResult {
        if let Some(known) = &self.cluster {
            // A second try of the same initialisation is answered as the first one was.
            let same = known.id == cluster && regions.iter().all(|r| self.regions.contains_key(r));
            return if same { Ok(Done::Changed) } else { Err(Refusal::InitialisedOtherwise) };
        }
        let distinct: BTreeSet<&String> = regions.iter().collect();
        if regions.is_empty() || distinct.len() != regions.len() {
            return Err(Refusal::InitialisedOtherwise);
        }
        if regions.len() > usize::from(u16::MAX) {
            return Err(Refusal::LimitExceeded);
        }
        self.cluster = Some(ClusterInfo { id: cluster.to_owned(), created_ms: at_ms });
        regions.iter().try_for_each(|region| self.add_region(region, at_ms).map(|_| ()))?;
        Ok(Done::Changed)
    }

    fn add_region(&mut self, name: &str, at_ms: u64) -> CommandResult {
        if self.regions.contains_key(name) {
            return Err(Refusal::RegionExists);
        }
        let highest = self.regions.values().map(|region| region.id.number).max().unwrap_or(0);
        let number = highest.checked_add(1).ok_or(Refusal::LimitExceeded)?;
        let id = RegionId::new(number);
        let status = RegionStatus::Active;
        let record = RegionRecord { id, status, epoch: 1, since_ms: at_ms, restored_ms: None };
        self.regions.insert(name.to_owned(), record);
        Ok(Done::Region(id))
    }

    fn region_at(&self, name: &str, expected_epoch: u64) -> Result<&RegionRecord, Refusal> {
        let region = self.regions.get(name).ok_or(Refusal::RegionNotFound)?;
        if region.epoch != expected_epoch {
            return Err(Refusal::StaleEpoch { current: region.epoch });
        }
        Ok(region)
    }

    fn rebuild_region(&mut self, name: &str, expected_epoch: u64) -> CommandResult {
        let region = self.region_at(name, expected_epoch)?;
        match region.status {
            RegionStatus::Lost | RegionStatus::Recovering => {}
            RegionStatus::Active | RegionStatus::Draining { .. } | RegionStatus::Evacuated => {
                return Err(Refusal::IllegalMove { from: region.status.clone() });
            }
        }
        let incarnation = region.id.incarnation.checked_add(1).ok_or(Refusal::LimitExceeded)?;
        let region = self.regions.get_mut(name).ok_or(Refusal::RegionNotFound)?;
        region.id.incarnation = incarnation;
        region.epoch += 1;
        Ok(Done::Region(region.id))
    }

    fn set_region_state(
        &mut self,
        name: &str,
        to: &RegionStatus,
        expected_epoch: u64,
        at_ms: u64,
    ) -> CommandResult {
        let region = self.region_at(name, expected_epoch)?;
        if !region.status.may_become(to) {
            return Err(Refusal::IllegalMove { from: region.status.clone() });
        }
        match to {
            RegionStatus::Draining { target } => self.target_fits(name, target)?,
            RegionStatus::Lost | RegionStatus::Evacuated if !self.another_serves(name) => {
                return Err(Refusal::LastRegion);
            }
            RegionStatus::Active
            | RegionStatus::Evacuated
            | RegionStatus::Lost
            | RegionStatus::Recovering => {}
        }
        let region = self.regions.get_mut(name).ok_or(Refusal::RegionNotFound)?;
        if region.status == RegionStatus::Recovering && to.is_active() {
            region.restored_ms = Some(at_ms);
        }
        region.status = to.clone();
        region.epoch += 1;
        region.since_ms = at_ms;
        let epoch = region.epoch;
        // What was reported led to this move, or is older than it.
        self.silences.remove(name);
        Ok(Done::Epoch(epoch))
    }

    fn target_fits(&self, name: &str, target: &str) -> Result<(), Refusal> {
        let active = self.regions.get(target).is_some_and(|region| region.status.is_active());
        if active && target != name { Ok(()) } else { Err(Refusal::BadTarget) }
    }

    /// True when a region other than `name` takes traffic.
    pub(super) fn another_serves(&self, name: &str) -> bool {
        self.regions.iter().any(|(other, region)| other != name && region.status.takes_traffic())
    }

    fn report_silence(
        &mut self,
        by: &str,
        about: &str,
        since_ms: Option<u64>,
        at_ms: u64,
    ) -> CommandResult {
        if by == about {
            return Err(Refusal::SelfReport);
        }
        if !self.regions.contains_key(by) || !self.regions.contains_key(about) {
            return Err(Refusal::RegionNotFound);
        }
        let reports = self.silences.entry(about.to_owned()).or_default();
        match since_ms {
            // Reports may arrive out of order: the newest one holds.
            Some(_) if reports.get(by).is_some_and(|known| known.at_ms > at_ms) => {}
            Some(since_ms) => {
                reports.insert(by.to_owned(), Silence { since_ms, at_ms });
            }
            None => {
                reports.remove(by);
            }
        }
        if reports.is_empty() {
            self.silences.remove(about);
        }
        Ok(Done::Changed)
    }

    fn upsert_node(
        &mut self,
        id: NodeId,
        region: &str,
        zone: &str,
        addresses: &NodeAddresses,
    ) -> CommandResult {
        if !self.regions.contains_key(region) {
            return Err(Refusal::RegionNotFound);
        }
        let (state, returned) = match self.nodes.get(&id) {
            None => (NodeState::Active, None),
            Some(node) if node.state.is_removed() => return Err(Refusal::NodeRemoved),
            Some(node) if node.region != region => {
                return Err(Refusal::NodeElsewhere { region: node.region.clone() });
            }
            Some(node) => (node.state, node.returned),
        };
        let (region, zone) = (region.to_owned(), zone.to_owned());
        let addresses = addresses.clone();
        self.nodes.insert(id, NodeRecord { region, zone, addresses, state, returned });
        Ok(Done::Changed)
    }

    fn drain_node(&mut self, id: NodeId, drain: bool) -> CommandResult {
        let node = self.nodes.get_mut(&id).ok_or(Refusal::NodeNotFound)?;
        match node.state {
            NodeState::Active | NodeState::Draining => {}
            NodeState::LostLog { .. } => return Err(Refusal::NodeLostLog),
            NodeState::Removed { .. } => return Err(Refusal::NodeRemoved),
        }
        node.state = if drain { NodeState::Draining } else { NodeState::Active };
        Ok(Done::Changed)
    }

    fn lose_node_log(&mut self, id: NodeId, loss: u64) -> CommandResult {
        let node = self.nodes.get_mut(&id).ok_or(Refusal::NodeNotFound)?;
        if node.state.is_removed() {
            return Err(Refusal::NodeRemoved);
        }
        // A report that comes again after the return changes nothing.
        if node.returned != Some(loss) {
            node.state = NodeState::LostLog { loss };
        }
        Ok(Done::Changed)
    }

    fn return_node(&mut self, id: NodeId, loss: u64) -> CommandResult {
        let node = self.nodes.get_mut(&id).ok_or(Refusal::NodeNotFound)?;
        if node.state.is_removed() {
            return Err(Refusal::NodeRemoved);
        }
        if node.state.loss() == Some(loss) {
            node.state = NodeState::Active;
            node.returned = Some(loss);
        }
        Ok(Done::Changed)
    }

    fn remove_node(&mut self, id: NodeId, replaced_by: Option<NodeId>) -> CommandResult {
        let known = |id: NodeId| self.nodes.get(&id).is_some_and(|node| !node.state.is_removed());
        if replaced_by.is_some_and(|heir| heir == id || !known(heir)) {
            return Err(Refusal::NodeNotFound);
        }
        let node = self.nodes.get_mut(&id).ok_or(Refusal::NodeNotFound)?;
        if !node.state.is_removed() {
            node.state = NodeState::Removed { replaced_by };
        }
        Ok(Done::Changed)
    }
}

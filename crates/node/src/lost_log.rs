//! A node whose Raft log was lost: how it leaves its groups and comes back.
//!
//! With the log went its votes and what it had acknowledged, so it may neither vote nor append in a
//! group that still counts it among its voters. It opens no group and tells its neighbours; they
//! note the loss in the control groups, and the planner takes its replicas away. When it is a member
//! of no group any more, it takes its place as any new node does: as a learner that is caught up
//! first.
//!
//! # Invariants
//!
//! - Between the loss and the return the node answers no message of a group.
//! - A node is told that it may return only when the partition map, the region group and the global
//!   group name it nowhere, by members that are committed.
//!
//! Tested by `cluster_tests/damage.rs`, with a damaged log.

use crate::control::client::ControlError;
use crate::control::message::{ControlAnswer, ControlRequest, decode, encode};
use crate::node::Node;
use bytes::Bytes;
use meridian_base::{GroupId, NodeId};
use meridian_control::global::Command as GlobalCommand;
use meridian_control::region::Command as RegionCommand;
use meridian_raft::rt;
use meridian_transport::Kind;
use std::sync::Arc;
use std::time::Duration;

/// Between two questions whether the node may return.
const PAUSE: Duration = Duration::from_millis(250);
/// How long a neighbour may take to answer: it proposes to both control groups.
const ASK_LIMIT: Duration = Duration::from_secs(15);

/// Asks the neighbours until the node may return, then opens its control groups.
pub async fn run(node: Arc<Node>, loss: u64) {
    let mut stopping = node.stopping();
    let mut told = String::new();
    loop {
        match ask_neighbours(&node, loss).await {
            None => break,
            Some(why) if why != told => {
                tracing::warn!(%why, "the node's log was lost: it waits to return");
                told = why;
            }
            Some(_) => {}
        }
        *node.waits_for.lock().expect("no holder panics") = Some(told.clone());
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = rt::sleep(PAUSE) => {}
        }
    }
    if let Err(why) = node.identity_file.forget_loss() {
        tracing::error!(%why, "the return cannot be noted: the node stays out of its groups");
        return;
    }
    *node.waits_for.lock().expect("no holder panics") = None;
    tracing::info!("the node is a member of no group any more: it comes back as a new member");
    if let Err(error) = node.open_control_groups().await {
        tracing::error!(%error, "the control groups cannot be opened");
    }
}

/// What the node waits for; none when it may return.
async fn ask_neighbours(node: &Node, loss: u64) -> Option<String> {
    let message = Bytes::from(encode(&ControlRequest::Return { node: node.id().0, loss }));
    let mut problem = "no neighbour is known".to_owned();
    for address in node.neighbours() {
        let called = node.peers.call_addr(&address, Kind::Control, message.clone(), ASK_LIMIT);
        let answer = called.await.map_err(|e| e.to_string());
        match answer.and_then(|bytes| decode(&bytes).map_err(|e| e.to_string())) {
            Ok(ControlAnswer::Return { waits_for }) => return waits_for,
            Ok(other) => problem = format!("{address}: an odd answer: {other:?}"),
            Err(why) => problem = format!("{address}: {why}"),
        }
    }
    Some(problem)
}

fn proposed<T, E: std::fmt::Display>(
    done: Result<Result<T, E>, ControlError>,
) -> Result<(), String> {
    match done {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(refusal)) => Err(refusal.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

impl Node {
    /// Peer addresses of the other nodes of the region, as known to a node that has no state.
    fn neighbours(&self) -> Vec<String> {
        let own = &self.options.addresses.peer;
        let founding = self.identity_file.founding();
        let founders = founding.iter().flat_map(|founding| founding.nodes.values());
        let founders = founders.filter(|founder| founder.region == self.options.region);
        let mut known: Vec<String> = founders.map(|f| f.addresses.peer.clone()).collect();
        known.extend(self.options.seeds.iter().cloned());
        let mut addresses = Vec::new();
        for address in known.into_iter().filter(|address| address != own) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses
    }

    /// Answers a neighbour that lost its log: what it must still wait for.
    pub(crate) async fn answer_return(&self, id: u64, loss: u64) -> Result<Option<String>, String> {
        let node = NodeId(id);
        if self.has_returned(node, loss) {
            return Ok(None);
        }
        if let Err(why) = self.note_loss(node, loss).await {
            return Ok(Some(why));
        }
        if let Some(why) = self.still_member(node) {
            return Ok(Some(why));
        }
        let back = GlobalCommand::ReturnNode { node, loss };
        proposed(self.control.global(&back).await)?;
        proposed(self.control.region(&RegionCommand::ReturnNode { node, loss }).await)?;
        Ok((!self.has_returned(node, loss)).then(|| "its return is not recorded yet".to_owned()))
    }

    fn has_returned(&self, node: NodeId, loss: u64) -> bool {
        let (region, global) = (self.control.region_state(), self.control.global_state());
        region.nodes().get(&node).is_some_and(|known| known.returned == Some(loss))
            && global.nodes().get(&node).is_some_and(|known| known.returned == Some(loss))
    }

    async fn note_loss(&self, node: NodeId, loss: u64) -> Result<(), String> {
        let noted = |state: Option<meridian_control::NodeState>, returned: Option<u64>| {
            returned == Some(loss) || state.and_then(|state| state.loss()) == Some(loss)
        };
        let region = self.control.region_state();
        let known = region.nodes().get(&node);
        if !noted(known.map(|known| known.state), known.and_then(|known| known.returned)) {
            proposed(self.control.region(&RegionCommand::LoseNodeLog { node, loss }).await)?;
        }
        let global = self.control.global_state();
        let known = global.nodes().get(&node);
        if !noted(known.map(|known| known.state), known.and_then(|known| known.returned)) {
            proposed(self.control.global(&GlobalCommand::LoseNodeLog { node, loss }).await)?;
        }
        Ok(())
    }

    /// A group of which a node is a member, as far as this node has applied.
    fn still_member(&self, node: NodeId) -> Option<String> {
        let state = self.control.region_state();
        let mut held = state.partitions().values().filter(|p| p.replicas.holds(node));
        if let Some(partition) = held.next() {
            return Some(format!("partition {} still counts it as a member", partition.id));
        }
        for id in [GroupId::Region, GroupId::Global] {
            let Some(group) = self.hosting.group(id) else {
                return Some(format!("the neighbour has not opened the {id} group"));
            };
            let status = group.status();
            let named = status.configs.iter().any(|config| config.contains(&node))
                || status.learners.contains(&node);
            if named || !status.members_settled {
                return Some(format!("the {id} group still counts it as a member"));
            }
        }
        None
    }
}

//! Founding the cluster, and nodes that come and go.

use super::{refused, unavailable};
use crate::control::message::{ControlAnswer, ControlRequest, decode, encode};
use crate::founding;
use crate::identity::{Founder, Founding};
use crate::node::Node;
use bytes::Bytes;
use meridian_api::admin::AdminError;
use meridian_base::NodeId;
use meridian_control::global::Command as GlobalCommand;
use meridian_control::region::Command as RegionCommand;
use meridian_raft::rt;
use meridian_transport::Kind;
use serde_json::{Value, json};
use std::time::Duration;

/// How long a new node may take to answer.
const CALL_LIMIT: Duration = Duration::from_secs(5);

impl Node {
    /// Founds the cluster out of this node and its seeds.
    pub(crate) async fn cluster_init(&self, expected: Option<u64>) -> Result<Value, AdminError> {
        if let Some(founded) = self.identity_file.founding() {
            return Err(AdminError::Refused(format!(
                "the cluster was founded already, as {:016x}",
                founded.cluster
            )));
        }
        let callers = self.callers.lock().expect("no holder panics").clone();
        let (seeds, own) = (&self.options.seeds, self.founder());
        let nodes = founding::gather(&self.peers, seeds, &callers, self.id(), &own).await;
        let nodes = nodes.map_err(unavailable)?;
        let known = nodes.len() as u64;
        if let Some(expected) = expected.filter(|expected| *expected != known) {
            return Err(AdminError::Unavailable(format!(
                "{expected} nodes are expected, {known} are known: {:?}",
                nodes.keys().collect::<Vec<_>>()
            )));
        }
        let founded = founding::plan(nodes, rt::random(), self.options.clock.now_ms());
        founding::spread(&self.peers, &founded, self.id()).await.map_err(unavailable)?;
        self.found(&founded).await.map_err(AdminError::Refused)?;
        tracing::info!(
            cluster = format!("{:016x}", founded.cluster),
            nodes = known,
            "cluster founded"
        );
        Ok(json!({
            "cluster_id": format!("{:016x}", founded.cluster),
            "regions": founded.regions,
            "nodes": founded.nodes.keys().collect::<Vec<_>>(),
        }))
    }

    /// Takes a node that has called into the cluster.
    pub(crate) async fn node_add(&self, id: u64) -> Result<Value, AdminError> {
        let called = self.callers.lock().expect("no holder panics").get(&id).cloned();
        let Some(founder) = called else {
            return Err(AdminError::NotFound(format!(
                "node {id} has not called this node: is it running, and is this node's peer \
                 address among its seeds?"
            )));
        };
        let Some(founded) = self.identity_file.founding() else {
            return Err(AdminError::Refused("this node belongs to no cluster".into()));
        };
        if founder.region != self.options.region {
            return Err(AdminError::Refused(format!(
                "node {id} is of region {}: ask a node of that region",
                founder.region
            )));
        }
        refused(self.control.global(&founding::upsert_command(NodeId(id), &founder)).await)?;
        let join = RegionCommand::JoinNode {
            node: NodeId(id),
            zone: founder.zone.clone(),
            addresses: founder.addresses.clone(),
        };
        refused(self.control.region(&join).await)?;
        self.invite(&founder, &founded).await?;
        Ok(json!({"node": id, "region": founder.region, "added": true}))
    }

    async fn invite(&self, founder: &Founder, founded: &Founding) -> Result<(), AdminError> {
        let global = self.control.global_state();
        let nodes = global.nodes().iter().map(|(id, known)| {
            let founder = Founder {
                region: known.region.clone(),
                zone: known.zone.clone(),
                addresses: known.addresses.clone(),
            };
            (id.0, founder)
        });
        let invitation = Founding { nodes: nodes.collect(), joined: true, ..founded.clone() };
        let message = Bytes::from(encode(&ControlRequest::Found(Box::new(invitation))));
        let addr = &founder.addresses.peer;
        let answer = self.peers.call_addr(addr, Kind::Control, message, CALL_LIMIT).await;
        match answer.map(|bytes| decode(&bytes)) {
            Ok(Ok(ControlAnswer::Done)) => Ok(()),
            Ok(_) => Err(unavailable("the new node gave an odd answer")),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Moves every replica off a node.
    pub(crate) async fn node_drain(&self, id: u64) -> Result<Value, AdminError> {
        let node = NodeId(id);
        self.must_be_here(node)?;
        refused(self.control.region(&RegionCommand::DrainNode { node }).await)?;
        refused(self.control.global(&GlobalCommand::DrainNode { node, drain: true }).await)?;
        Ok(json!({"node": id, "state": "Draining"}))
    }

    /// Forgets a node for good.
    pub(crate) async fn node_remove(&self, id: u64) -> Result<Value, AdminError> {
        let node = NodeId(id);
        self.must_be_here(node)?;
        let command = RegionCommand::RemoveNode { node, replaced_by: None };
        refused(self.control.region(&command).await)?;
        let command = GlobalCommand::RemoveNode { node, replaced_by: None };
        refused(self.control.global(&command).await)?;
        Ok(json!({"node": id, "state": "Removed"}))
    }

    fn must_be_here(&self, node: NodeId) -> Result<(), AdminError> {
        if self.control.region_state().nodes().contains_key(&node) {
            return Ok(());
        }
        let global = self.control.global_state();
        Err(match global.nodes().get(&node) {
            Some(known) => AdminError::Refused(format!(
                "node {node} is of region {}: ask a node of that region",
                known.region
            )),
            None => AdminError::NotFound(format!("there is no node {node}")),
        })
    }
}

//! What a node answers to its peers.

use crate::control::message::{
    ControlAnswer, ControlRequest, GroupChange, GroupStep, decode, encode,
};
use crate::network::open_envelope;
use crate::node::Node;
use crate::options::DataDir;
use crate::{planner, replication};
use async_trait::async_trait;
use bytes::Bytes;
use meridian_base::{GroupId, NodeId};
use meridian_raft::snapshot::Spool;
use meridian_raft::{ProposeError, rt};
use meridian_transport::{Chunks, Handler, Kind};
use std::sync::Arc;

/// Answers peers on behalf of a node.
pub struct PeerHandler(pub Arc<Node>);

#[async_trait]
impl Handler for PeerHandler {
    async fn handle(&self, from: NodeId, kind: Kind, payload: Bytes) -> Result<Bytes, String> {
        match kind {
            Kind::Raft => {
                let (group, message) = open_envelope(&payload)?;
                let group = self.0.hosting.group(group).ok_or("no replica of the group here")?;
                group.handle(&message).await
            }
            Kind::Item => self.0.items.serve(&payload).await,
            Kind::Replicate => replication::receive(&self.0, &payload).await,
            Kind::Control => {
                let request = decode(&payload).map_err(|e| e.to_string())?;
                let answer = self.0.control_request(from, request).await?;
                Ok(Bytes::from(encode(&answer)))
            }
            Kind::Admin => Err("not asked between nodes".into()),
        }
    }

    async fn receive(
        &self,
        _from: NodeId,
        kind: Kind,
        header: Bytes,
        mut chunks: Chunks,
    ) -> Result<Bytes, String> {
        if kind != Kind::Raft {
            return Err(format!("transfers of {kind:?} are not taken here"));
        }
        let (group, head) = open_envelope(&header)?;
        let hosted = self.0.hosting.group(group);
        let path = match &self.0.options.data {
            DataDir::Path(dir) => Some(dir.join(format!("snapshot-{}.part", rt::random()))),
            DataDir::Memory => None,
        };
        let mut spool = Spool::open(path).map_err(|e| e.to_string())?;
        while let Some(chunk) = chunks.next().await {
            spool.push(chunk.map_err(|e| e.to_string())?).map_err(|e| e.to_string())?;
        }
        let chunks = spool.into_chunks().map_err(|e| e.to_string())?;
        match hosted {
            Some(hosted) => hosted.handle_snapshot(&head, chunks).await,
            None => self.0.rebuilds.deliver(group, head, chunks),
        }
    }
}

fn step_answer(done: Result<(), ProposeError>) -> Result<ControlAnswer, String> {
    match done {
        Ok(()) => Ok(ControlAnswer::Done),
        Err(ProposeError::NotLeader { hint }) => {
            Ok(ControlAnswer::NotLeader { hint: hint.map(|n| n.0) })
        }
        Err(ProposeError::Unknown) => Ok(ControlAnswer::Unknown),
        Err(ProposeError::Members(why)) => Err(why),
    }
}

impl Node {
    async fn control_request(
        &self,
        from: NodeId,
        request: ControlRequest,
    ) -> Result<ControlAnswer, String> {
        match request {
            ControlRequest::Hello { node, founder } => {
                let founding = self.identity_file.founding();
                let mut callers = self.callers.lock().expect("no holder panics");
                if founding.as_ref().is_none_or(|f| !f.nodes.contains_key(&node)) {
                    callers.insert(node, founder);
                }
                Ok(ControlAnswer::Hello {
                    node: self.id().0,
                    founder: self.founder(),
                    founding: founding.map(Box::new),
                    callers: callers.clone(),
                })
            }
            ControlRequest::Found(founding) => {
                self.found(&founding).await?;
                Ok(ControlAnswer::Done)
            }
            ControlRequest::Propose { group, command } => self.propose_here(group, command).await,
            ControlRequest::Observe => Ok(planner::observed_here(self)),
            ControlRequest::Step(step) => self.step_here(step).await,
            ControlRequest::Regions(request) => {
                self.answer_regions(request).await.map(ControlAnswer::Regions)
            }
            ControlRequest::SendSnapshot { group } => {
                self.send_snapshot(from, group).await?;
                Ok(ControlAnswer::Done)
            }
            ControlRequest::Return { node, loss } => {
                let waits_for = self.answer_return(node, loss).await?;
                Ok(ControlAnswer::Return { waits_for })
            }
        }
    }

    async fn propose_here(&self, group: u64, command: Vec<u8>) -> Result<ControlAnswer, String> {
        let group = self.hosting.group(GroupId::from_u64(group)).ok_or("no such group here")?;
        match group.propose(Bytes::from(command)).await {
            Ok(done) => Ok(ControlAnswer::Proposed { index: done.index.0, answer: done.answer }),
            Err(error) => step_answer(Err(error)),
        }
    }

    /// Carries out a change of a group that this node leads.
    pub(crate) async fn step_here(&self, step: GroupStep) -> Result<ControlAnswer, String> {
        let group =
            self.hosting.group(GroupId::from_u64(step.group)).ok_or("no such group here")?;
        let done = match step.change {
            GroupChange::AddLearner(node) => group.add_learner(NodeId(node)).await,
            GroupChange::ChangeVoters(voters, retain) => {
                let voters = voters.into_iter().map(NodeId).collect();
                group.change_voters(&voters, retain).await
            }
            GroupChange::RemoveLearner(node) => group.remove_learner(NodeId(node)).await,
            GroupChange::Transfer(to) => {
                if group.leading().is_none() {
                    return Ok(ControlAnswer::NotLeader { hint: group.leader().map(|n| n.0) });
                }
                return group.hand_over(NodeId(to)).await.map(|()| ControlAnswer::Done);
            }
        };
        step_answer(done)
    }
}

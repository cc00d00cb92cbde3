//! Proposes commands to the control groups, from whichever node.
//!
//! # Invariants
//!
//! - A command whose outcome is not known is not sent again from here.
//! - When a proposal returns, this node's own replica shows it, so that the caller reads its write.

use super::machine::Answer;
use super::message::{ControlAnswer, ControlRequest, decode, encode};
use crate::hosting::Hosting;
use bytes::Bytes;
use meridian_base::{GroupId, LogIndex, NodeId};
use meridian_control::{Stored, global, region};
use meridian_raft::{ProposeError, rt};
use meridian_transport::{CallError, Kind, Peers};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long a proposal looks for a leader.
const PROPOSE_LIMIT: Duration = Duration::from_secs(10);
/// How long one node may take to answer.
const CALL_LIMIT: Duration = Duration::from_secs(3);
/// Pause before asking again.
const PAUSE: Duration = Duration::from_millis(40);
/// How long to wait for this node's replica after the leader's.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(5);

/// Why a proposal has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// There was no leader in time; it was not applied.
    #[error("the {0} group has no leader that can be reached")]
    NoLeader(&'static str),
    /// It may have been applied.
    #[error("the outcome of the change is unknown")]
    Unknown,
}

/// Proposes to the control groups.
#[derive(Clone)]
pub struct ControlClient {
    node: NodeId,
    hosting: Arc<Hosting>,
    peers: Peers,
    global: watch::Receiver<Arc<global::GlobalState>>,
    region: watch::Receiver<Arc<region::RegionState>>,
    catalog: watch::Receiver<Arc<region::Catalog>>,
}

impl ControlClient {
    /// A client over this node's replicas.
    pub fn new(
        node: NodeId,
        hosting: Arc<Hosting>,
        peers: Peers,
        global: watch::Receiver<Arc<global::GlobalState>>,
        region: watch::Receiver<Arc<region::RegionState>>,
        catalog: watch::Receiver<Arc<region::Catalog>>,
    ) -> Self {
        ControlClient { node, hosting, peers, global, region, catalog }
    }

    /// The region's state as this node knows it.
    pub fn region_state(&self) -> Arc<region::RegionState> {
        Arc::clone(&self.region.borrow())
    }

    /// The cluster's state as this node knows it.
    pub fn global_state(&self) -> Arc<global::GlobalState> {
        Arc::clone(&self.global.borrow())
    }

    /// Follows the region's state.
    pub fn watch_region(&self) -> watch::Receiver<Arc<region::RegionState>> {
        self.region.clone()
    }

    /// Follows the cluster's state.
    pub fn watch_global(&self) -> watch::Receiver<Arc<global::GlobalState>> {
        self.global.clone()
    }

    /// Proposes to the region group.
    pub async fn region(
        &self,
        command: &region::Command,
    ) -> Result<region::CommandResult, ControlError> {
        let (index, answer) = self.propose(GroupId::Region, command.encode()).await?;
        let mut catalog = self.catalog.clone();
        let shown = catalog.wait_for(|catalog| catalog.applied() >= index);
        let _ = rt::timeout(CATCH_UP_LIMIT, shown).await;
        read_answer(&answer)
    }

    /// Proposes to the global group.
    pub async fn global(
        &self,
        command: &global::Command,
    ) -> Result<global::CommandResult, ControlError> {
        let (index, answer) = self.propose(GroupId::Global, command.encode()).await?;
        let mut state = self.global.clone();
        let shown = state.wait_for(|state| state.applied() >= index);
        let _ = rt::timeout(CATCH_UP_LIMIT, shown).await;
        read_answer(&answer)
    }

    async fn propose(
        &self,
        group: GroupId,
        command: Vec<u8>,
    ) -> Result<(LogIndex, Vec<u8>), ControlError> {
        let name = if group == GroupId::Global { "global" } else { "region" };
        let deadline = rt::now() + PROPOSE_LIMIT;
        let mut hint = None;
        let mut attempts = 0;
        loop {
            let target = self.target(group, hint.take(), attempts);
            match self.attempt(target, group, &command).await {
                Ok(done) => return Ok(done),
                Err(ProposeError::NotLeader { hint: news }) => hint = news.filter(|n| *n != target),
                Err(ProposeError::Unknown | ProposeError::Members(_)) => {
                    return Err(ControlError::Unknown);
                }
            }
            attempts += 1;
            if rt::now() >= deadline {
                return Err(ControlError::NoLeader(name));
            }
            if hint.is_none() {
                rt::sleep(PAUSE).await;
            }
        }
    }

    fn target(&self, group: GroupId, hint: Option<NodeId>, attempts: usize) -> NodeId {
        if let Some(leader) = hint {
            return leader;
        }
        let Some(local) = self.hosting.group(group) else { return self.node };
        let status = local.status();
        if let Some(leader) = status.leader.filter(|_| attempts % 3 < 2) {
            return leader;
        }
        let members = status.voters.len().max(1);
        status.voters.get(attempts % members).copied().unwrap_or(self.node)
    }

    async fn attempt(
        &self,
        target: NodeId,
        group: GroupId,
        command: &[u8],
    ) -> Result<(LogIndex, Vec<u8>), ProposeError> {
        let not_leader = ProposeError::NotLeader { hint: None };
        if target == self.node {
            let local = self.hosting.group(group).ok_or(not_leader)?;
            let proposed = local.propose(Bytes::copy_from_slice(command)).await?;
            return Ok((proposed.index, proposed.answer));
        }
        let request = ControlRequest::Propose { group: group.to_u64(), command: command.to_vec() };
        let message = Bytes::from(encode(&request));
        match self.peers.call(target, Kind::Control, message, CALL_LIMIT).await {
            Ok(bytes) => match decode(&bytes) {
                Ok(ControlAnswer::Proposed { index, answer }) => Ok((LogIndex(index), answer)),
                Ok(ControlAnswer::NotLeader { hint }) => {
                    Err(ProposeError::NotLeader { hint: hint.map(NodeId) })
                }
                Ok(_) | Err(_) => Err(ProposeError::Unknown),
            },
            Err(CallError::NotSent | CallError::Refused(_)) => Err(not_leader),
            Err(CallError::Unknown) => Err(ProposeError::Unknown),
        }
    }
}

fn read_answer<T>(bytes: &[u8]) -> Result<T, ControlError>
where
    T: serde::Serialize + DeserializeOwned,
{
    Answer::<T>::decode(bytes).map(|answer| answer.0).map_err(|_| ControlError::Unknown)
}

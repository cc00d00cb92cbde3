//! What both control groups know of a node.

use crate::stored;
use meridian_base::NodeId;
use serde::{Deserialize, Serialize};

/// Where a node is reached, each as `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NodeAddresses {
    /// By other nodes.
    pub peer: String,
    /// By clients.
    pub client: String,
    /// By operators and by the metrics collector.
    pub admin: String,
}

/// Whether a node takes replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeState {
    /// Takes replicas and leads.
    Active,
    /// Gives its replicas and leaderships away; may become Active again.
    Draining,
    /// Lost its Raft log, and with it its votes: it takes part in no group until it is a member of
    /// none, and then comes back as a new member.
    LostLog {
        /// Which loss: a number that the node chose.
        loss: u64,
    },
    /// Gone for good: its id is never used again.
    Removed {
        /// The node that takes its place, if the operator named one.
        #[serde(with = "stored::id_option", default)]
        replaced_by: Option<NodeId>,
    },
}

impl NodeState {
    /// True for a node that new replicas may go to.
    pub fn takes_replicas(self) -> bool {
        match self {
            NodeState::Active => true,
            NodeState::Draining | NodeState::LostLog { .. } | NodeState::Removed { .. } => false,
        }
    }

    /// True for a node that may be a member of groups.
    pub fn is_member(self) -> bool {
        match self {
            NodeState::Active | NodeState::Draining => true,
            NodeState::LostLog { .. } | NodeState::Removed { .. } => false,
        }
    }

    /// The loss of its log that a node reports, once it is known here.
    pub fn loss(self) -> Option<u64> {
        match self {
            NodeState::LostLog { loss } => Some(loss),
            NodeState::Active | NodeState::Draining | NodeState::Removed { .. } => None,
        }
    }

    /// True for a node that will not come back.
    pub fn is_removed(self) -> bool {
        match self {
            NodeState::Active | NodeState::Draining | NodeState::LostLog { .. } => false,
            NodeState::Removed { .. } => true,
        }
    }
}

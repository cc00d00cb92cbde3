//! What nodes ask of each other about the cluster itself. JSON behind a format byte.

use crate::identity::{Founder, Founding};
use crate::regions::message::{RegionsAnswer, RegionsRequest};
use meridian_base::codec::DecodeError;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;

const FORMAT: u8 = 1;

/// A question or an order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum ControlRequest {
    /// Who are you? Asked of seeds; says who asks.
    Hello {
        /// The asking node.
        node: u64,
        /// What it is.
        founder: Founder,
    },
    /// Belong to this cluster from now on.
    Found(Box<Founding>),
    /// Propose a command to a control group, if you lead it.
    Propose {
        /// The group's sent form.
        group: u64,
        /// The encoded command.
        command: Vec<u8>,
    },
    /// What do you say of the partitions that you lead?
    Observe,
    /// Carry out a change of a group that you lead.
    Step(GroupStep),
    /// Something about regions.
    Regions(RegionsRequest),
    /// Send me a snapshot of a group: my replica must be rebuilt.
    SendSnapshot {
        /// The group's sent form.
        group: u64,
    },
    /// I lost my log: may I return?
    Return {
        /// The asking node.
        node: u64,
        /// Which loss.
        loss: u64,
    },
}

/// One change of a group's members or leader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupStep {
    /// The group's sent form.
    pub group: u64,
    /// What to do.
    pub change: GroupChange,
}

/// What a [`GroupStep`] does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupChange {
    /// Adds a member that does not vote.
    AddLearner(u64),
    /// Makes these the voters; `true` keeps those that go as learners.
    ChangeVoters(Vec<u64>, bool),
    /// Takes away a member that does not vote.
    RemoveLearner(u64),
    /// Has another voter lead.
    Transfer(u64),
}

/// What a leader says of its group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// The group's sent form.
    pub group: u64,
    /// Its term.
    pub term: u64,
    /// The voters; twice while they change.
    pub configs: Vec<Vec<u64>>,
    /// Members that do not vote.
    pub learners: Vec<u64>,
    /// Members close to the leader's log, the leader included.
    pub caught_up: Vec<u64>,
    /// The last applied log index.
    pub applied: u64,
}

/// An answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum ControlAnswer {
    /// To `Hello`.
    Hello {
        /// The answering node.
        node: u64,
        /// What it is.
        founder: Founder,
        /// Its cluster, once it has one.
        founding: Option<Box<Founding>>,
        /// The nodes without a cluster that have called it.
        #[serde(default)]
        callers: BTreeMap<u64, Founder>,
    },
    /// Done.
    Done,
    /// To `Propose`: the log index and the encoded answer.
    Proposed {
        /// Where it stands in the group's log.
        index: u64,
        /// What the state machine answered.
        answer: Vec<u8>,
    },
    /// To `Observe`: the groups that the node leads, and how long each other node was silent, ms.
    Observed {
        /// By group.
        groups: Vec<Observation>,
        /// By node.
        silent_ms: BTreeMap<u64, u64>,
        /// True while the node is short of disk.
        #[serde(default)]
        short_of_room: bool,
    },
    /// The node does not lead the group; the leader, where it knows one.
    NotLeader {
        /// The leader.
        hint: Option<u64>,
    },
    /// It may have been done.
    Unknown,
    /// To `Regions`.
    Regions(RegionsAnswer),
    /// To `Return`.
    Return {
        /// What the node must wait for; none when it may return.
        waits_for: Option<String>,
    },
}

/// The sent form.
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    let mut out = vec![FORMAT];
    serde_json::to_writer(&mut out, message).expect("control messages have text keys");
    out
}

/// Reads the sent form.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    match bytes.split_first() {
        Some((&FORMAT, json)) => {
            serde_json::from_slice(json).map_err(|_| DecodeError::Unknown("control message"))
        }
        Some(_) => Err(DecodeError::Unknown("control message format")),
        None => Err(DecodeError::Short),
    }
}

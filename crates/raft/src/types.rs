//! The openraft type configuration of every Meridian group, and the bytes it carries.

use crate::rt::Runtime;
use bytes::Bytes;
use std::fmt;

/// The payload of a log entry: bytes that only the group's state machine understands.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Payload(pub Bytes);

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// What the state machine answers to the proposer of an entry.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Answer(pub Vec<u8>);

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

openraft::declare_raft_types!(
    /// One configuration for the partition, region and global groups: they differ in their state
    /// machines only. `leader_id_std` gives at most one leader a term, so a log id is a term and an
    /// index.
    pub Config:
        D = Payload,
        R = Answer,
        NodeId = u64,
        Node = openraft::impls::EmptyNode,
        LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>,
        AsyncRuntime = Runtime,
);

/// A log id: term and index.
pub type LogId = openraft::alias::LogIdOf<Config>;
/// A vote: term, candidate, and whether a quorum granted it.
pub type Vote = openraft::alias::VoteOf<Config>;
/// A log entry.
pub type Entry = openraft::alias::EntryOf<Config>;
/// A committed or effective membership with its log id.
pub type StoredMembership = openraft::alias::StoredMembershipOf<Config>;
/// The members of a group.
pub type Membership = openraft::Membership<u64, openraft::impls::EmptyNode>;
/// The term of a log id, as openraft names a committed leader.
pub type CommittedLeader = openraft::alias::CommittedLeaderIdOf<Config>;
/// What identifies a snapshot.
pub type SnapshotMeta = openraft::alias::SnapshotMetaOf<Config>;

/// Makes a log id.
pub fn log_id(term: u64, index: u64) -> LogId {
    LogId::new(CommittedLeader::new(term), index)
}

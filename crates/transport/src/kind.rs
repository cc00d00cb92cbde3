//! What a message is, and how a call can end.

use thiserror::Error;

/// What a payload holds; its owner crate encodes and decodes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Raft messages and, as a transfer, snapshots.
    Raft,
    /// Item requests passed on to the node of a partition's leader.
    Item,
    /// Changes of a table sent to another region.
    Replicate,
    /// Requests to the control groups: join, propose, read.
    Control,
    /// Questions of operators passed on to another node.
    Admin,
}

impl Kind {
    /// Every kind, in wire order.
    pub const ALL: [Kind; 5] =
        [Kind::Raft, Kind::Item, Kind::Replicate, Kind::Control, Kind::Admin];

    /// The number on the wire.
    pub fn to_wire(self) -> u32 {
        match self {
            Kind::Raft => 1,
            Kind::Item => 2,
            Kind::Replicate => 3,
            Kind::Control => 4,
            Kind::Admin => 5,
        }
    }

    /// Reads the number on the wire; `None` for a kind that this program does not know.
    pub fn from_wire(raw: u32) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.to_wire() == raw)
    }

    /// The value of the `kind` label of metrics.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Raft => "raft",
            Kind::Item => "item",
            Kind::Replicate => "replicate",
            Kind::Control => "control",
            Kind::Admin => "admin",
        }
    }
}

/// How a call ends without an answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CallError {
    /// It never left this node: it may be tried again anywhere.
    #[error("not sent: no connection to the peer, or its queue is full")]
    NotSent,
    /// It was sent and nothing came back in time, or the connection broke: it may have been done.
    #[error("no answer: the peer may or may not have received the call")]
    Unknown,
    /// The peer (or, for a message beyond the size limit, this node) refused it, and says why.
    #[error("refused: {0}")]
    Refused(String),
}

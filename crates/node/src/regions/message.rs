//! What nodes ask of each other about regions.

use meridian_base::{PartitionId, TableId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A question or an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RegionsRequest {
    /// Up to where is the global group's log applied, if you lead it?
    GlobalIndex,
    /// What time is it?
    Clock,
    /// Which partitions do you lead, how far did they get, and what did you hear of others?
    Standing,
    /// Note what an origin partition announced, if you lead the partition.
    Received {
        /// The partition that notes it.
        partition: u64,
        /// The encoded announcement.
        received: Vec<u8>,
    },
    /// Give records of a partition that you hold.
    Findings {
        /// The partition.
        partition: u64,
        /// Which records.
        which: Findings,
        /// The first number.
        from: u64,
    },
}

/// Which records are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Findings {
    /// Conflicts.
    Conflicts,
    /// Stranded writes.
    Stranded,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RegionsAnswer {
    /// To `GlobalIndex`.
    Index(u64),
    /// To `Clock`: ms since the Unix epoch.
    Clock(u64),
    /// To `Standing`.
    Standing(Box<Standing>),
    /// Done, or nothing to do.
    Done,
    /// To `Findings`: number and encoded record, and the next number; none at the end.
    Findings {
        /// The records.
        records: Vec<(u64, Vec<u8>)>,
        /// Where to go on.
        next: Option<u64>,
    },
    /// The node does not lead the group, or does not hold the partition.
    NotHere,
}

/// What a node says of its region.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Standing {
    /// Up to where it has applied the region group's log.
    pub applied: u64,
    /// The partitions of the region's catalog, with their tables.
    pub partitions: Vec<(u64, u64)>,
    /// The partitions that it leads.
    pub led: Vec<Led>,
    /// What came from other regions through it.
    pub heard: Vec<HeardFrom>,
}

/// What a leader says of its partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Led {
    /// The table.
    pub table: u64,
    /// The partition.
    pub partition: u64,
    /// The leader's term.
    pub term: u64,
    /// The leader's node.
    pub node: u64,
    /// First encoded key of its range.
    pub start: Vec<u8>,
    /// First encoded key after it.
    pub end: Option<Vec<u8>>,
    /// The end of its change log.
    pub position: u64,
    /// The last position before its freeze, with the freeze's epoch.
    pub frozen_at: Option<(u64, u64)>,
    /// What each region has acknowledged, by region number.
    pub acked: BTreeMap<u16, u64>,
}

/// What came from an origin partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeardFrom {
    /// The table.
    pub table: u64,
    /// The encoded announcement that holds.
    pub received: Vec<u8>,
    /// How long ago it was heard, ms.
    pub silent_ms: u64,
}

impl Led {
    /// The table's id.
    pub fn table(&self) -> TableId {
        TableId(self.table)
    }

    /// The partition's id.
    pub fn partition(&self) -> PartitionId {
        PartitionId(self.partition)
    }
}

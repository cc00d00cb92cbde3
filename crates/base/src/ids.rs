//! Ids of the things that a cluster is made of.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

id!(
    /// A node (one process) of the cluster; unique in the cluster, never used again.
    NodeId
);
id!(
    /// A table; unique in the cluster. All replicas of a global table have the same id.
    TableId
);
id!(
    /// A partition of a table in one region; unique in its region, never used again.
    PartitionId
);
id!(
    /// A backup; unique in its region, never used again.
    BackupId
);
id!(
    /// A position in the Raft log of one group, from 1; 0 means "before the first entry".
    LogIndex
);
id!(
    /// One tenure of a partition's pipeline; grows with each new pipeline of the partition.
    Incarnation
);
id!(
    /// The number of a decision within an incarnation, from 1.
    Sequence
);

/// A region as origin of writes: its number in the cluster and how often it was rebuilt from
/// nothing. A rebuilt region is a new origin, so its versions are never taken for old ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RegionId {
    /// Number of the region in the cluster, from 1.
    pub number: u16,
    /// How many times the region was rebuilt from nothing, from 0.
    pub incarnation: u16,
}

impl RegionId {
    /// A region in its first life.
    pub fn new(number: u16) -> Self {
        RegionId { number, incarnation: 0 }
    }

    /// The stored form: number in the high half.
    pub fn to_u32(self) -> u32 {
        (u32::from(self.number) << 16) | u32::from(self.incarnation)
    }

    /// Reads the stored form.
    pub fn from_u32(raw: u32) -> Self {
        let [n1, n0, i1, i0] = raw.to_be_bytes();
        RegionId { number: u16::from_be_bytes([n1, n0]), incarnation: u16::from_be_bytes([i1, i0]) }
    }
}

impl fmt::Display for RegionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.number, self.incarnation)
    }
}

/// A Raft group as a node knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupId {
    /// The one group of the cluster that holds regions and global tables.
    Global,
    /// The group of this node's region that holds its catalog.
    Region,
    /// The group of one partition.
    Partition(PartitionId),
}

impl GroupId {
    /// The stored and sent form. Partition ids start at [`GroupId::FIRST_PARTITION`].
    pub fn to_u64(self) -> u64 {
        match self {
            GroupId::Global => 0,
            GroupId::Region => 1,
            GroupId::Partition(p) => p.0,
        }
    }

    /// Reads the stored and sent form.
    pub fn from_u64(raw: u64) -> Self {
        match raw {
            0 => GroupId::Global,
            1 => GroupId::Region,
            p => GroupId::Partition(PartitionId(p)),
        }
    }

    /// The lowest partition id ever given out; those below name the control groups.
    pub const FIRST_PARTITION: u64 = 16;
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GroupId::Global => f.write_str("global"),
            GroupId::Region => f.write_str("region"),
            GroupId::Partition(p) => write!(f, "partition-{p}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_forms_round_trip() {
        let r = RegionId { number: 3, incarnation: 7 };
        assert_eq!(RegionId::from_u32(r.to_u32()), r);
        for g in [GroupId::Global, GroupId::Region, GroupId::Partition(PartitionId(16))] {
            assert_eq!(GroupId::from_u64(g.to_u64()), g);
        }
    }
}

//! The proofs of leaving a region and of coming back.
//!
//! The states of a region and their legal moves are `control`'s; a move out of Draining or Recovering
//! needs one of these proofs.
//!
//! # Invariants
//!
//! - A region counts as evacuated only when every partition's freeze lies at or below what every
//!   other active region has acknowledged: RPO 0 by construction.
//!
//! Tested below.

use crate::received::ReceivedClosed;
use meridian_base::{Hlc, PartitionId, Position};
use std::collections::{BTreeMap, BTreeSet};

/// A partition of a region that is being left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrozenPartition {
    /// The partition.
    pub partition: PartitionId,
    /// The last position before its freeze; none while it is not frozen.
    pub frozen_at: Option<Position>,
    /// What each region has acknowledged, by region number.
    pub cursors: BTreeMap<u16, Position>,
}

/// What a proof lacks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// A partition still takes writes.
    #[error("partition {0} is not frozen")]
    NotFrozen(PartitionId),
    /// A region has not acknowledged all that it must.
    #[error("region {region} has partition {partition} up to {has} of {needs}")]
    Behind {
        /// The partition.
        partition: PartitionId,
        /// The region that is behind.
        region: u16,
        /// What it has acknowledged.
        has: Position,
        /// What it must have.
        needs: Position,
    },
    /// The returning region has not heard enough from another.
    #[error("partition {partition} has not heard enough from region {region}")]
    Unheard {
        /// The partition.
        partition: PartitionId,
        /// The region that it must hear from.
        region: u16,
    },
}

/// Proves an evacuation: all that is missing, nothing when it is proved. `active` are the numbers of
/// the other active regions that hold the table.
pub fn evacuated(partitions: &[FrozenPartition], active: &BTreeSet<u16>) -> Vec<Missing> {
    let mut missing = Vec::new();
    for frozen in partitions {
        match frozen.frozen_at {
            None => missing.push(Missing::NotFrozen(frozen.partition)),
            Some(needs) => missing.extend(behind(frozen.partition, needs, &frozen.cursors, active)),
        }
    }
    missing
}

fn behind(
    partition: PartitionId,
    needs: Position,
    cursors: &BTreeMap<u16, Position>,
    active: &BTreeSet<u16>,
) -> Vec<Missing> {
    let state = |region: &u16| (*region, cursors.get(region).copied().unwrap_or_default());
    let slow = active.iter().map(state).filter(|(_, has)| *has < needs);
    slow.map(|(region, has)| Missing::Behind { partition, region, has, needs }).collect()
}

/// True when the target of an evacuation may take the writes of keys from `start` to before `end`:
/// it has everything that `region` stamped at or below `closed`, the freeze's closed version.
pub fn may_take_over(
    received: &ReceivedClosed<'_>,
    region: u16,
    range: (&[u8], Option<&[u8]>),
    closed: Hlc,
) -> bool {
    received.closed(region, range.0, range.1).is_some_and(|heard| heard >= closed)
}

/// A partition of a region that is coming back.
#[derive(Debug, Clone)]
pub struct ReturningPartition<'a> {
    /// The partition.
    pub partition: PartitionId,
    /// First encoded key of its range.
    pub start: &'a [u8],
    /// First encoded key after it.
    pub end: Option<&'a [u8]>,
    /// The end of its change log when the return began: what may be stranded lies before.
    pub position: Position,
    /// What each region has acknowledged, by region number.
    pub cursors: BTreeMap<u16, Position>,
    /// What it heard from the others.
    pub received: ReceivedClosed<'a>,
}

/// Proves a return: everything that the region held reached the others, and it has everything
/// that they wrote at or below `since`, a version of after the return began.
pub fn returned(
    partitions: &[ReturningPartition<'_>],
    active: &BTreeSet<u16>,
    since: Hlc,
) -> Vec<Missing> {
    let mut missing = Vec::new();
    for back in partitions {
        missing.extend(behind(back.partition, back.position, &back.cursors, active));
        for region in active {
            let range = (back.start, back.end);
            if !may_take_over(&back.received, *region, range, since) {
                missing.push(Missing::Unheard { partition: back.partition, region: *region });
            }
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;
    use meridian_base::{Received, RegionId};

    #[test]
    fn an_evacuation_needs_every_freeze_and_every_region() {
        let mut left = FrozenPartition {
            partition: PartitionId(16),
            frozen_at: None,
            cursors: [(2, Position(9)), (3, Position(8))].into_iter().collect(),
        };
        let active = BTreeSet::from([2, 3]);
        assert_eq!(evacuated(std::slice::from_ref(&left), &active).len(), 1);
        left.frozen_at = Some(Position(9));
        let missing = evacuated(std::slice::from_ref(&left), &active);
        let text: Vec<_> = missing.iter().map(ToString::to_string).collect();
        assert_eq!(text, ["region 3 has partition 16 up to 8 of 9"]);
        left.cursors.insert(3, Position(9));
        assert_eq!(evacuated(std::slice::from_ref(&left), &active), []);
        assert_eq!(evacuated(&[left], &BTreeSet::from([2, 3, 4])).len(), 1);
    }

    #[test]
    fn a_return_needs_both_directions() {
        let heard = Received {
            region: RegionId::new(2),
            partition: PartitionId(30),
            start: Vec::new(),
            end: None,
            closed: Hlc(100),
            stable: Hlc(0),
        };
        let back = ReturningPartition {
            partition: PartitionId(16),
            start: b"",
            end: None,
            position: Position(5),
            cursors: [(2, Position(4))].into_iter().collect(),
            received: ReceivedClosed::new([&heard]),
        };
        let active = BTreeSet::from([2]);
        assert_eq!(returned(std::slice::from_ref(&back), &active, Hlc(101)).len(), 2);
        let back = ReturningPartition { cursors: [(2, Position(5))].into_iter().collect(), ..back };
        assert_eq!(returned(std::slice::from_ref(&back), &active, Hlc(101)).len(), 1);
        assert_eq!(returned(&[back], &active, Hlc(100)), []);
    }
}

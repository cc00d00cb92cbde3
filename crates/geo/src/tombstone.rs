//! When a tombstone may go.
//!
//! A tombstone keeps an older write from bringing a deleted item back. It goes when no older write
//! can come any more (the closed version of every other replica region, received here, has passed
//! it) and no region can still hold the item that it deleted (every replica region has
//! acknowledged it).
//!
//! # Invariants
//!
//! - A region that is not among the replicas any more, or was lost for too long, holds nothing
//!   back: it is filled again from the others on its return.

use crate::received::ReceivedClosed;
use meridian_base::{Hlc, Version};

/// What tells a partition which of its tombstones may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TombstoneRule {
    own: u16,
    own_stable: Hlc,
    /// The lowest closed version of the other regions; none while one is unknown.
    passed: Option<Hlc>,
}

impl TombstoneRule {
    /// Looks at the partition's range. `own_stable` is [`crate::sender::stable`] of its own senders; `others` are the other replica regions, without those lost for too long.
    pub fn new(
        own: u16,
        own_stable: Hlc,
        others: &[u16],
        received: &ReceivedClosed<'_>,
        range: (&[u8], Option<&[u8]>),
    ) -> Self {
        let closed = others.iter().map(|region| received.closed(*region, range.0, range.1));
        let passed = closed.min().unwrap_or(Some(Hlc(u64::MAX)));
        TombstoneRule { own, own_stable, passed }
    }

    /// True when a tombstone may go. `stable` is what its origin region announced as stable over the
    /// range; none when that region is no replica any more.
    pub fn may_go(&self, version: Version, stable: Option<Hlc>) -> bool {
        let everywhere = if version.region.number == self.own {
            version.hlc <= self.own_stable
        } else {
            stable.is_none_or(|stable| version.hlc <= stable)
        };
        everywhere && self.passed.is_some_and(|passed| version.hlc <= passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use meridian_base::{PartitionId, Received, RegionId};

    fn heard(region: u16, closed: u64) -> Received {
        Received {
            region: RegionId::new(region),
            partition: PartitionId(16),
            start: Vec::new(),
            end: None,
            closed: Hlc(closed),
            stable: Hlc(closed),
        }
    }

    fn version(hlc: u64, region: u16) -> Version {
        Version { hlc: Hlc(hlc), region: RegionId::new(region) }
    }

    #[test]
    fn both_conditions_hold_back() {
        let all = [heard(2, 10), heard(3, 6)];
        let received = ReceivedClosed::new(&all);
        let rule = TombstoneRule::new(1, Hlc(8), &[2, 3], &received, (b"", None));
        assert!(rule.may_go(version(6, 1), None));
        assert!(!rule.may_go(version(7, 1), None));
        assert!(rule.may_go(version(5, 2), Some(Hlc(5))));
        assert!(!rule.may_go(version(5, 2), Some(Hlc(4))));
        let slow = TombstoneRule::new(1, Hlc(4), &[2, 3], &received, (b"", None));
        assert!(!slow.may_go(version(5, 1), None));
    }

    #[test]
    fn a_silent_region_holds_back_until_it_is_given_up() {
        let all = [heard(2, 10)];
        let received = ReceivedClosed::new(&all);
        let waiting = TombstoneRule::new(1, Hlc(9), &[2, 3], &received, (b"", None));
        assert!(!waiting.may_go(version(1, 1), None));
        let given_up = TombstoneRule::new(1, Hlc(9), &[2], &received, (b"", None));
        assert!(given_up.may_go(version(9, 1), None));
        assert!(given_up.may_go(version(9, 3), None));
    }
}

//! The one rule by which regions meet: which of two versions of an item stays, and whether
//! their writers knew of each other.
//!
//! A state of an item is `(version, base, image)`. Joining two states keeps the greater
//! `(version, image)` and a base that names everything either side had seen.
//!
//! # Invariants
//!
//! - Joining is commutative, associative and idempotent, whatever the versions, bases and images.
//! - Writes of one region to one item never conflict: a region writes an item in one order.
//!
//! Tested by the properties below and, over delivery orders, in `geo`.

use crate::hlc::{Version, VersionVector};

/// One state of an item as the rule sees it.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// The version of the write that made the state.
    pub version: Version,
    /// What the writer had seen.
    pub base: &'a VersionVector,
    /// The encoded item; `None` is a delete.
    pub image: Option<&'a [u8]>,
}

impl Side<'_> {
    /// True when the writer of this state had seen the write at `version`. Writes of its own
    /// region up to its own version count as seen.
    pub fn saw(&self, version: Version) -> bool {
        let own = self.version.region == version.region && self.version.hlc >= version.hlc;
        own || self.base.covers(version)
    }
}

/// What becomes of an incoming state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeOutcome {
    /// The incoming state replaces the stored one.
    Apply,
    /// The stored state is newer and stays.
    Stale,
    /// Both are the same write.
    Same,
    /// Two writes claim one version with different bytes, which no correct cluster makes. The
    /// larger bytes win: `apply` tells whether those are the incoming ones.
    Diverged {
        /// True when the incoming bytes win.
        apply: bool,
    },
}

impl MergeOutcome {
    /// True when the incoming image is to be stored.
    pub fn applies(self) -> bool {
        match self {
            MergeOutcome::Apply => true,
            MergeOutcome::Diverged { apply } => apply,
            MergeOutcome::Stale | MergeOutcome::Same => false,
        }
    }
}

/// The verdict on an incoming state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merge {
    /// Which state stays.
    pub outcome: MergeOutcome,
    /// True when neither writer had seen the other's write.
    pub conflict: bool,
}

/// Decides between a stored state and an incoming one.
pub fn merge(stored: Option<Side<'_>>, incoming: Side<'_>) -> Merge {
    let Some(stored) = stored else {
        return Merge { outcome: MergeOutcome::Apply, conflict: false };
    };
    let outcome = match incoming.version.cmp(&stored.version) {
        std::cmp::Ordering::Greater => MergeOutcome::Apply,
        std::cmp::Ordering::Less => MergeOutcome::Stale,
        std::cmp::Ordering::Equal if incoming.image == stored.image => MergeOutcome::Same,
        std::cmp::Ordering::Equal => {
            MergeOutcome::Diverged { apply: incoming.image > stored.image }
        }
    };
    let conflict = !incoming.saw(stored.version) && !stored.saw(incoming.version);
    Merge { outcome, conflict }
}

/// The base of the state that stays: all that either side had seen, and the side that goes.
pub fn joined_base(stored: Option<Side<'_>>, incoming: Side<'_>) -> VersionVector {
    let mut base = incoming.base.clone();
    let Some(stored) = stored else { return base };
    base.merge(stored.base);
    if incoming.version != stored.version {
        base.observe(incoming.version.min(stored.version));
    }
    base
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Hlc, RegionId};
    use proptest::prelude::*;

    type State = (Version, VersionVector, Option<Vec<u8>>);

    fn side(state: &State) -> Side<'_> {
        Side { version: state.0, base: &state.1, image: state.2.as_deref() }
    }

    fn join(stored: &State, incoming: &State) -> State {
        let verdict = merge(Some(side(stored)), side(incoming));
        let base = joined_base(Some(side(stored)), side(incoming));
        let winner = if verdict.outcome.applies() { incoming } else { stored };
        (winner.0, base, winner.2.clone())
    }

    fn version() -> impl Strategy<Value = Version> {
        (1u64..6, 1u16..4).prop_map(|(t, r)| Version { hlc: Hlc(t), region: RegionId::new(r) })
    }

    fn state() -> impl Strategy<Value = State> {
        let base = proptest::collection::vec(version(), 0..3);
        let image = proptest::option::of(proptest::collection::vec(0u8..3, 0..2));
        (version(), base, image).prop_map(|(v, b, i)| (v, b.into_iter().collect(), i))
    }

    proptest! {
        #[test]
        fn joining_is_commutative(a in state(), b in state()) {
            prop_assert_eq!(join(&a, &b), join(&b, &a));
        }

        #[test]
        fn joining_is_associative(a in state(), b in state(), c in state()) {
            prop_assert_eq!(join(&join(&a, &b), &c), join(&a, &join(&b, &c)));
        }

        #[test]
        fn joining_is_idempotent(a in state(), b in state()) {
            let joined = join(&a, &b);
            prop_assert_eq!(&join(&joined, &b), &joined);
            prop_assert_eq!(&join(&joined, &a), &joined);
            prop_assert_eq!(&join(&joined, &joined), &joined);
        }

        #[test]
        fn conflict_is_symmetric_and_never_within_a_region(a in state(), b in state()) {
            let there = merge(Some(side(&a)), side(&b)).conflict;
            prop_assert_eq!(there, merge(Some(side(&b)), side(&a)).conflict);
            prop_assert!(!(there && a.0.region == b.0.region));
        }

        #[test]
        fn a_settled_conflict_is_not_found_again(a in state(), b in state()) {
            let joined = join(&a, &b);
            prop_assert!(!merge(Some(side(&joined)), side(&a)).conflict);
            prop_assert!(!merge(Some(side(&joined)), side(&b)).conflict);
        }
    }
}

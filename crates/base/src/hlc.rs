//! Hybrid logical clock values, versions and version vectors.
//!
//! # Invariants
//!
//! - Versions of different origins are never equal unless they are the same write.
//! - [`Hlc::next`] is strictly greater than both of its inputs.

use crate::ids::RegionId;
use std::collections::BTreeMap;
use std::fmt;

/// A hybrid logical clock value: 48 bits of milliseconds since the Unix epoch, 16 bits of counter
/// (Kulkarni et al., 2014). Ordered as the number it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hlc(pub u64);

impl Hlc {
    /// The first value of a millisecond.
    pub fn from_ms(ms: u64) -> Self {
        Hlc(ms << 16)
    }

    /// Milliseconds since the Unix epoch.
    pub fn ms(self) -> u64 {
        self.0 >> 16
    }

    /// The smallest value that is greater than `floor` and not before `now_ms`.
    ///
    /// The counter carries into the milliseconds when it is exhausted.
    #[must_use]
    pub fn next(floor: Hlc, now_ms: u64) -> Hlc {
        Hlc(Hlc::from_ms(now_ms).0.max(floor.0.saturating_add(1)))
    }
}

impl fmt::Display for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.ms(), self.0 & 0xffff)
    }
}

/// The version of an item: when it was written and in which region. The total order of versions
/// decides which write wins everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version {
    /// When the leader stamped the write.
    pub hlc: Hlc,
    /// The region that took the write.
    pub region: RegionId,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.hlc, self.region)
    }
}

/// The highest version seen of each origin region: the causal base of a write.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VersionVector(BTreeMap<RegionId, Hlc>);

impl VersionVector {
    /// True when a write at `version` was seen by the holder of this vector.
    pub fn covers(&self, version: Version) -> bool {
        self.0.get(&version.region).is_some_and(|seen| *seen >= version.hlc)
    }

    /// Notes that `version` was seen.
    pub fn observe(&mut self, version: Version) {
        let seen = self.0.entry(version.region).or_default();
        *seen = (*seen).max(version.hlc);
    }

    /// Notes all that `other` has seen.
    pub fn merge(&mut self, other: &VersionVector) {
        for (region, hlc) in &other.0 {
            self.observe(Version { hlc: *hlc, region: *region });
        }
    }

    /// The origins and their highest versions, in order of region.
    pub fn iter(&self) -> impl Iterator<Item = Version> + '_ {
        self.0.iter().map(|(region, hlc)| Version { hlc: *hlc, region: *region })
    }

    /// How many origins it names.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Version> for VersionVector {
    fn from_iter<T: IntoIterator<Item = Version>>(versions: T) -> Self {
        let mut vector = VersionVector::default();
        versions.into_iter().for_each(|v| vector.observe(v));
        vector
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn next_exceeds_floor_and_clock(floor in 0..u64::MAX - 1, now in 0u64..(1 << 47)) {
            let next = Hlc::next(Hlc(floor), now);
            prop_assert!(next > Hlc(floor));
            prop_assert!(next.ms() >= now);
        }
    }

    #[test]
    fn a_vector_covers_what_it_observed_and_nothing_newer() {
        let region = RegionId::new(1);
        let seen = Version { hlc: Hlc(10), region };
        let vector: VersionVector = [seen].into_iter().collect();
        assert!(vector.covers(seen));
        assert!(!vector.covers(Version { hlc: Hlc(11), region }));
        assert!(!vector.covers(Version { hlc: Hlc(1), region: RegionId::new(2) }));
    }
}

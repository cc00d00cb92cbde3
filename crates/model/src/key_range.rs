//! Ranges of encoded keys: what a partition holds.

use crate::key::HASH_BYTES;

/// Encoded keys from `start` up to, without, `end`; no `end` means to the last key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key, inclusive.
    pub start: Vec<u8>,
    /// The end, exclusive.
    pub end: Option<Vec<u8>>,
}

impl KeyRange {
    /// All keys.
    pub fn full() -> Self {
        KeyRange { start: Vec::new(), end: None }
    }

    /// Tells whether `key` lies within.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.start.as_slice() <= key && self.end.as_deref().is_none_or(|end| key < end)
    }

    /// Tells whether a key can lie within both; neither is empty.
    pub fn overlaps(&self, other: &KeyRange) -> bool {
        let begins_before = |one: &KeyRange, other: &KeyRange| {
            other.end.as_ref().is_none_or(|end| one.start < *end)
        };
        begins_before(self, other) && begins_before(other, self)
    }

    /// Tells whether no key can lie within.
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    /// Divides into at most `parts` adjacent ranges of about equal hash width, in order. Fewer come
    /// back when the range spans fewer hash values; at least one always does.
    pub fn split_evenly(&self, parts: u32) -> Vec<KeyRange> {
        let low = hash_of(&self.start);
        let high = self.end.as_deref().map_or(1u128 << 64, hash_of);
        let width = high.saturating_sub(low);
        let mut ranges = Vec::new();
        let mut start = self.start.clone();
        for part in 1..parts {
            let hash = low + width * u128::from(part) / u128::from(parts);
            let Ok(hash) = u64::try_from(hash) else { break };
            let bound = hash.to_be_bytes().to_vec();
            if bound <= start || self.end.as_ref().is_some_and(|end| bound >= *end) {
                continue;
            }
            ranges.push(KeyRange { start, end: Some(bound.clone()) });
            start = bound;
        }
        ranges.push(KeyRange { start, end: self.end.clone() });
        ranges
    }
}

/// The hash at the front of a bound, padded with zeros.
fn hash_of(bound: &[u8]) -> u128 {
    let mut hash = [0; HASH_BYTES];
    hash.iter_mut().zip(bound).for_each(|(to, from)| *to = *from);
    u128::from(u64::from_be_bytes(hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_full_range_splits_in_quarters() {
        let ranges = KeyRange::full().split_evenly(4);
        let starts: Vec<_> = ranges.iter().map(|r| r.start.first().copied()).collect();
        assert_eq!(starts, [None, Some(0x40), Some(0x80), Some(0xc0)]);
        assert_eq!(ranges[3].end, None);
    }

    #[test]
    fn ranges_overlap_where_they_share_a_key() {
        let range = |start: u8, end: Option<u8>| KeyRange {
            start: vec![start],
            end: end.map(|end| vec![end]),
        };
        let middle = range(3, Some(5));
        for (other, expected) in [
            (range(1, Some(3)), false),
            (range(1, Some(4)), true),
            (range(4, None), true),
            (range(5, None), false),
            (KeyRange::full(), true),
        ] {
            assert_eq!(middle.overlaps(&other), expected, "{other:?}");
            assert_eq!(other.overlaps(&middle), expected, "{other:?}");
        }
    }

    #[test]
    fn a_range_of_one_hash_does_not_split() {
        let range = KeyRange { start: vec![1; 9], end: Some(vec![1; 10]) };
        assert_eq!(range.split_evenly(8), std::slice::from_ref(&range));
    }

    proptest! {
        #[test]
        fn parts_cover_the_range_without_overlap(
            mut bounds in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 2),
            parts in 1u32..20,
            key in prop::collection::vec(any::<u8>(), 0..12),
            open: bool,
        ) {
            bounds.sort();
            let end = (!open).then(|| bounds[1].clone());
            let range = KeyRange { start: bounds[0].clone(), end };
            prop_assume!(!range.is_empty());
            let ranges = range.split_evenly(parts);
            prop_assert!(ranges.len() <= parts as usize);
            prop_assert!(ranges.iter().all(|r| !r.is_empty()));
            let holders = ranges.iter().filter(|r| r.contains(&key)).count();
            prop_assert_eq!(holders, usize::from(range.contains(&key)));
        }
    }
}

//! What the partitions of another region announced, seen over a range of keys.
//!
//! Partition maps differ between regions: an announcement holds for the origin partition's range,
//! and a region's closed version over a range is known only when announcements cover all of it.
//!
//! # Invariants
//!
//! - A gap between announcements gives no answer, never a guess.
//!
//! Tested below.

use meridian_base::{Hlc, Received};

/// Looks up announcements by region and range.
#[derive(Debug, Clone, Default)]
pub struct ReceivedClosed<'a> {
    all: Vec<&'a Received>,
}

impl<'a> ReceivedClosed<'a> {
    /// Takes the announcements that a partition, or all partitions of a table, hold.
    pub fn new(all: impl IntoIterator<Item = &'a Received>) -> Self {
        ReceivedClosed { all: all.into_iter().collect() }
    }

    /// The region's closed version over the keys from `start` to before `end`: nothing of it at or
    /// below, with such a key, is still to come. None when announcements leave a gap.
    pub fn closed(&self, region: u16, start: &[u8], end: Option<&[u8]>) -> Option<Hlc> {
        self.lowest(region, start, end, |received| received.closed)
    }

    /// Everything of the region at or below, with such a key, is in every replica region.
    pub fn stable(&self, region: u16, start: &[u8], end: Option<&[u8]>) -> Option<Hlc> {
        self.lowest(region, start, end, |received| received.stable)
    }

    /// The lowest value over a range. Where several announcements hold a key (its partition was
    /// divided, or the region rebuilt), the newest counts: the origin's ranges are always whole.
    fn lowest(
        &self,
        region: u16,
        start: &[u8],
        end: Option<&[u8]>,
        value: impl Fn(&Received) -> Hlc,
    ) -> Option<Hlc> {
        let (mut at, mut lowest) = (start.to_vec(), None);
        loop {
            let holds = |r: &&&Received| {
                r.region.number == region
                    && r.start <= at
                    && r.end.as_deref().is_none_or(|end| at.as_slice() < end)
            };
            let here = self.all.iter().filter(holds);
            let best = here.max_by_key(|r| (r.region.incarnation, r.closed, value(r)))?;
            let found = value(best);
            lowest = Some(lowest.map_or(found, |low: Hlc| low.min(found)));
            match (&best.end, end) {
                (None, _) => return lowest,
                (Some(next), Some(end)) if next.as_slice() >= end => return lowest,
                (Some(next), _) => at.clone_from(next),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use meridian_base::{PartitionId, RegionId};

    fn received(partition: u64, start: &[u8], end: Option<&[u8]>, closed: u64) -> Received {
        Received {
            region: RegionId::new(2),
            partition: PartitionId(partition),
            start: start.to_vec(),
            end: end.map(<[u8]>::to_vec),
            closed: Hlc(closed),
            stable: Hlc(closed / 2),
        }
    }

    #[test]
    fn the_lowest_of_the_partitions_that_meet_the_range_counts() {
        let all = [received(1, b"", Some(b"m"), 8), received(2, b"m", None, 4)];
        let closed = ReceivedClosed::new(&all);
        assert_eq!(closed.closed(2, b"", None), Some(Hlc(4)));
        assert_eq!(closed.closed(2, b"a", Some(b"m")), Some(Hlc(8)));
        assert_eq!(closed.closed(2, b"a", Some(b"n")), Some(Hlc(4)));
        assert_eq!(closed.stable(2, b"a", Some(b"b")), Some(Hlc(4)));
    }

    #[test]
    fn a_gap_gives_nothing() {
        let all = [received(1, b"", Some(b"g"), 8), received(2, b"m", None, 4)];
        let closed = ReceivedClosed::new(&all);
        assert_eq!(closed.closed(2, b"", None), None);
        assert_eq!(closed.closed(3, b"n", None), None);
        assert_eq!(closed.closed(2, b"n", None), Some(Hlc(4)));
    }

    #[test]
    fn after_a_split_the_newer_announcement_counts() {
        let all = [received(1, b"", None, 4), received(2, b"m", None, 9)];
        let closed = ReceivedClosed::new(&all);
        assert_eq!(closed.closed(2, b"m", None), Some(Hlc(9)));
        assert_eq!(closed.closed(2, b"a", Some(b"b")), Some(Hlc(4)));
    }
}

//! Random histories, archived, sealed, expired and restored: the state must be that of a replay.
//!
//! The archive is a map from names to bytes. It holds bases at some positions, and segments cut in
//! two ways, as two leaders would have cut them, with more that overlap both.

use crate::{
    ArchiveError, ArchivedChange, ArchivedItem, BaseChunk, BaseEnd, DataKey, Fold, LogSegment,
    ObjectName, Prefix, RestorePlan, Subject, Watermark, expired, open, seal,
};
use meridian_base::{Cause, Hlc, PartitionId, Position, TableId, Version};
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::BTreeMap;

const PARTITION: PartitionId = PartitionId(16);

/// One write: key, image, how far the clock moves before it, how much older its decision is.
type Write = (u8, Option<Vec<u8>>, u64, u64);

/// How a history is archived.
#[derive(Debug, Clone)]
struct Cuts {
    /// Where bases stand, and how much later than need be their times are.
    bases: Vec<(Index, u64)>,
    /// Where each of two leaders ended a segment.
    ends: [Vec<Index>; 2],
    /// Further segments.
    more: Vec<(Index, Index)>,
    /// Where the watermark stands.
    watermark: Index,
    /// Items of a chunk.
    chunk_items: usize,
}

fn writes() -> impl Strategy<Value = Vec<Write>> {
    let image = prop::option::weighted(0.7, prop::collection::vec(any::<u8>(), 0..4));
    prop::collection::vec((0u8..7, image, 0u64..4, 0u64..8), 0..40)
}

fn cuts() -> impl Strategy<Value = Cuts> {
    let ends = || prop::collection::vec(any::<Index>(), 0..6);
    (
        prop::collection::vec((any::<Index>(), 0u64..5), 1..5),
        [ends(), ends()],
        prop::collection::vec(any::<(Index, Index)>(), 0..3),
        any::<Index>(),
        1usize..4,
    )
        .prop_map(|(bases, ends, more, watermark, chunk_items)| Cuts {
            bases,
            ends,
            more,
            watermark,
            chunk_items,
        })
}

/// Times grow for each key, not from position to position.
fn history(writes: Vec<Write>) -> Vec<ArchivedChange> {
    let (mut clock_ms, mut last) = (10, BTreeMap::new());
    (1..)
        .zip(writes)
        .map(|(position, (key, image, step, lag))| {
            clock_ms += step;
            let last_ms = last.entry(key).or_insert(0);
            *last_ms = (clock_ms - lag).max(*last_ms);
            ArchivedChange {
                position: Position(position),
                commit_ms: *last_ms,
                key: vec![key],
                image,
                version: Version { hlc: Hlc(position), ..Version::default() },
                cause: Cause::Write,
            }
        })
        .collect()
}

/// The state after every change that counts: the model.
fn replay<'a>(changes: impl Iterator<Item = &'a ArchivedChange>) -> Vec<ArchivedItem> {
    let mut state = BTreeMap::new();
    changes.for_each(|change| {
        state.insert(&change.key, change.image.as_ref().map(|image| (image, change.version)));
    });
    let present = |(key, state): (&Vec<u8>, Option<(&Vec<u8>, Version)>)| {
        let (image, version) = state?;
        Some(ArchivedItem { key: key.clone(), image: image.clone(), version })
    };
    state.into_iter().filter_map(present).collect()
}

/// The latest time of which nothing follows the first `upto` changes.
fn closed_ms(history: &[ArchivedChange], upto: usize) -> u64 {
    let later = history[upto..].iter().map(|change| change.commit_ms).min();
    let everything = history.iter().map(|change| change.commit_ms).max().unwrap_or(0) + 9;
    later.map_or(everything, |ms| ms - 1)
}

struct Archive {
    key: DataKey,
    prefix: Prefix,
    objects: BTreeMap<String, Vec<u8>>,
}

impl Archive {
    fn new(history: &[ArchivedChange], cuts: &Cuts) -> Self {
        let prefix =
            Prefix { cluster: "c".into(), region: "r".into(), subject: Subject::Table(TableId(9)) };
        let key = DataKey::new(1, [5; 32]);
        let mut archive = Archive { key, prefix, objects: BTreeMap::new() };
        for (at, slack_ms) in &cuts.bases {
            archive.put_base(history, at.index(history.len() + 1), *slack_ms, cuts.chunk_items);
        }
        for ends in &cuts.ends {
            let mut ends: Vec<usize> =
                ends.iter().map(|end| end.index(history.len() + 1)).collect();
            ends.extend([0, history.len()]);
            ends.sort_unstable();
            ends.windows(2).for_each(|cut| archive.put_segment(&history[cut[0]..cut[1]]));
        }
        for (a, b) in &cuts.more {
            let (a, b) = (a.index(history.len() + 1), b.index(history.len() + 1));
            archive.put_segment(&history[a.min(b)..a.max(b)]);
        }
        archive.put_watermark(history, cuts.watermark.index(history.len() + 1));
        archive
    }

    fn put(&mut self, name: ObjectName, plain: Vec<u8>) {
        let name = self.prefix.object(&name);
        let mut nonce = [0; 12];
        nonce[..8].copy_from_slice(&(self.objects.len() as u64).to_be_bytes());
        let sealed = seal(&self.key, &name, nonce, &plain);
        self.objects.insert(name, sealed);
    }

    fn put_base(&mut self, history: &[ArchivedChange], upto: usize, slack_ms: u64, size: usize) {
        let (partition, position) = (PARTITION, Position(upto as u64));
        let items = replay(history[..upto].iter());
        for (number, part) in (0..).zip(items.chunks(size)) {
            let chunk = BaseChunk { partition, position, number, items: part.to_vec() };
            self.put(ObjectName::BaseChunk { partition, position, chunk: number }, chunk.encode());
        }
        let newest = history[..upto].iter().map(|change| change.commit_ms).max();
        let end = BaseEnd {
            partition,
            position,
            commit_ms: newest.unwrap_or(0) + slack_ms,
            closed_ms: closed_ms(history, upto),
            chunks: u32::try_from(items.len().div_ceil(size)).unwrap(),
            items: items.len() as u64,
            bytes: items.iter().map(ArchivedItem::bytes).sum(),
        };
        self.put(ObjectName::BaseEnd { partition, position }, end.encode());
    }

    fn put_segment(&mut self, changes: &[ArchivedChange]) {
        let (Some(first), Some(last)) = (changes.first(), changes.last()) else { return };
        let (partition, first, last) = (PARTITION, first.position, last.position);
        let segment = LogSegment { partition, first, last, changes: changes.to_vec() };
        self.put(ObjectName::Log { partition, first, last }, segment.encode());
    }

    fn put_watermark(&mut self, history: &[ArchivedChange], upto: usize) {
        let commit_ms = closed_ms(history, upto);
        let position = Position(upto as u64);
        let watermark = Watermark { partition: PARTITION, position, commit_ms };
        self.put(ObjectName::Watermark { partition: PARTITION }, watermark.encode());
    }

    fn plain(&self, name: &ObjectName) -> (String, Vec<u8>) {
        let name = self.prefix.object(name);
        let plain = open(|_| Some(&self.key), &name, &self.objects[&name]).unwrap();
        (name, plain)
    }

    fn names(&self) -> Vec<ObjectName> {
        self.objects.keys().map(|name| self.prefix.parse_object(name).unwrap()).collect()
    }

    fn bases(&self) -> Vec<BaseEnd> {
        let ends = self.names().into_iter().filter(|n| matches!(n, ObjectName::BaseEnd { .. }));
        ends.map(|name| self.plain(&name))
            .map(|(name, plain)| BaseEnd::decode(&name, &plain).unwrap())
            .collect()
    }

    fn watermark(&self) -> Watermark {
        let (name, plain) = self.plain(&ObjectName::Watermark { partition: PARTITION });
        Watermark::decode(&name, &plain).unwrap()
    }

    fn restore(&self, at_ms: u64) -> Result<Vec<ArchivedItem>, ArchiveError> {
        let plan = RestorePlan::new(&self.names(), &self.bases(), &self.watermark(), at_ms)?;
        let mut fold = Fold::new(plan.base, at_ms);
        for name in &plan.segments {
            let (name, plain) = self.plain(name);
            fold.add(&name, LogSegment::decode(&name, &plain)?)?;
        }
        let mut items = Vec::new();
        for name in plan.chunks() {
            let (name, plain) = self.plain(&name);
            items.extend(fold.merge_chunk(&name, BaseChunk::decode(&name, &plain)?)?);
        }
        items.extend(fold.finish("end")?);
        assert_eq!(fold.totals().items, items.len() as u64);
        assert_eq!(fold.totals().bytes, items.iter().map(ArchivedItem::bytes).sum::<u64>());
        Ok(items)
    }

    fn expire(&mut self, keep_from_ms: u64) {
        for name in expired(PARTITION, &self.names(), &self.bases(), keep_from_ms) {
            self.objects.remove(&self.prefix.object(&name)).expect("only what is there expires");
        }
    }
}

proptest! {
    #[test]
    fn every_time_is_restored_as_it_was(writes in writes(), cuts in cuts()) {
        let history = history(writes);
        let archive = Archive::new(&history, &cuts);
        let latest_ms = archive.watermark().commit_ms;
        let earliest_ms = archive.bases().iter().map(|base| base.commit_ms).min().unwrap();
        for asked_ms in 0..latest_ms + 2 {
            let expected = if asked_ms > latest_ms {
                Err(ArchiveError::NotArchived { asked_ms, latest_ms })
            } else if asked_ms < earliest_ms {
                Err(ArchiveError::TooEarly { asked_ms, earliest_ms })
            } else {
                Ok(replay(history.iter().filter(|change| change.commit_ms <= asked_ms)))
            };
            prop_assert_eq!(archive.restore(asked_ms), expected, "at {} ms", asked_ms);
        }
    }

    #[test]
    fn what_expires_is_needed_for_no_kept_time(writes in writes(), cuts in cuts(), keep: Index) {
        let history = history(writes);
        let mut archive = Archive::new(&history, &cuts);
        let end_ms = archive.watermark().commit_ms + 2;
        let keep_from_ms = keep.index(usize::try_from(end_ms).unwrap()) as u64;
        let before: Vec<_> = (keep_from_ms..end_ms).map(|ms| archive.restore(ms)).collect();
        archive.expire(keep_from_ms);
        for (at_ms, before) in (keep_from_ms..).zip(before) {
            let after = archive.restore(at_ms);
            prop_assert_eq!(after, before, "at {} ms, kept from {} ms", at_ms, keep_from_ms);
        }
        // Twice is once, and times before the kept base are told, never restored wrongly.
        let left = archive.objects.len();
        archive.expire(keep_from_ms);
        prop_assert_eq!(archive.objects.len(), left);
        for at_ms in 0..keep_from_ms.min(end_ms - 1) {
            let restored = archive.restore(at_ms);
            if !matches!(restored, Err(ArchiveError::TooEarly { .. })) {
                let expected = replay(history.iter().filter(|change| change.commit_ms <= at_ms));
                prop_assert_eq!(restored, Ok(expected));
            }
        }
    }

    #[test]
    fn one_flipped_bit_anywhere_is_an_error(
        writes in writes(),
        cuts in cuts(),
        object: Index,
        at: Index,
        bit in 0u8..8,
    ) {
        let archive = Archive::new(&history(writes), &cuts);
        let object = object.index(archive.objects.len());
        let (name, sealed) = archive.objects.iter().nth(object).unwrap();
        let mut flipped = sealed.clone();
        flipped[at.index(sealed.len())] ^= 1 << bit;
        let opened = open(|_| Some(&archive.key), name, &flipped);
        let named = matches!(opened, Err(ArchiveError::Damaged { object, .. }) if object == *name);
        prop_assert!(named);
    }
}

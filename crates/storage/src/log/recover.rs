//! Opening the log: which segments belong to it, what they hold, and where the last one ends.
//!
//! # Invariants
//!
//! - What is returned is on disk: bytes that may never have been synced are written again and
//!   synced, also where an earlier sync failed and left them clean in the page cache only.
//! - Only the tail is ever cut, and only where [`segment::is_torn`] allows it.
//!
//! Tested by `model_tests.rs` and `damage_tests.rs`.

use super::live::Live;
use super::reader::Files;
use super::record::{Kind, Location, Raw};
use super::segment::{self, End, Scanned, SegmentHeader, file_name};
use super::{
    Active, LogOptions, Purged, RecoveredEntry, RecoveredGroup, SegmentedLog, bytes_u64, create,
    offset_u32,
};
use crate::{Disk, StorageError};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

type Groups = BTreeMap<u64, RecoveredGroup>;

/// See [`SegmentedLog::open`].
pub(super) fn open(
    disk: Arc<dyn Disk>,
    options: LogOptions,
) -> Result<(SegmentedLog, Groups), StorageError> {
    let store = Store { disk: &*disk };
    let mut segments = store.segments()?;
    if drop_unborn(&store, &mut segments, options.create)? {
        let header = SegmentHeader { segment: 1, first_sequence: 0, oldest: 1 };
        create(&*disk, &header)?;
        segments.insert(1);
    }
    let tail = store.tail(&segments)?;
    let first = first_segment(&store, tail)?;
    drop_trimmed(&store, &mut segments, first)?;

    let mut replay = Replay::default();
    for segment in first..tail {
        replay.sealed(&store, segment, segment + 1 == tail)?;
    }
    let active = replay.tail(&store, tail)?;
    let files = Files::new(Arc::clone(&disk));
    files.insert(tail, Arc::clone(&active.file));
    let Replay { live, groups, lengths: sealed, .. } = replay;
    Ok((SegmentedLog { disk, files, options, live, sealed, active, poisoned: false }, groups))
}

/// Drops a last segment that a crash interrupted before a record could be written to it. True when
/// nothing is left and a new log is to be made.
fn drop_unborn(
    store: &Store<'_>,
    segments: &mut BTreeSet<u64>,
    create: bool,
) -> Result<bool, StorageError> {
    let Some(last) = segments.last().copied() else {
        let why = "the log has no segment files";
        return if create { Ok(true) } else { Err(store.corrupt_dir(why)) };
    };
    let bytes = store.load(last)?;
    let born = SegmentHeader::read(&store.path(last), last, &bytes);
    if !segment::is_unborn(&bytes) || matches!(born, Err(StorageError::NewerFormat { .. })) {
        return born.map(|_| false);
    }
    let before = last.checked_sub(1).filter(|before| segments.contains(before));
    let drop = match (before, &born) {
        (Some(before), _) => !store.is_sealed(before)?,
        (None, Ok(_)) => false,
        (None, Err(_)) => last == 1 && create,
    };
    if drop {
        store.remove(last)?;
        segments.remove(&last);
    } else {
        born?;
    }
    Ok(segments.is_empty())
}

/// The oldest segment that belongs to the log, as the tail says.
fn first_segment(store: &Store<'_>, tail: u64) -> Result<u64, StorageError> {
    let bytes = store.load(tail)?;
    let mut first = SegmentHeader::read(&store.path(tail), tail, &bytes)?.oldest;
    segment::scan(tail, &bytes, |_, record| {
        if record.kind == Kind::Trim {
            first = first.max(record.index);
        }
        Ok(())
    })?;
    Ok(first)
}

/// Removes segments that a crash kept from being removed, and checks that none is missing.
fn drop_trimmed(
    store: &Store<'_>,
    segments: &mut BTreeSet<u64>,
    first: u64,
) -> Result<(), StorageError> {
    let kept = segments.split_off(&first);
    for old in std::mem::replace(segments, kept) {
        store.remove(old)?;
    }
    for (expected, found) in (first..).zip(segments.iter()) {
        if *found != expected {
            return Err(StorageError::corrupt(store.path(expected), 0, "the segment is missing"));
        }
    }
    Ok(())
}

/// The files, with errors that name them.
struct Store<'a> {
    disk: &'a dyn Disk,
}

impl Store<'_> {
    fn path(&self, segment: u64) -> PathBuf {
        self.disk.path().join(file_name(segment))
    }

    fn corrupt_dir(&self, why: &str) -> StorageError {
        StorageError::corrupt(self.disk.path(), 0, why)
    }

    fn segments(&self) -> Result<BTreeSet<u64>, StorageError> {
        let names = self.disk.list().map_err(|e| StorageError::io("list", self.disk.path(), e))?;
        Ok(names.iter().filter_map(|name| segment::parse_file_name(name)).collect())
    }

    fn tail(&self, segments: &BTreeSet<u64>) -> Result<u64, StorageError> {
        segments.last().copied().ok_or_else(|| self.corrupt_dir("the log has no segment files"))
    }

    fn load(&self, segment: u64) -> Result<Vec<u8>, StorageError> {
        let path = self.path(segment);
        let read = || {
            let file = self.disk.open(&file_name(segment))?;
            let len = usize::try_from(file.len()?).map_err(std::io::Error::other)?;
            let mut bytes = vec![0; len];
            file.read_at(0, &mut bytes)?;
            Ok(bytes)
        };
        read().map_err(|e| StorageError::io("read", &path, e))
    }

    fn is_sealed(&self, segment: u64) -> Result<bool, StorageError> {
        let bytes = self.load(segment)?;
        let scanned = segment::scan(segment, &bytes, |_, _| Ok(()))?;
        Ok(matches!(scanned.end, End::Sealed { .. }))
    }

    fn remove(&self, segment: u64) -> Result<(), StorageError> {
        let path = self.path(segment);
        self.disk.remove(&file_name(segment)).map_err(|e| StorageError::io("remove", &path, e))
    }

    /// Makes durable what may not be: `bytes` up to `end`, of which those before `synced` are.
    fn harden(
        &self,
        segment: u64,
        bytes: &[u8],
        synced: usize,
        end: usize,
        cut: bool,
    ) -> Result<Arc<dyn crate::DiskFile>, StorageError> {
        let path = self.path(segment);
        let harden = || {
            let file = self.disk.open(&file_name(segment))?;
            if cut {
                file.set_len(bytes_u64(end))?;
            }
            if let Some(unsure) = bytes.get(synced..end).filter(|unsure| !unsure.is_empty()) {
                file.write_at(bytes_u64(synced), unsure)?;
            }
            file.sync()?;
            Ok(file)
        };
        harden().map_err(|e| StorageError::io("sync", &path, e))
    }
}

/// What the records say, in the order of their writing.
#[derive(Default)]
struct Replay {
    live: Live,
    groups: Groups,
    lengths: BTreeMap<u64, u64>,
    /// How many records stood before the next segment; unknown before the first.
    sequence: Option<u64>,
}

impl Replay {
    fn sealed(
        &mut self,
        store: &Store<'_>,
        segment: u64,
        harden: bool,
    ) -> Result<(), StorageError> {
        let path = store.path(segment);
        let bytes = store.load(segment)?;
        let scanned = self.records(store, segment, &bytes)?;
        let (at, why) = match scanned.end {
            End::Sealed { at } => {
                self.lengths.insert(segment, bytes_u64(bytes.len()));
                if harden {
                    store.harden(segment, &bytes, scanned.synced, at, false)?;
                }
                return Ok(());
            }
            End::Clean { at } => (at, "the segment ends without a seal"),
            End::Broken { at, why } => (at, why),
        };
        Err(StorageError::corrupt(path, bytes_u64(at), why))
    }

    fn tail(&mut self, store: &Store<'_>, segment: u64) -> Result<Active, StorageError> {
        let path = store.path(segment);
        let bytes = store.load(segment)?;
        let scanned = self.records(store, segment, &bytes)?;
        let (end, cut) = match scanned.end {
            End::Clean { at } => (at, false),
            End::Broken { at, .. } if segment::is_torn(segment, &bytes, at) => (at, true),
            End::Broken { at, why } => {
                return Err(StorageError::corrupt(path, bytes_u64(at), why));
            }
            End::Sealed { at } => {
                let why = "the segment after this one is missing";
                return Err(StorageError::corrupt(path, bytes_u64(at), why));
            }
        };
        let file = store.harden(segment, &bytes, scanned.synced, end, cut)?;
        let allocated = if cut { end } else { bytes.len() };
        let sequence = self.sequence.unwrap_or(0);
        Ok(Active { segment, file, end, synced: end, allocated, sequence })
    }

    fn records(
        &mut self,
        store: &Store<'_>,
        segment: u64,
        bytes: &[u8],
    ) -> Result<Scanned, StorageError> {
        let path = store.path(segment);
        let header = SegmentHeader::read(&path, segment, bytes)?;
        if self.sequence.is_some_and(|sequence| sequence != header.first_sequence) {
            return Err(StorageError::corrupt(path, 0, "records before this segment are missing"));
        }
        let scanned = segment::scan(segment, bytes, |offset, record| {
            if self.live.last(record.group).misfit_in_replay(&record).is_some() {
                let why = "an entry does not follow the one before";
                return Err(StorageError::corrupt(&path, u64::from(offset), why));
            }
            self.live.apply(segment, &record);
            let length = offset_u32(record.payload.len());
            apply(&mut self.groups, Location { segment, offset, length }, &record);
            Ok(())
        })?;
        self.sequence = Some(header.first_sequence + scanned.records);
        Ok(scanned)
    }
}

fn apply(groups: &mut Groups, location: Location, record: &Raw<'_>) {
    if record.kind == Kind::Forget {
        groups.remove(&record.group);
    } else if !matches!(record.kind, Kind::Trim | Kind::Seal) {
        groups.entry(record.group).or_default().apply(location, record);
    }
}

impl RecoveredGroup {
    fn apply(&mut self, location: Location, record: &Raw<'_>) {
        let payload = || record.payload.to_vec();
        match record.kind {
            Kind::Entry => {
                self.truncate(record.index);
                let entry = RecoveredEntry { term: record.term, location };
                self.entries.insert(record.index, entry);
            }
            Kind::Vote => self.vote = Some(payload()),
            Kind::Committed => self.committed = Some(payload()),
            Kind::Truncate => self.truncate(record.index),
            Kind::Purge => self.purge(Purged { upto: record.index, bytes: payload() }),
            Kind::Forget | Kind::Trim | Kind::Seal => {}
        }
    }

    fn truncate(&mut self, from: u64) {
        if self.entries.last_key_value().is_some_and(|(last, _)| *last >= from) {
            drop(self.entries.split_off(&from));
        }
    }

    fn purge(&mut self, purged: Purged) {
        if self.purged.as_ref().is_some_and(|old| old.upto > purged.upto) {
            return;
        }
        while self.entries.first_key_value().is_some_and(|(first, _)| *first <= purged.upto) {
            self.entries.pop_first();
        }
        self.purged = Some(purged);
    }
}

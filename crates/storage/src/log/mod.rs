//! The Raft log of a node: records of all its groups in shared segment files.
//!
//! The format is in `docs/internals/log.md`. The owner appends and syncs; the index of entries by
//! group is the caller's, built from what [`SegmentedLog::open`] returns and from the locations
//! that [`SegmentedLog::append`] returns.
//!
//! # Invariants
//!
//! - One [`SegmentedLog::append`] is one write into one segment.
//! - What [`SegmentedLog::sync`] covered, and what [`SegmentedLog::open`] returned, is found again
//!   by every later open, or damage is reported.
//! - After a failed sync, or a failed write whose traces could not be removed, every call fails.
//! - Segments leave oldest first, when no live record is in them.
//!
//! Tested by `model_tests.rs` (random histories and crashes over the simulated disk) and
//! `damage_tests.rs` (every byte flipped, every length cut).

mod live;
mod reader;
mod record;
mod recover;
mod segment;

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;

pub use reader::LogReader;
pub use record::{Location, LogRecord};

use crate::{Disk, DiskFile, StorageError};
use live::Live;
use reader::Files;
use record::{Kind, Raw, put_record};
use segment::{SEGMENT_HEADER_BYTES, SegmentHeader, file_name};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Largest payload of one record, bytes: four times the largest request body.
pub const RECORD_BYTES_MAX: usize = 96 * 1024 * 1024;
/// Most bytes of one append: offsets in a segment have 32 bits.
pub const APPEND_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// Largest size at which a segment is closed; a larger setting counts as this.
pub const SEGMENT_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// How the log lays out its files.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// A segment is closed when the next append would pass this size.
    pub segment_bytes: u32,
    /// The file is extended with zeros in steps of this size, so that a sync does not have to
    /// write the file's length too; 0 turns it off.
    pub preallocate_bytes: u32,
    /// Whether a directory without segments is a new log; otherwise it is damage.
    pub create: bool,
}

impl Default for LogOptions {
    fn default() -> Self {
        LogOptions { segment_bytes: 16 * 1024 * 1024, preallocate_bytes: 1024 * 1024, create: true }
    }
}

/// An entry that the log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecoveredEntry {
    /// Its term.
    pub term: u64,
    /// Where its payload is.
    pub location: Location,
}

/// Up to where a group was purged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purged {
    /// The last purged log index.
    pub upto: u64,
    /// What the caller stored with it.
    pub bytes: Vec<u8>,
}

/// What the log holds of one group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecoveredGroup {
    /// The entries by log index, without a hole; purged and truncated ones are not here.
    pub entries: BTreeMap<u64, RecoveredEntry>,
    /// The last vote.
    pub vote: Option<Vec<u8>>,
    /// The last committed position.
    pub committed: Option<Vec<u8>>,
    /// The last purge.
    pub purged: Option<Purged>,
}

/// A group whose entries keep the oldest segment from being removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin {
    /// The group.
    pub group: u64,
    /// Its last entry in the oldest segment: a purge up to here lets go of the segment.
    pub upto: u64,
}

/// The log. One owner appends and syncs; readers read from any thread.
pub struct SegmentedLog {
    disk: Arc<dyn Disk>,
    files: Arc<Files>,
    options: LogOptions,
    live: Live,
    /// Lengths of the segments before the active one.
    sealed: BTreeMap<u64, u64>,
    active: Active,
    poisoned: bool,
}

/// The segment that is written.
struct Active {
    segment: u64,
    file: Arc<dyn DiskFile>,
    /// Where the next record goes.
    end: usize,
    /// Bytes before this are on disk.
    synced: usize,
    /// Length of the file; zeros from `end` on.
    allocated: usize,
    /// Records of the log since it was made, this segment's included.
    sequence: u64,
}

impl SegmentedLog {
    /// Opens the log, making it when the directory is empty, and returns what it holds by group.
    ///
    /// A torn tail is cut. Everything returned is durable.
    ///
    /// # Errors
    ///
    /// [`StorageError::Corrupt`] when bytes that were once synced are damaged or missing.
    pub fn open(
        disk: Arc<dyn Disk>,
        options: LogOptions,
    ) -> Result<(Self, BTreeMap<u64, RecoveredGroup>), StorageError> {
        recover::open(disk, options)
    }

    /// Writes records without making them durable; returns where the payload of each is.
    ///
    /// An entry must follow the last one of its group, or replace one that the log holds: then it
    /// and all later ones are gone, as with [`LogRecord::Truncate`]. A purge below an earlier one
    /// changes nothing.
    ///
    /// # Errors
    ///
    /// [`StorageError::Full`], [`StorageError::Gap`] and [`StorageError::TooLarge`]: nothing was
    /// written and the log goes on. Every other error poisons the log.
    pub fn append(&mut self, records: &[LogRecord]) -> Result<Vec<Location>, StorageError> {
        let raw: Vec<Raw<'_>> = records.iter().map(Raw::from).collect();
        self.append_raw(&raw)
    }

    /// Makes all appended records durable. A failure poisons the log for ever.
    pub fn sync(&mut self) -> Result<(), StorageError> {
        self.usable()?;
        if self.active.synced == self.active.end {
            return Ok(());
        }
        let done = self.active.file.sync();
        self.poison_on("sync", done)?;
        self.active.synced = self.active.end;
        Ok(())
    }

    /// A reader for any thread; cheap to clone.
    pub fn reader(&self) -> LogReader {
        LogReader::new(Arc::clone(&self.files))
    }

    /// Removes the oldest segments in which nothing is alive; returns how many.
    ///
    /// Votes, committed positions and purges in them are written again first. Syncs when there is
    /// something to remove, so that everything appended so far is durable then. Call it after
    /// purges and forgets.
    pub fn trim(&mut self) -> Result<u64, StorageError> {
        self.usable()?;
        let active = self.active.segment;
        let first = self.live.oldest_entry_segment().map_or(active, |s| s.min(active));
        if first <= self.oldest() {
            return Ok(0);
        }
        let kept = self.live.kept_before(first);
        let mut records: Vec<Raw<'_>> = kept
            .iter()
            .map(|(group, kind, index, payload)| Raw {
                kind: *kind,
                group: *group,
                index: *index,
                term: 0,
                payload,
            })
            .collect();
        records.push(Raw::own(Kind::Trim, first));
        self.append_raw(&records)?;
        self.sync()?;
        self.remove_before(first)
    }

    /// The groups whose entries keep the oldest segment, when it is not the newest too.
    pub fn pinned(&self) -> Vec<Pin> {
        if self.sealed.is_empty() { Vec::new() } else { self.live.pins(self.oldest()) }
    }

    /// How many segment files there are.
    pub fn segments(&self) -> usize {
        self.sealed.len() + 1
    }

    /// Bytes of all segment files.
    pub fn disk_bytes(&self) -> u64 {
        self.sealed.values().sum::<u64>() + bytes_u64(self.active.allocated)
    }

    fn oldest(&self) -> u64 {
        self.sealed.first_key_value().map_or(self.active.segment, |(segment, _)| *segment)
    }

    fn usable(&self) -> Result<(), StorageError> {
        if self.poisoned { Err(StorageError::Poisoned) } else { Ok(()) }
    }

    fn path(&self, segment: u64) -> PathBuf {
        self.disk.path().join(file_name(segment))
    }

    fn poison_on<T>(
        &mut self,
        action: &'static str,
        result: std::io::Result<T>,
    ) -> Result<T, StorageError> {
        result.map_err(|source| {
            self.poisoned = true;
            StorageError::Io { action, path: self.path(self.active.segment), source }
        })
    }

    fn append_raw(&mut self, records: &[Raw<'_>]) -> Result<Vec<Location>, StorageError> {
        self.usable()?;
        let bytes = self.check(records)?;
        let limit = usize::try_from(self.options.segment_bytes).unwrap_or(SEGMENT_BYTES_MAX);
        let used = self.active.end;
        if used > SEGMENT_HEADER_BYTES && used + bytes > limit.min(SEGMENT_BYTES_MAX) {
            self.rotate()?;
        }
        let places = self.write(records, bytes)?;
        for (record, place) in records.iter().zip(&places) {
            self.live.apply(place.segment, record);
        }
        Ok(places)
    }

    /// Refuses what cannot be written, before anything is; returns the bytes of all records.
    fn check(&self, records: &[Raw<'_>]) -> Result<usize, StorageError> {
        let mut lasts = BTreeMap::new();
        let mut total = 0;
        for record in records {
            let bytes = record.payload.len();
            if bytes > RECORD_BYTES_MAX {
                return Err(StorageError::TooLarge { bytes, limit: RECORD_BYTES_MAX });
            }
            total += record.size();
            let last = lasts.entry(record.group).or_insert_with(|| self.live.last(record.group));
            if let Some(last) = last.misfit(record) {
                let (group, index) = (record.group, record.index);
                return Err(StorageError::Gap { group, index, last });
            }
            *last = last.after(record);
        }
        if total > APPEND_BYTES_MAX {
            return Err(StorageError::TooLarge { bytes: total, limit: APPEND_BYTES_MAX });
        }
        Ok(total)
    }

    /// Writes records at the end of the active segment, and zeros behind them up to the next step
    /// of the preallocation.
    fn write(&mut self, records: &[Raw<'_>], bytes: usize) -> Result<Vec<Location>, StorageError> {
        let Active { segment, end, synced, allocated, .. } = self.active;
        let mut buffer = Vec::with_capacity(bytes);
        let mut places = Vec::with_capacity(records.len());
        for record in records {
            let offset = offset_u32(end + buffer.len());
            let place = Location { segment, offset, length: offset_u32(record.payload.len()) };
            put_record(&mut buffer, place, offset_u32(synced), record);
            places.push(place);
        }
        let new_end = end + buffer.len();
        let step = usize::try_from(self.options.preallocate_bytes).unwrap_or(0);
        if new_end > allocated && step > 0 {
            buffer.resize(new_end.next_multiple_of(step) - end, 0);
        }
        if let Err(e) = self.active.file.write_at(bytes_u64(end), &buffer) {
            return Err(self.undo_write(e));
        }
        self.active.allocated = allocated.max(end + buffer.len());
        self.active.end = new_end;
        self.active.sequence += bytes_u64(records.len());
        Ok(places)
    }

    /// Removes the traces of a failed write, or poisons the log.
    fn undo_write(&mut self, failure: std::io::Error) -> StorageError {
        let full = StorageError::io("write", &self.path(self.active.segment), failure);
        if !matches!(full, StorageError::Full { .. }) {
            self.poisoned = true;
            return full;
        }
        let file = &self.active.file;
        let undone = file.set_len(bytes_u64(self.active.end)).and_then(|()| file.sync());
        if let Err(e) = self.poison_on("cut back", undone) {
            return e;
        }
        self.active.allocated = self.active.end;
        self.active.synced = self.active.end;
        full
    }

    /// Closes the active segment and goes on in a new one.
    fn rotate(&mut self) -> Result<(), StorageError> {
        let header = SegmentHeader {
            segment: self.active.segment + 1,
            first_sequence: self.active.sequence + 1,
            oldest: self.oldest(),
        };
        let next = match create(&*self.disk, &header) {
            Ok(next) => next,
            Err(e) => {
                // A half-made segment without records is dropped by the next open as well.
                let removed = self.disk.remove(&file_name(header.segment));
                let gone = removed.or_else(|e| match e.kind() {
                    std::io::ErrorKind::NotFound => Ok(()),
                    _ => Err(e),
                });
                self.poisoned |= !matches!(e, StorageError::Full { .. }) || gone.is_err();
                return Err(e);
            }
        };
        if let Err(e) = self.seal() {
            // Once poisoned, the seal may be on disk: then the next segment must stay.
            if !self.poisoned {
                let gone = self.disk.remove(&file_name(header.segment));
                self.poisoned = gone.is_err();
            }
            return Err(e);
        }
        self.sealed.insert(self.active.segment, bytes_u64(self.active.end));
        self.files.insert(header.segment, Arc::clone(&next));
        self.active = Active {
            segment: header.segment,
            file: next,
            end: SEGMENT_HEADER_BYTES,
            synced: SEGMENT_HEADER_BYTES,
            allocated: SEGMENT_HEADER_BYTES,
            sequence: header.first_sequence,
        };
        Ok(())
    }

    fn seal(&mut self) -> Result<(), StorageError> {
        let seal = Raw::own(Kind::Seal, 0);
        self.write(&[seal], seal.size())?;
        let cut = self.active.file.set_len(bytes_u64(self.active.end));
        self.poison_on("cut", cut)?;
        self.sync()
    }

    fn remove_before(&mut self, first: u64) -> Result<u64, StorageError> {
        let mut count = 0;
        while let Some((&segment, _)) = self.sealed.first_key_value().filter(|(s, _)| **s < first) {
            let path = self.path(segment);
            self.disk
                .remove(&file_name(segment))
                .map_err(|e| StorageError::io("remove", &path, e))?;
            self.files.remove(segment);
            self.sealed.remove(&segment);
            count += 1;
        }
        Ok(count)
    }
}

/// Makes a segment file that holds only its header, durable with its name.
fn create(disk: &dyn Disk, header: &SegmentHeader) -> Result<Arc<dyn DiskFile>, StorageError> {
    let name = file_name(header.segment);
    let path = disk.path().join(&name);
    let failed = |e| StorageError::io("create", &path, e);
    let file = disk.create(&name).map_err(failed)?;
    file.write_at(0, &header.encode()).map_err(failed)?;
    file.sync().map_err(failed)?;
    disk.sync_dir().map_err(failed)?;
    Ok(file)
}

/// An offset or a length within a segment; [`APPEND_BYTES_MAX`] and the segment size, which have
/// fewer bits together, bound it.
fn offset_u32(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a segment is shorter than 4 GiB")
}

fn bytes_u64(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("a length fits 64 bits")
}

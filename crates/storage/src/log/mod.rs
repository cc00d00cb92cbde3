//! The Raft log of a node: records of all its groups in shared segment files.

mod record;

pub use record::{Location, LogRecord};

use crate::{Disk, StorageError};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How the log lays out its files.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// A segment is closed when the next record would pass this size.
    pub segment_bytes: u32,
    /// The file is extended with zeros in steps of this size, so that a sync does not have to
    /// write the file's length too; 0 turns it off.
    pub preallocate_bytes: u32,
}

impl Default for LogOptions {
    fn default() -> Self {
        LogOptions { segment_bytes: 16 * 1024 * 1024, preallocate_bytes: 1024 * 1024 }
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
        _options: LogOptions,
    ) -> Result<(Self, BTreeMap<u64, RecoveredGroup>), StorageError> {
        Ok((SegmentedLog { disk }, BTreeMap::new()))
    }

    /// Writes records without making them durable; returns where the payload of each is.
    ///
    /// An entry must follow the last one of its group, or replace one that the log holds: then it
    /// and all later ones are gone, as with [`LogRecord::Truncate`].
    ///
    /// # Errors
    ///
    /// [`StorageError::Full`], [`StorageError::Gap`] and [`StorageError::TooLarge`]: nothing was
    /// written and the log goes on. Every other error poisons the log.
    pub fn append(&mut self, _records: &[LogRecord]) -> Result<Vec<Location>, StorageError> {
        Err(StorageError::Poisoned)
    }

    /// Makes all appended records durable. A failure poisons the log for ever.
    pub fn sync(&mut self) -> Result<(), StorageError> {
        Err(StorageError::Poisoned)
    }

    /// A reader for any thread; cheap to clone.
    pub fn reader(&self) -> LogReader {
        LogReader { disk: Arc::clone(&self.disk) }
    }

    /// Removes the oldest segments in which nothing is alive; returns how many.
    ///
    /// Votes, committed positions and purges in them are written again first. Syncs when there is
    /// something to remove, so that everything appended so far is durable then. Call it after
    /// purges and forgets.
    pub fn trim(&mut self) -> Result<u64, StorageError> {
        Err(StorageError::Poisoned)
    }

    /// The groups whose entries keep the oldest segment, when it is not the newest too.
    pub fn pinned(&self) -> Vec<Pin> {
        Vec::new()
    }

    /// How many segment files there are.
    pub fn segments(&self) -> u64 {
        0
    }

    /// Bytes of all segment files.
    pub fn disk_bytes(&self) -> u64 {
        0
    }
}

/// Reads payloads from any thread while the owner appends.
#[derive(Clone)]
pub struct LogReader {
    disk: Arc<dyn Disk>,
}

impl LogReader {
    /// Reads the payload of a record and verifies its checksum.
    ///
    /// # Errors
    ///
    /// [`StorageError::Corrupt`] when the bytes are not those written, [`StorageError::Removed`]
    /// when the segment is gone.
    pub fn read(&self, location: Location) -> Result<Vec<u8>, StorageError> {
        let _ = self.disk.path();
        Err(StorageError::Removed { segment: location.segment })
    }
}

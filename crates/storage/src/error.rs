//! What can go wrong with stored bytes.

use std::io;
use std::path::{Path, PathBuf};

/// Why stored bytes could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Stored bytes are damaged or missing: the owner must be rebuilt from its peers.
    #[error("{} is damaged at byte {offset}: {why}", file.display())]
    Corrupt {
        /// The damaged file, or the directory when the library does not name the file.
        file: PathBuf,
        /// Where in the file; 0 when the library does not say.
        offset: u64,
        /// What was found.
        why: String,
    },
    /// No room: nothing was written, and the same call may succeed when there is room.
    #[error("no space left for {}", path.display())]
    Full {
        /// What was to be written.
        path: PathBuf,
    },
    /// The operating system refused; the cause is the source.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The refusal.
        source: io::Error,
    },
    /// An earlier write or sync failed, so that it is unknown what the disk holds.
    #[error("an earlier write failed; what the disk holds is unknown")]
    Poisoned,
    /// Another process uses the directory.
    #[error("{} is in use by another process", dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory was made by another engine.
    #[error("{} holds data of another engine", dir.display())]
    OtherEngine {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory was written by a newer program.
    #[error("{} has format {found}; this program reads up to {known}", file.display())]
    NewerFormat {
        /// The file that says so.
        file: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// A record, or an engine's key, is larger than what is accepted.
    #[error("{bytes} bytes are over the limit of {limit}")]
    TooLarge {
        /// Its bytes.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// An entry does not follow the last one of its group.
    #[error("group {group}: entry {index} does not follow {last}")]
    Gap {
        /// The group.
        group: u64,
        /// The entry's log index.
        index: u64,
        /// The last log index held.
        last: u64,
    },
    /// The segment was removed because nothing in it was alive.
    #[error("segment {segment} was removed")]
    Removed {
        /// Its number.
        segment: u64,
    },
}

impl StorageError {
    pub(crate) fn corrupt(file: impl Into<PathBuf>, offset: u64, why: impl Into<String>) -> Self {
        StorageError::Corrupt { file: file.into(), offset, why: why.into() }
    }

    /// Sorts an operating system error: a full disk is told apart from everything else.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                StorageError::Full { path: path.to_path_buf() }
            }
            _ => StorageError::Io { action, path: path.to_path_buf(), source },
        }
    }
}

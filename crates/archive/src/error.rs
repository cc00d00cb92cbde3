//! What can be wrong with an archive, a key or a wish.

use crate::keys::KeyId;
use meridian_base::{PartitionId, Position};

/// Why an object could not be read or a time not be restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// The object's bytes are not those that were written.
    #[error("object {object} is damaged at byte {offset}: {what}")]
    Damaged {
        /// The object's name.
        object: String,
        /// Where it was noticed: in the sealed bytes, or in the plain ones once those are open.
        offset: usize,
        /// What was noticed.
        what: String,
    },
    /// A data key was wrapped with another master key.
    #[error("the data key needs the master key {needed}, and {given} was given")]
    WrongKey {
        /// The master key that wrapped it.
        needed: KeyId,
        /// The master key that was given.
        given: KeyId,
    },
    /// The data key of an object is not among those given.
    #[error("object {object} needs the data key {number}, which is not there")]
    UnknownKey {
        /// The object's name.
        object: String,
        /// The number of the data key.
        number: u32,
    },
    /// The object's bytes are whole, and were sealed under another name or with another key.
    #[error("object {object} was sealed under another name or with another key")]
    Misplaced {
        /// The name under which it was found.
        object: String,
    },
    /// A text is not a master key; it is not repeated here.
    #[error(
        "a master key is 64 hexadecimal digits, or 32 bytes in base64, with nothing but white \
         space around it; these are {characters} characters that are neither"
    )]
    MasterKeyText {
        /// How long the text is without the white space around it.
        characters: usize,
    },
    /// The time lies after what is archived.
    #[error("{asked_ms} ms is not archived yet: the archive reaches to {latest_ms} ms")]
    NotArchived {
        /// The time asked for, ms since the epoch.
        asked_ms: u64,
        /// The latest time that can be restored.
        latest_ms: u64,
    },
    /// The time lies before every base.
    #[error("{asked_ms} ms is before the archive, which begins at {earliest_ms} ms")]
    TooEarly {
        /// The time asked for, ms since the epoch.
        asked_ms: u64,
        /// The earliest time that can be restored.
        earliest_ms: u64,
    },
    /// No base of the partition is whole.
    #[error("partition {partition} has no whole base in the archive")]
    NoBase {
        /// The partition.
        partition: PartitionId,
    },
    /// A change that is needed is in no segment.
    #[error("the change {position} of partition {partition} is missing from the archive")]
    Missing {
        /// The partition.
        partition: PartitionId,
        /// The first position that is missing.
        position: Position,
    },
}

impl ArchiveError {
    /// True when an object is not as it was put; false for what was asked, or the key that was given.
    pub fn is_of_object(&self) -> bool {
        match self {
            ArchiveError::Damaged { .. }
            | ArchiveError::UnknownKey { .. }
            | ArchiveError::Misplaced { .. }
            | ArchiveError::Missing { .. }
            | ArchiveError::NoBase { .. } => true,
            ArchiveError::WrongKey { .. }
            | ArchiveError::MasterKeyText { .. }
            | ArchiveError::NotArchived { .. }
            | ArchiveError::TooEarly { .. } => false,
        }
    }
}

//! What can go wrong in a partition. A caller's mistake is a [`crate::Refusal`], not an error.

use meridian_base::PartitionId;
use meridian_base::codec::DecodeError;
use meridian_storage::StorageError;

/// Why a partition cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum PartitionError {
    /// The engine failed; its own error is the source.
    #[error("the engine of the partition failed")]
    Storage(#[from] StorageError),
    /// A stored record is damaged: the replica must be rebuilt from its peers.
    #[error("a stored {what} of the partition is damaged")]
    Corrupt {
        /// Which kind of record.
        what: &'static str,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// A committed command cannot be read, for example because a newer program wrote it. The
    /// replica stops rather than skip it.
    #[error("the command at log index {index} cannot be read")]
    Command {
        /// Its log index.
        index: u64,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// A change that another region sent is not what it says: it is not applied.
    #[error("a replicated change cannot be used")]
    Change(#[source] DecodeError),
    /// A snapshot was being installed when the process ended: the replica needs a new one.
    #[error("partition {0} was left in the middle of a snapshot and needs a new one")]
    Installing(PartitionId),
    /// A snapshot chunk is damaged, out of order, or the last one is missing.
    #[error("a snapshot chunk cannot be used: {0}")]
    Chunk(&'static str),
    /// Log entries do not follow the applied position.
    #[error("log index {found} was given for applying after {applied}")]
    Order {
        /// The log index given.
        found: u64,
        /// The log index applied last.
        applied: u64,
    },
    /// The evaluator was reset with an incarnation that the partition does not have.
    #[error("the pipeline's incarnation {asked} is not the partition's {stored}")]
    Incarnation {
        /// The pipeline's.
        asked: u64,
        /// The partition's.
        stored: u64,
    },
}

impl PartitionError {
    /// Names the damaged kind of record.
    pub(crate) fn corrupt(what: &'static str) -> impl Fn(DecodeError) -> PartitionError {
        move |source| PartitionError::Corrupt { what, source }
    }

    /// True when the replica must be rebuilt from a peer's snapshot.
    pub fn needs_rebuild(&self) -> bool {
        match self {
            PartitionError::Storage(StorageError::Corrupt { .. }) => true,
            PartitionError::Corrupt { .. } | PartitionError::Installing(_) => true,
            PartitionError::Storage(_)
            | PartitionError::Command { .. }
            | PartitionError::Change(_)
            | PartitionError::Chunk(_)
            | PartitionError::Order { .. }
            | PartitionError::Incarnation { .. } => false,
        }
    }
}

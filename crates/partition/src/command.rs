//! Log commands of a partition: what the leader decided, for every replica to apply.
//!
//! There are two. `Begin` opens a pipeline incarnation; a `Batch` carries all decisions of one
//! drain. Whatever must be ordered with writes (cursors, announcements, freezes, trims) is a
//! mutation of a batch, so it stands behind the same fence.
//!
//! # Invariants
//!
//! - A command says what to store, never how to find out: applying it reads no item.
//! - An encoded command decodes to an equal one; any other bytes give an error, never a panic.
//!
//! Tested by `command/tests.rs` and the samples.

mod codec;
#[cfg(test)]
pub(crate) mod tests;

use crate::header::Reader;
use crate::record::{ConflictRecord, Image, ItemState, ParkedChange, StrandedRecord};
use crate::transact::{Decision, Intent, TransactId};
use meridian_base::{
    Cause, Hlc, Incarnation, Origin, PartitionId, Position, Received, RegionId, Sequence, Version,
    VersionVector,
};

/// A committed instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Opens a pipeline incarnation; accepted when it is greater than every one before.
    Begin {
        /// The incarnation that begins.
        incarnation: Incarnation,
        /// Every version that the new pipeline stamps is greater: above everything that an earlier
        /// one can have stamped or promised.
        floor: Hlc,
        /// The region that stamps.
        region: RegionId,
    },
    /// The decisions of one drain; accepted when it is the successor of the last one accepted.
    Batch(Batch),
}

/// All decisions of one drain of the pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The pipeline that decided.
    pub incarnation: Incarnation,
    /// The number of this decision, from 1 in each incarnation.
    pub sequence: Sequence,
    /// When the leader sealed it, ms since the epoch.
    pub commit_ms: u64,
    /// What to do, in order.
    pub mutations: Vec<Mutation>,
}

/// One thing that every replica does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mutation {
    /// Stores an item or its delete, with its change record.
    Item(ItemMutation),
    /// Stores an item again with a greater base. No change record: the item is the same.
    Rebase {
        /// The encoded key.
        key: Vec<u8>,
        /// The state to store.
        state: ItemState,
    },
    /// Records a conflict.
    Conflict(ConflictRecord),
    /// Records what became of a stranded write.
    Stranded(StrandedRecord),
    /// Keeps a replicated change from the future.
    Park(ParkedChange),
    /// Removes a parked change that was applied.
    Unpark {
        /// Its version.
        version: Version,
        /// The encoded key.
        key: Vec<u8>,
    },
    /// Keeps when an item expires; nothing is changed of the item.
    Expiry {
        /// The encoded key.
        key: Vec<u8>,
        /// When it was to expire, seconds since the epoch; none where that is not kept.
        from: Option<u64>,
        /// When it is to expire; none when it is not.
        to: Option<u64>,
    },
    /// Holds an item for a transaction, or lets it go.
    Intent {
        /// The encoded key.
        key: Vec<u8>,
        /// What the transaction makes of it; none lets it go.
        intent: Option<Intent>,
    },
    /// Keeps how a transaction was decided.
    Decision {
        /// The transaction.
        id: TransactId,
        /// The decision.
        decision: Decision,
    },
    /// Forgets how a transaction was decided.
    Forget {
        /// The transaction.
        id: TransactId,
        /// The token that it committed.
        token: Option<String>,
    },
    /// What is ordered with writes but touches no item.
    Note(Note),
}

/// A mutation of the partition's marks or logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Sets how far a reader has read the change log; the first one starts the log.
    Cursor {
        /// Who reads.
        reader: Reader,
        /// The last position it is done with.
        position: Position,
    },
    /// Removes a reader; without any the change log ends.
    DropCursor {
        /// Who no longer reads.
        reader: Reader,
    },
    /// Notes what an origin partition announced.
    Received(Received),
    /// Forgets the announcements of a region's partitions.
    ForgetRegion {
        /// The region, by number: all its incarnations.
        region: u16,
    },
    /// Takes no more writes.
    Freeze {
        /// The evacuation's epoch.
        epoch: u64,
        /// Where writes go from now on.
        target: RegionId,
    },
    /// Takes writes again, if the freeze is of this epoch or an earlier one.
    Thaw {
        /// The evacuation's epoch.
        epoch: u64,
    },
    /// Sets how far a partition of an index has taken the changes of a partition of its table.
    Fed {
        /// The partition of the table.
        source: PartitionId,
        /// The last position that is taken.
        position: Position,
    },
    /// Removes change records.
    TrimChanges {
        /// The last position to remove.
        upto: Position,
    },
    /// Removes tombstones.
    DropTombstones {
        /// Their encoded keys.
        keys: Vec<Vec<u8>>,
    },
}

/// An item's new state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemMutation {
    /// The encoded key.
    pub key: Vec<u8>,
    /// The encoded item; `None` deletes it.
    pub image: Option<Image>,
    /// Its size as DynamoDB counts it, bytes; 0 for a delete.
    pub bytes: u64,
    /// The encoded item before, where old images are kept.
    pub old: Option<Image>,
    /// The size of the item before, bytes; `None` when there was none.
    pub old_bytes: Option<u64>,
    /// Whether a tombstone may stand for the item, which is to be removed with the item's return.
    pub buried: bool,
    /// The version of the write.
    pub version: Version,
    /// The base of the state to store: the merged one of a replicated change.
    pub base: VersionVector,
    /// Where a replicated change was written; `None` for a write of this partition, whose origin
    /// is this partition at the position that applying gives it.
    pub origin: Option<Origin>,
    /// Why.
    pub cause: Cause,
    /// The commit time of a transaction over several partitions, ms since the epoch; none where the
    /// batch's counts.
    pub transacted_ms: Option<u64>,
}

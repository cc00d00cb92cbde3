//! Evaluates requests on one partition and applies resolved mutations.
//!
//! The leader's [`Evaluator`] turns requests into [`Command`]s; the [`PartitionReplica`] of every
//! member turns committed commands into engine batches. Both are functions of their input: no
//! clock, no thread, no await.
//!
//! # Invariants
//!
//! - Evaluate once, apply everywhere: applying never evaluates, never refuses, reads no clock.
//! - Same log, same bytes: replicas at one log index hold equal keys and values.
//! - One command, one batch: item, change record and header land together.
//! - Only the successor of the last accepted `(incarnation, sequence)` is applied.
//!
//! `docs/internals/partition.md` has keys and records to the byte. Tested beside the code: an
//! evaluator with its replicas against a naive model, and the fence under dropped sequences.

pub mod changes;
pub mod command;
pub mod error;
pub mod evaluator;
pub mod feed;
pub mod findings;
pub mod header;
pub mod index;
pub mod layout;
pub mod read;
pub mod record;
pub mod replica;
pub mod request;
pub mod snapshot;
#[cfg(test)]
mod testing;
pub mod transact;

pub use changes::{ChangesPage, CopyFrom, CopyPage, ReadLimits, copy_page, outgoing, read_changes};
pub use command::{Batch, Command, ItemMutation, Mutation, Note};
pub use error::PartitionError;
pub use evaluator::{
    Closed, ClosedCommits, Due, Evaluated, Evaluator, Replicated, ReplicatedOutcome, Sealed,
};
pub use feed::{Feed, IndexEntry, entries_of_change, entry_of_stored};
pub use header::{Freeze, Header, Held, LogPosition, Marks, Reader};
pub use layout::PartitionSpec;
pub use record::{ChangeRecord, ConflictRecord, StrandedOutcome, StrandedRecord};
pub use replica::{ApplyOutcome, Entry, PartitionReplica, Payload};
pub use request::{
    Action, Done, Get, GetOutcome, IndexRead, Page, PageRequest, Refusal, Returns, Write,
    WriteOutcome,
};
pub use snapshot::SnapshotReader;
pub use transact::{Transact, TransactAnswer};

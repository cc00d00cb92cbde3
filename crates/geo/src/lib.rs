//! How regions meet: what travels between them, how far it got, and what that proves.
//!
//! The rule itself, [`merge`], lies in `base`, because `partition` applies it too. Where a partition's
//! closed version comes from is `partition`'s evaluator; the states of a region are `control`'s.
//! Here is what lies between: batches and acknowledgements, the sender's window, the receiver's
//! order, what received announcements cover, when tombstones go, and the proofs of an evacuation
//! and of a return.
//!
//! # Invariants
//!
//! - Merging is commutative, associative and idempotent: regions that received the same changes, in
//!   any order and any number of times, hold the same items.
//! - A cursor never passes a change that was not acknowledged; an acknowledgement never comes before
//!   every target partition has committed.
//! - A closed version is announced only with or after everything that it closes.
//!
//! Tested beside the code; `delivery.rs` runs the rule over random writes and deliveries.

pub mod batch;
pub mod evacuation;
pub mod received;
pub mod receiver;
pub mod sender;
pub mod stranded;
pub mod tombstone;

#[cfg(test)]
mod delivery;

pub use batch::{Ack, ReplicationBatch};
pub use evacuation::{FrozenPartition, Missing, ReturningPartition, evacuated, returned};
pub use meridian_base::change::{Cause, Change, Origin, Position, Received};
pub use meridian_base::merge::{Merge, MergeOutcome, Side, joined_base, merge};
pub use received::ReceivedClosed;
pub use receiver::{Receipt, Receiver};
pub use sender::{Sender, SenderLimits};
pub use stranded::StrandedSummary;
pub use tombstone::TombstoneRule;

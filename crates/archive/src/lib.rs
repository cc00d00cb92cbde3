//! The point-in-time archive of a table: names and bytes of its objects, and how the state at a
//! time is put together from them.
//!
//! A partition's archive is its change log, cut into segments, and now and then a base: all items
//! at one position of that log. The state at a time is a base before it and the changes since.
//! Nothing here reads or writes an object; keys, nonces and times arrive as arguments.
//!
//! # Invariants
//!
//! - An object's bytes decode to what was encoded or to an error: any other bytes, and the bytes of
//!   an object under another name, are refused. Nothing here panics on bytes from outside.
//! - A plan either covers every change up to the asked time or is an error.
//! - What expires is needed for no time at or after the one to keep.
//! - No key is ever printed.
//!
//! Tested beside the code; `history.rs` archives random histories and restores every time of them.

mod base;
mod body;
mod course;
mod delta;
mod error;
mod fold;
mod keys;
mod meta;
mod names;
mod plan;
mod sealed;
mod segment;

#[cfg(test)]
mod history;
#[cfg(test)]
mod samples;

pub use base::{ArchivedItem, BaseChunk, BaseEnd};
pub use course::Totals;
pub use delta::{Delta, Difference};
pub use error::ArchiveError;
pub use fold::Fold;
pub use keys::{DataKey, KeyId, MasterKey, NONCE_BYTES};
pub use meta::{ArchivedPartition, TableMeta, Watermark};
pub use names::{ObjectName, Prefix, Subject};
pub use plan::{RestorePlan, expired, reach};
pub use sealed::{PLAIN_BYTES_MAX, key_number, open, seal};
pub use segment::{ArchivedChange, LogSegment};

//! openraft glue: the runtime seam, the shared log's writer, groups and snapshots.
//!
//! # Invariants
//!
//! - A vote and every entry are on disk before openraft is told so.
//! - The engine never holds what the log cannot rebuild: the log is purged only behind what the
//!   engine has made durable.
//! - Nothing here knows what an entry means; state machines do.

pub mod codec;
mod group;
mod group_log;
pub mod log;
pub mod machine;
pub mod network;
pub mod rebuild;
pub mod rt;
pub mod snapshot;
pub mod types;

pub use group::{
    Group, GroupOptions, GroupStatus, GroupWatch, OpenError, Opening, Proposal, ProposeError,
    Proposed, Timing,
};
pub use openraft;

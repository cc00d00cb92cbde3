//! Ids, versions, clocks as values, limits and the seams that every layer shares.
//!
//! # Invariants
//!
//! - Nothing here reads a clock, opens a file or awaits: time and ids arrive as arguments.
//! - Every id is a type of its own; none converts into another without being asked.
//!
//! Tested beside the code and by every crate above.

pub mod change;
pub mod clock;
pub mod codec;
pub mod hlc;
pub mod ids;
pub mod limits;
pub mod merge;
pub mod packed;

pub use change::{Cause, Change, Origin, Position, Received};
pub use clock::Clock;
pub use hlc::{Hlc, Version, VersionVector};
pub use ids::{
    BackupId, GroupId, Incarnation, LogIndex, NodeId, PartitionId, RegionId, Sequence, TableId,
};

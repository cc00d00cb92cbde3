//! A partition group on virtual time, with faults from one seed.
//!
//! Three replicas run the real Raft, segmented log, partition and pipeline; the clock, the disk, the
//! network and the order in which tasks run are simulated. One seed is one history: [`run`] gives
//! the same outcome for it, however often it is asked.
//!
//! # Invariants
//!
//! - Nothing here reads a real clock, a real random source or a real file.
//! - A planted [`Bug`] changes only what it names.
//!
//! `docs/internals/simulation.md` tells what is simulated and how a seed is replayed. Tested by
//! `tests.rs`: good seeds pass, every planted bug is found, a seed replays.

mod bug;
mod calls;
mod clients;
mod clock;
mod cluster;
mod dice;
mod disk;
mod engine;
mod faults;
mod history;
mod lifeline;
mod machine;
mod network;
mod node;
mod outcome;
mod plan;
mod properties;
mod recorder;
mod requests;
mod world;

#[cfg(test)]
mod tests;

pub use bug::Bug;
pub use outcome::{Activity, Outcome};
pub use recorder::{Counts, Violation};
pub use world::run;

//! The two control groups as pure state machines, and the planner.
//!
//! [`global`] holds regions, the node directory and global tables; [`region`] the catalog of one
//! region; [`planner`] turns a view of a region into small steps. Nothing here talks to a node:
//! `node` proposes the commands through Raft and carries the steps out.
//!
//! # Invariants
//!
//! - `apply` is a function of state and command: no clock, no randomness, no I/O, no panic. Times
//!   and placements arrive in the command.
//! - Replicas at the same log index have the same bytes.
//! - No item request waits for anything in this crate but a look into a [`region::Catalog`].
//!
//! Tested beside the code; formats by the files under `samples/`; described in
//! `docs/internals/control.md`.

pub mod global;
pub mod node;
pub mod pace;
pub mod planner;
pub mod region;
pub mod replica_settings;
pub mod stored;
pub mod table;
pub mod time;

pub use node::{NodeAddresses, NodeState};
pub use stored::Stored;

#[cfg(test)]
mod tests;

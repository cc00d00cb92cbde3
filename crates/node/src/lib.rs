//! The real shell: partition pipelines, routing, background loops.
//!
//! A write comes in through [`Node`]'s `Backend`, goes to its partition's leader ([`items`]), is
//! evaluated and proposed by the leader's [`pipeline`], and is answered when the group applied it.
//!
//! # Invariants
//!
//! - No item request waits for a control group.
//! - What was perhaps applied is never sent again.

mod admin;
pub mod archive;
mod backend;
pub mod barrier;
pub mod buckets;
mod catalog;
#[cfg(test)]
mod cluster_tests;
pub mod control;
mod expiry;
mod founding;
mod handler;
pub mod hosting;
pub mod identity;
mod indexes;
pub mod items;
mod jobs;
mod lost_log;
mod meters;
pub mod network;
pub mod node;
mod old_log;
pub mod options;
pub mod partition_machine;
mod partitions;
mod pause;
pub mod pipeline;
mod planner;
mod rebuild;
mod regions;
mod registrar;
mod replication;
pub mod room;
mod stores;
mod streams;
mod task;
pub mod transact;

pub use node::{Node, StartError};
pub use options::{DataDir, NodeOptions, SystemClock};

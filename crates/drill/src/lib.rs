//! Real clusters, faults, RPO and RTO measured from outside.
//!
//! The drills see a cluster as its clients and operators do: the DynamoDB API, the admin endpoints,
//! processes, and the command line of this very program. [`run`] is `meridian drill`,
//! [`bench::run`] is `meridian bench`, [`verify::run`] is `meridian verify`.
//!
//! # Invariants
//!
//! - Nothing here links the server or the node: what is measured is what is shipped.
//! - Measures use clients' times on one monotonic clock, never servers' timestamps.
//! - Only this program's results go to stdout; progress goes to stderr.
//!
//! Tested beside the code without a cluster, and by running the drills.

pub mod admin;
pub mod args;
pub mod bench;
pub mod client;
pub mod cluster;
pub mod evacuate;
pub mod http;
pub mod items;
pub mod lag;
pub mod load;
pub mod netns;
pub mod node_loss;
pub mod playground;
pub mod process;
pub mod progress;
pub mod record;
pub mod region_loss;
pub mod region_trial;
#[cfg(test)]
mod rehearsal;
pub mod report;
mod restore;
pub mod rpo_rto;
mod run;
#[cfg(test)]
mod scripted;
pub mod stage;
pub mod table;
mod transactions;
pub mod verify;

pub use args::{DrillArgs, Output, Shell};
pub use run::run;

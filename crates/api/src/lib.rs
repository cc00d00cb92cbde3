//! DynamoDB's operations over a `Backend`: one file an operation, JSON in, JSON out.
//!
//! # Invariants
//!
//! - Nothing here knows HTTP; an answer is bytes, an error names its fault.
//! - What is not built is refused with a clear error.
//!
//! Tested by the golden transcripts in `tests/golden`, run in process over a backend in memory.

pub mod admin;
pub mod backend;
mod backup_records;
pub mod backups;
mod busy;
pub mod capacity;
mod collections;
mod context;
mod describe;
mod dispatch;
mod errors;
pub mod exports;
mod expressions;
mod global_tables;
pub mod golden;
pub mod imports;
mod index_source;
mod index_updates;
mod indexes;
mod insights;
pub mod jobs;
mod keys;
mod legacy;
mod moments;
mod ops;
mod pace;
mod partiql;
mod policies;
mod projection;
mod quotas;
mod reads;
mod replica_updates;
mod resources;
pub mod restores;
mod scaling;
mod settings;
pub mod streams;
mod tables;
mod tags;
#[cfg(test)]
mod tests;
pub mod transact;
mod transactions;
mod unbuilt;
mod underway;
mod writes;

pub use backend::{
    Backend, BackendError, ChangeError, Consistency, Exceeded, ReplicaChange, Size, TableSize,
};
pub use context::RequestContext;
pub use dispatch::{answer, handle};

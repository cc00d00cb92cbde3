//! Ordered bytes ([`Engine`]) and the segmented Raft log ([`SegmentedLog`]) over [`Disk`].
//!
//! This crate knows files and bytes, and nothing of items, Raft or the network. It starts no
//! thread, reads no clock and awaits nothing; the libraries under the engines have threads of
//! their own.
//!
//! # Invariants
//!
//! - A batch is seen whole or not at all, also after a crash.
//! - Damage is an error ([`StorageError::Corrupt`]), never silently other data.
//! - After a failed sync nothing more is promised: every later call fails.
//!
//! Tested by one conformance suite over all engines (`engine/conformance.rs`), by property tests
//! of the log over [`sim_disk::SimDisk`], and by flipping every byte of small directories.

pub mod disk;
pub mod engine;
mod error;
pub mod log;
pub mod sim_disk;

pub use disk::{Disk, DiskFile, RealDisk, free_bytes};
pub use engine::{
    Batch, Control, Engine, EngineKind, MemoryEngine, Op, Range, View, open_engine,
    open_engine_alone,
};
pub use error::StorageError;
pub use log::{
    Location, LogOptions, LogReader, LogRecord, Pin, Purged, RecoveredEntry, RecoveredGroup,
    SegmentedLog,
};

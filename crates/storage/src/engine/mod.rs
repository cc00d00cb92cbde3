//! The seam of the engines: ordered bytes in one keyspace.
//!
//! An engine holds only what the Raft log can rebuild, so a write is durable only after
//! [`Engine::persist`]; what a crash leaves is some prefix of the batches, each whole.
//!
//! # Invariants
//!
//! - A batch is visible whole or not at all, to readers, to views and after a crash.
//! - A view never changes.
//! - A directory that cannot be trusted gives [`StorageError::Corrupt`] on open or on read.
//!
//! Tested by `conformance.rs` over every engine, and by `damage.rs`.

mod fjall;
mod fjall_check;
mod keys;
mod ledger;
mod memory;
mod moments;
mod sled;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod damage;

pub use keys::KEY_BYTES_MAX;
pub use memory::MemoryEngine;

use crate::StorageError;
use fjall_check::JournalEnd;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

/// Whether a scan goes on.
pub type Control = std::ops::ControlFlow<()>;

/// One change of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Sets the value of a key.
    Put(Vec<u8>, Vec<u8>),
    /// Removes a key; a missing key is no error.
    Delete(Vec<u8>),
}

/// Changes that land together. A later change of the same key wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// The changes in order.
    pub ops: Vec<Op>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Batch::default()
    }

    /// Adds setting `key` to `value`.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.ops.push(Op::Put(key.into(), value.into()));
    }

    /// Adds removing `key`.
    pub fn delete(&mut self, key: impl Into<Vec<u8>>) {
        self.ops.push(Op::Delete(key.into()));
    }

    /// How many changes it holds.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// True when it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }
}

/// Which keys a scan visits, and in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The lowest keys.
    pub start: Bound<Vec<u8>>,
    /// The highest keys.
    pub end: Bound<Vec<u8>>,
    /// From the highest key to the lowest.
    pub reverse: bool,
}

impl Range {
    /// Every key, ascending.
    pub fn all() -> Self {
        Range { start: Bound::Unbounded, end: Bound::Unbounded, reverse: false }
    }

    /// Every key that starts with `prefix`, ascending.
    pub fn prefix(prefix: &[u8]) -> Self {
        let end = match prefix.iter().rposition(|b| *b != 0xff) {
            None => Bound::Unbounded,
            Some(last) => {
                let mut end = prefix[..=last].to_vec();
                end[last] += 1;
                Bound::Excluded(end)
            }
        };
        Range { start: Bound::Included(prefix.to_vec()), end, reverse: false }
    }

    /// The same keys, descending.
    pub fn reversed(mut self) -> Self {
        self.reverse = true;
        self
    }

    /// True when no key can be in it; the ordered maps below panic on such bounds.
    pub(crate) fn is_empty(&self) -> bool {
        match (&self.start, &self.end) {
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
            (Bound::Included(s), Bound::Included(e)) => s > e,
            (Bound::Included(s), Bound::Excluded(e))
            | (Bound::Excluded(s), Bound::Included(e))
            | (Bound::Excluded(s), Bound::Excluded(e)) => s >= e,
        }
    }

    /// Both bounds in the form that the ordered maps take.
    pub(crate) fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        (self.start.as_ref().map(Vec::as_slice), self.end.as_ref().map(Vec::as_slice))
    }
}

/// Receives one key and its value, and says whether the scan goes on.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Control;

/// Ordered bytes in one keyspace.
pub trait Engine: Send + Sync + 'static {
    /// Reads one key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError>;

    /// Applies a batch. It is not durable until [`Engine::persist`].
    fn write(&self, batch: Batch) -> Result<(), StorageError>;

    /// Opens a read view of this moment.
    fn view(&self) -> Result<Box<dyn View>, StorageError>;

    /// Returns when every write so far is on disk. After an error nothing more is promised.
    fn persist(&self) -> Result<(), StorageError>;

    /// Visits the newest keys and values of `range`. Batches that land meanwhile may be seen:
    /// who needs one moment takes a view.
    fn scan(&self, range: Range, visit: Visit<'_>) -> Result<(), StorageError>;

    /// Bytes of disk in use.
    fn disk_bytes(&self) -> u64;

    /// The first damage that was found since the engine was opened: it has to be opened again, and
    /// is then reported as damaged.
    fn damage(&self) -> Option<&str> {
        None
    }
}

/// The keys and values of one moment.
pub trait View: Send {
    /// Reads one key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError>;

    /// Visits the keys and values of `range`.
    fn scan(&self, range: Range, visit: Visit<'_>) -> Result<(), StorageError>;
}

/// Which engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// fjall, the default.
    Fjall,
    /// sled.
    Sled,
    /// Nothing on disk.
    Memory,
}

/// Opens the engine in `dir`, making it when there is none; `Memory` ignores `dir`.
///
/// # Errors
///
/// [`StorageError::Corrupt`] when the directory is damaged: then the caller removes it and rebuilds
/// the replica. [`StorageError::Locked`] when another process has it, and
/// [`StorageError::OtherEngine`] when it is another engine's.
pub fn open_engine(kind: EngineKind, dir: &Path) -> Result<Arc<dyn Engine>, StorageError> {
    open(kind, dir, JournalEnd::Torn)
}

/// As [`open_engine`], for a node that has no peers to be rebuilt from: damage behind the last
/// persist, as a power loss may leave it, is dropped in silence, because the Raft log still holds
/// those batches. Durable batches are never dropped.
pub fn open_engine_alone(kind: EngineKind, dir: &Path) -> Result<Arc<dyn Engine>, StorageError> {
    open(kind, dir, JournalEnd::Any)
}

fn open(kind: EngineKind, dir: &Path, end: JournalEnd) -> Result<Arc<dyn Engine>, StorageError> {
    Ok(match kind {
        EngineKind::Fjall => Arc::new(fjall::FjallEngine::open(dir, end)?),
        EngineKind::Sled => Arc::new(sled::SledEngine::open(dir)?),
        EngineKind::Memory => Arc::new(MemoryEngine::volatile()),
    })
}

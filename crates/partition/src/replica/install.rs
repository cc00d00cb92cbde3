//! Installs a snapshot in place of what the replica holds, and removes a replica.
//!
//! # Invariants
//!
//! - From the first removal to the last chunk a marker stands in the engine, on disk before
//!   anything is removed: a crash half-way is noticed at the next open.
//! - The marker goes only when everything else is on disk.
//!
//! Tested by `replica/tests.rs`, cut short after every chunk.

use super::PartitionReplica;
use crate::PartitionError;
use crate::header::Header;
use crate::layout;
use crate::snapshot::Chunk;
use meridian_storage::{Batch, Control};
use std::sync::Arc;

/// Keys removed in one engine batch.
const REMOVE_KEYS: usize = 4096;

/// An install under way.
#[derive(Default)]
pub(super) struct Installing {
    next: u64,
    complete: bool,
}

impl PartitionReplica {
    /// Starts an install: what the replica holds goes.
    pub fn install_begin(&mut self) -> Result<(), PartitionError> {
        self.clear()?;
        self.installing = Some(Installing::default());
        Ok(())
    }

    /// Takes the next chunk of [`crate::SnapshotReader`]; true when it was the last.
    pub fn install_chunk(&mut self, bytes: &[u8]) -> Result<bool, PartitionError> {
        let installing = self.installing.as_mut().ok_or(PartitionError::Chunk("not begun"))?;
        let chunk = Chunk::decode(bytes).map_err(|_| PartitionError::Chunk("it is damaged"))?;
        if chunk.number != installing.next || installing.complete {
            return Err(PartitionError::Chunk("it is out of order"));
        }
        let mut batch = Batch::new();
        for (key, value) in chunk.pairs {
            if !layout::owns(&self.spec, &key) {
                return Err(PartitionError::Chunk("it holds keys of another partition"));
            }
            batch.put(key, value);
        }
        self.engine.write(batch)?;
        installing.next = installing.next.saturating_add(1);
        installing.complete = chunk.last;
        Ok(chunk.last)
    }

    /// Ends an install: the replica holds the snapshot, on disk.
    pub fn install_end(&mut self) -> Result<(), PartitionError> {
        let installing = self.installing.take().ok_or(PartitionError::Chunk("not begun"))?;
        if !installing.complete {
            return Err(PartitionError::Chunk("the last one is missing"));
        }
        // What came before must be on disk before the marker goes.
        self.engine.persist()?;
        let mut batch = Batch::new();
        batch.delete(layout::installing_key(self.spec.partition));
        self.engine.write(batch)?;
        self.engine.persist()?;
        self.reload()
    }

    /// Installs a whole snapshot.
    pub fn install<C: AsRef<[u8]>>(
        &mut self,
        chunks: impl IntoIterator<Item = C>,
    ) -> Result<(), PartitionError> {
        self.install_begin()?;
        for chunk in chunks {
            self.install_chunk(chunk.as_ref())?;
        }
        self.install_end()
    }

    /// Removes everything that the engine holds of the partition.
    ///
    /// Items stand by table and range: destroy a partition before another one of the same table and
    /// range is opened on the engine.
    pub fn destroy(mut self) -> Result<(), PartitionError> {
        self.remove_all()
    }

    /// Removes every key, the marker last.
    pub(super) fn remove_all(&mut self) -> Result<(), PartitionError> {
        self.clear()?;
        let mut batch = Batch::new();
        batch.delete(layout::installing_key(self.spec.partition));
        self.engine.write(batch)?;
        Ok(self.engine.persist()?)
    }

    /// Sets the marker and removes every other key.
    fn clear(&mut self) -> Result<(), PartitionError> {
        self.installing = None;
        let mut batch = Batch::new();
        batch.put(layout::installing_key(self.spec.partition), [1]);
        self.engine.write(batch)?;
        self.engine.persist()?;
        self.header = Header::default();
        self.marks = Arc::default();
        self.membership = None;
        for range in layout::ranges(&self.spec) {
            while self.remove_some(&range)? {}
        }
        Ok(())
    }

    /// True when the engine holds a key of the partition.
    pub(super) fn holds_anything(&self) -> Result<bool, PartitionError> {
        let mut found = false;
        for range in layout::ranges(&self.spec) {
            self.engine.scan(range, &mut |_, _| {
                found = true;
                Control::Break(())
            })?;
        }
        Ok(found)
    }

    /// Removes the first keys of a range; false when none were left.
    fn remove_some(&self, range: &meridian_storage::Range) -> Result<bool, PartitionError> {
        let mut batch = Batch::new();
        self.engine.scan(range.clone(), &mut |key, _| {
            batch.delete(key);
            if batch.len() < REMOVE_KEYS { Control::Continue(()) } else { Control::Break(()) }
        })?;
        let found = !batch.is_empty();
        if found {
            self.engine.write(batch)?;
        }
        Ok(found)
    }
}

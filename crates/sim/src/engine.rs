//! The engine of a simulated node: the memory engine, and a crash that keeps any prefix of what was
//! written since the last persist.
//!
//! # Invariants
//!
//! - What was persisted survives every crash; batches are kept or lost whole and in order.
//! - A process whose fuse burnt down in the middle of its work writes nothing more.

use crate::lifeline::Lifeline;
use meridian_storage::{Batch, Control, Engine, MemoryEngine, Range, StorageError, View};
use std::sync::{Arc, Mutex, MutexGuard};

/// An engine in memory that belongs to one process.
pub struct SimEngine {
    inner: MemoryEngine,
    unpersisted: Mutex<Vec<Batch>>,
    life: Arc<Lifeline>,
}

impl SimEngine {
    /// An empty engine.
    pub fn new(life: Arc<Lifeline>) -> SimEngine {
        SimEngine { inner: MemoryEngine::new(), unpersisted: Mutex::default(), life }
    }

    fn unpersisted(&self) -> MutexGuard<'_, Vec<Batch>> {
        self.unpersisted.lock().expect("no holder panics")
    }

    /// What a crash leaves to the next process: everything persisted and, of the batches written
    /// since, as many as `keep` says when it is told how many there are.
    pub fn crash(&self, life: Arc<Lifeline>, keep: impl FnOnce(usize) -> usize) -> SimEngine {
        let lost = self.unpersisted();
        let kept = keep(lost.len());
        let inner = self.inner.crash();
        for batch in lost.iter().take(kept) {
            inner.write(batch.clone()).expect("the memory engine takes every batch");
        }
        let unpersisted = Mutex::new(lost.iter().take(kept).cloned().collect());
        SimEngine { inner, unpersisted, life }
    }

    fn alive(&self) -> Result<(), StorageError> {
        if self.life.operation() { Ok(()) } else { Err(StorageError::Poisoned) }
    }
}

impl Engine for SimEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.inner.get(key)
    }

    fn write(&self, batch: Batch) -> Result<(), StorageError> {
        self.alive()?;
        self.unpersisted().push(batch.clone());
        self.inner.write(batch)
    }

    fn view(&self) -> Result<Box<dyn View>, StorageError> {
        self.inner.view()
    }

    fn persist(&self) -> Result<(), StorageError> {
        self.alive()?;
        self.inner.persist()?;
        self.unpersisted().clear();
        Ok(())
    }

    fn scan(
        &self,
        range: Range,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Control,
    ) -> Result<(), StorageError> {
        self.inner.scan(range, visit)
    }

    fn disk_bytes(&self) -> u64 {
        self.inner.disk_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use meridian_raft::rt::Process;

    fn put(engine: &SimEngine, key: &[u8]) -> Result<(), StorageError> {
        let mut batch = Batch::new();
        batch.put(key.to_vec(), key.to_vec());
        engine.write(batch)
    }

    #[test]
    fn a_crash_keeps_what_was_persisted_and_a_prefix_of_the_rest() {
        let life = || Arc::new(Lifeline::new(Process(1)));
        let engine = SimEngine::new(life());
        put(&engine, b"a").unwrap();
        engine.persist().unwrap();
        for key in [b"b", b"c", b"d"] {
            put(&engine, key).unwrap();
        }
        let next = engine.crash(life(), |written| written - 1);
        let held = |engine: &SimEngine, key: &[u8]| engine.get(key).unwrap().is_some();
        assert!(held(&next, b"a") && held(&next, b"b") && held(&next, b"c") && !held(&next, b"d"));
        let last = next.crash(life(), |_| 0);
        assert!(held(&last, b"a") && !held(&last, b"b"));
    }

    #[test]
    fn a_burnt_fuse_ends_the_process_at_that_operation() {
        let life = Arc::new(Lifeline::new(Process(1)));
        let engine = SimEngine::new(Arc::clone(&life));
        life.light_fuse(1);
        assert!(put(&engine, b"a").is_ok());
        assert!(put(&engine, b"b").is_err());
        assert!(life.is_dead() && engine.persist().is_err());
    }
}

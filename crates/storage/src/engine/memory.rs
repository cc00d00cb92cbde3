//! The engine without a disk: a persistent ordered map, with a crash model for the simulator.

use super::{Batch, Engine, Op, Range, View, Visit};
use crate::StorageError;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// Ordered bytes in memory. [`MemoryEngine::crash`] gives what a crash would leave.
#[derive(Debug, Default)]
pub struct MemoryEngine {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    latest: Arc<Map>,
    persisted: Arc<Map>,
}

impl MemoryEngine {
    /// An empty engine.
    pub fn new() -> Self {
        MemoryEngine::default()
    }

    /// The engine that a crash leaves: what was persisted and nothing else.
    pub fn crash(&self) -> MemoryEngine {
        let persisted = Arc::clone(&self.lock().persisted);
        MemoryEngine { state: Mutex::new(State { latest: Arc::clone(&persisted), persisted }) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds this lock")
    }
}

impl Engine for MemoryEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        Ok(self.lock().latest.get(key).cloned())
    }

    fn write(&self, batch: Batch) -> Result<(), StorageError> {
        let mut state = self.lock();
        let map = Arc::make_mut(&mut state.latest);
        for op in batch.ops {
            match op {
                Op::Put(key, value) => map.insert(key, value),
                Op::Delete(key) => map.remove(&key),
            };
        }
        Ok(())
    }

    fn view(&self) -> Result<Box<dyn View>, StorageError> {
        Ok(Box::new(MemoryView { map: Arc::clone(&self.lock().latest) }))
    }

    fn persist(&self) -> Result<(), StorageError> {
        let mut state = self.lock();
        state.persisted = Arc::clone(&state.latest);
        Ok(())
    }

    fn scan(&self, range: Range, visit: Visit<'_>) -> Result<(), StorageError> {
        self.view()?.scan(range, visit)
    }

    fn disk_bytes(&self) -> u64 {
        0
    }
}

struct MemoryView {
    map: Arc<Map>,
}

impl View for MemoryView {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        Ok(self.map.get(key).cloned())
    }

    fn scan(&self, range: Range, visit: Visit<'_>) -> Result<(), StorageError> {
        if range.is_empty() {
            return Ok(());
        }
        let found = self.map.range::<[u8], _>(range.bounds());
        let stop = if range.reverse {
            found.rev().try_for_each(|(k, v)| visit(k, v))
        } else {
            let mut found = found;
            found.try_for_each(|(k, v)| visit(k, v))
        };
        let _ = stop;
        Ok(())
    }
}

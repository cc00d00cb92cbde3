//! The engine without a disk, with a crash model for the simulator.
//!
//! # Invariants
//!
//! - [`MemoryEngine::crash`] gives exactly what was there at the last persist.
//!
//! Tested by the conformance suite and by `conformance::a_crash_leaves_what_was_persisted`.

use super::moments::{self, Ordered, Versioned};
use super::{Batch, Engine, Op, Range, View, Visit};
use crate::StorageError;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, RwLock};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// Ordered bytes in memory.
pub struct MemoryEngine {
    data: Arc<Versioned<MemoryMap>>,
    /// The moment of the last persist; `None` when crashes are not asked for.
    persisted: Option<Mutex<u64>>,
}

impl Default for MemoryEngine {
    fn default() -> Self {
        MemoryEngine::new()
    }
}

impl MemoryEngine {
    /// An empty engine that can crash. It keeps what changed since the last persist twice.
    pub fn new() -> Self {
        MemoryEngine::with(Map::new())
    }

    /// An empty engine that cannot crash: [`MemoryEngine::crash`] gives an empty one.
    pub fn volatile() -> Self {
        MemoryEngine { data: Versioned::new(MemoryMap::default()), persisted: None }
    }

    fn with(map: Map) -> Self {
        let data = Versioned::new(MemoryMap { map: RwLock::new(map) });
        let persisted = Some(Mutex::new(data.open_moment()));
        MemoryEngine { data, persisted }
    }

    /// The engine that a crash leaves: what was persisted and nothing else.
    pub fn crash(&self) -> MemoryEngine {
        let Some(persisted) = &self.persisted else { return MemoryEngine::volatile() };
        let moment = *persisted.lock().expect("no code panics while it holds this lock");
        self.data.with_moment(moment, |data, earlier| {
            let mut map = data.read().clone();
            for (key, value) in earlier {
                match value {
                    Some(value) => map.insert(key.clone(), value.to_vec()),
                    None => map.remove(key),
                };
            }
            MemoryEngine::with(map)
        })
    }
}

impl Engine for MemoryEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.data.ordered.get(key)
    }

    fn write(&self, batch: Batch) -> Result<(), StorageError> {
        self.data.write(batch)
    }

    fn view(&self) -> Result<Box<dyn View>, StorageError> {
        Ok(moments::view(&self.data))
    }

    fn persist(&self) -> Result<(), StorageError> {
        if let Some(persisted) = &self.persisted {
            let mut moment = persisted.lock().expect("no code panics while it holds this lock");
            let now = self.data.open_moment();
            self.data.close_moment(std::mem::replace(&mut moment, now));
        }
        Ok(())
    }

    fn scan(&self, range: Range, visit: Visit<'_>) -> Result<(), StorageError> {
        // Through a view, so that the visitor holds no lock.
        self.view()?.scan(range, visit)
    }

    fn disk_bytes(&self) -> u64 {
        0
    }
}

#[derive(Default)]
struct MemoryMap {
    map: RwLock<Map>,
}

impl MemoryMap {
    fn read(&self) -> std::sync::RwLockReadGuard<'_, Map> {
        self.map.read().expect("no code panics while it holds this lock")
    }
}

impl Ordered for MemoryMap {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        Ok(self.read().get(key).cloned())
    }

    fn apply(&self, batch: Batch) -> Result<(), StorageError> {
        let mut map = self.map.write().expect("no code panics while it holds this lock");
        for op in batch.ops {
            match op {
                Op::Put(key, value) => map.insert(key, value),
                Op::Delete(key) => map.remove(&key),
            };
        }
        Ok(())
    }

    fn scan(&self, range: &Range, visit: Visit<'_>) -> Result<(), StorageError> {
        let map = self.read();
        let mut found = map.range::<[u8], _>(range.bounds());
        // Whether the visitor stopped or the range ended, the scan is done.
        let _ = if range.reverse {
            found.rev().try_for_each(|(key, value)| visit(key, value))
        } else {
            found.try_for_each(|(key, value)| visit(key, value))
        };
        Ok(())
    }
}

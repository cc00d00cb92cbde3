//! The second engine: sled, one tree.
//!
//! sled's own flush uses `sync_file_range` and writes large records beside its file without fsync,
//! so a persist syncs every file itself. Not fit against a simultaneous power loss of a region's
//! nodes.
//!
//! # Invariants
//!
//! - Views are ours (`moments.rs`), taken between batches.
//!
//! Tested by the conformance suite and by `damage.rs`.

use super::keys::{self, PERSISTED};
use super::ledger::{self, Ledger};
use super::moments::{self, Ordered, Versioned};
use super::{Batch, Control, Engine, EngineKind, Op, Range, View, Visit};
use crate::StorageError;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Pages kept in memory, bytes.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;
/// How often sled writes its buffers by itself, ms.
const FLUSH_EVERY_MS: u64 = 1000;
/// How long sled's own lock is waited for: 5 s together.
const LOCK_TRIES_MAX: u32 = 1000;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Ordered bytes in sled.
pub(super) struct SledEngine {
    data: Arc<Versioned<SledTree>>,
}

struct SledTree {
    db: sled::Db,
    ledger: Ledger,
    dir: PathBuf,
}

impl SledEngine {
    /// Opens the engine in `dir`, making it when there is none.
    pub fn open(dir: &Path) -> Result<Self, StorageError> {
        let ledger = Ledger::open(dir, EngineKind::Sled)?;
        let library = ledger.library_dir();
        let db = ledger.guard(|| open_library(&library).map_err(|e| error(&library, e)))?;
        let tree = SledTree { db, ledger, dir: library };
        let persisted = tree.ledger.guard(|| tree.read(PERSISTED))?;
        tree.ledger.guard(|| tree.ledger.check(persisted.as_deref()))?;
        let engine = SledEngine { data: Versioned::new(tree) };
        let ledger = &engine.data.ordered.ledger;
        ledger.verify(|| {
            engine.data.ordered.scan(&Range::all(), &mut |_, _| Control::Continue(()))
        })?;
        Ok(engine)
    }
}

/// Opens the library. Threads of a handle that this process dropped may hold sled's lock for a
/// moment longer; other processes are kept out by the ledger's.
fn open_library(dir: &Path) -> sled::Result<sled::Db> {
    let config = sled::Config::new()
        .path(dir)
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(Some(FLUSH_EVERY_MS));
    for _ in 0..LOCK_TRIES_MAX {
        match config.open() {
            Err(e) if is_locked(&e) => std::thread::sleep(LOCK_PAUSE),
            opened => return opened,
        }
    }
    config.open()
}

fn is_locked(e: &sled::Error) -> bool {
    matches!(e, sled::Error::Io(e) if e.to_string().contains("could not acquire lock"))
}

fn error(dir: &Path, e: sled::Error) -> StorageError {
    match e {
        e if is_locked(&e) => StorageError::Locked { dir: dir.to_path_buf() },
        sled::Error::Io(e) => ledger::io_error(dir, e),
        other => StorageError::corrupt(dir, 0, other.to_string()),
    }
}

impl SledTree {
    fn error(&self, e: sled::Error) -> StorageError {
        error(&self.dir, e)
    }

    fn read(&self, stored: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        let value = self.db.get(stored).map_err(|e| self.error(e))?;
        Ok(value.map(|v| v.to_vec()))
    }

    fn put_persisted(&self, number: u64) -> Result<(), StorageError> {
        self.db.insert(PERSISTED, &number.to_be_bytes()).map_err(|e| self.error(e))?;
        self.db.flush().map_err(|e| self.error(e))?;
        sync_all(&self.dir).map_err(|e| StorageError::io("sync", &self.dir, e))
    }
}

/// Syncs every file below `dir` and the directories.
fn sync_all(dir: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        match sync_entry(&entry) {
            // sled replaces its small files meanwhile.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            done => done?,
        }
    }
    File::open(dir)?.sync_all()
}

fn sync_entry(entry: &std::fs::DirEntry) -> std::io::Result<()> {
    if entry.file_type()?.is_dir() {
        sync_all(&entry.path())
    } else {
        File::open(entry.path())?.sync_all()
    }
}

impl Ordered for SledTree {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.ledger.guard(|| self.read(&keys::stored(key)))
    }

    fn apply(&self, batch: Batch) -> Result<(), StorageError> {
        let mut stored = sled::Batch::default();
        for op in batch.ops {
            match op {
                Op::Put(key, value) => stored.insert(keys::stored(&key), value),
                Op::Delete(key) => stored.remove(keys::stored(&key)),
            }
        }
        self.ledger.guard(|| self.db.apply_batch(stored).map_err(|e| self.error(e)))
    }

    fn scan(&self, range: &Range, visit: Visit<'_>) -> Result<(), StorageError> {
        let stored = keys::stored_range(range);
        let mut found = self.ledger.guard(|| Ok(self.db.range::<&[u8], _>(stored.bounds())))?;
        loop {
            let step = self.ledger.guard(|| {
                let step = if range.reverse { found.next_back() } else { found.next() };
                step.transpose().map_err(|e| self.error(e))
            })?;
            let Some((key, value)) = step else { return Ok(()) };
            let Some(key) = keys::callers(&key) else { continue };
            if visit(key, &value).is_break() {
                return Ok(());
            }
        }
    }
}

impl Engine for SledEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.data.ordered.get(key)
    }

    fn write(&self, batch: Batch) -> Result<(), StorageError> {
        keys::check(&batch)?;
        let ledger = &self.data.ordered.ledger;
        ledger.usable()?;
        self.data.write(batch)?;
        ledger.wrote();
        Ok(())
    }

    fn view(&self) -> Result<Box<dyn View>, StorageError> {
        Ok(moments::view(&self.data))
    }

    fn persist(&self) -> Result<(), StorageError> {
        let tree = &self.data.ordered;
        tree.ledger.persist(|number| tree.ledger.guard(|| tree.put_persisted(number)))
    }

    fn scan(&self, range: Range, visit: Visit<'_>) -> Result<(), StorageError> {
        // Through a view, so that the visitor holds no lock of sled's.
        self.view()?.scan(range, visit)
    }

    fn disk_bytes(&self) -> u64 {
        ledger::disk_bytes(&self.data.ordered.dir)
    }

    fn damage(&self) -> Option<&str> {
        self.data.ordered.ledger.damage()
    }
}

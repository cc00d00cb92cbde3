//! The default engine: fjall, one keyspace.
//!
//! # Invariants
//!
//! - fjall writes its journal when a buffer is full and at a persist; what a killed process loses
//!   is a suffix of the batches, which the Raft log still holds.
//! - The journals and manifests are checked before fjall opens them, because fjall itself cuts a
//!   damaged journal in silence.
//!
//! Tested by the conformance suite and by `damage.rs`.

use super::fjall_check::{self, JournalEnd};
use super::keys::{self, PERSISTED};
use super::ledger::{self, Ledger};
use super::{Batch, Engine, EngineKind, Op, Range, View, Visit};
use crate::StorageError;
use fjall::compaction::Leveled;
use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode,
    Readable, Snapshot,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Blocks kept in memory, bytes.
const CACHE_BYTES: u64 = 8 * 1024 * 1024;
/// Writes kept in memory before a table file is made of them, bytes.
const MEMTABLE_BYTES: u64 = 16 * 1024 * 1024;
/// Size of a table file, bytes. The first sorted level takes four of them: as much as the memtables
/// whose flushes are merged into it, and not all of a node, again and again.
const TABLE_BYTES: u64 = 16 * 1024 * 1024;
/// Values from this length on stand in files of their own, and merging tables moves only where they are.
const APART_BYTES_MIN: u32 = 512;
/// Size of a file of values, bytes: what is stale in it is dropped when it is written anew.
const VALUES_BYTES: u64 = 16 * 1024 * 1024;
/// Journals kept before memtables are flushed, bytes; the least that fjall takes.
const JOURNAL_BYTES: u64 = 64 * 1024 * 1024;
/// Table files kept open.
const OPEN_FILES: usize = 128;
/// Threads for flushes and compactions. The first only flushes, and while all others compact it passes
/// the next compaction on to itself without end; with two threads that takes a core. With one, fjall can
/// stand still for ever: it waits to send itself a message through a channel that writers have filled.
const WORKERS: usize = 3;
const KEYSPACE: &str = "data";

/// Ordered bytes in fjall.
pub(super) struct FjallEngine {
    shared: Arc<Shared>,
}

struct Shared {
    db: Database,
    data: Keyspace,
    ledger: Ledger,
    dir: PathBuf,
}

impl FjallEngine {
    /// Opens the engine in `dir`, making it when there is none.
    pub fn open(dir: &Path, end: JournalEnd) -> Result<Self, StorageError> {
        let ledger = Ledger::open(dir, EngineKind::Fjall)?;
        let library = ledger.library_dir();
        let (db, data) = ledger.guard(|| {
            fjall_check::check(&library, end)?;
            open_library(&library).map_err(|e| error(&library, e))
        })?;
        let shared = Shared { db, data, ledger, dir: library };
        let persisted = shared.ledger.guard(|| shared.read(PERSISTED))?;
        shared.ledger.guard(|| shared.ledger.check(persisted.as_deref()))?;
        let engine = FjallEngine { shared: Arc::new(shared) };
        let ledger = &engine.shared.ledger;
        ledger.verify(|| engine.scan(Range::all(), &mut |_, _| super::Control::Continue(())))?;
        Ok(engine)
    }
}

fn open_library(dir: &Path) -> fjall::Result<(Database, Keyspace)> {
    let db = Database::builder(dir)
        .cache_size(CACHE_BYTES)
        .max_journaling_size(JOURNAL_BYTES)
        .max_cached_files(Some(OPEN_FILES))
        .worker_threads(WORKERS)
        .manual_journal_persist(true)
        .open()?;
    let data = db.keyspace(KEYSPACE, || {
        KeyspaceCreateOptions::default()
            .max_memtable_size(MEMTABLE_BYTES)
            .with_kv_separation(Some(apart()))
            .compaction_strategy(Arc::new(Leveled::default().with_table_target_size(TABLE_BYTES)))
            .manual_journal_persist(true)
    })?;
    Ok((db, data))
}

/// How long values are kept. They are not compressed: fjall's checksum of a value does not cover the
/// length that it would be unpacked to.
fn apart() -> KvSeparationOptions {
    KvSeparationOptions::default()
        .separation_threshold(APART_BYTES_MIN)
        .file_target_size(VALUES_BYTES)
        .compression(CompressionType::None)
}

fn error(dir: &Path, e: fjall::Error) -> StorageError {
    use fjall::Error;
    match e {
        Error::Io(e) | Error::Storage(fjall::LsmError::Io(e)) => ledger::io_error(dir, e),
        Error::Locked => StorageError::Locked { dir: dir.to_path_buf() },
        Error::Poisoned => StorageError::Poisoned,
        other => StorageError::corrupt(dir, 0, other.to_string()),
    }
}

impl Shared {
    fn error(&self, e: fjall::Error) -> StorageError {
        error(&self.dir, e)
    }

    fn read(&self, stored: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        let value = self.data.get(stored).map_err(|e| self.error(e))?;
        Ok(value.map(|v| v.to_vec()))
    }

    fn put_persisted(&self, number: u64) -> Result<(), StorageError> {
        let mut batch = self.db.batch();
        batch.insert(&self.data, PERSISTED, number.to_be_bytes());
        batch.commit().map_err(|e| self.error(e))?;
        self.db.persist(PersistMode::SyncAll).map_err(|e| self.error(e))
    }

    /// Visits what an iterator of the library gives; only its steps run guarded, not the visitor.
    fn visit(
        &self,
        found: fjall::Iter,
        reverse: bool,
        visit: Visit<'_>,
    ) -> Result<(), StorageError> {
        let mut found = found;
        loop {
            let step = self.ledger.guard(|| {
                let guard = if reverse { found.next_back() } else { found.next() };
                guard.map(|g| g.into_inner()).transpose().map_err(|e| self.error(e))
            })?;
            let Some((key, value)) = step else { return Ok(()) };
            let Some(key) = keys::callers(&key) else { continue };
            if visit(key, &value).is_break() {
                return Ok(());
            }
        }
    }
}

impl Engine for FjallEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.shared.ledger.guard(|| self.shared.read(&keys::stored(key)))
    }

    fn write(&self, batch: Batch) -> Result<(), StorageError> {
        keys::check(&batch)?;
        let shared = &self.shared;
        shared.ledger.usable()?;
        let mut stored = shared.db.batch();
        for op in batch.ops {
            match op {
                Op::Put(key, value) => stored.insert(&shared.data, keys::stored(&key), value),
                Op::Delete(key) => stored.remove(&shared.data, keys::stored(&key)),
            }
        }
        shared.ledger.guard(|| stored.commit().map_err(|e| shared.error(e)))?;
        shared.ledger.wrote();
        Ok(())
    }

    fn view(&self) -> Result<Box<dyn View>, StorageError> {
        let snapshot = self.shared.db.snapshot();
        Ok(Box::new(FjallView { snapshot, shared: Arc::clone(&self.shared) }))
    }

    fn persist(&self) -> Result<(), StorageError> {
        let shared = &self.shared;
        shared.ledger.persist(|number| shared.ledger.guard(|| shared.put_persisted(number)))
    }

    fn scan(&self, range: Range, visit: Visit<'_>) -> Result<(), StorageError> {
        self.view()?.scan(range, visit)
    }

    fn disk_bytes(&self) -> u64 {
        ledger::disk_bytes(&self.shared.dir)
    }

    fn damage(&self) -> Option<&str> {
        self.shared.ledger.damage()
    }
}

struct FjallView {
    snapshot: Snapshot,
    shared: Arc<Shared>,
}

impl View for FjallView {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        let shared = &self.shared;
        shared.ledger.guard(|| {
            let value = self.snapshot.get(&shared.data, keys::stored(key));
            Ok(value.map_err(|e| shared.error(e))?.map(|v| v.to_vec()))
        })
    }

    fn scan(&self, range: Range, visit: Visit<'_>) -> Result<(), StorageError> {
        if range.is_empty() {
            return Ok(());
        }
        let stored = keys::stored_range(&range);
        let found = self
            .shared
            .ledger
            .guard(|| Ok(self.snapshot.range::<&[u8], _>(&self.shared.data, stored.bounds())))?;
        self.shared.visit(found, range.reverse, visit)
    }
}

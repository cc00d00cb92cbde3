//! The log's disk: how long a sync takes, and the disk that lies about it.

use meridian_raft::rt;
use meridian_storage::{Disk, DiskFile};
use std::cell::Cell;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

thread_local! {
    static SYNC_MS_MAX: Cell<u64> = const { Cell::new(2) };
}

/// One sync in so many stalls.
const STALL_ONE_IN: u64 = 200;
/// How long a stalled sync takes at most, ms: longer than an election timeout.
const STALL_MS_MAX: u64 = 700;

/// Sets how long a sync takes at most in this thread's simulation, ms.
pub fn set_sync_ms_max(ms: u64) {
    SYNC_MS_MAX.set(ms);
}

/// How long the next sync takes.
pub fn sync_duration() -> Duration {
    let limit = if rt::random_below(STALL_ONE_IN) == 0 { STALL_MS_MAX } else { SYNC_MS_MAX.get() };
    Duration::from_millis(rt::random_below(limit + 1))
}

/// A disk whose files, after their first sync, only say that they synced: a planted bug.
pub struct LyingDisk(pub Arc<dyn Disk>);

struct LyingFile {
    inner: Arc<dyn DiskFile>,
    synced: AtomicBool,
}

impl LyingFile {
    fn wrap(inner: Arc<dyn DiskFile>, synced: bool) -> Arc<dyn DiskFile> {
        Arc::new(LyingFile { inner, synced: AtomicBool::new(synced) })
    }
}

impl Disk for LyingDisk {
    fn path(&self) -> &Path {
        self.0.path()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(LyingFile::wrap(self.0.create(name)?, false))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(LyingFile::wrap(self.0.open(name)?, true))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.0.sync_dir()
    }
}

impl DiskFile for LyingFile {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.inner.write_at(offset, bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.inner.read_at(offset, buffer)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        if self.synced.swap(true, Ordering::Relaxed) { Ok(()) } else { self.inner.sync() }
    }
}

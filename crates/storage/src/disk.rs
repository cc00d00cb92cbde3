//! The seam of the log's files, and the real one.
//!
//! # Invariants
//!
//! - Nothing is durable before a sync: bytes after [`DiskFile::sync`], names after
//!   [`Disk::sync_dir`].
//! - A data directory has one owner process: [`RealDisk`] holds a lock on it while it lives.
//!
//! Tested through the log and beside the code.

use crate::StorageError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory of log files.
pub trait Disk: Send + Sync + 'static {
    /// Where it is, for error texts.
    fn path(&self) -> &Path;
    /// The names of all files, in any order.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Makes an empty file. It is an error when there is one.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes created and removed names durable.
    fn sync_dir(&self) -> io::Result<()>;
}

/// One file of a [`Disk`].
pub trait DiskFile: Send + Sync + 'static {
    /// Its length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// True when it holds nothing.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Writes all of `bytes` at `offset`. A failure may leave a part of them.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Fills `buffer` from `offset`; an end of file within is an error.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
    /// Cuts or extends with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes contents and length durable.
    fn sync(&self) -> io::Result<()>;
}

/// The directory of a real file system. It is locked against other processes.
#[derive(Debug)]
pub struct RealDisk {
    dir: PathBuf,
    _lock: File,
}

const LOCK_NAME: &str = "lock";

impl RealDisk {
    /// Opens `dir`, making it when there is none.
    ///
    /// # Errors
    ///
    /// [`StorageError::Locked`] when another process has it.
    pub fn open(dir: &Path) -> Result<Self, StorageError> {
        std::fs::create_dir_all(dir).map_err(|e| StorageError::io("create", dir, e))?;
        Ok(RealDisk { dir: dir.to_path_buf(), _lock: lock_dir(dir)? })
    }
}

/// Takes the lock file of a directory; the lock ends with the handle.
pub(crate) fn lock_dir(dir: &Path) -> Result<File, StorageError> {
    let path = dir.join(LOCK_NAME);
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|e| StorageError::io("open", &path, e))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StorageError::Locked { dir: dir.to_path_buf() }),
        Err(TryLockError::Error(e)) => Err(StorageError::io("lock", &path, e)),
    }
}

impl Disk for RealDisk {
    fn path(&self) -> &Path {
        &self.dir
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            if let Ok(name) = entry?.file_name().into_string()
                && name != LOCK_NAME
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).open(self.dir.join(name))?;
        Ok(Arc::new(RealFile { file }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(self.dir.join(name))?;
        Ok(Arc::new(RealFile { file }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.dir.join(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }
}

struct RealFile {
    file: File,
}

impl DiskFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Free bytes that an unprivileged process may use on the file system of `dir`.
pub fn free_bytes(dir: &Path) -> Result<u64, StorageError> {
    let stat = rustix::fs::statvfs(dir).map_err(|e| StorageError::io("stat", dir, e.into()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LogOptions, LogRecord, SegmentedLog};
    use tempfile::TempDir;

    #[test]
    fn a_data_directory_has_one_owner() {
        let dir = TempDir::new().unwrap();
        let first = RealDisk::open(dir.path()).unwrap();
        assert!(matches!(RealDisk::open(dir.path()), Err(StorageError::Locked { .. })));
        assert!(first.list().unwrap().is_empty());
        drop(first);
        RealDisk::open(dir.path()).unwrap();
    }

    #[test]
    fn a_log_of_real_files_is_found_again_and_read_while_it_grows() {
        let dir = TempDir::new().unwrap();
        let options = LogOptions { segment_bytes: 64 * 1024, ..LogOptions::default() };
        let open = || {
            let disk = RealDisk::open(dir.path()).unwrap();
            SegmentedLog::open(Arc::new(disk), options.clone()).unwrap()
        };
        let (mut log, _) = open();
        let reader = log.reader();
        let payload = |i: u64| i.to_be_bytes().repeat(100);
        let (sender, receiver) = std::sync::mpsc::sync_channel(1000);
        let checked = std::thread::scope(|scope| {
            let reading = scope.spawn(move || {
                let check = |(i, place)| assert_eq!(reader.read(place).unwrap(), payload(i));
                receiver.iter().map(check).count()
            });
            for index in 1..=500u64 {
                let entry = LogRecord::Entry { group: 1, index, term: 1, payload: payload(index) };
                sender.send((index, log.append(&[entry]).unwrap()[0])).unwrap();
            }
            drop(sender);
            reading.join().unwrap()
        });
        assert_eq!(checked, 500);
        log.sync().unwrap();
        assert!(log.segments() > 3);
        assert!(log.disk_bytes() >= 400_000);
        drop(log);
        let (log, groups) = open();
        assert_eq!(groups[&1].entries.len(), 500);
        let last = groups[&1].entries[&500].location;
        assert_eq!(log.reader().read(last).unwrap(), payload(500));
    }

    #[test]
    fn free_space_is_told() {
        let dir = TempDir::new().unwrap();
        assert!(free_bytes(dir.path()).unwrap() > 0);
        assert!(free_bytes(&dir.path().join("missing")).is_err());
    }
}

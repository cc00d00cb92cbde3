//! What we keep beside a library's files, to notice when they are not what they were.
//!
//! The libraries detect most damage by their own checksums, but recover from some by going back
//! to an older state in silence. Therefore each persist is numbered: the number is written into
//! the engine and, once that is durable, into the file `persisted`. An engine that opens with a
//! lower number than that file has lost durable writes.
//!
//! # Invariants
//!
//! - A directory has one owner process.
//! - The number in the file is never above the one in an undamaged engine.
//! - Damage that was seen once is reported by every later open, until the directory is removed.
//! - Nothing is promised after a failed persist.
//!
//! Tested by the conformance suite and by `damage.rs`.

use super::EngineKind;
use crate::StorageError;
use crate::disk::lock_dir;
use meridian_base::codec::Reader;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};

const MAGIC: &[u8; 8] = b"MERIDENG";
const FORMAT: u32 = 1;
const MARK_FILE: &str = "persisted";
const DAMAGED_FILE: &str = "damaged";
const DOUBTFUL_FILE: &str = "doubtful";
/// Up to this size an engine is read as a whole when it is opened, bytes: some 100 ms.
const VERIFIED_BYTES_MAX: u64 = 48 * 1024 * 1024;

/// The files of ours in an engine's directory.
#[derive(Debug)]
pub(super) struct Ledger {
    dir: PathBuf,
    kind: EngineKind,
    _lock: File,
    persisted: Mutex<u64>,
    dirty: AtomicBool,
    poisoned: AtomicBool,
    damage: OnceLock<String>,
}

impl Ledger {
    /// Reads the files in `dir`, or makes them for an engine that is to be made.
    pub fn open(dir: &Path, kind: EngineKind) -> Result<Self, StorageError> {
        let io = |action| move |e| StorageError::io(action, dir, e);
        std::fs::create_dir_all(dir).map_err(io("create"))?;
        let ledger = Ledger {
            dir: dir.to_path_buf(),
            kind,
            _lock: lock_dir(dir)?,
            persisted: Mutex::new(0),
            dirty: AtomicBool::new(false),
            poisoned: AtomicBool::new(false),
            damage: OnceLock::new(),
        };
        if let Some(why) = ledger.note(DAMAGED_FILE)? {
            return Err(ledger.corrupt(&format!("damage was found earlier: {why}")));
        }
        let mark = match std::fs::read(dir.join(MARK_FILE)) {
            Ok(bytes) => ledger.decode(&bytes)?,
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(io("read")(e)),
            Err(_) if ledger.holds_library() => {
                return Err(ledger.corrupt("the file `persisted` is missing"));
            }
            Err(_) => {
                ledger.write_mark(0)?;
                0
            }
        };
        *ledger.lock() = mark;
        Ok(ledger)
    }

    /// Where the library's files are.
    pub fn library_dir(&self) -> PathBuf {
        self.dir.join(name(self.kind))
    }

    fn holds_library(&self) -> bool {
        [EngineKind::Fjall, EngineKind::Sled].iter().any(|kind| self.dir.join(name(*kind)).exists())
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.persisted.lock().expect("no code panics while it holds this lock")
    }

    /// Checks the number that the engine holds against the file.
    pub fn check(&self, found: Option<&[u8]>) -> Result<(), StorageError> {
        let found = match found {
            None => 0,
            Some(bytes) => {
                let number = <[u8; 8]>::try_from(bytes).map(u64::from_be_bytes);
                number.map_err(|_| self.corrupt("the number of the last persist is unreadable"))?
            }
        };
        let mut persisted = self.lock();
        if found < *persisted {
            let why = format!("it holds persist {found}, but {} was made durable", *persisted);
            return Err(self.corrupt(&why));
        }
        *persisted = found;
        Ok(())
    }

    /// To be called after each write.
    pub fn wrote(&self) {
        self.dirty.store(true, Ordering::Release);
    }

    /// Persists by `persist`, which makes the engine durable together with the given number; does
    /// nothing when nothing was written since.
    pub fn persist(
        &self,
        persist: impl FnOnce(u64) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let mut persisted = self.lock();
        self.usable()?;
        if !self.dirty.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let number = *persisted + 1;
        let done = persist(number).and_then(|()| self.write_mark(number));
        match done {
            Ok(()) => *persisted = number,
            Err(_) => self.poisoned.store(true, Ordering::Release),
        }
        done
    }

    /// Fails after a failed persist.
    pub fn usable(&self) -> Result<(), StorageError> {
        if self.poisoned.load(Ordering::Acquire) { Err(StorageError::Poisoned) } else { Ok(()) }
    }

    /// Runs a call into the library: a panic in it is damage, and damage is remembered.
    pub fn guard<T>(
        &self,
        call: impl FnOnce() -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let result = catch_unwind(AssertUnwindSafe(call))
            .unwrap_or_else(|_| Err(self.corrupt("the library panicked over it")));
        match &result {
            Err(e @ StorageError::Corrupt { .. }) => {
                let why = self.damage.get_or_init(|| e.to_string());
                self.remember(DAMAGED_FILE, why);
            }
            Err(StorageError::Poisoned) => self.remember(DOUBTFUL_FILE, "a background task failed"),
            Ok(_) | Err(_) => {}
        }
        result
    }

    /// The first damage that a call into the library found.
    pub fn damage(&self) -> Option<&str> {
        self.damage.get().map(String::as_str)
    }

    /// Runs `verify`, which reads everything, when a background task of the library failed in an
    /// earlier life, maybe over damage, and whenever that is quick.
    pub fn verify(
        &self,
        verify: impl FnOnce() -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let doubtful = self.note(DOUBTFUL_FILE)?.is_some();
        if doubtful || disk_bytes(&self.dir) <= VERIFIED_BYTES_MAX {
            verify()?;
        }
        if doubtful {
            let path = self.dir.join(DOUBTFUL_FILE);
            std::fs::remove_file(&path).map_err(|e| StorageError::io("remove", &path, e))?;
        }
        Ok(())
    }

    /// Damage of this directory.
    pub fn corrupt(&self, why: &str) -> StorageError {
        StorageError::corrupt(&self.dir, 0, why)
    }

    fn note(&self, name: &str) -> Result<Option<String>, StorageError> {
        let path = self.dir.join(name);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(StorageError::io("read", &path, e)),
        }
    }

    fn remember(&self, name: &str, why: &str) {
        // A note that cannot be written is no worse than none: the damage is found again.
        let _ = std::fs::write(self.dir.join(name), why);
    }

    fn write_mark(&self, number: u64) -> Result<(), StorageError> {
        let path = self.dir.join(MARK_FILE);
        let next = self.dir.join("persisted.next");
        let write = || {
            let mut file = File::create(&next)?;
            file.write_all(&self.encode(number))?;
            file.sync_all()?;
            std::fs::rename(&next, &path)?;
            File::open(&self.dir)?.sync_all()
        };
        write().map_err(|e| StorageError::io("write", &path, e))
    }

    fn encode(&self, number: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(32);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT.to_be_bytes());
        out.extend_from_slice(&code(self.kind).to_be_bytes());
        out.extend_from_slice(&number.to_be_bytes());
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_be_bytes());
        out
    }

    fn decode(&self, bytes: &[u8]) -> Result<u64, StorageError> {
        let bad = || self.corrupt("the file `persisted` does not check");
        let (body, crc) = bytes.split_at_checked(24).ok_or_else(bad)?;
        if crc != crc32fast::hash(body).to_be_bytes() || !body.starts_with(MAGIC) {
            return Err(bad());
        }
        let mut reader = Reader::new(&body[MAGIC.len()..]);
        let (format, found) = (reader.u32(), reader.u32());
        let (Ok(format), Ok(found), Ok(number)) = (format, found, reader.u64()) else {
            return Err(bad());
        };
        if format != FORMAT {
            let file = self.dir.join(MARK_FILE);
            return Err(StorageError::NewerFormat { file, found: format, known: FORMAT });
        }
        if found != code(self.kind) {
            return Err(StorageError::OtherEngine { dir: self.dir.clone() });
        }
        Ok(number)
    }
}

fn name(kind: EngineKind) -> &'static str {
    match kind {
        EngineKind::Fjall => "fjall",
        EngineKind::Sled => "sled",
        EngineKind::Memory => "memory",
    }
}

fn code(kind: EngineKind) -> u32 {
    match kind {
        EngineKind::Memory => 0,
        EngineKind::Fjall => 1,
        EngineKind::Sled => 2,
    }
}

/// Sorts an operating system error of a library's file: a file that is missing or short is damage.
pub(super) fn io_error(dir: &Path, e: std::io::Error) -> StorageError {
    match e.kind() {
        ErrorKind::NotFound
        | ErrorKind::UnexpectedEof
        | ErrorKind::InvalidData
        | ErrorKind::InvalidInput
        | ErrorKind::NotADirectory
        | ErrorKind::IsADirectory => StorageError::corrupt(dir, 0, e.to_string()),
        _ => StorageError::io("use", dir, e),
    }
}

/// Bytes on disk of all files below `dir`; holes do not count.
pub(super) fn disk_bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => disk_bytes(&entry.path()),
            Ok(meta) => meta.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

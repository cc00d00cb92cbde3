//! Checks a fjall directory before fjall opens it.
//!
//! fjall checksums the items of a batch in its journal, the blocks of its tables and the tables of
//! contents, and reads them back with care; but it cuts a journal at the first thing that is not
//! an entry, whatever follows, it trusts the sequence number of a batch, and it does not compare a
//! manifest with the checksum that it stored. Those three are done here. The layout is that of
//! fjall 3.1 and lsm-tree 3.1; little-endian.
//!
//! # Invariants
//!
//! - Nothing is changed, except that a directory whose making was interrupted before it held
//!   anything is removed.
//! - The end of the newest journal may be an incomplete batch, as a kill leaves it; nothing else
//!   may be incomplete.
//!
//! Tested by `damage.rs`, and by the conformance suite, which opens journals of every shape.

use super::ledger::io_error;
use crate::StorageError;
use rustix::fs::SeekFrom as Seek;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::{Xxh3Default, xxh3_128};

const MARKER: &str = "version";
const END_OF_BATCH: [u8; 4] = *b"FJL\x03";
const CHUNK_BYTES: usize = 64 * 1024;

/// Checks the journals and the manifests below `dir`, if there are any. The end of the newest
/// journal must look as `end` says.
pub(super) fn check(dir: &Path, end: JournalEnd) -> Result<(), StorageError> {
    if !dir.exists() {
        return Ok(());
    }
    let journals = journals(dir)?;
    if !dir.join(MARKER).exists() {
        return drop_unborn(dir, &journals);
    }
    if journals.is_empty() {
        return Err(StorageError::corrupt(dir, 0, "the journal is missing"));
    }
    let mut last_seqno = None;
    let newest = journals.last_key_value().map(|(id, _)| *id);
    let first = journals.first_key_value().map_or(0, |(id, _)| *id);
    for (expected, (id, path)) in (first..).zip(&journals) {
        if *id != expected {
            return Err(StorageError::corrupt(dir, 0, format!("{expected}.jnl is missing")));
        }
        let end = if newest == Some(*id) { end } else { JournalEnd::Complete };
        check_journal(path, end, &mut last_seqno)?;
    }
    for keyspace in list(&dir.join("keyspaces"))? {
        check_manifest(&keyspace)?;
    }
    Ok(())
}

fn list(dir: &Path) -> Result<Vec<PathBuf>, StorageError> {
    let entries = std::fs::read_dir(dir).map_err(|e| io_error(dir, e))?;
    entries.map(|entry| entry.map(|e| e.path()).map_err(|e| io_error(dir, e))).collect()
}

fn journals(dir: &Path) -> Result<BTreeMap<u64, PathBuf>, StorageError> {
    let number = |path: &PathBuf| path.file_name()?.to_str()?.strip_suffix(".jnl")?.parse().ok();
    Ok(list(dir)?.into_iter().filter_map(|path| number(&path).map(|id| (id, path))).collect())
}

/// The marker is the last file that is made: without it there is either nothing or damage.
fn drop_unborn(dir: &Path, journals: &BTreeMap<u64, PathBuf>) -> Result<(), StorageError> {
    let mut empty = !dir.join("keyspaces/0").exists();
    for path in journals.values() {
        let file = File::open(path).map_err(|e| io_error(path, e))?;
        empty &= next_nonzero(&file, 0).map_err(|e| io_error(path, e))?.is_none();
    }
    if !empty {
        return Err(StorageError::corrupt(dir, 0, "the file `version` is missing"));
    }
    std::fs::remove_dir_all(dir).map_err(|e| StorageError::io("remove", dir, e))
}

/// Compares the current manifest with the checksum that stands in the file `current`.
fn check_manifest(keyspace: &Path) -> Result<(), StorageError> {
    let current = keyspace.join("current");
    let bytes = std::fs::read(&current).map_err(|e| io_error(&current, e))?;
    let fields = bytes.split_first_chunk::<8>().and_then(|(version, rest)| {
        let (checksum, kind) = rest.split_first_chunk::<16>()?;
        (kind == [0]).then_some((u64::from_le_bytes(*version), u128::from_le_bytes(*checksum)))
    });
    let Some((version, checksum)) = fields else {
        return Err(StorageError::corrupt(&current, 0, "the pointer to the manifest is damaged"));
    };
    let manifest = keyspace.join(format!("v{version}"));
    let bytes = std::fs::read(&manifest).map_err(|e| io_error(&manifest, e))?;
    if xxh3_128(&bytes) != checksum {
        return Err(StorageError::corrupt(&manifest, 0, "the manifest's checksum does not hold"));
    }
    Ok(())
}

/// How a journal may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JournalEnd {
    /// With a complete batch.
    Complete,
    /// With an incomplete batch, as a kill leaves it.
    Torn,
    /// With anything; fjall drops it, and the caller has those batches elsewhere.
    Any,
}

fn check_journal(
    path: &Path,
    allowed: JournalEnd,
    last_seqno: &mut Option<u64>,
) -> Result<(), StorageError> {
    let file = File::open(path).map_err(|e| io_error(path, e))?;
    let mut journal = Journal { reader: BufReader::with_capacity(CHUNK_BYTES, &file), at: 0 };
    let mut end = 0;
    let why = loop {
        match journal.batch() {
            Ok(seqno) if Some(seqno) <= *last_seqno => {
                break "a batch is out of order";
            }
            Ok(seqno) => {
                *last_seqno = Some(seqno);
                end = journal.at;
            }
            Err(Stop::Io(e)) => return Err(io_error(path, e)),
            Err(Stop::Checksum) => break "a batch's checksum does not hold",
            Err(Stop::NoBatch) => {
                let tail = tail(&file, end).map_err(|e| io_error(path, e))?;
                match (tail, allowed) {
                    (Tail::Empty, _) | (_, JournalEnd::Any) | (Tail::Torn, JournalEnd::Torn) => {
                        return Ok(());
                    }
                    (Tail::Torn | Tail::Damaged, _) => break "what follows is not a batch",
                }
            }
        }
    };
    Err(StorageError::corrupt(path, end, why))
}

enum Stop {
    /// There is no complete batch here.
    NoBatch,
    /// There is one, but it does not check.
    Checksum,
    Io(std::io::Error),
}

impl From<std::io::Error> for Stop {
    fn from(e: std::io::Error) -> Self {
        match e.kind() {
            std::io::ErrorKind::UnexpectedEof => Stop::NoBatch,
            _ => Stop::Io(e),
        }
    }
}

struct Journal<'a> {
    reader: BufReader<&'a File>,
    at: u64,
}

impl Journal<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        self.at += N as u64;
        Ok(bytes)
    }

    /// Reads one batch; returns its sequence number.
    fn batch(&mut self) -> Result<u64, Stop> {
        let [tag] = self.take()?;
        if tag != 1 {
            return Err(Stop::NoBatch);
        }
        let items = u32::from_le_bytes(self.take()?);
        let seqno = u64::from_le_bytes(self.take()?);
        let mut hash = Xxh3Default::new();
        for _ in 0..items {
            self.item(&mut hash)?;
        }
        let [tag] = self.take()?;
        let checksum = u64::from_le_bytes(self.take()?);
        if tag != 3 || self.take()? != END_OF_BATCH {
            return Err(Stop::NoBatch);
        }
        if checksum == hash.digest() { Ok(seqno) } else { Err(Stop::Checksum) }
    }

    fn item(&mut self, hash: &mut Xxh3Default) -> Result<(), Stop> {
        let [tag] = self.take()?;
        hash.update(&[tag]);
        match tag {
            // Value type, compression, keyspace; lengths of key, value, and value as stored.
            2 => {
                hash.update(&self.take::<10>()?);
                let key: [u8; 2] = self.take()?;
                let plain: [u8; 4] = self.take()?;
                let value: [u8; 4] = self.take()?;
                [&key[..], &plain, &value].iter().for_each(|part| hash.update(part));
                let value = u64::from(u32::from_le_bytes(value));
                self.skip(u64::from(u16::from_le_bytes(key)) + value, hash)
            }
            4 => {
                hash.update(&self.take::<8>()?);
                Ok(())
            }
            _ => Err(Stop::NoBatch),
        }
    }

    fn skip(&mut self, mut bytes: u64, hash: &mut Xxh3Default) -> Result<(), Stop> {
        while bytes > 0 {
            let chunk = self.reader.fill_buf()?;
            let len = chunk.len().min(usize::try_from(bytes).unwrap_or(usize::MAX));
            if len == 0 {
                return Err(Stop::NoBatch);
            }
            hash.update(&chunk[..len]);
            self.reader.consume(len);
            self.at += len as u64;
            bytes -= len as u64;
        }
        Ok(())
    }
}

enum Tail {
    Empty,
    Torn,
    Damaged,
}

/// A kill leaves the front part of one batch, then zeros; a batch that reached its end marker, or
/// bytes behind a gap, were not left by one.
fn tail(file: &File, end: u64) -> std::io::Result<Tail> {
    match next_nonzero(file, end)? {
        None => return Ok(Tail::Empty),
        Some(at) if at > end => return Ok(Tail::Damaged),
        Some(_) => {}
    }
    let mut at = end;
    let mut window = Vec::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let len = file.read_at(&mut chunk, at)?;
        window.extend_from_slice(&chunk[..len]);
        if window.windows(END_OF_BATCH.len()).any(|w| w == END_OF_BATCH) {
            return Ok(Tail::Damaged);
        }
        if len == 0 || next_nonzero(file, at)?.is_none() {
            return Ok(Tail::Torn);
        }
        at += len as u64;
        window.drain(..window.len().saturating_sub(END_OF_BATCH.len() - 1));
    }
}

/// Where the next byte that is not zero stands; holes are passed without reading them.
fn next_nonzero(file: &File, from: u64) -> std::io::Result<Option<u64>> {
    let mut at = from;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        at = match rustix::fs::seek(file, Seek::Data(at)) {
            Ok(data) => data,
            Err(rustix::io::Errno::NXIO) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let len = file.read_at(&mut chunk, at)?;
        if len == 0 {
            return Ok(None);
        }
        if let Some(found) = chunk[..len].iter().position(|b| *b != 0) {
            return Ok(Some(at + found as u64));
        }
        at += len as u64;
    }
}

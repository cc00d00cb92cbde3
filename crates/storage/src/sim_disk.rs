//! A simulated disk: files in memory that lose what was not synced.
//!
//! Nothing here is random: whoever crashes the disk decides what survives. A [`SimDisk`] is a
//! handle; its clones share the files, so that a restarted node opens what the crashed one left.
//! Handles that were open at a crash fail afterwards, as those of a dead process.
//!
//! # Invariants
//!
//! - What [`DiskFile::sync`] covered survives every crash; a name survives once
//!   [`Disk::sync_dir`] covered it.
//! - What survives of the rest was written: nothing is invented.
//!
//! Tested beside the code and by the property tests of the log.

use crate::{Disk, DiskFile};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// The unit in which [`SimDisk::crash_by_sector`] loses bytes.
pub const SECTOR_BYTES: usize = 512;

/// A directory of files in memory. Clones share it.
#[derive(Clone)]
pub struct SimDisk {
    path: PathBuf,
    state: Arc<Mutex<State>>,
    /// The crash that this handle has not outlived.
    life: u64,
}

#[derive(Default)]
struct State {
    life: u64,
    files: BTreeMap<u64, FileState>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    next_file: u64,
    capacity: Option<u64>,
    /// How many more syncs succeed; `None` for all.
    syncs_left: Option<u64>,
    fail_writes: bool,
    syncs: u64,
}

#[derive(Default)]
struct FileState {
    durable: Vec<u8>,
    current: Vec<u8>,
    pending: Vec<Pending>,
}

/// A change that no sync covered yet.
enum Pending {
    Write(usize, Vec<u8>),
    SetLen(usize),
}

impl Pending {
    fn weight(&self) -> usize {
        match self {
            Pending::Write(_, bytes) => bytes.len(),
            Pending::SetLen(_) => 1,
        }
    }

    fn apply(&self, contents: &mut Vec<u8>, budget: usize) {
        match self {
            Pending::Write(offset, bytes) => {
                write(contents, *offset, &bytes[..bytes.len().min(budget)]);
            }
            Pending::SetLen(len) if budget > 0 => contents.resize(*len, 0),
            Pending::SetLen(_) => {}
        }
    }
}

fn write(contents: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if bytes.is_empty() {
        return;
    }
    if contents.len() < end {
        contents.resize(end, 0);
    }
    contents[offset..end].copy_from_slice(bytes);
}

impl Default for SimDisk {
    fn default() -> Self {
        SimDisk::new("sim")
    }
}

impl SimDisk {
    /// An empty directory; `path` is for error texts only.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        SimDisk { path: path.into(), state: Arc::default(), life: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds this lock")
    }

    fn alive(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.lock();
        if state.life == self.life {
            Ok(state)
        } else {
            Err(io::Error::other("the process of this handle crashed"))
        }
    }

    /// Loses what was not synced, except for what `keep` leaves, and returns the handle of the
    /// next life.
    ///
    /// `keep` is asked once for each file with unsynced bytes, in the order of their making, and
    /// answers how many of them survive: the first ones written, the last of these writes torn in
    /// the middle. It is asked with 1 for each name that was made or removed and not synced.
    pub fn crash(&self, mut keep: impl FnMut(usize) -> usize) -> SimDisk {
        self.crash_with(|file| {
            let total = file.pending.iter().map(Pending::weight).sum();
            let mut budget = if total == 0 { 0 } else { keep(total) };
            for change in &file.pending {
                change.apply(&mut file.durable, budget);
                budget = budget.saturating_sub(change.weight());
            }
        })
        .finish_names(keep)
    }

    /// As [`SimDisk::crash`], but unsynced bytes survive or are lost by sector, in no order among
    /// sectors. `keep` is asked for each sector how many of the changes that touched it survive,
    /// the first ones, and with 1 for each change of a length and each unsynced name.
    pub fn crash_by_sector(&self, mut keep: impl FnMut(usize) -> usize) -> SimDisk {
        self.crash_with(|file| {
            let mut touched: BTreeMap<usize, Vec<(usize, Vec<u8>)>> = BTreeMap::new();
            for change in std::mem::take(&mut file.pending) {
                match &change {
                    Pending::Write(offset, bytes) => {
                        for (at, part) in sectors(*offset, bytes) {
                            let parts = touched.entry(at / SECTOR_BYTES).or_default();
                            parts.push((at, part.to_vec()));
                        }
                    }
                    Pending::SetLen(_) => {
                        settle_sectors(file, &mut touched, &mut keep);
                        change.apply(&mut file.durable, keep(1));
                    }
                }
            }
            settle_sectors(file, &mut touched, &mut keep);
        })
        .finish_names(keep)
    }

    /// Ends the process but not the machine: nothing is lost, and old handles fail.
    pub fn kill(&self) -> SimDisk {
        let mut state = self.lock();
        state.life += 1;
        SimDisk { path: self.path.clone(), state: Arc::clone(&self.state), life: state.life }
    }

    fn crash_with(&self, mut settle: impl FnMut(&mut FileState)) -> SimDisk {
        let mut state = self.lock();
        state.life += 1;
        for file in state.files.values_mut() {
            settle(file);
            file.pending.clear();
            file.current = file.durable.clone();
        }
        SimDisk { path: self.path.clone(), state: Arc::clone(&self.state), life: state.life }
    }

    fn finish_names(self, mut keep: impl FnMut(usize) -> usize) -> SimDisk {
        let mut state = self.lock();
        let State { names, durable_names, files, .. } = &mut *state;
        let all: Vec<String> = names.keys().chain(durable_names.keys()).cloned().collect();
        for name in all {
            let (now, durable) = (names.get(&name).copied(), durable_names.get(&name).copied());
            if now != durable && keep(1) > 0 {
                match now {
                    Some(file) => durable_names.insert(name, file),
                    None => durable_names.remove(&name),
                };
            } else if now != durable {
                match durable {
                    Some(file) => names.insert(name, file),
                    None => names.remove(&name),
                };
            }
        }
        files.retain(|file, _| names.values().any(|named| named == file));
        drop(state);
        self
    }

    /// Total bytes that fit; `None` for no limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().capacity = bytes;
    }

    /// Whether syncs fail from now on.
    pub fn set_fail_syncs(&self, fail: bool) {
        self.lock().syncs_left = fail.then_some(0);
    }

    /// True when the next sync fails.
    pub fn fails_syncs(&self) -> bool {
        self.lock().syncs_left == Some(0)
    }

    /// Lets `count` more syncs succeed, of files or of the directory, and then fails all.
    pub fn fail_syncs_after(&self, count: u64) {
        self.lock().syncs_left = Some(count);
    }

    /// Whether writes fail from now on.
    pub fn set_fail_writes(&self, fail: bool) {
        self.lock().fail_writes = fail;
    }

    /// How many syncs of files succeeded.
    pub fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    /// The contents of a file as a process reads them.
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.lock();
        let file = state.names.get(name)?;
        state.files.get(file).map(|f| f.current.clone())
    }

    /// Replaces the contents of a file, durably, making it when there is none: damage on purpose.
    pub fn set_contents(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.lock();
        let file = state.name(name);
        state.durable_names.insert(name.to_string(), file);
        let contents = FileState { durable: bytes.clone(), current: bytes, pending: Vec::new() };
        state.files.insert(file, contents);
    }

    /// Flips one bit of a file, durably. False when the file is shorter.
    pub fn flip_bit(&self, name: &str, byte: usize, bit: u8) -> bool {
        let mut state = self.lock();
        let Some(file) = state.names.get(name).copied() else { return false };
        let Some(file) = state.files.get_mut(&file) else { return false };
        let mask = 1 << (bit % 8);
        let flipped = file.current.get_mut(byte).map(|b| *b ^= mask).is_some();
        if let Some(durable) = file.durable.get_mut(byte) {
            *durable ^= mask;
        }
        flipped
    }
}

fn settle_sectors(
    file: &mut FileState,
    touched: &mut BTreeMap<usize, Vec<(usize, Vec<u8>)>>,
    keep: &mut impl FnMut(usize) -> usize,
) {
    for parts in std::mem::take(touched).into_values() {
        let kept = keep(parts.len());
        parts.iter().take(kept).for_each(|(at, part)| write(&mut file.durable, *at, part));
    }
}

fn sectors(offset: usize, bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let head = (SECTOR_BYTES - offset % SECTOR_BYTES).min(bytes.len());
    let (first, rest) = bytes.split_at(head);
    let rest = rest
        .chunks(SECTOR_BYTES)
        .enumerate()
        .map(move |(n, part)| (offset + head + n * SECTOR_BYTES, part));
    std::iter::once((offset, first)).chain(rest)
}

impl State {
    fn may_sync(&mut self) -> io::Result<()> {
        match &mut self.syncs_left {
            Some(0) => Err(io::Error::other("a simulated sync failure")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn name(&mut self, name: &str) -> u64 {
        let next = self.next_file;
        let file = *self.names.entry(name.to_string()).or_insert(next);
        self.next_file += u64::from(file == next);
        file
    }

    /// Bytes that may be added to a file of `len` to make it `wanted` long.
    fn room(&self, len: usize, wanted: usize) -> usize {
        let more = wanted.saturating_sub(len);
        let used: usize = self.files.values().map(|f| f.current.len()).sum();
        let free = self.capacity.map(|c| usize::try_from(c).unwrap_or(usize::MAX));
        free.map_or(more, |free| more.min(free.saturating_sub(used)))
    }
}

impl Disk for SimDisk {
    fn path(&self) -> &Path {
        &self.path
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.alive()?.names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.alive()?;
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = state.name(name);
        state.files.insert(file, FileState::default());
        Ok(Arc::new(SimFile { disk: self.clone(), file }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.alive()?;
        let file = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile { disk: self.clone(), file }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.alive()?.names.remove(name).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.alive()?;
        state.may_sync()?;
        let State { names, durable_names, files, .. } = &mut *state;
        durable_names.clone_from(names);
        files.retain(|file, _| names.values().any(|named| named == file));
        Ok(())
    }
}

struct SimFile {
    disk: SimDisk,
    file: u64,
}

impl SimFile {
    fn with<T>(&self, f: impl FnOnce(&mut FileState) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.alive()?;
        f(state.files.get_mut(&self.file).ok_or(io::ErrorKind::NotFound)?)
    }
}

fn offset_usize(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(io::Error::other)
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        self.with(|file| u64::try_from(file.current.len()).map_err(io::Error::other))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = offset_usize(offset)?;
        let mut state = self.disk.alive()?;
        if state.fail_writes {
            return Err(io::Error::other("a simulated write failure"));
        }
        let len = state.files.get(&self.file).map_or(0, |f| f.current.len());
        let wanted = offset + bytes.len();
        let end = len.saturating_add(state.room(len, wanted)).min(wanted).max(offset);
        let fits = &bytes[..end - offset];
        let fits = if end < wanted && len < offset { &[][..] } else { fits };
        let file = state.files.get_mut(&self.file).ok_or(io::ErrorKind::NotFound)?;
        write(&mut file.current, offset, fits);
        file.pending.push(Pending::Write(offset, fits.to_vec()));
        if fits.len() < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let offset = offset_usize(offset)?;
        self.with(|file| {
            let found =
                offset.checked_add(buffer.len()).and_then(|end| file.current.get(offset..end));
            buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = offset_usize(len)?;
        self.with(|file| {
            file.current.resize(len, 0);
            file.pending.push(Pending::SetLen(len));
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.alive()?;
        state.may_sync()?;
        state.syncs += 1;
        let file = state.files.get_mut(&self.file).ok_or(io::ErrorKind::NotFound)?;
        for change in std::mem::take(&mut file.pending) {
            change.apply(&mut file.durable, usize::MAX);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_keeps_what_was_synced_and_as_much_of_the_rest_as_it_is_told() {
        for kept in 0..=7 {
            let disk = SimDisk::default();
            let file = disk.create("a").unwrap();
            file.write_at(0, b"synced").unwrap();
            file.sync().unwrap();
            disk.sync_dir().unwrap();
            file.write_at(6, b"lost").unwrap();
            file.write_at(0, b"SYN").unwrap();
            let disk = disk.crash(|unsynced| kept.min(unsynced));
            let expected = [
                "synced",
                "syncedl",
                "syncedlo",
                "syncedlos",
                "syncedlost",
                "Syncedlost",
                "SYncedlost",
                "SYNcedlost",
            ];
            assert_eq!(disk.contents("a").unwrap(), expected[kept].as_bytes());
        }
    }

    #[test]
    fn names_are_durable_once_the_directory_is_synced() {
        for kept in [0, 1] {
            let disk = SimDisk::default();
            for name in ["old", "new"] {
                disk.create(name).unwrap().sync().unwrap();
                if name == "old" {
                    disk.sync_dir().unwrap();
                }
            }
            disk.remove("old").unwrap();
            let found = disk.crash(|_| kept).list().unwrap();
            assert_eq!(found, if kept == 0 { ["old"] } else { ["new"] });
        }
    }

    #[test]
    fn sectors_are_lost_one_by_one() {
        let disk = SimDisk::default();
        let file = disk.create("a").unwrap();
        disk.sync_dir().unwrap();
        file.write_at(0, &[1; 3 * SECTOR_BYTES]).unwrap();
        let mut sector = 0;
        let disk = disk.crash_by_sector(|_| {
            sector += 1;
            usize::from(sector != 2)
        });
        let contents = disk.contents("a").unwrap();
        let sectors: Vec<_> = contents.chunks(SECTOR_BYTES).map(|s| s[0]).collect();
        assert_eq!(sectors, [1, 0, 1]);
    }

    #[test]
    fn handles_of_the_dead_fail_and_files_do_not() {
        let disk = SimDisk::default();
        let file = disk.create("a").unwrap();
        file.write_at(0, b"x").unwrap();
        let next = disk.kill();
        assert!(file.len().is_err() && disk.list().is_err());
        assert_eq!(next.open("a").unwrap().len().unwrap(), 1);
        assert!(next.flip_bit("a", 0, 0));
        assert_eq!(next.contents("a").unwrap(), b"y");
        assert!(!next.flip_bit("a", 1, 0));
    }

    #[test]
    fn a_full_disk_takes_a_part() {
        let disk = SimDisk::default();
        let file = disk.create("a").unwrap();
        disk.set_capacity(Some(3));
        assert_eq!(file.write_at(0, b"four").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(disk.contents("a").unwrap(), b"fou");
        disk.set_capacity(None);
        file.write_at(0, b"four").unwrap();
        disk.fail_syncs_after(1);
        assert!(file.sync().is_ok() && file.sync().is_err() && disk.sync_dir().is_err());
        assert_eq!(disk.syncs(), 1);
    }
}

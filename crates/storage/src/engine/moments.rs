//! Views for engines whose library has none: while a view is open, each batch first sets aside the
//! values that it replaces.
//!
//! A view costs nothing when it is taken, and memory for each key that changes while it is open.
//!
//! # Invariants
//!
//! - A moment holds, for every key that changed since it was opened, what the key held then.
//! - A batch and the values it sets aside change under one exclusive lock; a view reads both under
//!   the shared one, so it never sees a batch in part.
//!
//! Tested by the conformance suite, which runs over the two engines that use it.

use super::{Batch, Control, Op, Range, View, Visit};
use crate::StorageError;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Keys that a view's scan reads under one hold of the lock.
const CHUNK_KEYS: usize = 256;
/// Bytes after which such a chunk ends early.
const CHUNK_BYTES: usize = 1024 * 1024;

/// Ordered bytes without views.
pub(super) trait Ordered: Send + Sync + 'static {
    /// Reads one key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError>;
    /// Applies a batch as one.
    fn apply(&self, batch: Batch) -> Result<(), StorageError>;
    /// Visits the newest keys and values.
    fn scan(&self, range: &Range, visit: Visit<'_>) -> Result<(), StorageError>;
}

/// What keys held at some moment; `None` for a key that was not there.
pub(super) type Earlier = BTreeMap<Vec<u8>, Option<Arc<[u8]>>>;

#[derive(Default)]
struct Moments {
    next: u64,
    open: BTreeMap<u64, Earlier>,
}

/// Ordered bytes with views.
pub(super) struct Versioned<O: Ordered> {
    pub(super) ordered: O,
    moments: RwLock<Moments>,
}

impl<O: Ordered> Versioned<O> {
    pub fn new(ordered: O) -> Arc<Self> {
        Arc::new(Versioned { ordered, moments: RwLock::default() })
    }

    fn read(&self) -> RwLockReadGuard<'_, Moments> {
        self.moments.read().expect("no code panics while it holds this lock")
    }

    fn write_lock(&self) -> RwLockWriteGuard<'_, Moments> {
        self.moments.write().expect("no code panics while it holds this lock")
    }

    /// Applies a batch, after setting aside what the open moments must keep.
    pub fn write(&self, batch: Batch) -> Result<(), StorageError> {
        let mut moments = self.write_lock();
        if !moments.open.is_empty() {
            for op in &batch.ops {
                let (Op::Put(key, _) | Op::Delete(key)) = op;
                if moments.open.values().all(|earlier| earlier.contains_key(key)) {
                    continue;
                }
                let value: Option<Arc<[u8]>> = self.ordered.get(key)?.map(Arc::from);
                for earlier in moments.open.values_mut() {
                    earlier.entry(key.clone()).or_insert_with(|| value.clone());
                }
            }
        }
        self.ordered.apply(batch)
    }

    /// Opens a moment by itself, for who undoes to it.
    pub fn open_moment(&self) -> u64 {
        let mut moments = self.write_lock();
        let id = moments.next;
        moments.next += 1;
        moments.open.insert(id, Earlier::new());
        id
    }

    /// Closes a moment.
    pub fn close_moment(&self, id: u64) {
        self.write_lock().open.remove(&id);
    }

    /// Runs `f` with what changed since a moment, while no batch lands.
    pub fn with_moment<T>(&self, id: u64, f: impl FnOnce(&O, &Earlier) -> T) -> T {
        let moments = self.read();
        f(&self.ordered, moments.open.get(&id).unwrap_or(&Earlier::new()))
    }
}

/// Opens a view of this moment.
pub(super) fn view<O: Ordered>(versioned: &Arc<Versioned<O>>) -> Box<dyn View> {
    Box::new(MomentView { id: versioned.open_moment(), versioned: Arc::clone(versioned) })
}

struct MomentView<O: Ordered> {
    versioned: Arc<Versioned<O>>,
    id: u64,
}

impl<O: Ordered> Drop for MomentView<O> {
    fn drop(&mut self) {
        self.versioned.close_moment(self.id);
    }
}

impl<O: Ordered> View for MomentView<O> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.versioned.with_moment(self.id, |ordered, earlier| match earlier.get(key) {
            Some(value) => Ok(value.as_ref().map(|v| v.to_vec())),
            None => ordered.get(key),
        })
    }

    fn scan(&self, mut range: Range, visit: Visit<'_>) -> Result<(), StorageError> {
        loop {
            if range.is_empty() {
                return Ok(());
            }
            let chunk = self
                .versioned
                .with_moment(self.id, |ordered, earlier| read_chunk(ordered, earlier, &range))?;
            for (key, value) in &chunk.found {
                if visit(key, value).is_break() {
                    return Ok(());
                }
            }
            match chunk.resume {
                None => return Ok(()),
                Some(after) if range.reverse => range.end = Bound::Excluded(after),
                Some(after) => range.start = Bound::Excluded(after),
            }
        }
    }
}

/// A part of a scan.
#[derive(Default)]
struct Chunk {
    found: Vec<(Vec<u8>, Vec<u8>)>,
    bytes: usize,
    /// The last key that was looked at, when there may be more.
    resume: Option<Vec<u8>>,
}

impl Chunk {
    fn push(&mut self, key: &[u8], value: &[u8]) {
        self.bytes += key.len() + value.len();
        self.found.push((key.to_vec(), value.to_vec()));
    }
}

/// Merges the newest keys with those that changed since: of two equal ones the earlier counts.
fn read_chunk<O: Ordered>(
    ordered: &O,
    earlier: &Earlier,
    range: &Range,
) -> Result<Chunk, StorageError> {
    let mut chunk = Chunk::default();
    let changed = earlier.range::<[u8], _>(range.bounds());
    let mut changed: Box<dyn Iterator<Item = _>> =
        if range.reverse { Box::new(changed.rev()) } else { Box::new(changed) };
    let mut next = changed.next();
    let mut looked = 0;
    ordered.scan(range, &mut |key, value| {
        looked += 1;
        while let Some((changed_key, was)) = next.filter(|(k, _)| comes_first(k, key, range)) {
            was.iter().for_each(|was| chunk.push(changed_key, was));
            next = changed.next();
        }
        match next.filter(|(k, _)| k.as_slice() == key) {
            Some((_, was)) => {
                was.iter().for_each(|was| chunk.push(key, was));
                next = changed.next();
            }
            None => chunk.push(key, value),
        }
        if looked < CHUNK_KEYS && chunk.bytes < CHUNK_BYTES {
            return Control::Continue(());
        }
        chunk.resume = Some(key.to_vec());
        Control::Break(())
    })?;
    if chunk.resume.is_none() {
        std::iter::from_fn(|| next.take().or_else(|| changed.next()))
            .filter_map(|(key, was)| was.as_ref().map(|was| (key, was)))
            .for_each(|(key, was)| chunk.push(key, was));
    }
    Ok(chunk)
}

fn comes_first(key: &[u8], other: &[u8], range: &Range) -> bool {
    if range.reverse { key > other } else { key < other }
}

//! Puts a state together: the changes since a base, folded by key, then merged with its items.
//!
//! First every segment of the plan goes through [`Fold::add`], then every chunk of the base, one at
//! a time, through [`Fold::merge_chunk`], then [`Fold::finish`] gives what stands behind the last.
//! Held in memory is the newest image of each key that changed since the base, and one chunk.
//!
//! # Invariants
//!
//! - A change counts exactly when it stands after the base and was committed at or before the time.
//!   Times grow from change to change of one key, so the last that counts is the key's state.
//! - No position between the base and the last change added is left out.
//! - Items leave by ascending key, each key once.
//! - What was read as the base is what its end counted.
//!
//! Tested by `fold/tests.rs` and `history.rs`.

#[cfg(test)]
mod tests;

use crate::base::{ArchivedItem, BaseChunk, BaseEnd};
use crate::body::damaged;
use crate::error::ArchiveError;
use crate::segment::{ArchivedChange, LogSegment};
use meridian_base::{Position, Version};
use std::collections::BTreeMap;

/// How much of something there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Items.
    pub items: u64,
    /// Bytes of their keys and images.
    pub bytes: u64,
}

impl Totals {
    fn add(&mut self, item: &ArchivedItem) {
        self.items = self.items.saturating_add(1);
        self.bytes = self.bytes.saturating_add(item.bytes());
    }
}

/// The state of one partition at a time, while it is put together.
#[derive(Debug, Clone)]
pub struct Fold {
    base: BaseEnd,
    at_ms: u64,
    covered: Position,
    changed: BTreeMap<Vec<u8>, Option<(Vec<u8>, Version)>>,
    held_bytes: u64,
    next_chunk: u32,
    last_key: Option<Vec<u8>>,
    read: Totals,
    given: Totals,
}

impl Fold {
    /// Begins with a base for the time `at_ms`, which is not before the base's.
    pub fn new(base: BaseEnd, at_ms: u64) -> Self {
        Fold {
            base,
            at_ms,
            covered: base.position,
            changed: BTreeMap::new(),
            held_bytes: 0,
            next_chunk: 0,
            last_key: None,
            read: Totals::default(),
            given: Totals::default(),
        }
    }

    /// Adds the changes of the next segment; those that were added before are passed over.
    ///
    /// Errors: `Missing` when positions were left out, `Damaged` when the segment is of another
    /// partition.
    pub fn add(&mut self, object: &str, segment: LogSegment) -> Result<(), ArchiveError> {
        let partition = self.base.partition;
        if segment.partition != partition {
            let what = format!("it is of partition {}, not {partition}", segment.partition);
            return Err(damaged(object, 0, what));
        }
        for change in segment.changes {
            if change.position <= self.covered {
                continue;
            }
            if change.position != self.covered.next() {
                let position = self.covered.next();
                return Err(ArchiveError::Missing { partition, position });
            }
            self.covered = change.position;
            if change.commit_ms <= self.at_ms {
                self.put(change);
            }
        }
        Ok(())
    }

    /// The last position that the base and the segments added so far hold.
    pub fn covered(&self) -> Position {
        self.covered
    }

    /// Bytes of the keys and images that are held in memory.
    pub fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    /// How much of the final state was given out so far.
    pub fn totals(&self) -> Totals {
        self.given
    }

    /// The items of the final state up to the last key of the base's next chunk, by ascending key.
    ///
    /// Error: `Damaged` when it is not the next chunk of this base, or its keys are not above those
    /// of the chunk before.
    pub fn merge_chunk(
        &mut self,
        object: &str,
        chunk: BaseChunk,
    ) -> Result<Vec<ArchivedItem>, ArchiveError> {
        self.check(object, &chunk)?;
        let mut out = Vec::with_capacity(chunk.items.len());
        for item in chunk.items {
            self.read.add(&item);
            while let Some(entry) = self.changed.first_entry().filter(|e| *e.key() < item.key) {
                let (key, state) = entry.remove_entry();
                self.give(&mut out, key, state);
            }
            self.last_key = Some(item.key.clone());
            match self.changed.remove_entry(&item.key) {
                Some((key, state)) => self.give(&mut out, key, state),
                None => {
                    self.given.add(&item);
                    out.push(item);
                }
            }
        }
        self.next_chunk = self.next_chunk.saturating_add(1);
        Ok(out)
    }

    /// The items of the final state behind the last chunk, by ascending key.
    ///
    /// Error: `Damaged`, for `object` the base's end, when the chunks were not all that it counts.
    pub fn finish(&mut self, object: &str) -> Result<Vec<ArchivedItem>, ArchiveError> {
        let counted = Totals { items: self.base.items, bytes: self.base.bytes };
        if self.next_chunk != self.base.chunks || self.read != counted {
            let (chunks, Totals { items, bytes }) = (self.next_chunk, self.read);
            let what = format!(
                "it counts {} chunks, {} items and {} bytes, and there are \
                 {chunks}, {items} and {bytes}",
                self.base.chunks, counted.items, counted.bytes
            );
            return Err(damaged(object, 0, what));
        }
        let mut out = Vec::new();
        for (key, state) in std::mem::take(&mut self.changed) {
            self.give(&mut out, key, state);
        }
        Ok(out)
    }

    fn put(&mut self, change: ArchivedChange) {
        let state = change.image.map(|image| (image, change.version));
        let bytes = held(&change.key, &state);
        let key_and_old = self.changed.get(&change.key).map_or(0, |old| held(&change.key, old));
        self.held_bytes = self.held_bytes.saturating_sub(key_and_old).saturating_add(bytes);
        self.changed.insert(change.key, state);
    }

    /// Moves a key's final state out.
    fn give(
        &mut self,
        out: &mut Vec<ArchivedItem>,
        key: Vec<u8>,
        state: Option<(Vec<u8>, Version)>,
    ) {
        self.held_bytes = self.held_bytes.saturating_sub(held(&key, &state));
        if let Some((image, version)) = state {
            let item = ArchivedItem { key, image, version };
            self.given.add(&item);
            out.push(item);
        }
    }

    fn check(&self, object: &str, chunk: &BaseChunk) -> Result<(), ArchiveError> {
        let expected = (self.base.partition, self.base.position, self.next_chunk);
        if (chunk.partition, chunk.position, chunk.number) != expected {
            let (partition, position, number) = expected;
            let what = format!(
                "it is chunk {} of the base {} of partition {}, not \
                 {number} of {position} of {partition}",
                chunk.number, chunk.position, chunk.partition
            );
            return Err(damaged(object, 0, what));
        }
        let first = chunk.items.first().map(|item| &item.key);
        match (&self.last_key, first) {
            (Some(last), Some(first)) if first <= last => {
                Err(damaged(object, 0, "its first key is not above the chunk before"))
            }
            _ => Ok(()),
        }
    }
}

fn held(key: &[u8], state: &Option<(Vec<u8>, Version)>) -> u64 {
    (key.len() + state.as_ref().map_or(0, |(image, _)| image.len())) as u64
}

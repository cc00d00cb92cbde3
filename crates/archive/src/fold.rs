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
use crate::course::{Course, Totals};
use crate::error::ArchiveError;
use crate::segment::{ArchivedChange, LogSegment};
use meridian_base::{Position, Version};
use std::collections::BTreeMap;

/// What a key holds: its image and version; none where it was deleted.
type State = Option<(Vec<u8>, Version)>;

/// The state of one partition at a time, while it is put together.
#[derive(Debug, Clone)]
pub struct Fold {
    course: Course,
    at_ms: u64,
    changed: BTreeMap<Vec<u8>, State>,
    held_bytes: u64,
    given: Totals,
}

impl Fold {
    /// Begins with a base for the time `at_ms`, which is not before the base's.
    pub fn new(base: BaseEnd, at_ms: u64) -> Self {
        Fold {
            course: Course::new(base),
            at_ms,
            changed: BTreeMap::new(),
            held_bytes: 0,
            given: Totals::default(),
        }
    }

    /// Adds the changes of the next segment; those that were added before are passed over.
    ///
    /// Errors: `Missing` when positions were left out, `Damaged` when the segment is of another
    /// partition.
    pub fn add(&mut self, object: &str, segment: LogSegment) -> Result<(), ArchiveError> {
        let Fold { course, at_ms, changed, held_bytes, .. } = self;
        course.read_segment(object, segment, |change| {
            if change.commit_ms <= *at_ms {
                put(changed, held_bytes, change);
            }
        })
    }

    /// The last position that the base and the segments added so far hold.
    pub fn covered(&self) -> Position {
        self.course.covered()
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
        let items = self.course.read_chunk(object, chunk)?;
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            while let Some(entry) = self.changed.first_entry().filter(|e| *e.key() < item.key) {
                let (key, state) = entry.remove_entry();
                self.give(&mut out, key, state);
            }
            match self.changed.remove_entry(&item.key) {
                Some((key, state)) => self.give(&mut out, key, state),
                None => {
                    self.given.add(&item);
                    out.push(item);
                }
            }
        }
        Ok(out)
    }

    /// The items of the final state behind the last chunk, by ascending key.
    ///
    /// Error: `Damaged`, for `object` the base's end, when the chunks were not all that it counts.
    pub fn finish(&mut self, object: &str) -> Result<Vec<ArchivedItem>, ArchiveError> {
        self.course.check_end(object)?;
        let mut out = Vec::new();
        for (key, state) in std::mem::take(&mut self.changed) {
            self.give(&mut out, key, state);
        }
        Ok(out)
    }

    /// Moves a key's final state out.
    fn give(&mut self, out: &mut Vec<ArchivedItem>, key: Vec<u8>, state: State) {
        self.held_bytes = self.held_bytes.saturating_sub(held(&key, &state));
        if let Some((image, version)) = state {
            let item = ArchivedItem { key, image, version };
            self.given.add(&item);
            out.push(item);
        }
    }
}

fn put(changed: &mut BTreeMap<Vec<u8>, State>, held_bytes: &mut u64, change: ArchivedChange) {
    let state = change.image.map(|image| (image, change.version));
    let bytes = held(&change.key, &state);
    let key_and_old = changed.get(&change.key).map_or(0, |old| held(&change.key, old));
    *held_bytes = held_bytes.saturating_sub(key_and_old).saturating_add(bytes);
    changed.insert(change.key, state);
}

fn held(key: &[u8], state: &State) -> u64 {
    (key.len() + state.as_ref().map_or(0, |(image, _)| image.len())) as u64
}

//! What was written to a partition between two times: for each key, what it held before and after.
//!
//! As with [`crate::Fold`], first every segment after the base goes through [`Delta::add`], then every
//! chunk of the base through [`Delta::pass_chunk`], then [`Delta::finish`] gives what is left. The base
//! is the one that the state before `from_ms` begins with, so that the two states come of one reading.
//!
//! # Invariants
//!
//! - A key is given exactly when something was committed to it at or after `from_ms` and before `to_ms`,
//!   unless it held nothing before and after.
//! - Keys leave in ascending order, each once.
//! - No position between the base and the last change added is left out.
//!
//! Tested by `delta/tests.rs`, against two folds.

#[cfg(test)]
mod tests;

use crate::base::{BaseChunk, BaseEnd};
use crate::course::Course;
use crate::error::ArchiveError;
use crate::segment::LogSegment;
use std::collections::BTreeMap;

/// What was written to one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The encoded key.
    pub key: Vec<u8>,
    /// The encoded item before; none where there was none.
    pub old: Option<Vec<u8>>,
    /// The encoded item after; none where there is none.
    pub new: Option<Vec<u8>>,
    /// When it was last written, ms since the epoch.
    pub written_ms: u64,
}

/// What is known of a key: its state before the time, if a change since the base says it, and the last
/// write in it.
#[derive(Debug, Clone, Default)]
struct Known {
    before: Option<Option<Vec<u8>>>,
    written: Option<(u64, Option<Vec<u8>>)>,
}

/// The differences of one partition, while they are put together.
#[derive(Debug, Clone)]
pub struct Delta {
    course: Course,
    from_ms: u64,
    to_ms: u64,
    known: BTreeMap<Vec<u8>, Known>,
}

impl Delta {
    /// Begins with a base that holds nothing committed at or after `from_ms`.
    pub fn new(base: BaseEnd, from_ms: u64, to_ms: u64) -> Self {
        Delta { course: Course::new(base), from_ms, to_ms, known: BTreeMap::new() }
    }

    /// Adds the changes of the next segment; those that were added before are passed over.
    ///
    /// Errors: `Missing` when positions were left out, `Damaged` when the segment is of another
    /// partition.
    pub fn add(&mut self, object: &str, segment: LogSegment) -> Result<(), ArchiveError> {
        let Delta { course, from_ms, to_ms, known } = self;
        course.read_segment(object, segment, |change| {
            if change.commit_ms >= *to_ms {
                return;
            }
            let known = known.entry(change.key).or_default();
            if change.commit_ms < *from_ms {
                known.before = Some(change.image);
            } else {
                known.written = Some((change.commit_ms, change.image));
            }
        })
    }

    /// The keys that were written, in order, also those that hold nothing before and after.
    pub fn written(&self) -> impl Iterator<Item = &[u8]> {
        let written = self.known.iter().filter(|(_, known)| known.written.is_some());
        written.map(|(key, _)| key.as_slice())
    }

    /// Passes the base's next chunk; gives what was written to keys up to its last.
    ///
    /// Error: `Damaged` when it is not the next chunk of this base, or its keys are not above those
    /// of the chunk before.
    pub fn pass_chunk(
        &mut self,
        object: &str,
        chunk: BaseChunk,
    ) -> Result<Vec<Difference>, ArchiveError> {
        let mut out = Vec::new();
        for item in self.course.read_chunk(object, chunk)? {
            while let Some(entry) = self.known.first_entry().filter(|e| *e.key() < item.key) {
                let (key, known) = entry.remove_entry();
                out.extend(difference(key, known, None));
            }
            if let Some((key, known)) = self.known.remove_entry(&item.key) {
                out.extend(difference(key, known, Some(item.image)));
            }
        }
        Ok(out)
    }

    /// Gives what was written to keys behind the last chunk.
    ///
    /// Error: `Damaged`, for `object` the base's end, when the chunks were not all that it counts.
    pub fn finish(&mut self, object: &str) -> Result<Vec<Difference>, ArchiveError> {
        self.course.check_end(object)?;
        let rest = std::mem::take(&mut self.known).into_iter();
        Ok(rest.filter_map(|(key, known)| difference(key, known, None)).collect())
    }
}

/// What was written to a key that the base holds as `in_base`.
fn difference(key: Vec<u8>, known: Known, in_base: Option<Vec<u8>>) -> Option<Difference> {
    let (written_ms, new) = known.written?;
    let old = known.before.unwrap_or(in_base);
    (old.is_some() || new.is_some()).then_some(Difference { key, old, new, written_ms })
}

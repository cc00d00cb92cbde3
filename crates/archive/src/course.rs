//! What is read of a partition, in order: every change behind a base, then every chunk of the base.
//!
//! # Invariants
//!
//! - Each change behind the base is given once, and none is left out.
//! - Chunks come in their order, their keys ascend, and in the end they are what the base's end counts.
//!
//! Tested by `fold/tests.rs` and `delta/tests.rs`.

use crate::base::{ArchivedItem, BaseChunk, BaseEnd};
use crate::body::damaged;
use crate::error::ArchiveError;
use crate::segment::{ArchivedChange, LogSegment};
use meridian_base::Position;

/// How much of something there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Items.
    pub items: u64,
    /// Bytes of their keys and images.
    pub bytes: u64,
}

impl Totals {
    pub(crate) fn add(&mut self, item: &ArchivedItem) {
        self.items = self.items.saturating_add(1);
        self.bytes = self.bytes.saturating_add(item.bytes());
    }
}

/// How far a partition is read.
#[derive(Debug, Clone)]
pub(crate) struct Course {
    base: BaseEnd,
    covered: Position,
    next_chunk: u32,
    last_key: Option<Vec<u8>>,
    read: Totals,
}

impl Course {
    pub(crate) fn new(base: BaseEnd) -> Self {
        let (covered, read) = (base.position, Totals::default());
        Course { base, covered, next_chunk: 0, last_key: None, read }
    }

    /// The last position that the base and the segments read so far hold.
    pub(crate) fn covered(&self) -> Position {
        self.covered
    }

    /// Gives each change of the next segment that was not read before.
    ///
    /// Errors: `Missing` when positions were left out, `Damaged` when the segment is of another
    /// partition.
    pub(crate) fn read_segment(
        &mut self,
        object: &str,
        segment: LogSegment,
        mut take: impl FnMut(ArchivedChange),
    ) -> Result<(), ArchiveError> {
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
            take(change);
        }
        Ok(())
    }

    /// Gives the items of the base's next chunk.
    ///
    /// Error: `Damaged` when it is not the next chunk of this base, or its keys are not above those
    /// of the chunk before.
    pub(crate) fn read_chunk(
        &mut self,
        object: &str,
        chunk: BaseChunk,
    ) -> Result<Vec<ArchivedItem>, ArchiveError> {
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
        if let (Some(last), Some(first)) = (&self.last_key, first)
            && first <= last
        {
            return Err(damaged(object, 0, "its first key is not above the chunk before"));
        }
        if let Some(last) = chunk.items.last() {
            self.last_key = Some(last.key.clone());
        }
        chunk.items.iter().for_each(|item| self.read.add(item));
        self.next_chunk = self.next_chunk.saturating_add(1);
        Ok(chunk.items)
    }

    /// Error: `Damaged`, for `object` the base's end, when the chunks were not all that it counts.
    pub(crate) fn check_end(&self, object: &str) -> Result<(), ArchiveError> {
        let counted = Totals { items: self.base.items, bytes: self.base.bytes };
        if self.next_chunk == self.base.chunks && self.read == counted {
            return Ok(());
        }
        let (chunks, Totals { items, bytes }) = (self.next_chunk, self.read);
        let what = format!(
            "it counts {} chunks, {} items and {} bytes, and there are {chunks}, {items} and {bytes}",
            self.base.chunks, counted.items, counted.bytes
        );
        Err(damaged(object, 0, what))
    }
}

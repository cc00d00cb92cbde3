//! Decisions that touch no item: cursors, announcements, freezes, trims, tombstones.
//!
//! # Invariants
//!
//! - A note changes the marks here at once, as applying it will: later requests of the drain see it.
//!
//! Tested by `evaluator/tests.rs` and `changes/tests.rs`.

use super::Evaluator;
use crate::PartitionError;
use crate::command::{Mutation, Note};
use crate::header::{Header, Reader};
use crate::layout;
use crate::record::Tombstone;
use crate::replica::TRIM_MAX;
use meridian_base::{Position, Received, RegionId, Sequence, Version};

impl Evaluator {
    /// Sets how far a reader has read. None when there is no such reader, or when its cursor stands
    /// there or further.
    pub fn cursor(&mut self, reader: Reader, position: Position) -> Option<Sequence> {
        let forward = self.marks.cursors.get(&reader).is_some_and(|held| *held < position);
        forward.then(|| self.note(Note::Cursor { reader, position }))
    }

    /// Starts a reader at the end of the change log, before any later write; none when it reads
    /// already.
    pub fn start_reader(&mut self, reader: Reader) -> Option<Sequence> {
        if self.marks.cursors.contains_key(&reader) {
            return None;
        }
        let position = self.position;
        Some(self.note(Note::Cursor { reader, position }))
    }

    /// Removes a reader; none when there is no such reader.
    pub fn drop_reader(&mut self, reader: Reader) -> Option<Sequence> {
        self.marks.cursors.contains_key(&reader).then(|| self.note(Note::DropCursor { reader }))
    }

    /// Notes what an origin partition announced, once every target partition has committed what
    /// came before it. None when it says nothing new.
    pub fn received(&mut self, received: Received) -> Option<Sequence> {
        let held = self.marks.received.get(&(received.region, received.partition));
        let news = held.is_none_or(|held| {
            let back = received.closed < held.closed || received.stable < held.stable;
            !back && *held != received
        });
        news.then(|| self.note(Note::Received(received)))
    }

    /// Forgets what the partitions of a region announced.
    pub fn forget_region(&mut self, region: u16) -> Option<Sequence> {
        let known = self.marks.received.keys().any(|(from, _)| from.number == region);
        known.then(|| self.note(Note::ForgetRegion { region }))
    }

    /// Freezes the partition: every later write is [`super::Evaluated::Held`]. None when it is
    /// frozen by this epoch or a later one, and while transactions hold items: see
    /// [`Evaluator::refuse_transactions`].
    pub fn freeze_for(&mut self, epoch: u64, target: RegionId) -> Option<Sequence> {
        let newer = self.marks.freeze.is_none_or(|freeze| freeze.epoch < epoch);
        let now = newer && self.transactions.is_quiet();
        now.then(|| self.note(Note::Freeze { epoch, target }))
    }

    /// Takes no new transactions until a time, ms: those under way are to end.
    pub fn refuse_transactions(&mut self, until_ms: u64) {
        self.transactions.refused_until_ms = until_ms;
    }

    /// Takes writes again; none when it is not frozen, or by a later epoch.
    pub fn thaw(&mut self, epoch: u64) -> Option<Sequence> {
        let ours = self.marks.freeze.is_some_and(|freeze| freeze.epoch <= epoch);
        ours.then(|| self.note(Note::Thaw { epoch }))
    }

    /// Removes change records that every reader has read, but none after `upto`; without readers,
    /// all up to there. At most a few thousand a call; none when there are none to remove.
    pub fn trim(&mut self, upto: Position) -> Result<Option<Sequence>, PartitionError> {
        let header = Header::load(self.engine.as_ref(), &self.spec)?;
        let slowest = self.marks.slowest().unwrap_or(header.position);
        let most = Position(header.trimmed.0.saturating_add(TRIM_MAX));
        let upto = upto.min(slowest).min(header.position).min(most);
        Ok((upto > header.trimmed).then(|| self.note(Note::TrimChanges { upto })))
    }

    /// Removes tombstones that are still the ones given: a key that was written since keeps its
    /// newer state. None when none are left to remove.
    pub fn drop_tombstones(
        &mut self,
        stones: &[(Vec<u8>, Version)],
    ) -> Result<Option<Sequence>, PartitionError> {
        let mut keys = Vec::new();
        for (key, version) in stones {
            if self.overlay.get(key).is_some() {
                continue;
            }
            let Some(bytes) = self.engine.get(&layout::tombstone_key(self.spec.table, key))? else {
                continue;
            };
            let stone = Tombstone::decode(&bytes).map_err(PartitionError::corrupt("tombstone"))?;
            if stone.version == *version {
                keys.push(key.clone());
            }
        }
        Ok((!keys.is_empty()).then(|| self.note(Note::DropTombstones { keys })))
    }

    pub(crate) fn note(&mut self, note: Note) -> Sequence {
        self.marks.note(note.clone(), self.position, self.last);
        self.push(Mutation::Note(note), 64)
    }
}

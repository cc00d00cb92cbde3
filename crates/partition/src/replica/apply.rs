//! Applies resolved mutations to one partition.
//!
//! The leader has already decided: nothing here evaluates, reads an item, or can be refused other
//! than by the fence.
//!
//! # Invariants
//!
//! - Item, tombstone, entries of local indexes, change record and header of an entry share one engine
//!   batch.
//! - No decodable command panics, whatever its numbers.
//!
//! Tested by `replica/tests.rs`.

use super::{ApplyOutcome, Entry, PartitionReplica, Payload};
use crate::PartitionError;
use crate::command::{Batch, Command, ItemMutation, Mutation, Note};
use crate::header::{Header, Marks};
use crate::index::projected_bytes;
use crate::layout::{self, PartitionSpec};
use crate::record::{ChangeRecord, Image, Tombstone, encode_item_record, item_of};
use meridian_base::{Cause, Hlc, Incarnation, Origin, Position, RegionId};
use meridian_model::{Item, SecondaryIndex};
use meridian_storage as storage;
use std::sync::Arc;

/// Engine operations after which a call of many entries writes what it has.
const BATCH_OPS: usize = 4096;
/// Most change records that one trim removes.
pub(crate) const TRIM_MAX: u64 = 4096;
/// Conflict records kept for each partition; the oldest go first.
pub(crate) const CONFLICTS_KEPT: u64 = 100_000;
/// Stranded records kept for each partition; the oldest go first.
pub(crate) const STRANDED_KEPT: u64 = 1_000_000;

impl PartitionReplica {
    /// Applies committed entries, in order, and tells what each did.
    ///
    /// # Errors
    ///
    /// The engine's failures, and a command that cannot be read. What was applied before the error
    /// is told by [`PartitionReplica::applied`].
    pub fn apply(&mut self, entries: &[Entry<'_>]) -> Result<Vec<ApplyOutcome>, PartitionError> {
        let mut outcomes = Vec::with_capacity(entries.len());
        let mut staged = Staged::new(self);
        for entry in entries {
            outcomes.push(staged.entry(&self.spec, entry)?);
            if staged.batch.len() >= BATCH_OPS {
                staged.write(self)?;
                staged = Staged::new(self);
            }
        }
        if staged.header.applied != self.header.applied {
            staged.write(self)?;
        }
        Ok(outcomes)
    }
}

/// The effects of entries before they are written.
struct Staged {
    batch: storage::Batch,
    header: Header,
    marks: Arc<Marks>,
    membership: Option<Vec<u8>>,
    last_delete: Position,
}

impl Staged {
    fn new(replica: &PartitionReplica) -> Self {
        Staged {
            batch: storage::Batch::new(),
            header: replica.header,
            marks: Arc::clone(&replica.marks),
            membership: None,
            last_delete: replica.last_delete,
        }
    }

    /// Writes one engine batch and makes it the replica's state.
    fn write(mut self, replica: &mut PartitionReplica) -> Result<(), PartitionError> {
        let partition = replica.spec.partition;
        if !Arc::ptr_eq(&self.marks, &replica.marks) {
            self.batch.put(layout::marks_key(partition), self.marks.encode());
        }
        if let Some(membership) = &self.membership {
            self.batch.put(layout::membership_key(partition), membership.clone());
        }
        self.batch.put(layout::header_key(partition), self.header.encode());
        replica.engine.write(self.batch)?;
        replica.header = self.header;
        replica.marks = self.marks;
        replica.last_delete = self.last_delete;
        if self.membership.is_some() {
            replica.membership = self.membership;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        spec: &PartitionSpec,
        entry: &Entry<'_>,
    ) -> Result<ApplyOutcome, PartitionError> {
        let index = entry.at.index.0;
        if let Some(applied) = self.header.applied
            && applied.index.0.checked_add(1) != Some(index)
        {
            return Err(PartitionError::Order { found: index, applied: applied.index.0 });
        }
        let outcome = match entry.payload {
            Payload::Blank => ApplyOutcome::Blank,
            Payload::Membership(bytes) => {
                self.membership = Some(bytes.to_vec());
                ApplyOutcome::Blank
            }
            Payload::Command(bytes) => {
                let command = Command::decode(bytes)
                    .map_err(|source| PartitionError::Command { index, source })?;
                self.command(spec, command)
            }
        };
        self.header.applied = Some(entry.at);
        Ok(outcome)
    }

    fn command(&mut self, spec: &PartitionSpec, command: Command) -> ApplyOutcome {
        match command {
            Command::Begin { incarnation, floor, region } => self.begin(incarnation, floor, region),
            Command::Batch(batch) if self.follows(&batch) => {
                self.accept(spec, batch);
                ApplyOutcome::Accepted
            }
            Command::Batch(_) => ApplyOutcome::Fenced,
        }
    }

    fn begin(&mut self, incarnation: Incarnation, floor: Hlc, region: RegionId) -> ApplyOutcome {
        if incarnation <= self.header.incarnation {
            return ApplyOutcome::Fenced;
        }
        self.header.incarnation = incarnation;
        self.header.sequence = meridian_base::Sequence(0);
        self.header.region = region;
        self.header.last = self.header.last.max(floor);
        ApplyOutcome::Accepted
    }

    /// The fence: only the successor of the last accepted decision. Before the first `Begin` there is
    /// none.
    fn follows(&self, batch: &Batch) -> bool {
        self.header.incarnation != Incarnation(0)
            && batch.incarnation == self.header.incarnation
            && self.header.sequence.0.checked_add(1) == Some(batch.sequence.0)
    }

    fn accept(&mut self, spec: &PartitionSpec, batch: Batch) {
        self.header.sequence = batch.sequence;
        self.header.committed_ms = self.header.committed_ms.max(batch.commit_ms);
        for mutation in batch.mutations {
            match mutation {
                Mutation::Item(item) => self.item(spec, item, batch.commit_ms),
                Mutation::Rebase { key, state } => self.rebase(spec, &key, &state, batch.commit_ms),
                Mutation::Conflict(record) => {
                    let number = self.header.conflicts;
                    self.header.conflicts = number.saturating_add(1);
                    self.batch.put(layout::conflict_key(spec.partition, number), record.encode());
                    if let Some(old) = number.checked_sub(CONFLICTS_KEPT) {
                        self.batch.delete(layout::conflict_key(spec.partition, old));
                    }
                }
                Mutation::Stranded(record) => {
                    let number = self.header.stranded;
                    self.header.stranded = number.saturating_add(1);
                    self.batch.put(layout::stranded_key(spec.partition, number), record.encode());
                    if let Some(old) = number.checked_sub(STRANDED_KEPT) {
                        self.batch.delete(layout::stranded_key(spec.partition, old));
                    }
                }
                Mutation::Park(parked) => {
                    let (version, key) = (parked.change.version, &parked.change.key);
                    let at = layout::parked_key(spec.partition, version, key);
                    self.batch.put(at, parked.encode());
                }
                Mutation::Unpark { version, key } => {
                    self.batch.delete(layout::parked_key(spec.partition, version, &key));
                }
                Mutation::Intent { key, intent } => {
                    let at = layout::intent_key(spec.partition, &key);
                    match intent {
                        Some(intent) => self.batch.put(at, intent.encode()),
                        None => self.batch.delete(at),
                    }
                }
                Mutation::Decision { id, decision } => {
                    if let Some(token) = &decision.token {
                        let at = layout::token_key(spec.partition, &token.token);
                        self.batch.put(at, id.0.to_be_bytes().to_vec());
                    }
                    let at = layout::decision_key(spec.partition, id);
                    self.batch.put(at, decision.encode());
                }
                Mutation::Forget { id, token } => {
                    self.batch.delete(layout::decision_key(spec.partition, id));
                    if let Some(token) = token {
                        self.batch.delete(layout::token_key(spec.partition, &token));
                    }
                }
                Mutation::Expiry { key, from, to } => {
                    if let Some(due) = from {
                        self.batch.delete(layout::expiry_key(spec.partition, due, &key));
                    }
                    if let Some(due) = to {
                        self.batch.put(layout::expiry_key(spec.partition, due, &key), Vec::new());
                    }
                }
                Mutation::Note(note) => self.note(spec, note),
            }
        }
    }

    fn item(&mut self, spec: &PartitionSpec, item: ItemMutation, commit_ms: u64) {
        let position = self.header.position.next();
        self.header.position = position;
        self.header.last = self.header.last.max(item.version.hlc);
        self.count(&item);
        let origin = item.origin.unwrap_or(Origin {
            region: self.header.region,
            partition: spec.partition,
            incarnation: self.header.incarnation,
            position,
        });
        let remembers = self.marks.is_global() || item.cause == Cause::Replicated;
        let (at, grave) =
            (layout::item_key(spec.table, &item.key), layout::tombstone_key(spec.table, &item.key));
        match &item.image {
            Some(image) => {
                self.batch.put(at, encode_item_record(item.version, &item.base, item.bytes, image));
                if remembers && item.buried {
                    self.batch.delete(grave);
                }
            }
            None => {
                self.last_delete = position;
                self.batch.delete(at);
                if remembers {
                    let (version, base) = (item.version, item.base.clone());
                    let tombstone = Tombstone { version, base, deleted_ms: commit_ms };
                    self.batch.put(grave, tombstone.encode());
                }
            }
        }
        self.index(spec, &item);
        self.log_change(spec, item, origin, commit_ms);
    }

    /// Moves the item's entries in the local indexes. A table that has some keeps old images, so
    /// that nothing is read here.
    fn index(&mut self, spec: &PartitionSpec, item: &ItemMutation) {
        if spec.local.is_empty() {
            return;
        }
        // An image that cannot be read was never made by this program, and has no entries.
        let read = |image: Option<&Image>| image.and_then(|image| item_of(image).ok());
        let (before, after) = (read(item.old.as_ref()), read(item.image.as_ref()));
        for (number, index) in layout::local_numbers(spec) {
            let entry =
                |state: Option<&Item>| state.and_then(|state| index.entry(&item.key, state));
            let (old, new) = (entry(before.as_ref()), entry(after.as_ref()));
            if let Some(held) = self.header.local.get_mut(usize::from(number)) {
                let bytes = |state: Option<&Item>| {
                    state.map_or(0, |state| projected_bytes(&spec.schema, index, state))
                };
                if old.is_some() {
                    held.entries = held.entries.saturating_sub(1);
                    held.bytes = held.bytes.saturating_sub(bytes(before.as_ref()));
                }
                if new.is_some() {
                    held.entries = held.entries.saturating_add(1);
                    held.bytes = held.bytes.saturating_add(bytes(after.as_ref()));
                }
            }
            if old == new {
                continue;
            }
            if let Some(entry) = old {
                self.batch.delete(layout::local_key(spec.table, number, &entry));
            }
            if let Some(entry) = new {
                self.batch.put(layout::local_key(spec.table, number, &entry), Vec::new());
            }
        }
    }

    fn log_change(
        &mut self,
        spec: &PartitionSpec,
        item: ItemMutation,
        origin: Origin,
        commit_ms: u64,
    ) {
        let position = self.header.position;
        if !self.marks.keeps_changes() {
            // Nothing stands at this position, so once all older records are gone, so is it.
            if self.header.trimmed.next() == position {
                self.header.trimmed = position;
            }
            return;
        }
        let record = ChangeRecord {
            position,
            key: item.key,
            old: item.old,
            new: item.image,
            version: item.version,
            base: item.base,
            origin,
            cause: item.cause,
            commit_ms,
            transacted_ms: item.transacted_ms,
        };
        self.batch.put(layout::change_key(spec.partition, position), record.encode());
    }

    fn rebase(
        &mut self,
        spec: &PartitionSpec,
        key: &[u8],
        state: &crate::record::ItemState,
        commit_ms: u64,
    ) {
        match &state.image {
            Some(image) => self.batch.put(
                layout::item_key(spec.table, key),
                encode_item_record(state.version, &state.base, state.bytes, image),
            ),
            None => {
                let (version, base) = (state.version, state.base.clone());
                let tombstone = Tombstone { version, base, deleted_ms: commit_ms };
                self.batch.put(layout::tombstone_key(spec.table, key), tombstone.encode());
            }
        }
    }

    /// Keeps the number and the size of the items.
    fn count(&mut self, item: &ItemMutation) {
        let header = &mut self.header;
        if let Some(bytes) = item.old_bytes {
            header.items = header.items.saturating_sub(1);
            header.item_bytes = header.item_bytes.saturating_sub(bytes);
        }
        if item.image.is_some() {
            header.items = header.items.saturating_add(1);
            header.item_bytes = header.item_bytes.saturating_add(item.bytes);
        }
    }

    fn note(&mut self, spec: &PartitionSpec, note: Note) {
        match note {
            Note::TrimChanges { upto } => self.trim(spec, upto),
            Note::DropTombstones { keys } => {
                for key in keys {
                    self.batch.delete(layout::tombstone_key(spec.table, &key));
                }
            }
            Note::Cursor { .. }
            | Note::DropCursor { .. }
            | Note::Received(_)
            | Note::ForgetRegion { .. }
            | Note::Freeze { .. }
            | Note::Fed { .. }
            | Note::Thaw { .. } => {
                let (position, closed) = (self.header.position, self.header.last);
                Arc::make_mut(&mut self.marks).note(note, position, closed);
            }
        }
    }

    fn trim(&mut self, spec: &PartitionSpec, upto: Position) {
        let from = self.header.trimmed.0;
        let upto = upto.0.min(self.header.position.0).min(from.saturating_add(TRIM_MAX));
        for position in from.saturating_add(1)..=upto {
            self.batch.delete(layout::change_key(spec.partition, Position(position)));
        }
        self.header.trimmed = Position(upto.max(from));
    }
}

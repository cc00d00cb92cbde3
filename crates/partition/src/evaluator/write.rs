//! Evaluates a client's write.
//!
//! # Invariants
//!
//! - A refused condition, a refusal and a write that changes nothing write nothing.
//! - In a table of several regions a put or update that changes nothing is written all the same: its
//!   version must beat an older concurrent write of another region, or that write would silently
//!   undo what was acknowledged here. A delete of nothing never is: it has nothing to protect.
//!
//! Tested by `evaluator/tests.rs` and `evaluator/tests/model.rs`.

use super::expiry::ExpiryMove;
use super::{Evaluated, Evaluator};
use crate::PartitionError;
use crate::command::ItemMutation;
use crate::index;
use crate::record::{ItemState, item_of};
use crate::request::{Action, Done, Refusal, Write, WriteOutcome};
use meridian_base::limits::ITEM_BYTES_MAX;
use meridian_base::{Cause, Sequence};
use meridian_model::{Item, Key, SecondaryIndex, encode_item, item_bytes};

/// The item after a write.
struct After {
    image: Vec<u8>,
    bytes: usize,
    /// The item itself, where it is at hand and asked for.
    item: Option<Item>,
}

/// The item before a write.
struct Before {
    state: Option<ItemState>,
    since: Option<Sequence>,
    item: Option<Item>,
    bytes: usize,
}

/// What a write would do to an item.
pub(super) struct Evaluation {
    state: Option<ItemState>,
    since: Option<Sequence>,
    after: Option<(Vec<u8>, usize)>,
    nothing: bool,
    expiry: ExpiryMove,
    /// What it is answered with.
    pub(super) done: Done,
}

impl Evaluation {
    /// The item after it: its image and its size; none when there is none.
    pub(super) fn becomes(&self) -> Option<(Vec<u8>, u64)> {
        self.after.as_ref().map(|(image, bytes)| (image.clone(), *bytes as u64))
    }
}

impl Evaluator {
    /// Evaluates a write against all that was decided before it.
    pub fn write(
        &mut self,
        write: &Write,
        now_ms: u64,
    ) -> Result<Evaluated<WriteOutcome>, PartitionError> {
        let key = write.key.encode().into_bytes();
        if !self.spec.range.contains(&key) {
            return Ok(Evaluated::Elsewhere);
        }
        if let Some(freeze) = self.marks.freeze {
            return Ok(Evaluated::Held(freeze));
        }
        if self.transactions.holds(&key) {
            let outcome = WriteOutcome::Conflict;
            return Ok(Evaluated::Answer { outcome, after: self.pending() });
        }
        let evaluation = match self.evaluated(write, &key)? {
            Ok(evaluation) => evaluation,
            Err((outcome, after)) => return Ok(Evaluated::Answer { outcome, after }),
        };
        let after = evaluation.since;
        let (done, sequence) = self.carry_out(key, evaluation, now_ms);
        let outcome = WriteOutcome::Done(done);
        Ok(match sequence {
            Some(sequence) => Evaluated::Write { outcome, sequence },
            None => Evaluated::Answer { outcome, after },
        })
    }

    /// What a write would do; or what it is refused with.
    pub(super) fn evaluate(
        &self,
        write: &Write,
        key: &[u8],
    ) -> Result<Result<Evaluation, WriteOutcome>, PartitionError> {
        Ok(self.evaluated(write, key)?.map_err(|(outcome, _)| outcome))
    }

    fn evaluated(
        &self,
        write: &Write,
        key: &[u8],
    ) -> Result<Result<Evaluation, (WriteOutcome, Option<Sequence>)>, PartitionError> {
        let before = self.before(write, key)?;
        if let Some(outcome) = refused_by_condition(write, &before) {
            return Ok(Err((outcome, before.since)));
        }
        Ok(match self.after(write, &before) {
            Ok(after) => Ok(self.evaluation(write, key, before, after)),
            Err(refusal) => Err((WriteOutcome::Refused(refusal), before.since)),
        })
    }

    fn before(&self, write: &Write, key: &[u8]) -> Result<Before, PartitionError> {
        let (state, since) = self.current(key)?;
        let image = state.as_ref().and_then(|state| state.image.as_ref());
        // A plain put or delete need not know what it replaces.
        let wanted = match &write.action {
            Action::Update(_) | Action::UpdateExisting(_) => true,
            Action::Put(_) | Action::Delete | Action::Check => {
                write.condition.is_some() || write.returns.old || self.needs_items()
            }
        };
        let item = match image {
            Some(image) if wanted => Some(item_of(image).map_err(PartitionError::corrupt("item"))?),
            Some(_) | None => None,
        };
        let bytes = state.as_ref().map_or(0, |state| size(state.bytes));
        Ok(Before { state, since, item, bytes })
    }

    /// The item after the write; none when the write deletes it.
    fn after(&self, write: &Write, before: &Before) -> Result<Option<After>, Refusal> {
        match &write.action {
            Action::Delete => Ok(None),
            Action::Check => Ok(before.state.as_ref().and_then(|state| {
                let image = state.image.clone()?;
                Some(After { image, bytes: before.bytes, item: before.item.clone() })
            })),
            Action::Put(item) => {
                let bytes = item_bytes(item);
                if self.is_too_large(&write.key, item, bytes) {
                    return Err(Refusal::ItemTooLarge);
                }
                let kept = self.keeps_item(write).then(|| item.clone());
                Ok(Some(After { image: image_of(item), bytes, item: kept }))
            }
            Action::UpdateExisting(_) if before.item.is_none() => Ok(None),
            Action::Update(update) | Action::UpdateExisting(update) => {
                let updated = match &before.item {
                    Some(item) => update.apply(item),
                    None => update.create(&write.key.to_item(&self.spec.schema)),
                };
                let updated = updated.map_err(|e| Refusal::Expression(e.to_string()))?.item;
                if let Some(name) = self.changed_key(&write.key, &updated) {
                    return Err(Refusal::KeyUpdated(name));
                }
                index::check(self.indexes(), &updated)?;
                let bytes = item_bytes(&updated);
                if self.is_too_large(&write.key, &updated, bytes) {
                    return Err(Refusal::UpdatedItemTooLarge);
                }
                let image = image_of(&updated);
                Ok(Some(After { image, bytes, item: self.keeps_item(write).then_some(updated) }))
            }
        }
    }

    /// Whether an item is over the limit, alone or with its entries in the local indexes.
    fn is_too_large(&self, key: &Key, item: &Item, bytes: usize) -> bool {
        let local = self.spec.local.iter().map(|index| index as &dyn SecondaryIndex);
        let with_entries = || {
            let key = key.encode().into_bytes();
            index::are_too_large(&self.spec.schema, local, &key, (item, bytes))
        };
        bytes > ITEM_BYTES_MAX || (!self.spec.local.is_empty() && with_entries())
    }

    /// Whether the item after the write is needed beside its image.
    fn keeps_item(&self, write: &Write) -> bool {
        write.returns.new || self.needs_items()
    }

    /// The key attribute that an update changed, if it did.
    fn changed_key(&self, key: &Key, updated: &Item) -> Option<String> {
        let wanted = key.to_item(&self.spec.schema);
        wanted.into_iter().find(|(name, value)| updated.get(name) != Some(value)).map(|(n, _)| n)
    }

    fn evaluation(
        &self,
        write: &Write,
        key: &[u8],
        before: Before,
        after: Option<After>,
    ) -> Evaluation {
        let old_image = before.state.as_ref().and_then(|state| state.image.as_ref());
        let unchanged = old_image == after.as_ref().map(|after| &after.image);
        let nothing = unchanged && (after.is_none() || !self.marks.is_global());
        let new = after.as_ref().and_then(|after| after.item.as_ref());
        let old = before.item.as_ref();
        let units = |index| index::write_units(&self.spec.schema, index, key, old, new);
        let local_units = self.spec.local.iter().map(|index| units(index)).collect();
        let global_units = self.global.iter().map(|(id, index)| (*id, units(index))).collect();
        let expiry = self.expiry_move(old, new);
        let new_bytes = after.as_ref().map_or(0, |after| after.bytes);
        let (after, new) = match after {
            Some(after) => (Some((after.image, after.bytes)), after.item),
            None => (None, None),
        };
        let done = Done {
            local_units,
            global_units,
            old: if write.returns.old { before.item } else { None },
            old_bytes: before.bytes,
            new_bytes,
            new: new.filter(|_| write.returns.new),
        };
        let Before { state, since, .. } = before;
        Evaluation { state, since, after, nothing, expiry, done }
    }

    /// Decides what was evaluated; none when it changes nothing.
    pub(super) fn carry_out(
        &mut self,
        key: Vec<u8>,
        evaluation: Evaluation,
        now_ms: u64,
    ) -> (Done, Option<Sequence>) {
        let Evaluation { state, after, nothing, expiry, done, .. } = evaluation;
        if nothing {
            return (done, None);
        }
        self.move_expiry(&key, expiry);
        let version = self.stamp(state.as_ref(), now_ms);
        let base = state.as_ref().map(ItemState::seen).unwrap_or_default();
        let buried = state.as_ref().is_some_and(ItemState::is_grave);
        let had = state.filter(|state| !state.is_grave());
        let (image, bytes) = after.map_or((None, 0), |(image, bytes)| (Some(image), bytes as u64));
        let sequence = self.decide(ItemMutation {
            key,
            image,
            bytes,
            old_bytes: had.as_ref().map(|state| state.bytes),
            old: had.and_then(|state| state.image).filter(|_| self.keeps_old()),
            buried,
            version,
            base,
            origin: None,
            cause: Cause::Write,
            transacted_ms: None,
        });
        (done, Some(sequence))
    }
}

fn refused_by_condition(write: &Write, before: &Before) -> Option<WriteOutcome> {
    let condition = write.condition.as_ref()?;
    let empty = Item::new();
    if condition.matches(before.item.as_ref().unwrap_or(&empty)) {
        return None;
    }
    let old = if write.returns.old_on_failure { before.item.clone() } else { None };
    Some(WriteOutcome::ConditionFailed { old, old_bytes: before.bytes })
}

fn image_of(item: &Item) -> Vec<u8> {
    let mut image = Vec::new();
    encode_item(item, &mut image);
    image
}

/// A stored size, which was counted in memory once.
fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

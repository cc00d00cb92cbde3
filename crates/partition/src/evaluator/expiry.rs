//! Decides when items expire, and takes expired ones away.
//!
//! A partition keeps, beside its items, when each expires, in order of time. What is kept is a hint:
//! an item is taken away only if its attribute says so then.
//!
//! # Invariants
//!
//! - What a write says of an item's expiry is in the same command as the write.
//! - An item is taken away only at or after the time that its attribute holds.
//!
//! Tested by `evaluator/tests/expiry.rs`.

use super::Evaluator;
use crate::PartitionError;
use crate::command::{ItemMutation, Mutation};
use crate::layout;
use crate::record::{ItemState, item_of};
use meridian_base::{Cause, Change, Sequence};
use meridian_model::{AttributeValue, Item};
use meridian_storage::{Control, Range, View};
use std::ops::Bound;

/// An item that is further in the past is not taken away: its attribute is no time (AWS: five years).
const PAST_MAX_S: u64 = 5 * 365 * 24 * 3600;

/// When an item was to expire and is to, seconds since the epoch.
pub(super) type ExpiryMove = (Option<u64>, Option<u64>);

/// When an item expires by this attribute; none where it holds no number of seconds.
pub fn due_s(item: &Item, attribute: &str) -> Option<u64> {
    match item.get(attribute)? {
        AttributeValue::N(number) => number.floor_u64(),
        _ => None,
    }
}

/// An item that is due: its time and its encoded key.
pub type Due = (u64, Vec<u8>);

/// What a partition keeps as due at a time, oldest first, at most `limit`.
pub fn due_items(
    view: &dyn View,
    partition: meridian_base::PartitionId,
    now_s: u64,
    limit: usize,
) -> Result<Vec<Due>, PartitionError> {
    let mut found = Vec::new();
    view.scan(layout::expiries(partition, Some(now_s)), &mut |key, _| {
        found.extend(layout::expiry_of(key).map(|(due, encoded)| (due, encoded.to_vec())));
        if found.len() < limit { Control::Continue(()) } else { Control::Break(()) }
    })?;
    Ok(found)
}

/// Items whose attribute holds a time that is not kept yet, after a key; with the key to go on after.
pub fn unscheduled(
    view: &dyn View,
    spec: &crate::PartitionSpec,
    attribute: &str,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<(Vec<Due>, Option<Vec<u8>>), PartitionError> {
    let whole = layout::items(spec.table, &spec.range);
    let range = match after {
        None => whole,
        Some(key) => Range { start: Bound::Excluded(layout::item_key(spec.table, key)), ..whole },
    };
    let (mut found, mut next, mut read, mut damage) = (Vec::new(), None, 0usize, None);
    view.scan(range, &mut |key, value| {
        let encoded = layout::encoded_of(key);
        let due = crate::index::stored(value).map(|item| due_s(&item, attribute));
        let kept = due.and_then(|due| match due {
            None => Ok(None),
            Some(due) => {
                let at = layout::expiry_key(spec.partition, due, encoded);
                Ok(view.get(&at)?.is_none().then_some(due))
            }
        });
        match kept {
            Ok(Some(due)) => found.push((due, encoded.to_vec())),
            Ok(None) => {}
            Err(error) => {
                damage = Some(error);
                return Control::Break(());
            }
        }
        read += 1;
        if read < limit {
            return Control::Continue(());
        }
        next = Some(encoded.to_vec());
        Control::Break(())
    })?;
    damage.map_or(Ok((found, next)), Err)
}

impl Evaluator {
    /// What a write changes of an item's expiry.
    pub(super) fn expiry_move(&self, before: Option<&Item>, after: Option<&Item>) -> ExpiryMove {
        let Some(attribute) = &self.ttl else { return (None, None) };
        let due = |item: Option<&Item>| item.and_then(|item| due_s(item, attribute));
        (due(before), due(after))
    }

    /// What a replicated change changes of an item's expiry.
    pub(super) fn replicated_expiry(
        &self,
        change: &Change,
        stored: Option<&ItemState>,
    ) -> Result<ExpiryMove, PartitionError> {
        if self.ttl.is_none() {
            return Ok((None, None));
        }
        let read = |image: Option<&Vec<u8>>| {
            let item = image.map(|image| item_of(image)).transpose();
            item.map_err(PartitionError::corrupt("replicated image"))
        };
        let before = read(stored.and_then(|state| state.image.as_ref()))?;
        let after = read(change.image.as_ref())?;
        Ok(self.expiry_move(before.as_ref(), after.as_ref()))
    }

    /// Adds to the open drain what a write changes of an item's expiry.
    pub(super) fn move_expiry(&mut self, key: &[u8], (from, to): ExpiryMove) {
        if from != to {
            self.push(Mutation::Expiry { key: key.to_vec(), from, to }, key.len());
        }
    }

    /// Takes away those of the items that are expired; of the others what is kept is put right. None
    /// when there is nothing to do.
    pub fn expire(
        &mut self,
        due: Vec<Due>,
        now_ms: u64,
    ) -> Result<Option<Sequence>, PartitionError> {
        let now_s = now_ms / 1000;
        let mut sequence = None;
        for (kept, key) in due {
            let held = self.marks.freeze.is_some() || self.transactions.holds(&key);
            if held || !self.spec.range.contains(&key) {
                continue;
            }
            let (state, _) = self.current(&key)?;
            let image = state.as_ref().and_then(|state| state.image.as_ref());
            let item = image.map(|image| item_of(image)).transpose();
            let item = item.map_err(PartitionError::corrupt("item"))?;
            let (says, _) = self.expiry_move(item.as_ref(), None);
            let past = now_s.saturating_sub(PAST_MAX_S);
            let is_expired = says.is_some_and(|due| due <= now_s && due >= past);
            let to = says.filter(|due| !is_expired && *due != kept && *due >= past);
            sequence = Some(
                self.push(Mutation::Expiry { key: key.clone(), from: Some(kept), to }, key.len()),
            );
            if is_expired && let Some(state) = state {
                let version = self.stamp(Some(&state), now_ms);
                sequence = Some(self.decide(ItemMutation {
                    key,
                    image: None,
                    bytes: 0,
                    old_bytes: Some(state.bytes),
                    base: state.seen(),
                    old: state.image.filter(|_| self.keeps_old()),
                    buried: false,
                    version,
                    origin: None,
                    cause: Cause::Ttl,
                    transacted_ms: None,
                }));
            }
        }
        Ok(sequence)
    }

    /// Keeps when these items expire, as far as they still say so. None when there is nothing to do.
    pub fn schedule(&mut self, items: Vec<Due>) -> Result<Option<Sequence>, PartitionError> {
        let mut sequence = None;
        for (due, key) in items {
            let (state, _) = self.current(&key)?;
            let image = state.as_ref().and_then(|state| state.image.as_ref());
            let item = image.map(|image| item_of(image)).transpose();
            let item = item.map_err(PartitionError::corrupt("item"))?;
            if self.expiry_move(item.as_ref(), None).0 == Some(due) {
                let bytes = key.len();
                sequence =
                    Some(self.push(Mutation::Expiry { key, from: None, to: Some(due) }, bytes));
            }
        }
        Ok(sequence)
    }
}

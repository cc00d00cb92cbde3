//! Decided states that are not applied yet.

use crate::record::ItemState;
use meridian_base::Sequence;
use std::collections::{BTreeMap, VecDeque};

/// The newest decided state of each key that has one in flight.
#[derive(Default)]
pub(super) struct Overlay {
    states: BTreeMap<Vec<u8>, (Sequence, ItemState)>,
    order: VecDeque<(Sequence, Vec<u8>)>,
}

impl Overlay {
    /// The state of a key and the decision that made it.
    pub(super) fn get(&self, key: &[u8]) -> Option<(Sequence, &ItemState)> {
        self.states.get(key).map(|(sequence, state)| (*sequence, state))
    }

    /// The last key of them.
    pub(super) fn last_key(&self) -> Option<&[u8]> {
        self.states.last_key_value().map(|(key, _)| key.as_slice())
    }

    /// Adds a state. Sequences never go back.
    pub(super) fn put(&mut self, key: Vec<u8>, sequence: Sequence, state: ItemState) {
        self.order.push_back((sequence, key.clone()));
        self.states.insert(key, (sequence, state));
    }

    /// Drops what the engine now holds.
    pub(super) fn applied(&mut self, upto: Sequence) {
        while self.order.front().is_some_and(|(sequence, _)| *sequence <= upto)
            && let Some((_, key)) = self.order.pop_front()
        {
            if self.states.get(&key).is_some_and(|(sequence, _)| *sequence <= upto) {
                self.states.remove(&key);
            }
        }
    }
}

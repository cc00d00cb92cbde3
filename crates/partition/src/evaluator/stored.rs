//! What is stored of an item, as decided so far.
//!
//! # Invariants
//!
//! - Above a ceiling that is known there is nothing: no item and no tombstone, neither applied nor
//!   decided. So whoever writes in order of keys, as a restore does, is not held up by looking.
//!
//! Tested by `evaluator/tests.rs`, against a naive model that looks.

use super::Evaluator;
use crate::PartitionError;
use crate::layout;
use crate::record::{ItemState, Tombstone, decode_item_record};
use meridian_base::Sequence;
use meridian_storage::Control;

/// The last key of which something is stored, once it was looked for.
#[derive(Default)]
pub(super) struct Ceiling(Option<Vec<u8>>);

impl Ceiling {
    fn is_below(&self, key: &[u8]) -> bool {
        self.0.as_deref().is_some_and(|last| last < key)
    }

    /// Something is to be stored of a key.
    pub(super) fn raise(&mut self, key: &[u8]) {
        if self.is_below(key) {
            self.0 = Some(key.to_vec());
        }
    }
}

impl Evaluator {
    /// The state of a key as decided so far, and the decision that made it, if it is not applied.
    pub(crate) fn current(
        &self,
        key: &[u8],
    ) -> Result<(Option<ItemState>, Option<Sequence>), PartitionError> {
        if self.ceiling.is_below(key) {
            return Ok((None, None));
        }
        if let Some((sequence, state)) = self.overlay.get(key) {
            return Ok((Some(state.clone()), Some(sequence)));
        }
        if let Some(bytes) = self.engine.get(&layout::item_key(self.spec.table, key))? {
            let state = decode_item_record(&bytes).map_err(PartitionError::corrupt("item"))?;
            return Ok((Some(state), None));
        }
        // A table of one region keeps no tombstones, and an insert need not look for one.
        Ok((if self.marks.is_global() { self.grave(key)? } else { None }, None))
    }

    /// Like `current`, with the tombstone whether or not the table is known to be global here.
    pub(super) fn current_or_grave(
        &self,
        key: &[u8],
    ) -> Result<(Option<ItemState>, Option<Sequence>), PartitionError> {
        let (state, after) = self.current(key)?;
        if state.is_some() || self.marks.is_global() || self.ceiling.is_below(key) {
            return Ok((state, after));
        }
        Ok((self.grave(key)?, after))
    }

    /// The tombstone of a key in the engine.
    fn grave(&self, key: &[u8]) -> Result<Option<ItemState>, PartitionError> {
        let bytes = self.engine.get(&layout::tombstone_key(self.spec.table, key))?;
        let stone = bytes.map(|bytes| Tombstone::decode(&bytes)).transpose();
        let stone = stone.map_err(PartitionError::corrupt("tombstone"))?;
        Ok(stone.map(Tombstone::into_state))
    }

    /// Looks for the ceiling, if it is not known.
    pub(super) fn find_ceiling(&mut self) -> Result<(), PartitionError> {
        if self.ceiling.0.is_some() {
            return Ok(());
        }
        let mut last = self.overlay.last_key().unwrap_or_default().to_vec();
        let (table, keys) = (self.spec.table, &self.spec.range);
        for range in [layout::items(table, keys), layout::tombstones(table, keys)] {
            self.engine.scan(range.reversed(), &mut |key, _| {
                let key = layout::encoded_of(key);
                if key > last.as_slice() {
                    last = key.to_vec();
                }
                Control::Break(())
            })?;
        }
        self.ceiling = Ceiling(Some(last));
        Ok(())
    }
}

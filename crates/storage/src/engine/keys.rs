//! How the caller's keys lie among ours in a library's one tree.
//!
//! A key of the caller is stored behind the byte 1; keys of our own begin with 0.

use super::{Batch, Op, Range};
use crate::StorageError;
use std::ops::Bound;

/// Longest key, bytes: fjall stores a length of 16 bits.
pub const KEY_BYTES_MAX: usize = 60_000;

/// The number of the last persist.
pub(super) const PERSISTED: &[u8] = &[0, b'p'];

const CALLERS: u8 = 1;

/// The stored form of a caller's key.
pub(super) fn stored(key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.len() + 1);
    out.push(CALLERS);
    out.extend_from_slice(key);
    out
}

/// The caller's key in a stored one; `None` for one of ours.
pub(super) fn callers(stored: &[u8]) -> Option<&[u8]> {
    stored.split_first().filter(|(first, _)| **first == CALLERS).map(|(_, key)| key)
}

/// The stored form of a caller's range: only caller's keys are in it.
pub(super) fn stored_range(range: &Range) -> Range {
    let start = match &range.start {
        Bound::Included(key) => Bound::Included(stored(key)),
        Bound::Excluded(key) => Bound::Excluded(stored(key)),
        Bound::Unbounded => Bound::Included(vec![CALLERS]),
    };
    let end = match &range.end {
        Bound::Included(key) => Bound::Included(stored(key)),
        Bound::Excluded(key) => Bound::Excluded(stored(key)),
        Bound::Unbounded => Bound::Excluded(vec![CALLERS + 1]),
    };
    Range { start, end, reverse: range.reverse }
}

/// Refuses a batch with a key that is too long.
pub(super) fn check(batch: &Batch) -> Result<(), StorageError> {
    let key = |op: &Op| match op {
        Op::Put(key, _) | Op::Delete(key) => key.len(),
    };
    match batch.ops.iter().map(key).max() {
        Some(bytes) if bytes > KEY_BYTES_MAX => {
            Err(StorageError::TooLarge { bytes, limit: KEY_BYTES_MAX })
        }
        Some(_) | None => Ok(()),
    }
}

//! Once everything is healed, every key takes a write and answers a strong read in time.

use crate::recorder::Record;
use meridian_checker::{Operation, Reply};

/// The property's name.
pub const NAME: &str = "liveness";

fn last(record: &Record, key: u32) -> Option<Operation> {
    let key = usize::try_from(key).ok()?;
    record.histories.keys.get(key)?.last().copied()
}

/// Notes what the last strong read of a key gave.
pub fn note_final(record: &mut Record, key: u32) {
    match last(record, key).map(|operation| operation.reply) {
        Some(Reply::Got(state)) => {
            let slot =
                usize::try_from(key).ok().and_then(|at| record.histories.finally.get_mut(at));
            if let Some(slot) = slot {
                *slot = Some(state);
            }
        }
        other => record.violation(NAME, format!("key {key} is not read after healing: {other:?}")),
    }
}

/// Notes how the last write of a key ended.
pub fn note_write(record: &mut Record, key: u32) {
    let reply = last(record, key).map(|operation| operation.reply);
    if reply != Some(Reply::Done) {
        let detail = format!("key {key} takes no write after healing: {reply:?}");
        record.violation(NAME, detail);
    }
}

//! Acknowledged writes survive, once: every acknowledged value is in the committed log, no value is
//! there twice, none of a write that failed is, and what a key holds in the end explains all
//! acknowledged writes.

use crate::recorder::Record;
use crate::requests::value_of;
use meridian_checker::{Reply, Value, check_durable};
use meridian_model::decode_item;
use meridian_partition::{ApplyOutcome, Command, Mutation};
use std::collections::BTreeMap;

/// The property's name.
pub const NAME: &str = "acknowledged-writes-survive";

/// Checks it.
pub fn check(record: &mut Record) {
    let mut found = Vec::new();
    let written = written(record, &mut found);
    for (key, calls) in record.histories.keys.iter().enumerate() {
        for operation in calls {
            if let (Reply::Done, Some(Some(value))) = (operation.reply, operation.written())
                && !written.contains_key(&value)
            {
                found.push(format!("key {key}: {} was acknowledged and is not there", value.0));
            }
        }
        let refused =
            calls.iter().filter(|one| matches!(one.reply, Reply::Failed | Reply::Refused(_)));
        for value in refused.filter_map(new_value).filter(|value| written.contains_key(value)) {
            found.push(format!("key {key}: {} was refused and is there", value.0));
        }
        let Some(Some(finally)) = record.histories.finally.get(key) else { continue };
        let verdict = check_durable(None, calls, *finally);
        if !verdict.lost.is_empty() || verdict.foreign {
            found.push(format!("key {key} holds {finally:?} in the end: {verdict:?}"));
        }
    }
    found.into_iter().for_each(|detail| record.violation(NAME, detail));
}

fn new_value(operation: &meridian_checker::Operation) -> Option<Value> {
    match operation.call {
        meridian_checker::Call::Get => None,
        meridian_checker::Call::Put(new) | meridian_checker::Call::PutIf { new, .. } => new,
    }
}

/// The values in the committed log, with how often each is there.
fn written(record: &Record, found: &mut Vec<String>) -> BTreeMap<Value, u32> {
    let mut written: BTreeMap<Value, u32> = BTreeMap::new();
    for (_, command, outcome) in record.commands() {
        let Command::Batch(batch) = command else { continue };
        if outcome != ApplyOutcome::Accepted {
            continue;
        }
        for mutation in batch.mutations {
            let Mutation::Item(item) = mutation else { continue };
            let Some(image) = item.image else { continue };
            match decode_item(&mut meridian_base::codec::Reader::new(&image)) {
                Ok(item) => {
                    if let Some(value) = value_of(&item) {
                        *written.entry(value).or_default() += 1;
                    }
                }
                Err(error) => found.push(format!("a committed item cannot be read: {error}")),
            }
        }
    }
    for (value, times) in written.iter().filter(|(_, times)| **times > 1) {
        found.push(format!("{} was written {times} times", value.0));
    }
    written
}

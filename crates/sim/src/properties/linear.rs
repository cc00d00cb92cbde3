//! Strong reads, acknowledged writes and refused conditions are linearizable, key by key.

use crate::recorder::Record;
use meridian_checker::{SEARCH_STEPS_MAX, Verdict, check_register};

/// The property's name.
pub const NAME: &str = "linearizable";

/// Checks it.
pub fn check(record: &mut Record) {
    let mut found = Vec::new();
    for (key, calls) in record.histories.keys.iter().enumerate() {
        match check_register(None, calls, SEARCH_STEPS_MAX) {
            Verdict::Linearizable => {}
            Verdict::Violated(violation) => {
                let call = calls.get(violation.operation);
                found.push(format!("key {key}: {violation}: {call:?}"));
            }
            Verdict::Undecided => found.push(format!("key {key}: the checker gave up")),
        }
    }
    found.into_iter().for_each(|detail| record.violation(NAME, detail));
}

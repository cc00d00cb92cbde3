//! The fence holds: no decision that was evaluated over a dropped one takes effect. An accepted
//! batch is the successor of the last accepted one of the incarnation that began last.

use crate::recorder::Record;
use meridian_base::{Incarnation, Sequence};
use meridian_partition::{ApplyOutcome, Command};

/// The property's name.
pub const NAME: &str = "fence";

/// Checks it.
pub fn check(record: &mut Record) {
    let (mut incarnation, mut sequence) = (Incarnation(0), Sequence(0));
    let mut found = Vec::new();
    for (index, command, outcome) in record.commands() {
        let accepted = outcome == ApplyOutcome::Accepted;
        match command {
            Command::Begin { incarnation: begins, .. } if accepted => {
                if begins <= incarnation {
                    found.push(format!("log index {index} begins {begins} after {incarnation}"));
                }
                (incarnation, sequence) = (begins, Sequence(0));
            }
            Command::Batch(batch) => {
                let follows =
                    batch.incarnation == incarnation && batch.sequence.0 == sequence.0 + 1;
                if accepted {
                    (incarnation, sequence) = (batch.incarnation, batch.sequence);
                }
                if accepted != follows {
                    found.push(format!(
                        "log index {index}, decision {} of incarnation {}, is {outcome:?}",
                        batch.sequence, batch.incarnation
                    ));
                }
            }
            Command::Begin { .. } => {}
        }
    }
    found.into_iter().for_each(|detail| record.violation(NAME, detail));
}

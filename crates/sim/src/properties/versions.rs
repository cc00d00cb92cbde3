//! Versions grow: every write of a partition has a greater version than all before it and than the
//! floor of its incarnation, whatever the clocks say.

use crate::recorder::Record;
use meridian_base::Hlc;
use meridian_partition::{ApplyOutcome, Command, Mutation};

/// The property's name.
pub const NAME: &str = "versions-grow";

/// Checks it.
pub fn check(record: &mut Record) {
    let mut last = Hlc(0);
    let mut found = Vec::new();
    for (index, command, outcome) in record.commands() {
        if outcome != ApplyOutcome::Accepted {
            continue;
        }
        match command {
            Command::Begin { floor, .. } => last = last.max(floor),
            Command::Batch(batch) => {
                for mutation in batch.mutations {
                    let Mutation::Item(item) = mutation else { continue };
                    if item.version.hlc <= last {
                        let version = item.version;
                        found.push(format!("log index {index}: {version} does not exceed {last}"));
                    }
                    last = last.max(item.version.hlc);
                }
            }
        }
    }
    found.into_iter().for_each(|detail| record.violation(NAME, detail));
}

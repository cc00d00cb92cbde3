//! Replicas agree at each position: that they apply the same entries with the same outcomes and
//! reach the same states is compared as they apply them; here, that no position was left out.

use crate::recorder::Record;
use meridian_base::LogIndex;

/// The property's name.
pub const NAME: &str = "replicas-agree";

/// Checks it.
pub fn check(record: &mut Record) {
    let first = record.entries.keys().next().map_or(0, |index| index.0);
    let missing = (first..).zip(record.entries.keys()).find(|(want, LogIndex(got))| want != got);
    if let Some((want, got)) = missing {
        record.violation(NAME, format!("no replica applied log index {want}, one applied {got}"));
    }
}

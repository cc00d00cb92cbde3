//! What must hold in every run, one property a file.

pub mod agree;
pub mod durable;
pub mod fence;
pub mod linear;
pub mod live;
pub mod versions;

use crate::recorder::Record;

/// Checks what can be told only when a run is over. Replicas that disagree are found while it runs.
pub fn check(record: &mut Record) {
    agree::check(record);
    fence::check(record);
    versions::check(record);
    durable::check(record);
    linear::check(record);
}

//! What the answer to UpdateTable shows of changes that the service makes after it.
//!
//! On the service an index whose throughput changes is UPDATING with the throughput that it had, and
//! warm throughput is UPDATING with the values that it had, while the table stays ACTIVE; what a replica
//! is to have of its own is not shown yet. Here the
//! change is made when the answer is given; the answer is the service's all the same.
//!
//! Tested by `global_indexes.txt` and `table_settings.txt`.

use std::collections::BTreeSet;

use meridian_control::region::{IndexRecord, TableRecord};
use meridian_control::table::{IndexStatus, TableStatus};

use crate::settings::warm_shown;

/// Whose warm throughput is changing.
#[derive(Debug, Default)]
pub struct Warming {
    /// The table's.
    pub table: bool,
    /// That of global indexes, by name.
    pub indexes: BTreeSet<String>,
}

/// The table as the answer to its change shows it, and whose warm throughput is changing.
pub fn shown(before: &TableRecord, after: &TableRecord) -> (TableRecord, Warming) {
    let (mut table, mut warming) = (after.clone(), Warming::default());
    let warm = |table: &TableRecord| {
        let definition = &table.definition;
        warm_shown(definition.warm, definition.billing, definition.throughput)
    };
    if after.status == TableStatus::Active && warm(before) != warm(after) {
        table.definition.warm = Some(warm(before));
        warming.table = true;
    }
    table.definition.overrides.clone_from(&before.definition.overrides);
    // An index without entries may be gone already.
    for (place, old) in before.indexes.iter().enumerate() {
        if table.index(old.name()).is_none() {
            let going = IndexRecord { status: IndexStatus::Deleting, ..old.clone() };
            table.indexes.insert(place.min(table.indexes.len()), going);
        }
    }
    let billing = (before.definition.billing, after.definition.billing);
    for index in &mut table.indexes {
        let Some(old) = before.index(index.name()) else { continue };
        let new = index.definition.clone();
        if index.status == IndexStatus::Active && new.is_updated_from(&old.definition) {
            index.status = IndexStatus::Updating;
        }
        if billing.0 != billing.1 {
            continue;
        }
        index.definition.throughput = old.definition.throughput;
        index.throughput_raised_ms = old.throughput_raised_ms;
        index.throughput_lowered_ms = old.throughput_lowered_ms;
        index.throughput_decreases = old.throughput_decreases;
        if new.warm != old.definition.warm {
            index.definition.warm = old.definition.warm;
            warming.indexes.insert(new.index.name);
        }
    }
    (table, warming)
}

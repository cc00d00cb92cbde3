//! Two tables change their names with each other, in one step: a restored table takes the place of the
//! one that it was restored from.
//!
//! # Invariants
//!
//! - No request finds neither table, or both, under a name: one command moves both.
//! - Everything but the names stays with the table: its id, items, indexes, stream and archive.
//!
//! Tested by `swap_tests.rs`.

use super::command::{CommandResult, Done, Refusal};
use super::{RegionState, TableRecord};
use crate::table::{IndexStatus, TableStatus};

impl RegionState {
    pub(super) fn swap_tables(&mut self, first: &str, second: &str) -> CommandResult {
        let (one, other) = (self.swappable(first)?.id, self.swappable(second)?.id);
        if one == other {
            return Err(Refusal::SameTable);
        }
        let moved = |table: &TableRecord| {
            let of = table.index_of.unwrap_or(table.id);
            let (old, new) = match of {
                of if of == one => (first, second),
                of if of == other => (second, first),
                _ => return None,
            };
            // The entries of an index are kept under `table/index`.
            Some(format!("{new}{}", table.name.strip_prefix(old)?))
        };
        let tables = std::mem::take(&mut self.tables);
        let renamed = tables.into_values().map(|mut table| {
            if let Some(name) = moved(&table) {
                table.name = name;
            }
            (table.name.clone(), table)
        });
        self.tables = renamed.collect();
        Ok(Done::Table(one))
    }

    /// A table whose name may go to another: nothing is under way that knows it by its name, here or
    /// in another region.
    fn swappable(&self, name: &str) -> Result<&TableRecord, Refusal> {
        let table = self.tables.get(name).filter(|table| table.index_of.is_none());
        let table = table.ok_or(Refusal::TableNotFound)?;
        match table.status {
            TableStatus::Active => {}
            TableStatus::Creating | TableStatus::Updating | TableStatus::Deleting => {
                return Err(Refusal::InUse { status: table.status });
            }
        }
        if table.indexes.iter().any(|index| index.status != IndexStatus::Active) {
            return Err(Refusal::IndexBusy);
        }
        if table.global.is_some() {
            return Err(Refusal::Replicated);
        }
        Ok(table)
    }
}

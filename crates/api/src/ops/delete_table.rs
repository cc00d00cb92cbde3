//! DeleteTable.

use meridian_control::table::{IndexStatus, TableStatus};
use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::context::RequestContext;
use crate::errors::{change, in_use, still_in_use, table_not_found};
use crate::{describe, tables};

/// Answers DeleteTable.
pub async fn run(
    backend: &dyn Backend,
    context: &RequestContext,
    mut fields: Fields,
) -> Result<Vec<u8>, ApiError> {
    let name = tables::take_name(&mut fields);
    let known = backend.table(&name).ok_or_else(|| table_not_found(&name))?;
    match known.status {
        TableStatus::Active => {}
        TableStatus::Updating => {
            return Err(still_in_use(&format!(
                "Table: {name} is in the process of being updated."
            )));
        }
        status => return Err(in_use(status, &name)),
    }
    if known.indexes.iter().any(|index| index.status != IndexStatus::Active) {
        return Err(still_in_use(
            "Cannot delete table while indexes are being created, updated, or deleted.",
        ));
    }
    let table = backend.delete_table(&name).await.map_err(|error| change(error, &name))?;
    let size = backend.table_size(&table).await;
    Ok(describe::deleted(context, &table, size))
}

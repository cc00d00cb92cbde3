//! DeleteTable.

use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::context::RequestContext;
use crate::errors::{change, table_not_found};
use crate::{busy, describe, tables};

/// Answers DeleteTable.
pub async fn run(
    backend: &dyn Backend,
    context: &RequestContext,
    mut fields: Fields,
) -> Result<Vec<u8>, ApiError> {
    let name = tables::take_name(&mut fields);
    let known = backend.table(&name).ok_or_else(|| table_not_found(&name))?;
    busy::check_delete(&known)?;
    let table = backend.delete_table(&name).await.map_err(|error| change(error, &name))?;
    let size = backend.table_size(&table).await;
    Ok(describe::deleted(context, &table, size))
}

//! DescribeTable.

use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::context::RequestContext;
use crate::errors::table_not_found;
use crate::{describe, tables};

/// Answers DescribeTable.
pub async fn run(
    backend: &dyn Backend,
    context: &RequestContext,
    mut fields: Fields,
) -> Result<Vec<u8>, ApiError> {
    let name = tables::take_name(&mut fields);
    let table = backend.table(&name).ok_or_else(|| table_not_found(&name))?;
    let size = backend.table_size(&table).await;
    Ok(describe::answer("Table", context, &table, size))
}

//! DescribeGlobalTable.
//!
//! Tested by `global_tables.txt`.

use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::context::RequestContext;
use crate::global_tables;

/// Answers DescribeGlobalTable.
pub fn run(
    backend: &dyn Backend,
    context: &RequestContext,
    mut fields: Fields,
) -> Result<Vec<u8>, ApiError> {
    let name = global_tables::take_name(&mut fields);
    let (table, global) = global_tables::find(backend, &name)?;
    Ok(global_tables::answer(context, &table, &global))
}

//! DescribeTableReplicaAutoScaling: the settings that are stored; nothing scales by itself.
//!
//! Tested by `global_tables.txt`; of a global table by `tests/scaling.rs`.

use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::context::RequestContext;
use crate::{global_tables, scaling, tables};

/// Answers DescribeTableReplicaAutoScaling.
pub fn run(
    backend: &dyn Backend,
    context: &RequestContext,
    mut fields: Fields,
) -> Result<Vec<u8>, ApiError> {
    let name = tables::take_name(&mut fields);
    let found = global_tables::find(backend, &name);
    let (table, global) =
        found.map_err(|_| ApiError::ResourceNotFound(global_tables::absent(&name)))?;
    Ok(scaling::answer(context, &table, &global))
}

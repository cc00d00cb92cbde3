//! DescribeKinesisStreamingDestination: a table has none, since none can be added.
//!
//! Tested by `global_tables.txt`.

use meridian_wire::json::{Array, Object};
use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::errors::table_not_found;
use crate::tables;

/// Answers DescribeKinesisStreamingDestination.
pub fn run(backend: &dyn Backend, mut fields: Fields) -> Result<Vec<u8>, ApiError> {
    let name = tables::take_name(&mut fields);
    let table = backend.table(&name).ok_or_else(|| table_not_found(&name))?;
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    Array::open(answer.key("KinesisDataStreamDestinations")).close();
    answer.text("TableName", &table.name);
    answer.close();
    Ok(out)
}

//! DescribeImport.

use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::context::RequestContext;
use crate::imports;
use crate::jobs::{Kind, read_arn};

/// Answers DescribeImport: also after the table is gone.
pub fn run(
    backend: &dyn Backend,
    context: &RequestContext,
    mut fields: Fields,
) -> Result<Vec<u8>, ApiError> {
    let arn = fields.take_text("ImportArn").unwrap_or_default();
    let (table, id) = read_arn(Kind::Import, &context.region, &arn)?;
    let import = backend.import(id).filter(|import| import.request.table_name == table);
    let import = import.ok_or_else(|| Kind::Import.unknown(&arn))?;
    Ok(imports::describe(context, &import))
}

//! DescribeExport.

use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::context::RequestContext;
use crate::exports;
use crate::jobs::{Kind, read_arn};

/// Answers DescribeExport: also after the table is gone.
pub fn run(
    backend: &dyn Backend,
    context: &RequestContext,
    mut fields: Fields,
) -> Result<Vec<u8>, ApiError> {
    let arn = fields.take_text("ExportArn").unwrap_or_default();
    let (table, id) = read_arn(Kind::Export, &context.region, &arn)?;
    let export = backend.export(id).filter(|export| export.table_name == table);
    let export = export.ok_or_else(|| Kind::Export.unknown(&arn))?;
    Ok(exports::describe(context, &export))
}

//! ListExports.

use meridian_wire::json::{Array, Object};
use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::context::RequestContext;
use crate::exports;
use crate::jobs::{Kind, Page, read_table_arn};

/// Answers ListExports: the newest first. Those of a named table are not listed once it is gone.
pub fn run(
    backend: &dyn Backend,
    context: &RequestContext,
    mut fields: Fields,
) -> Result<Vec<u8>, ApiError> {
    let page = Page::take(Kind::Export, &mut fields, "MaxResults")?;
    let found = match fields.take_text("TableArn") {
        None => backend.exports(None, page.after, page.limit + 1),
        Some(arn) => match backend.table(read_table_arn(&arn)?) {
            Some(table) => backend.exports(Some(table.id), page.after, page.limit + 1),
            None => Vec::new(),
        },
    };
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    let mut list = Array::open(answer.key("ExportSummaries"));
    for export in found.iter().take(page.limit) {
        let mut one = Object::open(list.element());
        one.text("ExportArn", &exports::export_arn(&context.region, export));
        one.text("ExportStatus", exports::status(export));
        one.text("ExportType", exports::type_name(export));
        one.close();
    }
    list.close();
    if let Some(last) = page.last(&found) {
        answer.text("NextToken", &page.token(last.id));
    }
    answer.close();
    Ok(out)
}

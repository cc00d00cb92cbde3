//! ListImports.

use meridian_wire::json::{Array, Object};
use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::context::RequestContext;
use crate::imports;
use crate::jobs::{Kind, Page, read_table_arn};

/// Answers ListImports: the newest first. Those of a named table are listed also when it is gone.
pub fn run(
    backend: &dyn Backend,
    context: &RequestContext,
    mut fields: Fields,
) -> Result<Vec<u8>, ApiError> {
    let page = Page::take(Kind::Import, &mut fields, "PageSize")?;
    let arn = fields.take_text("TableArn");
    let table = arn.as_deref().map(read_table_arn).transpose()?;
    let found = backend.imports(table, page.after, page.limit + 1);
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    let mut list = Array::open(answer.key("ImportSummaryList"));
    for import in found.iter().take(page.limit) {
        imports::summarize(list.element(), context, import);
    }
    list.close();
    if let Some(last) = page.last(&found) {
        answer.text("NextToken", &page.token(last.id));
    }
    answer.close();
    Ok(out)
}

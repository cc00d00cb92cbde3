//! ListContributorInsights.

use meridian_wire::json::{Array, Object};
use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::insights;

/// Summaries of a page where the request names no number.
const PAGE_MAX: usize = 100;

/// Answers ListContributorInsights: the tables whose switch was ever touched, or the named one.
pub fn run(backend: &dyn Backend, mut fields: Fields) -> Result<Vec<u8>, ApiError> {
    let after = fields.take_text("NextToken");
    let limit = fields.take_number("MaxResults").and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.filter(|limit| *limit > 0).unwrap_or(PAGE_MAX);
    let only = fields.take_text("TableName");
    let names = match only {
        Some(name) => vec![meridian_wire::table_name(&name).to_owned()],
        None => backend.table_names(after.as_deref(), usize::MAX),
    };
    let tables = names.iter().filter_map(|name| backend.table(name));
    let mut tables = tables.filter(|table| table.own.insights.is_some()).peekable();
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    let mut list = Array::open(answer.key("ContributorInsightsSummaries"));
    let mut last = None;
    for table in tables.by_ref().take(limit) {
        let mut one = Object::open(list.element());
        insights::write(&mut one, &table);
        one.close();
        last = Some(table);
    }
    list.close();
    if let (Some(last), Some(_)) = (last, tables.peek()) {
        answer.text("NextToken", &last.name);
    }
    answer.close();
    Ok(out)
}

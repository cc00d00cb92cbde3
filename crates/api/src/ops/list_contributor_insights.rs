//! ListContributorInsights.

use std::sync::Arc;

use meridian_control::region::{InsightsMode, TableRecord};
use meridian_wire::json::{Array, Object};
use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::insights;

/// Summaries of a page where the request names no number.
const PAGE_MAX: usize = 100;

/// Between a table's name and an index's in a token: no name has it.
const OF: char = '/';

/// Answers ListContributorInsights: the switches that are on, of all tables or of the named one, each
/// table before its indexes.
pub fn run(backend: &dyn Backend, mut fields: Fields) -> Result<Vec<u8>, ApiError> {
    let after = fields.take_text("NextToken");
    let limit = fields.take_number("MaxResults").and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.filter(|limit| *limit > 0).unwrap_or(PAGE_MAX);
    let only = fields.take_text("TableName");
    let tables: Vec<Arc<TableRecord>> = match only {
        Some(name) => vec![insights::table(backend, meridian_wire::table_name(&name), None)?],
        None => {
            let names = backend.table_names(None, usize::MAX);
            names.iter().filter_map(|name| backend.table(name)).collect()
        }
    };
    let switches = tables.iter().flat_map(|table| {
        let indexes = table.own.index_insights.iter();
        let indexes = indexes.map(|(name, insights)| (Some(name.as_str()), *insights));
        let all = table.own.insights.map(|insights| (None, insights)).into_iter().chain(indexes);
        all.filter_map(move |(index, insights)| Some((table, index, insights.mode?)))
    });
    let after = after.as_deref().map(|after| match after.split_once(OF) {
        None => (after, None),
        Some((table, index)) => (table, Some(index)),
    });
    let is_after = |(table, index, _): &(&Arc<TableRecord>, Option<&str>, InsightsMode)| {
        after.is_none_or(|after| (table.name.as_str(), *index) > after)
    };
    let mut switches = switches.filter(is_after).peekable();
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    let mut list = Array::open(answer.key("ContributorInsightsSummaries"));
    let mut last = None;
    for (table, index, mode) in switches.by_ref().take(limit) {
        let mut one = Object::open(list.element());
        let status = insights::settled(Some(mode));
        insights::write(&mut one, table, index, Some(mode), status);
        one.close();
        last = Some(token(table, index));
    }
    list.close();
    if let (Some(last), Some(_)) = (last, switches.peek()) {
        answer.text("NextToken", &last);
    }
    answer.close();
    Ok(out)
}

/// Where a switch stands in the list.
fn token(table: &TableRecord, index: Option<&str>) -> String {
    let name = &table.name;
    index.map_or_else(|| name.clone(), |index| format!("{name}{OF}{index}"))
}

//! Query.

use meridian_expression::{ExpressionKind, KeyCondition, KeyConditionTerms, SortCondition};
use meridian_model::Item;
use meridian_wire::{ApiError, Fields, Wording};

use crate::backend::Backend;
use crate::capacity::Report;
use crate::errors::{expression, invalid};
use crate::expressions::{Parameters, condition, unused};
use crate::index_source::Source;
use crate::projection::Wanted;
use crate::reads::{self, Bounds, PageRead};
use crate::{legacy, tables};

const PARAMETERS: Parameters = Parameters {
    expressions: &["ProjectionExpression", "FilterExpression", "KeyConditionExpression"],
    legacy: &["AttributesToGet", "QueryFilter", "ConditionalOperator", "KeyConditions"],
    wording: Wording::Current,
};

/// Answers Query.
pub async fn run(backend: &dyn Backend, mut fields: Fields) -> Result<Vec<u8>, ApiError> {
    let mut placeholders = PARAMETERS.placeholders(&mut fields)?;
    let start = fields.take_item("ExclusiveStartKey");
    let start = start.map(|start| start.checked(PARAMETERS.wording)).transpose()?;
    let parameter =
        if fields.has("AttributesToGet") { "AttributesToGet" } else { "ProjectionExpression" };
    let legacy_terms = legacy::key_terms(&mut fields, PARAMETERS.wording)?;
    let legacy_filter = legacy::filter(&mut fields, "QueryFilter", PARAMETERS.wording)?;
    let terms = match (fields.take_text("KeyConditionExpression"), legacy_terms) {
        (Some(text), _) => {
            KeyConditionTerms::parse(&text, &mut placeholders).map_err(expression)?
        }
        (None, Some(terms)) => terms,
        (None, None) => {
            return Err(invalid(
                "Either the KeyConditions or KeyConditionExpression parameter must be specified \
                 in the request.",
            ));
        }
    };
    let filter = condition(&mut fields, ExpressionKind::Filter, &mut placeholders)?;
    let wanted = Wanted::take(&mut fields, &mut placeholders)?;
    unused(&placeholders)?;
    let select = reads::select(&mut fields, &wanted, parameter)?;
    let reverse = fields.take_flag("ScanIndexForward") == Some(false);
    let (limit, report) = (reads::limit(&mut fields), Report::take(&mut fields));
    let consistency = reads::consistency(&mut fields);

    let name = tables::take_name(&mut fields);
    let table = tables::serving(backend, &name)?;
    let source = Source::take(&mut fields, &table, consistency)?;
    let schema = source.keys();
    if start.as_ref().is_some_and(|start| start.len() != source.start_names().len()) {
        return Err(starting_key(""));
    }
    let keys = terms.bind(&schema).map_err(expression)?;
    let all = if source.index_name().is_some() { keys.index_bounds() } else { keys.bounds() };
    let bounds = match start {
        None => all,
        Some(start) => {
            let start = started(source, (&keys, &all), &start)?;
            reads::start_after(all, start, reverse)
        }
    };
    wanted.check_keys(&schema)?;
    if let Some(filter) = &filter {
        filter.check_query_filter(&schema).map_err(expression)?;
        filter.check_keys(&schema).map_err(expression)?;
    }
    if let Some(filter) = &legacy_filter {
        filter.check_query_filter(&schema).map_err(legacy::key_in_filter)?;
    }
    let filter = filter.or(legacy_filter);
    reads::check_shown(source, select, wanted.names(), filter.as_ref())?;
    let read = PageRead { bounds, reverse, limit, filter, wanted, select, consistency, report };
    reads::run(backend, &table, source, read).await
}

/// Checks `ExclusiveStartKey` against the key condition and its bounds; returns its bytes.
fn started(
    source: Source<'_>,
    (keys, bounds): (&KeyCondition, &Bounds),
    start: &Item,
) -> Result<Vec<u8>, ApiError> {
    let encoded = source.start(start).map_err(|error| starting_key(&format!(": {error}")))?;
    let partition = source.keys().partition;
    let mut values = partition.iter().zip(&keys.partition);
    if !values.all(|(attribute, value)| start.get(&attribute.name) == Some(value)) {
        return Err(match keys.sort {
            Some(SortCondition::Equal(_)) => {
                invalid("The query can return at most one row and cannot be restarted")
            }
            _ => invalid(
                "The provided starting key is outside query boundaries based on provided \
                 conditions",
            ),
        });
    }
    if keys.sort.is_some() && !reads::within(bounds, &encoded) {
        return Err(invalid("The provided starting key does not match the range key predicate"));
    }
    Ok(encoded)
}

fn starting_key(why: &str) -> ApiError {
    invalid(format!("The provided starting key is invalid{why}"))
}

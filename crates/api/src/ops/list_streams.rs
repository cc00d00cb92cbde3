//! ListStreams.
//!
//! Tested by `streams.txt`.

use meridian_wire::json::{Array, Object};
use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::context::RequestContext;
use crate::streams::Stream;

/// Most streams of a page (AWS: ListStreams).
const PAGE_MAX: usize = 100;

/// Answers ListStreams: the streams in the order of their ARNs.
pub fn run(
    backend: &dyn Backend,
    context: &RequestContext,
    mut fields: Fields,
) -> Result<Vec<u8>, ApiError> {
    let table = fields.take_text("TableName");
    let limit = fields.take_number("Limit").and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(PAGE_MAX).min(PAGE_MAX);
    let after = fields.take_text("ExclusiveStartStreamArn").unwrap_or_default();
    let names = match table {
        Some(name) => vec![meridian_wire::table_name(&name).to_owned()],
        None => backend.table_names(None, usize::MAX),
    };
    let tables = names.iter().filter_map(|name| backend.table(name));
    let mut streams: Vec<(String, Stream)> = tables
        .flat_map(|table| Stream::all_of(&table).collect::<Vec<_>>())
        .map(|stream| (stream.arn(context), stream))
        .filter(|(arn, _)| *arn > after)
        .collect();
    streams.sort_by(|one, two| one.0.cmp(&two.0));
    let more = streams.len() > limit;
    streams.truncate(limit);
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    if let Some((last, _)) = streams.last().filter(|_| more) {
        answer.text("LastEvaluatedStreamArn", last);
    }
    let mut list = Array::open(answer.key("Streams"));
    for (arn, stream) in &streams {
        let mut one = Object::open(list.element());
        one.text("StreamArn", arn).text("StreamLabel", &stream.record.label());
        one.text("TableName", &stream.table.name);
        one.close();
    }
    list.close();
    answer.close();
    Ok(out)
}

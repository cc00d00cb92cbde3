//! DescribeStream.
//!
//! Tested by `streams.txt`.

use meridian_base::Position;
use meridian_wire::json::{Array, Object};
use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::context::RequestContext;
use crate::describe::{key_schema, view_name};
use crate::errors::invalid_parameter;
use crate::streams::{Stream, no_shard, sequence_number};

/// Most shards of a page (AWS: DescribeStream).
const PAGE_MAX: usize = 100;

/// Answers DescribeStream.
pub fn run(
    backend: &dyn Backend,
    context: &RequestContext,
    mut fields: Fields,
) -> Result<Vec<u8>, ApiError> {
    let arn = fields.take_text("StreamArn").unwrap_or_default();
    let limit = fields.take_number("Limit").and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(PAGE_MAX).min(PAGE_MAX);
    let after = fields.take_text("ExclusiveStartShardId");
    let children_of = fields
        .take_fields("ShardFilter")
        .map(|mut filter| (filter.take_text("Type"), filter.take_text("ShardId")));
    let stream = Stream::find(backend, context, &arn)?;
    let mut shards: Vec<String> = stream.shards().map(|(_, id)| id).collect();
    match children_of {
        None => {}
        // Partitions are not divided yet: no shard has children.
        Some((Some(_), Some(parent))) => {
            stream.partition(&parent).ok_or_else(|| no_shard(&parent, &arn))?;
            shards.clear();
        }
        Some(_) => {
            return Err(invalid_parameter("ShardFilter needs both Type and ShardId"));
        }
    }
    if let Some(after) = after {
        let at = shards.iter().position(|id| *id == after);
        let at = at.ok_or_else(|| no_shard(&after, &arn))?;
        shards.drain(..=at);
    }
    let more = shards.len() > limit;
    shards.truncate(limit);
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    let mut shown = Object::open(answer.key("StreamDescription"));
    shown.seconds("CreationRequestDateTime", stream.record.on_ms);
    key_schema(&mut shown, &(&stream.table.definition.key).into());
    if let Some(last) = shards.last().filter(|_| more) {
        shown.text("LastEvaluatedShardId", last);
    }
    let mut list = Array::open(shown.key("Shards"));
    for id in &shards {
        let Some(partition) = stream.partition(id) else { continue };
        let mut one = Object::open(list.element());
        let mut range = Object::open(one.key("SequenceNumberRange"));
        if stream.record.off_ms.is_some() {
            range.text("EndingSequenceNumber", &sequence_number(partition, Position(u64::MAX)));
        }
        range.text("StartingSequenceNumber", &sequence_number(partition, Position(0)));
        range.close();
        one.text("ShardId", id);
        one.close();
    }
    list.close();
    shown.text("StreamArn", &arn).text("StreamLabel", &stream.record.label());
    let on = stream.record.off_ms.is_none();
    let status = match (on, stream.table.streamless.is_empty()) {
        (true, true) => "ENABLED",
        (true, false) => "ENABLING",
        (false, _) => "DISABLED",
    };
    shown.text("StreamStatus", status).text("StreamViewType", view_name(stream.record.view));
    shown.text("TableName", &stream.table.name);
    shown.close();
    answer.close();
    Ok(out)
}

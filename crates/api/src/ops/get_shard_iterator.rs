//! GetShardIterator.
//!
//! Tested by `streams.txt`.

use meridian_base::{PartitionId, Position};
use meridian_wire::json::Object;
use meridian_wire::{ApiError, Fields, Node};

use crate::backend::Backend;
use crate::context::RequestContext;
use crate::errors::{backend as backend_error, invalid, invalid_parameter};
use crate::streams::{ShardIterator, Stream, StreamRead, no_shard, position_of, trimmed};

/// Changes read at a time while a time is looked for.
const SEARCH: usize = 1000;

/// Answers GetShardIterator.
pub async fn run(
    backend: &dyn Backend,
    context: &RequestContext,
    mut fields: Fields,
) -> Result<Vec<u8>, ApiError> {
    let now_ms = backend.now_ms();
    let arn = fields.take_text("StreamArn").unwrap_or_default();
    let shard = fields.take_text("ShardId").unwrap_or_default();
    let kind = fields.take_text("ShardIteratorType").unwrap_or_default();
    let number = fields.take_text("SequenceNumber");
    let timestamp = match fields.take("Timestamp") {
        Some(Node::Decimal(seconds)) => Some(seconds),
        _ => None,
    };
    let stream = Stream::find(backend, context, &arn)?;
    let partition = stream.partition(&shard).ok_or_else(|| no_shard(&shard, &arn))?;
    let numbered = matches!(kind.as_str(), "AT_SEQUENCE_NUMBER" | "AFTER_SEQUENCE_NUMBER");
    if !numbered && number.is_some() {
        return Err(invalid_parameter(format!(
            "SequenceNumber cannot be specified with ShardIteratorType {kind}"
        )));
    }
    if (kind == "AT_TIMESTAMP") != timestamp.is_some() {
        return Err(invalid_parameter(
            "Timestamp must be specified with ShardIteratorType AT_TIMESTAMP, and only with it",
        ));
    }
    let read = StreamRead { after: Position(0), limit: 0 };
    let bounds = backend.stream_page(&stream.table, partition, read).await;
    let bounds = bounds.map_err(backend_error)?;
    let after = match (kind.as_str(), number) {
        ("TRIM_HORIZON", _) => bounds.kept_after,
        ("LATEST", _) => bounds.end,
        ("AT_TIMESTAMP", _) => {
            let from_ms = timestamp.unwrap_or_default().max(0.0) * 1000.0;
            before(backend, &stream, partition, (bounds.kept_after, from_ms)).await?
        }
        (_, None) => {
            return Err(invalid_parameter(format!(
                "SequenceNumber must be specified with ShardIteratorType {kind}"
            )));
        }
        (kind, Some(number)) => {
            let position =
                position_of(partition, &number).filter(|position| *position <= bounds.end);
            let position =
                position.ok_or_else(|| invalid(format!("Invalid SequenceNumber: {number}")))?;
            let after = match kind {
                "AT_SEQUENCE_NUMBER" => Position(position.0.saturating_sub(1)),
                _ => position,
            };
            // The beginning of the shard is where it is kept.
            let after = if position == Position(0) { bounds.kept_after } else { after };
            if after < bounds.kept_after {
                return Err(trimmed());
            }
            after
        }
    };
    let iterator = ShardIterator { stream: arn, partition, after, given_ms: now_ms };
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    answer.text("ShardIterator", &iterator.print());
    answer.close();
    Ok(out)
}

/// The position before the first change at or after a time, ms.
async fn before(
    backend: &dyn Backend,
    stream: &Stream,
    partition: PartitionId,
    (mut after, from_ms): (Position, f64),
) -> Result<Position, ApiError> {
    loop {
        let read = StreamRead { after, limit: SEARCH };
        let page = backend.stream_page(&stream.table, partition, read).await;
        let page = page.map_err(backend_error)?;
        for change in &page.changes {
            if change.commit_ms as f64 >= from_ms {
                return Ok(after);
            }
            after = change.position;
        }
        if page.changes.is_empty() {
            return Ok(after);
        }
    }
}

//! GetRecords.
//!
//! Tested by `streams.txt`.

use meridian_base::{Cause, PartitionId};
use meridian_control::region::StreamRecord;
use meridian_control::table::StreamView;
use meridian_model::{Item, KeySchema, item_bytes};
use meridian_wire::json::{Array, Object};
use meridian_wire::{ApiError, Fields, write_item};
use xxhash_rust::xxh64::xxh64;

use crate::backend::Backend;
use crate::context::RequestContext;
use crate::describe::view_name;
use crate::errors::{backend as backend_error, invalid};
use crate::streams::{
    ShardIterator, Stream, StreamChange, StreamRead, no_shard, sequence_number, trimmed,
};

/// Most records of an answer (AWS: GetRecords).
const LIMIT_MAX: i64 = 1000;

/// Answers GetRecords.
pub async fn run(
    backend: &dyn Backend,
    context: &RequestContext,
    mut fields: Fields,
) -> Result<Vec<u8>, ApiError> {
    let now_ms = backend.now_ms();
    let limit = fields.take_number("Limit").unwrap_or(LIMIT_MAX);
    if limit > LIMIT_MAX {
        return Err(invalid(format!(
            "1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: \
             Member must have value less than or equal to {LIMIT_MAX}"
        )));
    }
    let text = fields.take_text("ShardIterator").unwrap_or_default();
    let iterator = ShardIterator::parse(&text, now_ms)?;
    let stream = Stream::find(backend, context, &iterator.stream)?;
    if !stream.table.partitions.contains(&iterator.partition) {
        return Err(no_shard(&iterator.partition.to_string(), &iterator.stream));
    }
    let limit = usize::try_from(limit).unwrap_or(1);
    let read = StreamRead { after: iterator.after, limit };
    let page = backend.stream_page(&stream.table, iterator.partition, read).await;
    let page = page.map_err(backend_error)?;
    if iterator.after < page.kept_after {
        return Err(trimmed());
    }
    let next = page.changes.last().map_or(iterator.after, |last| last.position);
    let told: Vec<&StreamChange> =
        page.changes.iter().filter(|change| stream.tells(change)).collect();
    // A stream that is off ends with its last change.
    let is_over = stream.record.off_ms.is_some_and(|off| {
        let passed = page.changes.last().is_some_and(|last| last.commit_ms >= off);
        passed || next >= page.end
    });
    let mut out = Vec::with_capacity(512);
    let mut answer = Object::open(&mut out);
    if !is_over {
        let next = ShardIterator { after: next, given_ms: now_ms, ..iterator };
        answer.text("NextShardIterator", &next.print());
    }
    let mut records = Array::open(answer.key("Records"));
    for change in told {
        write_record(records.element(), context, &stream, iterator.partition, change);
    }
    records.close();
    answer.close();
    Ok(out)
}

fn write_record(
    out: &mut Vec<u8>,
    context: &RequestContext,
    stream: &Stream,
    partition: PartitionId,
    change: &StreamChange,
) {
    let StreamRecord { view, on_ms, .. } = stream.record;
    let schema = &stream.table.definition.key;
    let keys = keys_of(schema, change);
    let number = sequence_number(partition, change.position);
    let (old, new) = shown(view, change);
    let sizes = [Some(&keys), old, new].into_iter().flatten().map(item_bytes);
    let mut record = Object::open(out);
    record.text("awsRegion", &context.region);
    let mut inner = Object::open(record.key("dynamodb"));
    // Told to the second, as the service does.
    inner.number("ApproximateCreationDateTime", change.commit_ms / 1000);
    write_item(inner.key("Keys"), &keys);
    if let Some(new) = new {
        write_item(inner.key("NewImage"), new);
    }
    if let Some(old) = old {
        write_item(inner.key("OldImage"), old);
    }
    inner.text("SequenceNumber", &number);
    inner.number("SizeBytes", sizes.sum::<usize>() as u64);
    inner.text("StreamViewType", view_name(view));
    inner.close();
    let id = format!("{}:{on_ms}:{number}", stream.table.id.0);
    record.text(
        "eventID",
        &format!("{:016x}{:016x}", xxh64(id.as_bytes(), 0), xxh64(id.as_bytes(), 1)),
    );
    record.text(
        "eventName",
        match (&change.old, &change.new) {
            (None, _) => "INSERT",
            (Some(_), Some(_)) => "MODIFY",
            (Some(_), None) => "REMOVE",
        },
    );
    record.text("eventSource", "aws:dynamodb").text("eventVersion", "1.1");
    if change.cause == Cause::Ttl {
        let mut identity = Object::open(record.key("userIdentity"));
        identity.text("PrincipalId", "dynamodb.amazonaws.com").text("Type", "Service");
        identity.close();
    }
    record.close();
}

fn keys_of(schema: &KeySchema, change: &StreamChange) -> Item {
    let item = change.new.as_ref().or(change.old.as_ref());
    let key = |name: &str| item.and_then(|item| item.get_key_value(name));
    let found = schema.attributes().filter_map(|attribute| key(&attribute.name));
    found.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The images that a view shows, the old one first.
fn shown(view: StreamView, change: &StreamChange) -> (Option<&Item>, Option<&Item>) {
    let (old, new) = (change.old.as_ref(), change.new.as_ref());
    match view {
        StreamView::KeysOnly => (None, None),
        StreamView::NewImage => (None, new),
        StreamView::OldImage => (old, None),
        StreamView::NewAndOldImages => (old, new),
    }
}

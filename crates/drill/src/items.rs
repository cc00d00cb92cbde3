//! The items of a drill: how a key and a write look in DynamoDB's JSON, and how they are read back.
//!
//! # Invariants
//!
//! - Reads here are strongly consistent.
//!
//! Tested through `load.rs` against a scripted endpoint.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::client::{Client, Outcome};
use crate::record::{Asked, Fate, Key, Seen, Write};
use crate::rpo_rto::Contents;

/// Keys of one BatchGetItem; DynamoDB's limit.
const BATCH_KEYS_MAX: usize = 100;
/// Attempts at one batch, a tenth of a second apart, before reading is given up.
const BATCH_ATTEMPTS: u32 = 100;
/// Batches under way at once.
const BATCHES_PARALLEL: usize = 8;

/// Where a call goes.
pub struct Call<'a> {
    /// The table.
    pub table: &'a str,
    /// The key.
    pub key: Key,
    /// Padding of a written item, in bytes.
    pub item_bytes: usize,
}

/// Performs one call and says how it ended and what it told.
pub async fn perform(client: &Client, call: &Call<'_>, asked: Asked) -> (Fate, Seen) {
    let (operation, body) = match asked {
        Asked::Get => ("GetItem", get(call)),
        Asked::Put(new) => ("PutItem", put(call, new)),
        Asked::Delete => ("DeleteItem", delete(call)),
        Asked::PutIf { expected, new } => ("PutItem", put_if(call, expected, new)),
    };
    match client.call(operation, &body).await {
        Outcome::Ok(answer) => (Fate::Ok, seen(call.key, asked, &answer)),
        Outcome::Failed { code, body } if code == "ConditionalCheckFailedException" => {
            let content = body.get("Item").map(|item| Seen::Content(write_of(item)));
            (Fate::Refused, content.unwrap_or(Seen::Untold))
        }
        Outcome::Failed { .. } => (Fate::Failed, Seen::Untold),
        Outcome::Unknown(_) => (Fate::Unknown, Seen::Untold),
    }
}

fn get(call: &Call<'_>) -> Value {
    json!({
        "TableName": call.table,
        "Key": { "pk": { "S": call.key.to_string() } },
        "ConsistentRead": true,
    })
}

fn delete(call: &Call<'_>) -> Value {
    json!({ "TableName": call.table, "Key": { "pk": { "S": call.key.to_string() } } })
}

/// The item that a write leaves.
pub fn item(key: Key, new: Write, item_bytes: usize) -> Value {
    json!({
        "pk": { "S": key.to_string() },
        "v": { "S": new.to_string() },
        "pad": { "S": "x".repeat(item_bytes) },
    })
}

fn put(call: &Call<'_>, new: Write) -> Value {
    let item = item(call.key, new, call.item_bytes);
    let mut body = json!({ "TableName": call.table, "Item": item });
    // A hot key tells what the region knew when it was written there.
    if matches!(call.key, Key::Hot { .. }) {
        body["ReturnValues"] = json!("ALL_OLD");
    }
    body
}

fn put_if(call: &Call<'_>, expected: Option<Write>, new: Write) -> Value {
    let mut body = put(call, new);
    body["ReturnValuesOnConditionCheckFailure"] = json!("ALL_OLD");
    match expected {
        Some(expected) => {
            body["ConditionExpression"] = json!("v = :expected");
            body["ExpressionAttributeValues"] =
                json!({ ":expected": { "S": expected.to_string() } });
        }
        None => body["ConditionExpression"] = json!("attribute_not_exists(pk)"),
    }
    body
}

fn seen(key: Key, asked: Asked, answer: &Value) -> Seen {
    match (asked, key) {
        (Asked::Get, _) => Seen::Content(answer.get("Item").and_then(write_of)),
        (Asked::Put(_), Key::Hot { .. }) => {
            Seen::Content(answer.get("Attributes").and_then(write_of))
        }
        (Asked::Put(_) | Asked::Delete | Asked::PutIf { .. }, _) => Seen::Untold,
    }
}

/// The write that an item holds.
pub fn write_of(item: &Value) -> Option<Write> {
    item.get("v")?.get("S")?.as_str()?.parse().ok()
}

/// The drill's key that an item has.
pub fn key_of(item: &Value) -> Option<Key> {
    item.get("pk")?.get("S")?.as_str()?.parse().ok()
}

/// Reads all these keys through one endpoint; every key is in the result.
pub async fn read(
    client: &std::sync::Arc<Client>,
    table: &str,
    keys: &BTreeSet<Key>,
) -> anyhow::Result<Contents> {
    let mut contents: Contents = keys.iter().map(|key| (*key, None)).collect();
    let keys: Vec<Key> = keys.iter().copied().collect();
    let mut tasks = tokio::task::JoinSet::new();
    for batch in keys.chunks(BATCH_KEYS_MAX) {
        if tasks.len() >= BATCHES_PARALLEL {
            take(&mut tasks, &mut contents).await?;
        }
        tasks.spawn(read_batch(client.clone(), table.to_owned(), batch.to_vec()));
    }
    while !tasks.is_empty() {
        take(&mut tasks, &mut contents).await?;
    }
    Ok(contents)
}

type Found = anyhow::Result<Vec<(Key, Write)>>;

async fn take(
    tasks: &mut tokio::task::JoinSet<Found>,
    contents: &mut Contents,
) -> anyhow::Result<()> {
    if let Some(found) = tasks.join_next().await {
        contents.extend(found??.into_iter().map(|(key, write)| (key, Some(write))));
    }
    Ok(())
}

async fn read_batch(client: std::sync::Arc<Client>, table: String, keys: Vec<Key>) -> Found {
    let texts: Vec<Value> = keys.iter().map(|key| json!({"pk": {"S": key.to_string()}})).collect();
    let mut request = json!({ table.as_str(): { "Keys": texts, "ConsistentRead": true } });
    let mut found = Vec::new();
    let mut last = Outcome::Unknown("not asked yet".into());
    for _ in 0..BATCH_ATTEMPTS {
        last = client.call("BatchGetItem", &json!({ "RequestItems": request })).await;
        if let Outcome::Ok(answer) = &last {
            let items = answer.get("Responses").and_then(|tables| tables.get(&table));
            let items = items.and_then(Value::as_array).into_iter().flatten();
            found.extend(items.filter_map(|item| Some((key_of(item)?, write_of(item)?))));
            match answer.get("UnprocessedKeys") {
                Some(Value::Object(rest)) if !rest.is_empty() => {
                    request = Value::Object(rest.clone());
                }
                Some(_) | None => return Ok(found),
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("cannot read {} keys of {table}: {last:?}", keys.len())
}

/// Reads the whole table by strongly consistent Scan; other items than the drill's are skipped.
pub async fn scan(client: &Client, table: &str) -> anyhow::Result<Contents> {
    let mut contents = Contents::new();
    let mut from = Value::Null;
    loop {
        let mut body = json!({ "TableName": table, "ConsistentRead": true });
        if !from.is_null() {
            body["ExclusiveStartKey"] = from;
        }
        let page = scan_page(client, &body).await?;
        let items = page.get("Items").and_then(Value::as_array).into_iter().flatten();
        contents.extend(items.filter_map(|item| Some((key_of(item)?, write_of(item)))));
        from = page.get("LastEvaluatedKey").cloned().unwrap_or(Value::Null);
        if from.is_null() {
            return Ok(contents);
        }
    }
}

/// Reads one page of a Scan; asks again while it is not answered.
pub async fn scan_page(client: &Client, body: &Value) -> anyhow::Result<Value> {
    let mut last = None;
    for _ in 0..BATCH_ATTEMPTS {
        match client.must("Scan", body).await {
            Ok(page) => return Ok(page),
            Err(error) => last = Some(error),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(last.context("no attempt at a page")?)
}

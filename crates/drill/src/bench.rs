//! `meridian bench`: load on one endpoint, and the percentiles of its latency.
//!
//! The client shares its machine with the server, so it is made to cost little: one thread, one kept
//! connection a client, requests built once and patched in place.
//!
//! # Invariants
//!
//! - The open loop counts latency from the intended start, so a stall is not hidden.
//! - An error is counted, never repeated.
//!
//! Tested by `bench/tests.rs` against a scripted endpoint.

mod drive;
mod request;
#[cfg(test)]
mod tests;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::args::{Output, Shell, rate, span};
use crate::client::{Client, Outcome};
use crate::table::create_table;

/// Items of one BatchWriteItem; DynamoDB's limit.
const BATCH_ITEMS_MAX: u32 = 25;
/// Batches under way at once while the table is filled.
const BATCHES_PARALLEL: usize = 8;
/// Items under one partition key of the table for queries.
const QUERY_ITEMS: u32 = 10;
/// Requests a second of the open loop when none is given.
const RATE_DEFAULT: f64 = 1000.0;

/// What is asked again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Operation {
    /// PutItem.
    Put,
    /// GetItem.
    Get,
    /// Query of the ten items of one partition key.
    Query,
    /// PutItem and GetItem in turn.
    Mixed,
}

/// Arguments of `meridian bench`.
#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    /// Where the load goes: `http://host:port`.
    #[arg(long)]
    pub endpoint: String,
    /// What is asked.
    #[arg(long, value_enum, default_value_t = Operation::Mixed)]
    pub op: Operation,
    /// Requests a second, begun at fixed times (open loop); 1000 when absent.
    #[arg(long, value_parser = rate, conflicts_with = "closed")]
    pub rate: Option<f64>,
    /// Each client sends its next request when the last one is answered.
    #[arg(long)]
    pub closed: bool,
    /// Clients, one connection each.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub clients: u32,
    /// Bytes of each item's value.
    #[arg(long, default_value_t = 100)]
    pub item_bytes: usize,
    /// How long.
    #[arg(long, default_value = "10s", value_parser = span)]
    pub duration: Duration,
    /// Different partition keys.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=99_999_999))]
    pub keys: u32,
    /// Eventually consistent reads instead of strongly consistent ones.
    #[arg(long)]
    pub eventual: bool,
    /// The table; made if it is missing.
    #[arg(long, default_value = "bench")]
    pub table: String,
}

/// What was measured.
pub(crate) struct Measured {
    /// Latencies of answered requests, in microseconds.
    pub(crate) latencies: Histogram<u64>,
    /// Requests that were not answered with success.
    pub(crate) errors: u64,
    /// The first error, for people.
    pub(crate) first_error: Option<String>,
    /// From the first request to the last answer.
    pub(crate) span: Duration,
}

/// Runs the load and prints what it measured; success if anything was answered.
pub async fn run(args: BenchArgs, shell: Shell) -> anyhow::Result<ExitCode> {
    prepare(&args).await?;
    let (send, receive) = tokio::sync::oneshot::channel();
    let plan = args.clone();
    // A thread of its own: nothing else of this process runs on it.
    std::thread::Builder::new().name("bench".to_owned()).spawn(move || {
        // The receiver is gone only if the program is ending.
        let _ = send.send(drive::run(&plan));
    })?;
    let measured = receive.await.context("the load ended without a result")??;
    let served = measured.latencies.len();
    match shell.output {
        Output::Json => println!("{}", json_of(&args, &measured)),
        Output::Text => print(&args, &measured),
    }
    Ok(if served > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn mode(args: &BenchArgs) -> &'static str {
    if args.closed { "closed" } else { "open" }
}

fn intended_rate(args: &BenchArgs) -> f64 {
    args.rate.unwrap_or(RATE_DEFAULT)
}

fn op_name(args: &BenchArgs) -> &'static str {
    match args.op {
        Operation::Put => "put",
        Operation::Get => "get",
        Operation::Query => "query",
        Operation::Mixed => "mixed",
    }
}

const PERCENTILES: [(&str, f64); 5] =
    [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9), ("max", 100.0)];

fn latency_ms(measured: &Measured, percent: f64) -> f64 {
    measured.latencies.value_at_percentile(percent) as f64 / 1000.0
}

fn throughput(measured: &Measured) -> f64 {
    measured.latencies.len() as f64 / measured.span.as_secs_f64().max(1e-9)
}

fn json_of(args: &BenchArgs, measured: &Measured) -> Value {
    let latency: serde_json::Map<String, Value> = PERCENTILES
        .into_iter()
        .map(|(name, percent)| (name.to_owned(), json!(latency_ms(measured, percent))))
        .collect();
    json!({
        "op": op_name(args),
        "loop": mode(args),
        "rate": (!args.closed).then(|| intended_rate(args)),
        "clients": args.clients,
        "item_bytes": args.item_bytes,
        "duration_s": measured.span.as_secs_f64(),
        "ok": measured.latencies.len(),
        "errors": measured.errors,
        "first_error": measured.first_error,
        "per_s": throughput(measured),
        "latency_ms": latency,
    })
}

fn print(args: &BenchArgs, measured: &Measured) {
    println!(
        "{}, {} loop, {} clients, {}-byte values: {} answered in {:.1} s, {} errors",
        op_name(args),
        mode(args),
        args.clients,
        args.item_bytes,
        measured.latencies.len(),
        measured.span.as_secs_f64(),
        measured.errors
    );
    println!("{:.0} a second", throughput(measured));
    let latency = PERCENTILES
        .map(|(name, percent)| format!("{name} {:.2} ms", latency_ms(measured, percent)))
        .join("  ");
    println!("{latency}");
    if let Some(error) = &measured.first_error {
        println!("first error: {error}");
    }
}

/// The table that the operation works on: queries need a sort key.
pub(crate) fn table_name(args: &BenchArgs) -> String {
    match args.op {
        Operation::Query => format!("{}-query", args.table),
        Operation::Put | Operation::Get | Operation::Mixed => args.table.clone(),
    }
}

/// Makes the table, and fills it where the operation reads.
async fn prepare(args: &BenchArgs) -> anyhow::Result<()> {
    let client = Arc::new(Client::patient(&args.endpoint, Duration::from_secs(10))?);
    let sorted = args.op == Operation::Query;
    let mut schema = vec![json!({ "AttributeName": "pk", "KeyType": "HASH" })];
    let mut attributes = vec![json!({ "AttributeName": "pk", "AttributeType": "S" })];
    if sorted {
        schema.push(json!({ "AttributeName": "sk", "KeyType": "RANGE" }));
        attributes.push(json!({ "AttributeName": "sk", "AttributeType": "N" }));
    }
    let create = json!({
        "TableName": table_name(args),
        "KeySchema": schema,
        "AttributeDefinitions": attributes,
        "BillingMode": "PAY_PER_REQUEST",
    });
    create_table(&client, &create).await?;
    match args.op {
        Operation::Put => Ok(()),
        Operation::Get | Operation::Mixed => fill(args, &client, 1).await,
        Operation::Query => fill(args, &client, QUERY_ITEMS).await,
    }
}

/// Writes every key that the load may read, unless the last one is there with the same size.
async fn fill(args: &BenchArgs, client: &Arc<Client>, per_key: u32) -> anyhow::Result<()> {
    let item = |number: u32| {
        let (key, place) = (number / per_key, number % per_key);
        let mut item = json!({
            "pk": { "S": request::key(key) },
            "v": { "S": "x".repeat(args.item_bytes) },
        });
        if per_key > 1 {
            item["sk"] = json!({ "N": place.to_string() });
        }
        item
    };
    let total = args.keys.checked_mul(per_key).context("too many keys")?;
    let table = table_name(args);
    let mut last = item(total - 1);
    let mut get = json!({ "TableName": table, "ConsistentRead": true });
    if let Some(fields) = last.as_object_mut() {
        fields.remove("v");
    }
    get["Key"] = last;
    if let Outcome::Ok(answer) = client.call("GetItem", &get).await
        && answer["Item"] == item(total - 1)
    {
        return Ok(());
    }
    let mut batches = tokio::task::JoinSet::new();
    for first in (0..total).step_by(BATCH_ITEMS_MAX as usize) {
        if batches.len() >= BATCHES_PARALLEL
            && let Some(done) = batches.join_next().await
        {
            done??;
        }
        let puts: Vec<Value> = (first..total.min(first + BATCH_ITEMS_MAX))
            .map(|number| json!({ "PutRequest": { "Item": item(number) } }))
            .collect();
        let table = table.clone();
        batches.spawn(write_batch(client.clone(), json!({ table: puts })));
    }
    while let Some(done) = batches.join_next().await {
        done??;
    }
    Ok(())
}

async fn write_batch(client: Arc<Client>, mut items: Value) -> anyhow::Result<()> {
    for _ in 0..50 {
        let answer = client.must("BatchWriteItem", &json!({ "RequestItems": items })).await?;
        match answer.get("UnprocessedItems") {
            Some(Value::Object(rest)) if !rest.is_empty() => items = Value::Object(rest.clone()),
            Some(_) | None => return Ok(()),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("the table cannot be filled: items stay unprocessed")
}

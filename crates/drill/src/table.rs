//! The drill's table: made through the API, global in every region that takes part.
//!
//! # Invariants
//!
//! - Everything goes through DynamoDB's own operations; a request that may be too early is repeated
//!   until a deadline.
//!
//! Tested by `rehearsal.rs` on a cluster in memory.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::client::{Client, Outcome};
use crate::cluster::Cluster;
use crate::load::eventually;

/// Longest wait for each change of the table to be done.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// Longest wait for one answer about the table.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes the table, with so many global indexes, in the `home` region and global in the others;
/// returns when every region serves it.
pub async fn prepare(
    cluster: &Cluster,
    home: &str,
    table: &str,
    indexes: u8,
) -> anyhow::Result<()> {
    let client = client_of(cluster, home)?;
    let mut create = json!({
        "TableName": table,
        "KeySchema": [{ "AttributeName": "pk", "KeyType": "HASH" }],
        "AttributeDefinitions": [{ "AttributeName": "pk", "AttributeType": "S" }],
        "BillingMode": "PAY_PER_REQUEST",
    });
    if indexes > 0 {
        create["AttributeDefinitions"] = json!([
            { "AttributeName": "pk", "AttributeType": "S" },
            { "AttributeName": "v", "AttributeType": "S" },
        ]);
        let all = indexes_of_drill();
        create["GlobalSecondaryIndexes"] = all.into_iter().take(indexes.into()).collect();
    }
    create_table(&client, &create).await?;
    for region in cluster.others(home) {
        let name = region.name.as_str();
        let update = json!({
            "TableName": table,
            "ReplicaUpdates": [{ "Create": { "RegionName": name } }],
        });
        change(&client, "UpdateTable", &update, |description| {
            is_active(description) && replica_is_active(description, name)
        })
        .await?;
        await_table(&client_of(cluster, name)?, table, is_active).await?;
    }
    Ok(())
}

/// Both are keyed by what every write changes.
fn indexes_of_drill() -> [Value; 2] {
    let value = json!({ "AttributeName": "v", "KeyType": "HASH" });
    let key = json!({ "AttributeName": "pk", "KeyType": "RANGE" });
    [
        json!({
            "IndexName": "by-value",
            "KeySchema": [value],
            "Projection": { "ProjectionType": "ALL" },
        }),
        json!({
            "IndexName": "by-value-and-key",
            "KeySchema": [value, key],
            "Projection": { "ProjectionType": "KEYS_ONLY" },
        }),
    ]
}

/// Makes a table unless it is there, and waits until it is active.
pub async fn create_table(client: &Client, create: &Value) -> anyhow::Result<()> {
    change(client, "CreateTable", create, is_active).await
}

/// A patient client of the first node of a region.
pub fn client_of(cluster: &Cluster, region: &str) -> anyhow::Result<Client> {
    let url = cluster.region(region)?.endpoints.first().context("a region without endpoint")?;
    Client::patient(url, ANSWER_TIMEOUT)
}

/// Asks for a change until it is accepted, or already so, and waits until it is done.
async fn change(
    client: &Client,
    operation: &str,
    body: &Value,
    done: impl Fn(&Value) -> bool,
) -> anyhow::Result<()> {
    let table = body["TableName"].as_str().unwrap_or_default().to_owned();
    let deadline = Instant::now() + CHANGE_TIMEOUT;
    loop {
        match client.call(operation, body).await {
            Outcome::Ok(_) => break,
            Outcome::Failed { code, .. } if is_there_already(operation, &code) => break,
            Outcome::Failed { code, body } if Instant::now() >= deadline => {
                anyhow::bail!("{operation} of {table}: {code}: {body}")
            }
            Outcome::Unknown(why) if Instant::now() >= deadline => {
                anyhow::bail!("{operation} of {table}: {why}")
            }
            Outcome::Failed { code, body } if code == "ValidationException" => {
                // A repeated request for a replica that is there is refused like this.
                let described = describe(client, &table).await;
                anyhow::ensure!(
                    described.is_some_and(|description| done(&description)),
                    "{operation} of {table}: {code}: {body}"
                );
                return Ok(());
            }
            Outcome::Failed { .. } | Outcome::Unknown(_) => tokio::time::sleep(PAUSE).await,
        }
    }
    await_table(client, &table, done).await
}

fn is_there_already(operation: &str, code: &str) -> bool {
    operation == "CreateTable" && code == "ResourceInUseException"
}

async fn describe(client: &Client, table: &str) -> Option<Value> {
    match client.call("DescribeTable", &json!({ "TableName": table })).await {
        Outcome::Ok(answer) => answer.get("Table").cloned(),
        Outcome::Failed { .. } | Outcome::Unknown(_) => None,
    }
}

async fn await_table(
    client: &Client,
    table: &str,
    done: impl Fn(&Value) -> bool,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + CHANGE_TIMEOUT;
    let mut last = None;
    while Instant::now() < deadline {
        last = describe(client, table).await.or(last);
        if last.as_ref().is_some_and(&done) {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    anyhow::bail!("table {table} did not become ready: {}", last.unwrap_or(Value::Null))
}

/// Waits until a table is ACTIVE.
pub async fn await_active(client: &Client, table: &str, limit: Duration) -> anyhow::Result<()> {
    let active = async || describe(client, table).await.as_ref().is_some_and(is_active);
    anyhow::ensure!(eventually(limit, active).await, "{table} was not ACTIVE in {limit:?}");
    Ok(())
}

fn is_active(description: &Value) -> bool {
    description["TableStatus"] == "ACTIVE"
}

fn replica_is_active(description: &Value, region: &str) -> bool {
    let replicas = description["Replicas"].as_array();
    replicas
        .into_iter()
        .flatten()
        .any(|replica| replica["RegionName"] == region && replica["ReplicaStatus"] == "ACTIVE")
}

//! `admin table`: tables that change names, and restored ones that are not wanted.

use super::archive_args::TableCommand;
use super::ask::Cluster;
use serde_json::{Value, json};
use std::time::Duration;

/// How long nodes may take to hear of a change.
const HEARD_LIMIT: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Does it.
pub(super) async fn run(cluster: &Cluster, command: &TableCommand) -> anyhow::Result<Value> {
    match command {
        TableCommand::Swap { first, second, by } => {
            swap(&cluster.only(by.region.as_deref())?, first, second).await
        }
        TableCommand::Drop { table, by } => {
            let cluster = cluster.only(by.region.as_deref())?;
            cluster.change("/admin/table/drop", &json!({ "table": table }), None).await
        }
    }
}

/// Swaps, and waits until every node serves the names as they are now.
async fn swap(cluster: &Cluster, first: &str, second: &str) -> anyhow::Result<Value> {
    let body = json!({ "first": first, "second": second });
    let mut answer = cluster.change("/admin/table/swap", &body, None).await?;
    let wanted = |tables: &Value, name: &str| {
        let id = id_of(answer.get("tables"), "table", name);
        id.is_some() && id_of(tables.get("tables"), "name", name) == id
    };
    let deadline = tokio::time::Instant::now() + HEARD_LIMIT;
    let behind = loop {
        let said = cluster.each("/admin/tables").await;
        let knows = |said: &Option<Value>| {
            said.as_ref().is_some_and(|tables| wanted(tables, first) && wanted(tables, second))
        };
        let behind: Vec<String> =
            said.into_iter().filter(|(_, said)| !knows(said)).map(|(node, _)| node).collect();
        if behind.is_empty() || tokio::time::Instant::now() > deadline {
            break behind;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    };
    if let Value::Object(fields) = &mut answer {
        fields.insert("nodes_that_have_not_heard".to_owned(), json!(behind));
    }
    Ok(answer)
}

fn id_of(tables: Option<&Value>, field: &str, name: &str) -> Option<u64> {
    let mut tables = tables?.as_array()?.iter();
    let table = tables.find(|table| table.get(field).and_then(Value::as_str) == Some(name));
    table?.get("id")?.as_u64()
}

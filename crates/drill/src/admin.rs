//! The admin endpoint of one node.
//!
//! # Invariants
//!
//! - Nothing is repeated here: callers decide what to ask again.
//!
//! Tested below: the parsing of answers; the calls by `rehearsal.rs`.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Secret};
use crate::http::Endpoint;

/// Longest wait for an answer that a node has at hand.
const QUICK: Duration = Duration::from_secs(5);
/// Longest wait for an operation that moves data.
const SLOW: Duration = Duration::from_secs(180);

/// The header that holds the cluster secret.
const SECRET_HEADER: &str = "x-meridian-secret";

/// A partition of a table in one region, as a node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionView {
    /// Name of its table.
    pub table: String,
    /// Its number.
    pub partition: u64,
    /// Its region.
    pub region: String,
    /// The node that leads it, if known.
    pub leader: Option<u64>,
    /// The nodes that hold it.
    pub replicas: Vec<u64>,
}

/// A region and its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionView {
    /// Its name.
    pub name: String,
    /// Its state, such as `Active`.
    pub state: String,
}

/// What a node says of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatusView {
    /// The regions.
    pub regions: Vec<RegionView>,
    /// The partitions that it knows of.
    pub partitions: Vec<PartitionView>,
}

/// A stranded write and what became of it, as `region restore` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrandedWrite {
    /// Name of the table.
    pub table: String,
    /// The partition key, for the drill's own tables.
    pub key: String,
    /// `merged` or `overwritten`.
    pub outcome: String,
}

/// The admin endpoint of one node.
pub struct Admin {
    endpoint: Endpoint,
    secret: Option<Secret>,
}

impl Admin {
    /// Names the endpoint; connects to nothing yet.
    pub fn new(url: &str, secret: Option<&Secret>) -> anyhow::Result<Admin> {
        Ok(Admin { endpoint: Endpoint::new(url)?, secret: secret.cloned() })
    }

    /// The endpoint of a node.
    pub fn of_node(cluster: &Cluster, node: u64) -> anyhow::Result<Admin> {
        Admin::new(&cluster.node(node)?.admin, cluster.secret.as_ref())
    }

    /// Gets a document.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send("GET", path, None, QUICK).await
    }

    /// Gets a page of text.
    pub async fn text(&self, path: &str) -> anyhow::Result<String> {
        let body = self.answer("GET", path, None, QUICK).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// True if the path answers with success.
    pub async fn answers(&self, path: &str) -> bool {
        self.get(path).await.is_ok()
    }

    /// The cluster as the node sees it.
    pub async fn status(&self) -> anyhow::Result<StatusView> {
        parse_status(&self.get("/admin/status").await?)
    }

    /// Asks for `fail`, `restore` or `evacuate` of a region; answers when it is done.
    pub async fn region(&self, region: &str, verb: &str) -> anyhow::Result<Value> {
        self.send("POST", &format!("/admin/region/{region}/{verb}"), Some(json!({})), SLOW).await
    }

    /// Cuts the node off from everything but its admin endpoint, or connects it again.
    pub async fn black_hole(&self, on: bool) -> anyhow::Result<()> {
        self.send("POST", "/admin/blackhole", Some(json!({ "on": on })), QUICK).await.map(|_| ())
    }

    /// Of a router: the region that takes the traffic.
    pub async fn routed_region(&self) -> anyhow::Result<String> {
        Ok(text(&self.get("/admin/router/status").await?, "region"))
    }

    /// Of a router: lets it return to a region that it had left.
    pub async fn return_to(&self, region: &str) -> anyhow::Result<()> {
        let body = json!({ "region": region });
        self.send("POST", "/admin/router/return", Some(body), QUICK).await.map(|_| ())
    }

    /// Recorded conflicts of a table.
    pub async fn conflicts(&self, table: &str) -> anyhow::Result<Value> {
        self.get(&format!("/admin/conflicts/{table}")).await
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
        limit: Duration,
    ) -> anyhow::Result<Value> {
        let body = self.answer(method, path, body, limit).await?;
        // Health endpoints may answer in plain text.
        Ok(serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn answer(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
        limit: Duration,
    ) -> anyhow::Result<Bytes> {
        let text = body.map(|body| body.to_string()).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.endpoint.authority())
            .header("content-type", "application/json");
        let request = match &self.secret {
            Some(secret) => request.header(SECRET_HEADER, secret.reveal()),
            None => request,
        };
        let request = request.body(Full::new(Bytes::from(text)))?;
        let asked = || format!("{method} http://{}{path}", self.endpoint.authority());
        let answer = self.endpoint.call(request, limit).await.with_context(asked)?;
        if !answer.status.is_success() {
            let text = String::from_utf8_lossy(&answer.body);
            anyhow::bail!("{}: {}: {}", asked(), answer.status, text.trim());
        }
        Ok(answer.body)
    }
}

/// The admin endpoints of a region's nodes.
pub fn of_region(cluster: &Cluster, region: &str) -> anyhow::Result<Vec<Admin>> {
    let secret = cluster.secret.as_ref();
    cluster.region(region)?.nodes.iter().map(|node| Admin::new(&node.admin, secret)).collect()
}

/// Partitions of a table in one region with a leader each, asked of the region's nodes in turn.
pub async fn partitions(
    cluster: &Cluster,
    region: &str,
    table: &str,
) -> anyhow::Result<Vec<PartitionView>> {
    let mut last = anyhow::anyhow!("region {region} has no node");
    for admin in of_region(cluster, region)? {
        match admin.status().await {
            Ok(status) => {
                let found: Vec<PartitionView> = status
                    .partitions
                    .into_iter()
                    .filter(|one| one.table == table && one.region == region)
                    .collect();
                if !found.is_empty() {
                    return Ok(found);
                }
                last = anyhow::anyhow!("region {region} knows no partition of table {table}");
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The stranded writes in an answer of `region restore`.
pub fn stranded(answer: &Value) -> Vec<StrandedWrite> {
    let entries = answer.get("stranded").and_then(Value::as_array);
    entries
        .into_iter()
        .flatten()
        .map(|entry| StrandedWrite {
            table: text(entry, "table"),
            key: entry.get("key").and_then(key_text).unwrap_or_default(),
            outcome: text(entry, "outcome").to_lowercase(),
        })
        .collect()
}

/// The partition key's text in whatever shape a key is written: plain, `{"S": …}`, or an item.
pub fn key_text(key: &Value) -> Option<String> {
    match key {
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(inner @ Value::Object(_)) => key_text(&inner),
            Ok(_) | Err(_) => Some(text.clone()),
        },
        Value::Object(fields) => match (fields.get("S"), fields.get("pk")) {
            (Some(Value::String(text)), _) => Some(text.clone()),
            (_, Some(inner)) => key_text(inner),
            (_, None) => fields.values().find_map(key_text),
        },
        Value::Array(parts) => parts.first().and_then(key_text),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// Every string anywhere in a document: which keys a conflict log speaks of, whatever its shape.
pub fn strings(document: &Value, into: &mut Vec<String>) {
    match document {
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(inner @ Value::Object(_)) => strings(&inner, into),
            Ok(_) | Err(_) => into.push(text.clone()),
        },
        Value::Array(parts) => parts.iter().for_each(|part| strings(part, into)),
        Value::Object(fields) => fields.values().for_each(|field| strings(field, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn text(value: &Value, field: &str) -> String {
    match value.get(field) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

fn parse_status(answer: &Value) -> anyhow::Result<StatusView> {
    let list = |field: &str| answer.get(field).and_then(Value::as_array).cloned();
    let regions = list("regions").context("the status names no regions")?;
    let partitions = list("partitions").context("the status names no partitions")?;
    Ok(StatusView {
        regions: regions
            .iter()
            .map(|region| RegionView { name: text(region, "name"), state: text(region, "state") })
            .collect(),
        partitions: partitions.iter().map(parse_partition).collect::<anyhow::Result<_>>()?,
    })
}

fn parse_partition(value: &Value) -> anyhow::Result<PartitionView> {
    let replicas = value.get("replicas").and_then(Value::as_array);
    Ok(PartitionView {
        table: text(value, "table"),
        partition: value
            .get("partition")
            .and_then(Value::as_u64)
            .with_context(|| format!("a partition without number: {value}"))?,
        region: text(value, "region"),
        leader: value.get("leader").and_then(Value::as_u64),
        replicas: replicas.into_iter().flatten().filter_map(Value::as_u64).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_read() {
        let answer = json!({"cluster_id":"c","regions":[{"name":"r","state":"Active","epoch":3}],
            "nodes":[],"partitions":[{"table":"t","partition":2,"region":"r","leader":null,
            "replicas":[1,2,3],"applied":7}]});
        let status = parse_status(&answer).unwrap();
        assert_eq!(status.regions[0].state, "Active");
        assert_eq!(status.partitions[0].replicas, vec![1, 2, 3]);
        assert_eq!(status.partitions[0].leader, None);
        assert!(parse_status(&json!({})).is_err());
    }

    #[test]
    fn stranded_writes_are_read_in_every_shape_of_key() {
        let answer = json!({"stranded":[
            {"table":"t","key":"a","version":"1","outcome":"merged"},
            {"table":"t","key":{"pk":{"S":"b"}},"version":1,"outcome":"Overwritten"},
            {"table":"t","key":"{\"pk\":{\"S\":\"c\"}}","version":1,"outcome":"merged"}]});
        let listed = stranded(&answer);
        let keys: Vec<&str> = listed.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(keys, vec!["a", "b", "c"]);
        assert_eq!(listed[1].outcome, "overwritten");
        assert!(stranded(&json!({"region":"r"})).is_empty());
    }

    #[test]
    fn every_string_of_a_document_is_found() {
        let mut found = Vec::new();
        let document = json!({"a":["x",{"b":"y"}],"c":"{\"pk\":{\"S\":\"z\"}}","d":1});
        strings(&document, &mut found);
        assert_eq!(found, vec!["x", "y", "z"]);
    }
}

//! Regions of one node each, in one process, with their data in memory.

use crate::node::Node;
use crate::options::{DataDir, NodeOptions, SystemClock};
use crate::{founding, identity::Founder};
use meridian_api::backend::{Backend, Consistency, ReplicaChange};
use meridian_base::NodeId;
use meridian_control::NodeAddresses;
use meridian_control::region::TableRecord;
use meridian_control::table::{BillingMode, OnDemandMaximum, ReplicaStatus, TableDefinition};
use meridian_model::{AttributeValue, Item, Key, KeyAttribute, KeyKind, KeySchema};
use meridian_partition::{Action, Returns, Write, WriteOutcome};
use meridian_raft::rt;
use meridian_storage::EngineKind;
use meridian_transport::{Delays, Switch};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long anything may take on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// A cluster.
pub struct Cluster {
    pub nodes: Vec<Arc<Node>>,
}

/// The only node of a region of its own, with its data in memory.
pub fn options(id: u64, peer: String) -> NodeOptions {
    NodeOptions {
        node: NodeId(id),
        region: format!("region-{id}"),
        zone: "z".into(),
        addresses: NodeAddresses { peer, client: String::new(), admin: String::new() },
        seeds: Vec::new(),
        data: DataDir::Memory,
        engine: EngineKind::Memory,
        partitions: 2,
        secret: None,
        delays: Delays::default(),
        auto_fail_ms: None,
        disk_free_bytes_min: 0,
        free_bytes: Arc::new(meridian_storage::free_bytes),
        switch: Switch::new(),
        clock: Arc::new(SystemClock),
        archive: None,
        buckets: crate::buckets::Buckets::default(),
        alone: false,
    }
}

impl Cluster {
    /// Regions `region-1` to `region-N`.
    pub async fn start(regions: u64) -> Cluster {
        let mut nodes = Vec::new();
        for id in 1..=regions {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let peer = listener.local_addr().unwrap().to_string();
            nodes.push(Node::start(options(id, peer), listener).await.unwrap());
        }
        let founders: BTreeMap<u64, Founder> =
            nodes.iter().map(|node| (node.id().0, node.founder())).collect();
        let founded = founding::plan(founders, 7, 1);
        for node in &nodes {
            node.found(&founded).await.unwrap();
        }
        let cluster = Cluster { nodes };
        for node in &cluster.nodes {
            eventually("a node is ready", async || node.ready().is_ok()).await;
        }
        cluster
    }

    /// The node of a region.
    pub fn node(&self, region: usize) -> &Arc<Node> {
        &self.nodes[region - 1]
    }

    /// Makes a table in region 1.
    pub async fn make_table(&self) {
        make_table(self.node(1)).await;
    }

    /// Adds a replica of it, and waits until all of its regions show it Active.
    pub async fn add_replica(&self, region: usize) {
        let name = format!("region-{region}");
        let change = vec![ReplicaChange::Create(name)];
        self.node(1).update_replicas("t", change).await.unwrap();
        self.await_replicas().await;
    }

    async fn await_replicas(&self) {
        let is_active = |table: Arc<TableRecord>| {
            let global = table.global.clone()?;
            Some(global.replicas.values().all(|status| *status == ReplicaStatus::Active))
        };
        let count = || {
            let table = self.node(1).table("t")?;
            Some(table.global.as_ref()?.replicas.len())
        };
        eventually("every replica is active", async || {
            let holders: Vec<_> = self.nodes.iter().filter_map(|node| node.table("t")).collect();
            count() == Some(holders.len())
                && holders.into_iter().all(|table| is_active(table) == Some(true))
        })
        .await;
    }

    /// A table with replicas everywhere.
    pub async fn global_table(regions: u64) -> Cluster {
        let cluster = Cluster::start(regions).await;
        cluster.make_table().await;
        for region in 2..=regions {
            cluster.add_replica(usize::try_from(region).unwrap()).await;
        }
        cluster
    }

    /// Puts an item in a region.
    pub async fn put(&self, region: usize, key: &str, value: &str) {
        put(self.node(region), key, value).await;
    }

    /// What a region shows under a key.
    pub async fn get(&self, region: usize, key: &str) -> Option<String> {
        get(self.node(region), key).await
    }

    /// Waits until a region shows a value under a key.
    pub async fn shows(&self, region: usize, key: &str, value: &str) {
        let what = format!("region {region} shows {key}={value}");
        eventually(&what, async || self.get(region, key).await.as_deref() == Some(value)).await;
    }

    /// Stops all nodes.
    pub async fn stop(self) {
        futures_util::future::join_all(self.nodes.iter().map(|node| node.stop())).await;
    }
}

/// Makes the table of these tests.
pub async fn make_table(node: &Node) {
    eventually("a table is made", async || {
        node.create_table("t", definition(), Vec::new()).await.is_ok() || node.table("t").is_some()
    })
    .await;
    eventually("it serves", async || node.table("t").is_some_and(|t| t.serves())).await;
}

/// Puts an item.
pub async fn put(node: &Node, key: &str, value: &str) {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let item = Item::from([("pk".to_owned(), text(key)), ("v".to_owned(), text(value))]);
    let table = node.table("t").unwrap();
    let write = Write {
        key: Key { partition: text(key), sort: None },
        action: Action::Put(item),
        condition: None,
        returns: Returns::default(),
    };
    let done = rt::timeout(PATIENCE, node.write(&table, write)).await;
    assert!(matches!(done, Ok(Ok(WriteOutcome::Done(_)))), "{done:?}");
}

/// What a node shows under a key.
pub async fn get(node: &Node, key: &str) -> Option<String> {
    let table = node.table("t")?;
    let key = Key { partition: AttributeValue::S(key.to_owned()), sort: None };
    let found = node.get(&table, key, Consistency::Eventual).await.ok()?;
    match found.item?.get("v") {
        Some(AttributeValue::S(text)) => Some(text.clone()),
        _ => None,
    }
}

/// What the table of these tests is.
pub fn definition() -> TableDefinition {
    TableDefinition {
        attributes: vec![KeyAttribute::new("pk", KeyKind::S)],
        key: KeySchema::simple("pk", KeyKind::S),
        local_indexes: Vec::new(),
        global_indexes: Vec::new(),
        billing: BillingMode::PayPerRequest,
        throughput: None,
        stream: None,
        class: None,
        deletion_protection: false,
        on_demand: OnDemandMaximum::default(),
        warm: None,
        encryption: None,
        ttl: None,
        overrides: BTreeMap::new(),
        scaling: Vec::new(),
    }
}

/// Waits for a condition.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = rt::now() + PATIENCE;
    while !holds().await {
        assert!(rt::now() < deadline, "in vain: {what}");
        rt::sleep(Duration::from_millis(10)).await;
    }
}

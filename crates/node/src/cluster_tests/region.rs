//! A region of three nodes with their data on disk, each of which can be stopped and started.

use super::testing::{eventually, make_table, options};
use crate::archive::{ArchiveOptions, CHECK_EVERY};
use crate::buckets::Buckets;
use crate::node::Node;
use crate::options::DataDir;
use crate::{founding, identity::Founder};
use meridian_storage::EngineKind;
use object_store::ObjectStore;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const NODES: u64 = 3;
/// Below this a node is short of disk.
pub const FREE_MIN: u64 = 1000;

/// The region.
pub struct Region {
    folder: tempfile::TempDir,
    engine: EngineKind,
    addresses: BTreeMap<u64, String>,
    pub nodes: BTreeMap<u64, Arc<Node>>,
    /// How much each node believes to be free on its disk.
    free: BTreeMap<u64, Arc<AtomicU64>>,
    /// Where all nodes archive to.
    pub archive: ArchiveOptions,
    /// The buckets of all nodes.
    pub buckets: Buckets,
}

impl Region {
    /// Three nodes and a table of two partitions.
    pub async fn start(engine: EngineKind) -> Region {
        let store = Arc::new(object_store::memory::InMemory::new());
        Region::start_with(engine, store, CHECK_EVERY).await
    }

    /// The same, with a store for the archive, and how long what was put there stays in change logs.
    pub async fn start_with(
        engine: EngineKind,
        store: Arc<dyn ObjectStore>,
        check_every: Duration,
    ) -> Region {
        let archive = ArchiveOptions {
            store,
            key: meridian_archive::MasterKey::new([7; 32]),
            restore_bytes_per_s_max: None,
            check_every,
        };
        let region = Region::found(engine, 7, archive).await;
        make_table(region.node(1)).await;
        region
    }

    /// Three nodes of a cluster of that id, without a table.
    pub async fn found(engine: EngineKind, cluster: u64, archive: ArchiveOptions) -> Region {
        let folder = tempfile::tempdir().unwrap();
        let free = (1..=NODES).map(|id| (id, Arc::new(AtomicU64::new(u64::MAX)))).collect();
        let (addresses, nodes) = (BTreeMap::new(), BTreeMap::new());
        let buckets = Buckets::in_memory();
        let mut region = Region { folder, engine, addresses, nodes, free, archive, buckets };
        for id in 1..=NODES {
            region.start_node(id).await;
        }
        let founders: BTreeMap<u64, Founder> =
            region.nodes.values().map(|node| (node.id().0, node.founder())).collect();
        let founded = founding::plan(founders, cluster, 1);
        for node in region.nodes.values() {
            node.found(&founded).await.unwrap();
        }
        region.is_ready().await;
        region
    }

    /// Where a node keeps its data.
    pub fn data(&self, id: u64) -> PathBuf {
        self.folder.path().join(id.to_string())
    }

    /// One of the nodes.
    pub fn node(&self, id: u64) -> &Arc<Node> {
        &self.nodes[&id]
    }

    /// Starts a node, for the first time or again.
    pub async fn start_node(&mut self, id: u64) {
        let address = self.addresses.get(&id).map_or("127.0.0.1:0", String::as_str);
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let peer = listener.local_addr().unwrap().to_string();
        self.addresses.insert(id, peer.clone());
        let mut options = options(id, peer);
        options.region = "region-1".into();
        options.data = DataDir::Path(self.data(id));
        options.engine = self.engine;
        options.archive = Some(self.archive.clone());
        options.buckets = self.buckets.clone();
        options.disk_free_bytes_min = FREE_MIN;
        let free = Arc::clone(&self.free[&id]);
        options.free_bytes = Arc::new(move |_| Ok(free.load(Ordering::Relaxed)));
        let node = Node::start(options, listener).await.unwrap();
        self.nodes.insert(id, node);
    }

    /// Waits until every node serves.
    pub async fn is_ready(&self) {
        for node in self.nodes.values() {
            eventually("a node is ready", async || node.ready().is_ok()).await;
        }
    }

    /// Stops a node and waits until its files are closed.
    pub async fn stop_node(&mut self, id: u64) {
        let node = self.nodes.remove(&id).unwrap();
        node.stop().await;
        drop(node);
        closed(&self.data(id)).await;
    }

    /// Lets a node believe that so much is free.
    pub fn set_free(&self, id: u64, bytes: u64) {
        self.free[&id].store(bytes, Ordering::Relaxed);
    }

    /// Lets every log of a node go behind what its engine holds.
    pub async fn release(&self, id: u64) {
        for group in self.node(id).hosting.groups() {
            eventually("a log is purged", async || {
                let Some(applied) = group.status().applied else { return false };
                group.release(applied).await.is_ok() && group.log_bounds().0.is_some()
            })
            .await;
        }
    }

    /// The replicas of every partition hold the same, and each has three voters.
    pub async fn is_whole(&self) {
        eventually("the replicas are whole and equal", async || {
            let partitions = self.node(1).control.region_state().partitions().clone();
            !partitions.is_empty()
                && partitions.values().all(|record| {
                    let replicas = self.nodes.values().filter_map(|node| {
                        let hosted = node.hosting.partition(record.id)?;
                        let replica = hosted.replica.lock();
                        Some((replica.applied(), replica.state_hash().ok()?))
                    });
                    let replicas: Vec<_> = replicas.collect();
                    record.replicas.voters.len() == 3
                        && replicas.len() == 3
                        && replicas.iter().all(|replica| *replica == replicas[0])
                })
        })
        .await;
    }

    /// Stops all nodes.
    pub async fn stop(self) {
        futures_util::future::join_all(self.nodes.values().map(|node| node.stop())).await;
    }
}

/// Waits until a stopped node's log and engine are let go: the engine closes some time after the log.
pub async fn closed(data: &Path) {
    let locks = ["log/lock", "engine/lock", "engine/fjall/lock"].map(|lock| data.join(lock));
    let is_held = |lock: &PathBuf| {
        matches!(std::fs::File::open(lock).map(|file| file.try_lock()), Ok(Err(_)))
    };
    eventually("the files are closed", async || !locks.iter().any(is_held)).await;
}

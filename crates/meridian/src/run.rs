//! A node in this process: its listeners, its start and its graceful stop.
//!
//! # Invariants
//!
//! - Every listener is bound before the data is touched, so that a port in use harms nothing.
//! - Leaders hand over before the listeners close.
//!
//! Tested by `run/tests.rs` over sockets, with the data in memory and on disk.

#[cfg(test)]
mod tests;

use crate::launch::{self, Launched};
use crate::output;
use anyhow::Context;
use meridian_node::Node;
use meridian_server::admin::{AdminEdge, Guard};
use meridian_server::config::NodeConfig;
use meridian_server::credentials::{IsRegion, Signatures};
use meridian_server::http::{DynamoEdge, EdgeLimits};
use meridian_server::listener::{HttpServer, ListenLimits};
use meridian_server::metering::MetricsPage;
use meridian_server::process;
use meridian_transport::Switch;
use std::sync::Arc;
use std::time::Duration;

/// Longest time that requests in flight are given when the node stops.
const FINISH_TIME: Duration = Duration::from_secs(3);
/// Longest time for leaders to hand over and data to be written when the node stops.
const HAND_OVER_TIME: Duration = Duration::from_secs(5);
/// Time between two looks at whether a node of `dev` is ready.
const READY_LOOK: Duration = Duration::from_millis(2);

/// Which kind of node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A cluster of its own, which it founds itself.
    Dev,
    /// A node of a cluster, founded by an operator.
    Cluster,
}

/// Runs a node until it is asked to stop, or has to be started again.
///
/// # Errors
///
/// It does not start, or its engine is damaged and the next start will rebuild it.
pub async fn node(config: NodeConfig, kind: Kind) -> anyhow::Result<()> {
    let running = Running::start(config, kind).await?;
    if kind == Kind::Dev {
        running.ready().await;
        output::line(&format!("ready http://{}", running.clients.local()));
    }
    let ended = tokio::select! {
        signal = process::asked_to_stop() => {
            tracing::info!(signal = signal?, "node stops");
            Ok(())
        }
        why = running.node.damaged() => {
            tracing::error!(%why, "the engine is damaged: the node ends, and is rebuilt when it starts");
            Err(anyhow::anyhow!("the engine is damaged: {why}; start the node again to rebuild it"))
        }
    };
    running.stop().await;
    ended
}

/// A node and its listeners.
struct Running {
    node: Arc<Node>,
    clients: HttpServer,
    admin: HttpServer,
    switch: Switch,
}

impl Running {
    async fn start(mut config: NodeConfig, kind: Kind) -> anyhow::Result<Self> {
        let metrics = MetricsPage::install();
        let clients = process::bind(config.listen_client).await?;
        let admin = process::bind(config.listen_admin).await?;
        let peers = process::bind(config.listen_peer).await?;
        if kind == Kind::Dev {
            config.advertise_client = clients.local_addr()?.into();
            config.advertise_admin = admin.local_addr()?.into();
            config.advertise_peer = peers.local_addr()?.into();
        }
        let switch = Switch::new();
        let launched = launch::start(&config, kind, peers, switch.clone()).await?;
        let Launched { handler, backend, node } = launched;
        let state = node.control.watch_global();
        let is_region: IsRegion = Arc::new(move |name| state.borrow().regions().contains_key(name));
        let signatures = config.credentials.take();
        let signatures = signatures.map(|keys| Signatures::new(keys, &config.region, is_region));
        let edge = DynamoEdge::new(&config.region, handler, EdgeLimits::default())
            .with_signatures(signatures);
        let limits = ListenLimits::default();
        let clients = HttpServer::start(clients, switch.clone(), limits, Arc::new(edge))
            .context("clients cannot be served")?;
        let guard = Guard::new(config.cluster_secret.clone());
        let edge = AdminEdge::new(backend, guard, metrics, switch.clone());
        // Never behind the switch, or nothing could turn it off again.
        let admin = HttpServer::start(admin, Switch::new(), limits, Arc::new(edge))
            .context("the admin listener cannot be served")?;
        tracing::info!(
            node = config.node_id,
            region = config.region,
            clients = %clients.local(),
            admin = %admin.local(),
            "node listens"
        );
        Ok(Running { node, clients, admin, switch })
    }

    async fn ready(&self) {
        while self.node.ready().is_err() {
            tokio::time::sleep(READY_LOOK).await;
        }
    }

    async fn stop(self) {
        // A black hole would hold every connection for ever.
        self.switch.set(false);
        if tokio::time::timeout(HAND_OVER_TIME, self.node.hand_over()).await.is_err() {
            tracing::warn!("leaders were not handed over in time");
        }
        self.clients.stop(FINISH_TIME).await;
        if tokio::time::timeout(HAND_OVER_TIME, self.node.stop()).await.is_err() {
            tracing::warn!("the node did not come to rest in time");
        }
        self.admin.stop(Duration::ZERO).await;
    }
}

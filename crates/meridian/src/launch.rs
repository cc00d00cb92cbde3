//! Starts the node behind the listeners.

use crate::run::Kind;
use crate::{archive, buckets};
use anyhow::Context;
use meridian_api::RequestContext;
use meridian_api::admin::AdminBackend;
use meridian_base::NodeId;
use meridian_control::NodeAddresses;
use meridian_node::{DataDir, Node, NodeOptions, SystemClock};
use meridian_server::ApiHandler;
use meridian_server::config::{EngineChoice, FailurePolicy, NodeConfig};
use meridian_server::http::RequestHandler;
use meridian_storage::EngineKind;
use meridian_transport::{Delays, Secret, Switch};
use std::sync::Arc;
use tokio::net::TcpListener;

/// A node that was started.
pub struct Launched {
    /// Answers clients.
    pub handler: Arc<dyn RequestHandler>,
    /// Answers operators.
    pub backend: Arc<dyn AdminBackend>,
    /// The node itself.
    pub node: Arc<Node>,
}

/// Starts a node; its peers are served on `peers`.
pub async fn start(
    config: &NodeConfig,
    kind: Kind,
    peers: TcpListener,
    switch: Switch,
) -> anyhow::Result<Launched> {
    let options = options(config, kind, switch)?;
    let node = Node::start(options, peers).await.context("the node cannot start")?;
    let context = RequestContext {
        region: config.region.clone(),
        endpoint: config.advertise_client.to_string(),
    };
    let handler = Arc::new(ApiHandler::new(node.clone(), context));
    Ok(Launched { handler, backend: node.clone(), node })
}

fn options(config: &NodeConfig, kind: Kind, switch: Switch) -> anyhow::Result<NodeOptions> {
    let secret = config.cluster_secret.as_ref().map(|s| Secret::new(s.reveal()));
    let (data, engine) = match config.engine {
        EngineChoice::Fjall => (DataDir::Path(config.data_dir.clone()), EngineKind::Fjall),
        EngineChoice::Sled => (DataDir::Path(config.data_dir.clone()), EngineKind::Sled),
        EngineChoice::Memory => (DataDir::Memory, EngineKind::Memory),
    };
    let silence_ms = u64::try_from(config.silence.as_millis())?;
    Ok(NodeOptions {
        node: NodeId(config.node_id),
        region: config.region.clone(),
        zone: config.zone.clone(),
        addresses: NodeAddresses {
            peer: config.advertise_peer.to_string(),
            client: config.advertise_client.to_string(),
            admin: config.advertise_admin.to_string(),
        },
        seeds: config.seeds.iter().map(ToString::to_string).collect(),
        data,
        engine,
        partitions: config.partitions,
        secret: secret.transpose().context("cluster_secret_file")?,
        delays: Delays::to_others(config.latency / 2),
        auto_fail_ms: match config.region_failure_policy {
            FailurePolicy::Auto => Some(silence_ms),
            FailurePolicy::Manual => None,
        },
        disk_free_bytes_min: config.disk_free_bytes_min,
        free_bytes: Arc::new(meridian_storage::free_bytes),
        switch,
        clock: Arc::new(SystemClock),
        archive: archive::options(config, kind)?,
        buckets: buckets::of(config)?,
        alone: kind == Kind::Dev,
    })
}

//! Starts the node behind the listeners.

use crate::run::Kind;
use meridian_api::admin::AdminBackend;
use meridian_server::config::NodeConfig;
use meridian_server::http::RequestHandler;
use meridian_transport::Switch;
use std::sync::Arc;
use tokio::net::TcpListener;

/// A node that was started.
pub struct Launched {
    /// Answers clients.
    pub handler: Arc<dyn RequestHandler>,
    /// Answers operators.
    pub backend: Arc<dyn AdminBackend>,
    /// The node itself.
    pub running: Running,
}

/// A running node.
pub enum Running {}

impl Running {
    /// Waits until the node cannot go on, and says why.
    pub async fn failed(&self) -> anyhow::Error {
        match *self {}
    }

    /// Gives every leadership to another node.
    pub async fn hand_over(&self) {
        match *self {}
    }

    /// Writes what must be written and ends.
    pub async fn stop(self) {
        match self {}
    }
}

/// Starts a node.
pub async fn start(
    config: &NodeConfig,
    _kind: Kind,
    _peers: TcpListener,
    _switch: Switch,
) -> anyhow::Result<Launched> {
    anyhow::bail!("node {} cannot start: this build holds no node", config.node_id)
}

//! The side that is called: accepts connections, greets, hands requests to the handler.
//!
//! # Invariants
//!
//! - A graceful stop answers everything that was received; peers are told to send nothing new.
//!
//! Tested by `tests/`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use meridian_base::NodeId;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::transport::Server;

use crate::config::{
    CONNECTION_WINDOW_BYTES, FRAME_BYTES_MAX, H2_FRAME_BYTES, STREAM_WINDOW_BYTES,
};
use crate::incoming::incoming;
use crate::proto::peer_server;
use crate::service::{Service, Stage};
use crate::{Acceptor, Chunks, Kind, PeerConfig};

/// Calls of one connection. Peers open one.
const STREAMS_MAX: u32 = 2;
/// HTTP/2 ping of a connection whose peer may be gone without a word.
const H2_PING: Duration = Duration::from_secs(10);

/// What answers the calls of peers.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Answers a call. `from` is 0 while the caller does not know its id. An `Err` reaches the
    /// caller as [`crate::CallError::Refused`].
    async fn handle(&self, from: NodeId, kind: Kind, payload: Bytes) -> Result<Bytes, String>;

    /// Takes a transfer and answers it. By default none is taken.
    async fn receive(
        &self,
        from: NodeId,
        kind: Kind,
        header: Bytes,
        chunks: Chunks,
    ) -> Result<Bytes, String> {
        drop((from, header, chunks));
        Err(format!("transfers of {} are not taken here", kind.name()))
    }
}

/// A server of peers. Dropping it ends its sessions at once; [`PeerServer::stop`] is gentler.
pub struct PeerServer {
    local: SocketAddr,
    stage: Arc<watch::Sender<Stage>>,
    task: JoinHandle<()>,
}

impl PeerServer {
    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Stops: peers are told, what was received is answered, then connections close. What is not
    /// done after `grace` is cut off.
    pub async fn stop(mut self, grace: Duration) {
        self.stage.send_replace(Stage::Draining);
        if timeout(grace, &mut self.task).await.is_err() {
            self.stage.send_replace(Stage::Ended);
            // Sessions end by themselves now; a connection whose peer is gone may not.
            let _ = timeout(grace.min(Duration::from_secs(1)), &mut self.task).await;
        }
    }
}

impl Drop for PeerServer {
    fn drop(&mut self) {
        self.stage.send_replace(Stage::Ended);
        self.task.abort();
    }
}

/// Serves peers on a listener until the server is stopped or dropped.
pub fn serve(
    listener: TcpListener,
    handler: Arc<dyn Handler>,
    config: PeerConfig,
) -> io::Result<PeerServer> {
    let local = listener.local_addr()?;
    let stage = Arc::new(watch::Sender::new(Stage::Serving));
    let acceptor = Acceptor::new(listener, config.switch.clone());
    let service = peer_server::PeerServer::new(Service::new(handler, config, stage.subscribe()))
        .max_decoding_message_size(FRAME_BYTES_MAX)
        .max_encoding_message_size(FRAME_BYTES_MAX);
    let mut stopping = stage.subscribe();
    let task = tokio::spawn(async move {
        let stopped = async move {
            // An error means that the server was dropped.
            let _ = stopping.wait_for(|stage| *stage != Stage::Serving).await;
        };
        let served = Server::builder()
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_frame_size(H2_FRAME_BYTES)
            .max_concurrent_streams(STREAMS_MAX)
            .http2_keepalive_interval(Some(H2_PING))
            .http2_keepalive_timeout(Some(H2_PING))
            .add_service(service)
            .serve_with_incoming_shutdown(incoming(acceptor), stopped)
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "peers are no longer served");
        }
    });
    Ok(PeerServer { local, stage, task })
}

//! Nodes on loopback sockets.

mod calls;
mod delay;
mod greeting;
mod links;
mod meter;
mod switch;
mod transfers;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use meridian_base::NodeId;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::{Chunks, Handler, Identity, Kind, PeerAddress, PeerConfig, PeerServer, Peers, serve};

/// Long enough for a busy machine; a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Answers by kind: `Item` echoes, `Admin` refuses, `Control` says who called, `Raft` waits for
/// leave, `Replicate` answers with as many bytes as the payload says.
pub(crate) struct Echo {
    /// Permits of `Raft` calls to answer.
    pub(crate) leave: Semaphore,
    /// Counts `Raft` calls that began.
    pub(crate) began: Semaphore,
}

impl Echo {
    pub(crate) fn new() -> Arc<Echo> {
        Arc::new(Echo { leave: Semaphore::new(0), began: Semaphore::new(0) })
    }
}

#[async_trait]
impl Handler for Echo {
    async fn handle(&self, from: NodeId, kind: Kind, payload: Bytes) -> Result<Bytes, String> {
        match kind {
            Kind::Item => Ok(payload),
            Kind::Admin => Err(format!("no: {}", String::from_utf8_lossy(&payload))),
            Kind::Control => Ok(Bytes::from(from.to_string())),
            Kind::Raft => {
                self.began.add_permits(1);
                self.leave.acquire().await.unwrap().forget();
                Ok(payload)
            }
            Kind::Replicate => {
                let size: usize = std::str::from_utf8(&payload).unwrap().parse().unwrap();
                Ok(Bytes::from(vec![7; size]))
            }
        }
    }

    async fn receive(
        &self,
        _: NodeId,
        kind: Kind,
        header: Bytes,
        mut chunks: Chunks,
    ) -> Result<Bytes, String> {
        if kind == Kind::Admin {
            return Err("no transfers of that".to_owned());
        }
        if kind == Kind::Item {
            self.began.add_permits(1);
            self.leave.acquire().await.unwrap().forget();
        }
        let mut total = header.len();
        while let Some(chunk) = chunks.next().await {
            total += chunk.map_err(|error| error.to_string())?.len();
        }
        Ok(Bytes::from(total.to_string()))
    }
}

pub(crate) fn config(node: u64, region: &str) -> PeerConfig {
    PeerConfig::new(Identity::new(NodeId(node), region))
}

pub(crate) async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

pub(crate) async fn server(config: &PeerConfig) -> (PeerServer, Arc<Echo>) {
    let echo = Echo::new();
    (serve(listener().await, echo.clone(), config.clone()).unwrap(), echo)
}

/// Node 1, which calls, and node 2, which answers.
pub(crate) struct Pair {
    pub(crate) peers: Peers,
    pub(crate) server: PeerServer,
    pub(crate) echo: Arc<Echo>,
}

pub(crate) const TWO: NodeId = NodeId(2);

pub(crate) async fn pair(one: PeerConfig, two: PeerConfig) -> Pair {
    let (server, echo) = server(&two).await;
    let peers = Peers::new(one);
    peers.set_address(TWO, address_of(&server, &two.identity.region()));
    Pair { peers, server, echo }
}

pub(crate) fn address_of(server: &PeerServer, region: &str) -> PeerAddress {
    PeerAddress { addr: server.local_addr().to_string(), region: region.to_owned() }
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Waits until node 2 is connected.
pub(crate) async fn connected(peers: &Peers) {
    until("connected", || peers.link(TWO).connected).await;
}

/// Waits until the handler has begun with so many `Raft` calls more.
pub(crate) async fn began(echo: &Echo, calls: u32) {
    timeout(PATIENCE, echo.began.acquire_many(calls)).await.unwrap().unwrap().forget();
}

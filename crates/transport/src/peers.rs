//! The address book of a node and calls to those in it.
//!
//! # Invariants
//!
//! - A node in the book is dialled as soon as it is entered, not at the first call: how long a
//!   peer is silent is known for all of them.
//! - This node is never in its own book.
//!
//! Tested by `tests/`.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use meridian_base::NodeId;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::dial::{DialError, Purpose, dial};
use crate::ear::Heard;
use crate::link::Link;
use crate::meter::Meter;
use crate::session::{self, Reader};
use crate::{CallError, Kind, LinkState, PeerAddress, PeerConfig, transfer};

/// The peers of a node. Clones are the same; the last one to go closes every connection.
#[derive(Clone)]
pub struct Peers(Arc<Inner>);

struct Inner {
    config: PeerConfig,
    links: RwLock<BTreeMap<NodeId, Arc<Link>>>,
    meter: Meter,
    changes: Arc<watch::Sender<u64>>,
}

impl Peers {
    /// An empty address book. Needs a tokio runtime from the first address on.
    pub fn new(config: PeerConfig) -> Peers {
        Peers(Arc::new(Inner {
            config,
            links: RwLock::default(),
            meter: Meter::new(),
            changes: Arc::new(watch::Sender::new(0)),
        }))
    }

    /// Enters a peer, or moves it. The same address again changes nothing; this node itself and
    /// node 0 are left out.
    pub fn set_address(&self, node: NodeId, address: PeerAddress) {
        if node == NodeId(0) || node == self.0.config.identity.node() {
            return;
        }
        let mut links = self.0.links.write().unwrap_or_else(PoisonError::into_inner);
        match links.get(&node) {
            Some(link) => link.follow(address),
            None => {
                let link = Link::start(
                    node,
                    address,
                    self.0.config.clone(),
                    self.0.meter.clone(),
                    self.0.changes.clone(),
                );
                links.insert(node, Arc::new(link));
            }
        }
    }

    /// Forgets a peer. Calls on their way still get their answers.
    pub fn remove_address(&self, node: NodeId) {
        self.0.links.write().unwrap_or_else(PoisonError::into_inner).remove(&node);
    }

    /// Where a peer is, as far as known.
    pub fn address(&self, node: NodeId) -> Option<PeerAddress> {
        Some(self.find(node)?.address())
    }

    /// Calls a peer and waits for its answer, at most `timeout`.
    pub async fn call(
        &self,
        to: NodeId,
        kind: Kind,
        payload: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, CallError> {
        let link = self.find(to).ok_or(CallError::NotSent)?;
        link.call(kind, payload, timeout).await
    }

    /// Calls whoever answers at an address, on a connection of its own: for seeds. A refused
    /// greeting (wrong secret, another cluster) is [`CallError::Refused`] with the reason.
    pub async fn call_addr(
        &self,
        addr: &str,
        kind: Kind,
        payload: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, CallError> {
        session::check_size(&payload)?;
        let config = &self.0.config;
        let deadline = Instant::now() + timeout;
        let address = PeerAddress { addr: addr.to_owned(), region: config.identity.region() };
        let dialling = dial(config, &address, NodeId(0), Purpose::Session, Heard::new());
        let dialled = match timeout_at(deadline, dialling).await {
            Ok(Ok(dialled)) => dialled,
            Ok(Err(refused @ DialError::Refused { .. })) => {
                return Err(CallError::Refused(refused.to_string()));
            }
            Ok(Err(DialError::Unreachable { .. })) | Err(_) => return Err(CallError::NotSent),
        };
        let (session, reader) = session::start(dialled, &config.timing, &self.0.meter);
        tokio::select! {
            result = session.call(kind, payload, deadline) => result,
            never = listen(reader) => match never {},
        }
    }

    /// Sends a stream of chunks to a peer, on a connection of its own and as fast as the peer
    /// takes them, and waits for its answer. An `Err` chunk gives up, and the peer is told.
    /// There is no deadline; a peer that is silent for too long ends it as unknown.
    pub async fn transfer<S>(
        &self,
        to: NodeId,
        kind: Kind,
        header: Bytes,
        chunks: S,
    ) -> Result<Bytes, CallError>
    where
        S: Stream<Item = Result<Bytes, String>> + Send + 'static,
    {
        session::check_size(&header)?;
        let address = self.address(to).ok_or(CallError::NotSent)?;
        let dialled =
            match dial(&self.0.config, &address, to, Purpose::Transfer, Heard::new()).await {
                Ok(dialled) => dialled,
                Err(_) => return Err(CallError::NotSent),
            };
        let timing = &self.0.config.timing;
        transfer::send(dialled, kind, header, chunks, timing, self.0.meter.clone()).await
    }

    /// How the link to a peer is; not connected and never heard if it is not in the book.
    pub fn link(&self, node: NodeId) -> LinkState {
        self.find(node)
            .map_or(LinkState { connected: false, silent: None, problem: None }, |link| {
                link.state()
            })
    }

    /// How all links are.
    pub fn links(&self) -> BTreeMap<NodeId, LinkState> {
        let links = self.0.links.read().unwrap_or_else(PoisonError::into_inner);
        links.iter().map(|(node, link)| (*node, link.state())).collect()
    }

    /// Changes whenever a link connects or breaks: a hint to look at [`Peers::links`].
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    fn find(&self, node: NodeId) -> Option<Arc<Link>> {
        self.0.links.read().unwrap_or_else(PoisonError::into_inner).get(&node).cloned()
    }
}

/// Listens until the session ends, then ends its calls and waits for ever.
async fn listen(mut reader: Reader) -> std::convert::Infallible {
    reader.run().await;
    drop(reader);
    std::future::pending().await
}

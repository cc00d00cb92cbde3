//! The link to one peer: dials it, keeps a session, dials again.
//!
//! # Invariants
//!
//! - At most one session takes calls at any time.
//! - A changed address or node id is followed at once; failed attempts pause from
//!   `backoff_min` to `backoff_max`.
//! - A problem is logged when it appears or changes, not at every attempt.
//!
//! Tested by `tests/links.rs`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use meridian_base::NodeId;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout_at};

use crate::dial::{DialError, Purpose, dial};
use crate::ear::Heard;
use crate::meter::{Meter, PeerMeter};
use crate::poison::lock;
use crate::session::{self, End, Reader, Session};
use crate::{CallError, Kind, PeerConfig};

/// Where a peer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerAddress {
    /// Host and port.
    pub addr: String,
    /// Its region, for the delay before the peer itself has said it; empty when not known.
    pub region: String,
}

/// How the link to a peer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkState {
    /// Whether calls go out now.
    pub connected: bool,
    /// How long ago the peer was last heard; `None` if never. A peer that lives is heard every
    /// keepalive interval (500 ms).
    pub silent: Option<Duration>,
    /// Why it is not connected, as far as known.
    pub problem: Option<String>,
}

/// The link to one peer. Dropping it ends its session.
pub(crate) struct Link {
    shared: Arc<Shared>,
    task: AbortHandle,
}

struct Shared {
    to: NodeId,
    config: PeerConfig,
    meter: Meter,
    peer_meter: PeerMeter,
    address: watch::Sender<PeerAddress>,
    session: watch::Sender<Option<Arc<Session>>>,
    heard: Arc<Heard>,
    problem: Mutex<Option<String>>,
    /// Counts what happens to the links of this node.
    changes: Arc<watch::Sender<u64>>,
}

impl Link {
    /// Starts to dial a peer.
    pub(crate) fn start(
        to: NodeId,
        address: PeerAddress,
        config: PeerConfig,
        meter: Meter,
        changes: Arc<watch::Sender<u64>>,
    ) -> Link {
        let shared = Arc::new(Shared {
            to,
            config,
            meter,
            peer_meter: PeerMeter::new(to),
            address: watch::Sender::new(address),
            session: watch::Sender::new(None),
            heard: Heard::new(),
            problem: Mutex::new(None),
            changes,
        });
        shared.peer_meter.connected(false);
        let task = tokio::spawn(shared.clone().run()).abort_handle();
        Link { shared, task }
    }

    /// Follows the peer to an address, if it is a new one.
    pub(crate) fn follow(&self, address: PeerAddress) {
        self.shared.address.send_if_modified(|current| {
            let moved = *current != address;
            if moved {
                *current = address;
            }
            moved
        });
    }

    /// Where the peer is.
    pub(crate) fn address(&self) -> PeerAddress {
        self.shared.address.borrow().clone()
    }

    /// How the link is.
    pub(crate) fn state(&self) -> LinkState {
        LinkState {
            connected: self.shared.session.borrow().is_some(),
            silent: self.shared.heard.ago(),
            problem: lock(&self.shared.problem).clone(),
        }
    }

    /// Calls the peer; waits shortly for a connection.
    pub(crate) async fn call(
        &self,
        kind: Kind,
        payload: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, CallError> {
        let begin = Instant::now();
        let session = self.session(begin, timeout).await?;
        session.call(kind, payload, begin + timeout).await
    }

    async fn session(&self, begin: Instant, timeout: Duration) -> Result<Arc<Session>, CallError> {
        if let Some(session) = &*self.shared.session.borrow() {
            return Ok(session.clone());
        }
        let grace = begin + timeout.min(self.shared.config.timing.connect_grace);
        let mut sessions = self.shared.session.subscribe();
        let found = timeout_at(grace, sessions.wait_for(Option::is_some)).await;
        let Ok(Ok(session)) = found else { return Err(CallError::NotSent) };
        session.clone().ok_or(CallError::NotSent)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
        self.shared.peer_meter.connected(false);
    }
}

impl Shared {
    async fn run(self: Arc<Shared>) {
        let timing = self.config.timing.clone();
        let mut pause = timing.backoff_min;
        let mut first = true;
        loop {
            let address = self.address.borrow().clone();
            let node = self.config.identity.node();
            let heard = self.heard.clone();
            let dialling = dial(&self.config, &address, self.to, Purpose::Session, heard);
            let dialled = tokio::select! {
                dialled = dialling => dialled,
                () = self.moved(&address, node) => continue,
            };
            match dialled {
                Ok(dialled) => {
                    tracing::info!(
                        peer = %self.to,
                        address = address.addr,
                        region = dialled.peer.region,
                        "connected to a peer"
                    );
                    let (session, reader) = session::start(dialled, &timing, &self.meter);
                    if !std::mem::take(&mut first) {
                        self.peer_meter.reconnected();
                    }
                    let begin = Instant::now();
                    self.live(session, reader, &address, node).await;
                    // A session that lived is dialled again at once; one that did not, is not.
                    if begin.elapsed() >= timing.backoff_max {
                        pause = timing.backoff_min;
                        continue;
                    }
                }
                Err(error) => self.failed(&error),
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = self.moved(&address, node) => pause = timing.backoff_min,
            }
            pause = (pause * 2).min(timing.backoff_max);
        }
    }

    /// Waits until the peer or this node is no longer who or where it was.
    async fn moved(&self, address: &PeerAddress, node: NodeId) {
        let mut addresses = self.address.subscribe();
        let mut identity = self.config.identity.watch();
        // Neither sender can be gone: both are held by `self`.
        tokio::select! {
            _ = addresses.wait_for(|current| current != address) => {}
            _ = identity.wait_for(|who| who.node != node) => {}
        }
    }

    /// Lets a session take calls until it ends.
    async fn live(
        &self,
        session: Session,
        mut reader: Reader,
        address: &PeerAddress,
        node: NodeId,
    ) {
        self.connected(Some(Arc::new(session)));
        *lock(&self.problem) = None;
        let end = tokio::select! {
            end = reader.run() => end,
            () = self.moved(address, node) => End::Closing,
        };
        self.connected(None);
        match end {
            End::Closing => {
                tokio::spawn(reader.drain());
            }
            End::Lost(reason) => {
                tracing::info!(peer = %self.to, address = address.addr, reason, "lost a peer");
                *lock(&self.problem) = Some(reason);
            }
        }
    }

    fn connected(&self, session: Option<Arc<Session>>) {
        self.peer_meter.connected(session.is_some());
        self.session.send_replace(session);
        self.changes.send_modify(|count| *count += 1);
    }

    fn failed(&self, error: &DialError) {
        let text = error.to_string();
        let mut problem = lock(&self.problem);
        if problem.as_ref() == Some(&text) {
            return;
        }
        match error {
            DialError::Refused { .. } => tracing::warn!(peer = %self.to, error = text, "refused"),
            DialError::Unreachable { .. } => tracing::info!(peer = %self.to, error = text),
        }
        *problem = Some(text);
    }
}

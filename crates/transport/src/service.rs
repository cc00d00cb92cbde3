//! The two calls of the proto: greets, then hands requests and transfers to the handler.
//!
//! # Invariants
//!
//! - Each request is handled in a task of its own, at most [`IN_FLIGHT_MAX`] of a session; when
//!   they are all busy the session is not read, which slows its sender down.
//! - A request's handler that has begun is never cancelled, not even by the end of the server.
//! - A draining session still answers what arrives, until its dialler has nothing more to say.
//!
//! Tested by `tests/`.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::timeout;
use tonic::{Request, Response, Status, Streaming};

use crate::config::{IN_FLIGHT_MAX, PAYLOAD_BYTES_MAX};
use crate::ear::Ear;
use crate::greeting::{self, GreetingError, Peer};
use crate::incoming::Remote;
use crate::meter::Meter;
use crate::outbound::{self, Outbound, Say};
use crate::outbox::{Outbox, Outgoing, WeakOutbox};
use crate::poison::lock;
use crate::proto::{Frame, Message, PartStep, Role, peer_server};
use crate::transfer::part;
use crate::{Chunks, Handler, Kind, PeerConfig};

/// How long an answer waits for room in the queue; its caller has given up long before.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);
/// Addresses whose refusal is remembered, so that it is logged once.
const REFUSED_ADDRESSES_MAX: usize = 1000;

/// How far a server is on its way to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Serving,
    /// No new connections or calls; what was received is answered.
    Draining,
    /// Everything ends now.
    Ended,
}

/// The calls of the proto.
#[derive(Clone)]
pub(crate) struct Service(Arc<Shared>);

struct Shared {
    handler: Arc<dyn Handler>,
    config: PeerConfig,
    meter: Meter,
    stage: watch::Receiver<Stage>,
    refused: Mutex<BTreeSet<IpAddr>>,
}

type Frames = futures_util::stream::Map<Outbound, fn(Frame) -> Result<Frame, Status>>;

impl Service {
    /// Answers calls with a handler.
    pub(crate) fn new(
        handler: Arc<dyn Handler>,
        config: PeerConfig,
        stage: watch::Receiver<Stage>,
    ) -> Service {
        let refused = Mutex::default();
        Service(Arc::new(Shared { handler, config, meter: Meter::new(), stage, refused }))
    }
}

#[tonic::async_trait]
impl peer_server::Peer for Service {
    type SessionStream = Frames;
    type TransferStream = Frames;

    async fn session(
        &self,
        request: Request<Streaming<Frame>>,
    ) -> Result<Response<Frames>, Status> {
        let remote = remote(&request)?;
        let (say, outbound) = Outbound::new();
        let shared = self.0.clone();
        tokio::spawn(async move {
            let inbound = request.into_inner();
            shared.until_ended(shared.session(remote, say, inbound)).await;
        });
        Ok(Response::new(outbound.map(Ok)))
    }

    async fn transfer(
        &self,
        request: Request<Streaming<Frame>>,
    ) -> Result<Response<Frames>, Status> {
        let remote = remote(&request)?;
        let (say, outbound) = Outbound::new();
        let shared = self.0.clone();
        tokio::spawn(async move {
            let inbound = request.into_inner();
            shared.until_ended(shared.transfer(remote, say, inbound)).await;
        });
        Ok(Response::new(outbound.map(Ok)))
    }
}

fn remote(request: &Request<Streaming<Frame>>) -> Result<Remote, Status> {
    let remote = request.extensions().get::<Remote>();
    remote.cloned().ok_or_else(|| Status::internal("no remote address"))
}

/// What a session met next.
enum Event {
    Frame(Frame),
    Gone(String),
    Drain,
}

impl Shared {
    /// Runs until it is done or the server ends.
    async fn until_ended(&self, running: impl Future<Output = ()>) {
        let mut stage = self.stage.clone();
        tokio::select! {
            () = running => {}
            // A server that is gone has ended, too.
            _ = stage.wait_for(|stage| *stage == Stage::Ended) => {}
        }
    }

    /// Greets; `None` if nothing came of it.
    async fn greet(
        &self,
        remote: IpAddr,
        say: &Say,
        inbound: &mut Streaming<Frame>,
    ) -> Option<Peer> {
        let longest =
            self.config.delays.to.values().copied().fold(self.config.delays.others, Duration::max);
        let max = self.config.timing.greeting_max + longest * 4;
        let admitted = greeting::admit(&self.config, remote, &say.greeting, inbound);
        match timeout(max, admitted).await {
            Ok(Ok(peer)) => return Some(peer),
            Ok(Err(GreetingError::Refused(reason))) => self.log_refused(remote, &reason),
            Ok(Err(GreetingError::Broken(reason))) => {
                tracing::debug!(%remote, reason, "a peer did not finish its greeting");
            }
            Err(_) => tracing::debug!(%remote, "a peer was too slow to greet"),
        }
        None
    }

    /// Logs a refused peer once per address.
    fn log_refused(&self, remote: IpAddr, reason: &str) {
        let mut refused = lock(&self.refused);
        if refused.len() < REFUSED_ADDRESSES_MAX && refused.insert(remote) {
            tracing::warn!(%remote, reason, "a peer was refused");
        }
    }

    async fn session(&self, remote: Remote, say: Say, mut inbound: Streaming<Frame>) {
        let Some(peer) = self.greet(remote.address, &say, &mut inbound).await else { return };
        let delay = self.config.delay_to(&peer.region);
        let timing = &self.config.timing;
        let (outbox, packer) = Outbox::new(None, self.meter.clone());
        if say.body.send(outbound::body(packer, timing.keepalive, delay)).is_err() {
            return;
        }
        drop(say.greeting);
        let mut ear = Ear::new(inbound, remote.heard, timing.silence_max + delay * 2);
        let busy = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
        let mut stage = self.stage.clone();
        let mut draining = false;
        loop {
            match next_event(&mut ear, &mut stage, draining).await {
                Event::Frame(frame) => {
                    self.meter.received(&frame.messages);
                    for message in frame.messages {
                        self.dispatch(&peer, message, &outbox, &busy).await;
                    }
                }
                Event::Drain => {
                    draining = true;
                    // A queue without room has a peer that hears nothing, and drains all the same.
                    let _ = outbox.push(Outgoing::Closing, timing.connect_grace).await;
                }
                Event::Gone(reason) => {
                    tracing::debug!(peer = %peer.node, remote = %remote.address, reason, "a session ended");
                    break;
                }
            }
        }
        // A dialler ends its side when none of its callers waits any more, so nobody misses the
        // answers of handlers that are still busy.
    }

    /// Handles one message in a task of its own, as soon as one may start.
    async fn dispatch(
        &self,
        peer: &Peer,
        message: Message,
        outbox: &Outbox,
        busy: &Arc<Semaphore>,
    ) {
        let Ok(permit) = busy.clone().acquire_owned().await else { return };
        let handler = self.handler.clone();
        let outbox = outbox.downgrade();
        let from = peer.node;
        tokio::spawn(async move {
            let id = message.id;
            let result = match Kind::from_wire(message.kind) {
                Some(kind) => handler.handle(from, kind, message.payload).await,
                None => Err(format!("message kind {} is not known here", message.kind)),
            };
            answer(&outbox, id, result).await;
            drop(permit);
        });
    }

    async fn transfer(&self, remote: Remote, say: Say, mut inbound: Streaming<Frame>) {
        let Some(peer) = self.greet(remote.address, &say, &mut inbound).await else { return };
        let delay = self.config.delay_to(&peer.region);
        let timing = &self.config.timing;
        let (answer, answered) = oneshot::channel();
        let frames = Box::pin(stream::once(answered).filter_map(|frame| async { frame.ok() }));
        if say.body.send(outbound::body(frames, timing.keepalive, delay)).is_err() {
            return;
        }
        drop(say.greeting);
        let ear = Ear::new(inbound, remote.heard, timing.silence_max + delay * 2);
        let result = match Chunks::start(ear, self.meter.clone()).await {
            Ok((header, chunks)) => {
                self.handler.receive(peer.node, chunks.kind(), header, chunks).await
            }
            Err(error) => Err(error.to_string()),
        };
        let frame = match limited(result) {
            Ok(payload) => part(PartStep::Answer, None, payload),
            Err(reason) => part(PartStep::Refusal, None, Bytes::from(reason)),
        };
        // The sender may have gone.
        let _ = answer.send(frame);
    }
}

/// Waits for the next frame, the end of the session, or the order to drain.
async fn next_event(ear: &mut Ear, stage: &mut watch::Receiver<Stage>, draining: bool) -> Event {
    tokio::select! {
        // The order to drain must not wait for a pause.
        biased;
        _ = stage.wait_for(|stage| *stage != Stage::Serving), if !draining => Event::Drain,
        next = ear.next() => next.map_or_else(Event::Gone, Event::Frame),
    }
}

/// Queues an answer, unless the session is gone.
async fn answer(outbox: &WeakOutbox, id: u64, result: Result<Bytes, String>) {
    let (role, payload) = match limited(result) {
        Ok(payload) => (Role::Answer, payload),
        Err(reason) => (Role::Refusal, Bytes::from(reason)),
    };
    let Some(outbox) = outbox.upgrade() else { return };
    // A caller that takes no answers has given up, and so does its session.
    let _ = outbox.push(Outgoing::Message { id, kind: None, role, payload }, ANSWER_WAIT_MAX).await;
}

/// Replaces an answer that no frame can carry by a refusal.
fn limited(result: Result<Bytes, String>) -> Result<Bytes, String> {
    let payload = result?;
    if payload.len() <= PAYLOAD_BYTES_MAX {
        return Ok(payload);
    }
    Err(format!("an answer of {} bytes exceeds the limit of {PAYLOAD_BYTES_MAX}", payload.len()))
}

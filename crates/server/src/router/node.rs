//! One node as a router sees it: its address, its health, and a pool of connections to it.
//!
//! # Invariants
//!
//! - A connection carries one request at a time and returns to the pool only after a whole answer.
//! - [`SendError::NotSent`] means that not a byte of the request was written.
//!
//! Tested by `router/tests.rs`.

use crate::config::Address;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use meridian_transport::DelayedIo;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A connection that was idle for longer is not used again: the node may be closing it.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Most idle connections kept to one node.
const IDLE_CONNECTIONS_MAX: usize = 1024;
/// Longest time to connect, beyond the delay.
const CONNECT_TIME: Duration = Duration::from_secs(1);
/// Largest answer that is passed on, bytes: a batch of 16 MB with the overhead of JSON and base64.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A whole answer of a node.
#[derive(Debug)]
pub(super) struct NodeAnswer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SendError {
    /// No byte of the request was written.
    NotSent,
    /// The request may have been received.
    Unknown,
}

type Sender = SendRequest<Full<Bytes>>;

/// A node of a region.
pub(super) struct Node {
    pub(super) address: Address,
    /// Position of its region in the order of preference.
    pub(super) region: usize,
    one_way: Duration,
    healthy: AtomicBool,
    idle: Mutex<Vec<(Sender, Instant)>>,
    /// Told when the node turns unhealthy.
    pub(super) fell: Notify,
}

impl Node {
    pub(super) fn new(address: Address, region: usize, one_way: Duration) -> Self {
        Node {
            address,
            region,
            one_way,
            healthy: AtomicBool::new(false),
            idle: Mutex::default(),
            fell: Notify::new(),
        }
    }

    /// Whether its last probe was answered and no request met a dead end since.
    pub(super) fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    /// A probe was answered.
    pub(super) fn rose(&self) {
        if !self.healthy.swap(true, Ordering::Relaxed) {
            tracing::info!(node = %self.address, "node answers");
        }
    }

    /// A probe failed, or a request met a dead end. Idle connections are given up.
    pub(super) fn fail(&self, reason: &'static str) {
        self.lock().clear();
        if self.healthy.swap(false, Ordering::Relaxed) {
            tracing::info!(node = %self.address, reason, "node does not answer");
        }
        self.fell.notify_waiters();
    }

    /// Sends a request and reads the whole answer. Dropping the future closes the connection.
    pub(super) async fn send(&self, head: &Parts, body: Bytes) -> Result<NodeAnswer, SendError> {
        let mut request = Request::new(Full::new(body));
        request.method_mut().clone_from(&head.method);
        request.uri_mut().clone_from(&head.uri);
        request.headers_mut().clone_from(&head.headers);
        let mut sender = match self.pooled() {
            Some(sender) => sender,
            None => self.connect().await.ok_or(SendError::NotSent)?,
        };
        let mut sent = sender.try_send_request(request).await;
        if let Err(error) = &mut sent
            && let Some(request) = error.take_message()
        {
            // The node closed an idle connection: nothing was written, so a new one may be used.
            sender = self.connect().await.ok_or(SendError::NotSent)?;
            sent = sender.try_send_request(request).await;
        }
        let answer = sent.map_err(|mut error| match error.take_message() {
            Some(_) => SendError::NotSent,
            None => SendError::Unknown,
        })?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|_| SendError::Unknown)?.to_bytes();
        self.keep(sender);
        Ok(NodeAnswer { status: head.status, headers: head.headers, body })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Sender, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pooled(&self) -> Option<Sender> {
        let mut idle = self.lock();
        while let Some((sender, since)) = idle.pop() {
            if since.elapsed() > IDLE_MAX {
                // Those below are older still.
                idle.clear();
                return None;
            }
            if sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }

    fn keep(&self, sender: Sender) {
        let mut idle = self.lock();
        if !sender.is_closed() && idle.len() < IDLE_CONNECTIONS_MAX {
            idle.push((sender, Instant::now()));
        }
    }

    async fn connect(&self) -> Option<Sender> {
        let connecting = TcpStream::connect(self.address.as_str());
        let stream = tokio::time::timeout(CONNECT_TIME, connecting).await.ok()?.ok()?;
        // Only a matter of speed: a socket that is gone says so at the first write.
        let _ = stream.set_nodelay(true);
        if self.one_way.is_zero() {
            return handshake(TokioIo::new(stream)).await;
        }
        // The handshake of TCP takes a round trip too.
        tokio::time::sleep(self.one_way * 2).await;
        handshake(TokioIo::new(DelayedIo::new(stream, self.one_way))).await
    }
}

async fn handshake<I>(io: I) -> Option<Sender>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(io).await.ok()?;
    // Its end shows at the sender.
    tokio::spawn(connection);
    sender.ready().await.ok()?;
    Some(sender)
}

//! One HTTP/1.1 endpoint with a pool of kept connections.
//!
//! # Invariants
//!
//! - A call is sent at most once. Only a call whose bytes certainly never left (its kept connection
//!   was already closed) is sent again, on a new connection.
//! - A connection goes back to the pool only after its whole answer was read.
//!
//! Tested by `client.rs` against a socket that answers, refuses, hangs and hangs up.

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Largest answer that is read, in bytes: DynamoDB pages end at 1 MB, batch reads at 16 MB.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Connections kept for the next calls.
const IDLE_CONNECTIONS_MAX: usize = 64;

/// A complete answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The request was certainly not sent.
    #[error("not sent: {0}")]
    NotSent(String),
    /// The request may have been received.
    #[error("no answer: {0}")]
    Unknown(String),
}

/// An endpoint: `http://host:port`.
pub struct Endpoint {
    authority: String,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

impl Endpoint {
    /// Names an endpoint; connects to nothing yet.
    pub fn new(url: &str) -> anyhow::Result<Endpoint> {
        Ok(Endpoint { authority: authority(url)?, idle: Mutex::new(Vec::new()) })
    }

    /// `host:port`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Sends one request and reads its whole answer within `limit`, connecting included.
    pub async fn call(
        &self,
        request: Request<Full<Bytes>>,
        limit: Duration,
    ) -> Result<Answer, NoAnswer> {
        let deadline = tokio::time::Instant::now() + limit;
        let mut request = request;
        if let Some(kept) = self.kept() {
            match self.exchange(kept, request, deadline).await {
                Ok(answer) => return answer,
                Err(unsent) => request = unsent,
            }
        }
        let fresh = tokio::time::timeout_at(deadline, self.connect())
            .await
            .map_err(|_| NoAnswer::NotSent("connecting timed out".into()))?
            .map_err(|error| NoAnswer::NotSent(error.to_string()))?;
        match self.exchange(fresh, request, deadline).await {
            Ok(answer) => answer,
            Err(_) => Err(NoAnswer::NotSent("the connection closed at once".into())),
        }
    }

    /// The answer, or the request back if it never left.
    async fn exchange(
        &self,
        mut connection: SendRequest<Full<Bytes>>,
        request: Request<Full<Bytes>>,
        deadline: tokio::time::Instant,
    ) -> Result<Result<Answer, NoAnswer>, Request<Full<Bytes>>> {
        let response =
            match tokio::time::timeout_at(deadline, connection.try_send_request(request)).await {
                Err(_) => return Ok(Err(NoAnswer::Unknown("timed out".into()))),
                Ok(Ok(response)) => response,
                Ok(Err(mut error)) => {
                    return match error.take_message() {
                        Some(unsent) => Err(unsent),
                        None => Ok(Err(NoAnswer::Unknown(error.into_error().to_string()))),
                    };
                }
            };
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect();
        Ok(match tokio::time::timeout_at(deadline, body).await {
            Err(_) => Err(NoAnswer::Unknown("timed out within the answer".into())),
            Ok(Err(error)) => Err(NoAnswer::Unknown(error.to_string())),
            Ok(Ok(body)) => {
                self.keep(connection);
                Ok(Answer { status, body: body.to_bytes() })
            }
        })
    }

    async fn connect(&self) -> anyhow::Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(&self.authority).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Ends by itself when the sender is dropped or the peer closes; its error reaches the call.
        tokio::spawn(connection);
        Ok(sender)
    }

    pub(crate) fn kept(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.idle.lock().expect("no holder of this lock panics");
        while let Some(connection) = idle.pop() {
            if connection.is_ready() {
                return Some(connection);
            }
        }
        None
    }

    pub(crate) fn keep(&self, connection: SendRequest<Full<Bytes>>) {
        let mut idle = self.idle.lock().expect("no holder of this lock panics");
        if idle.len() < IDLE_CONNECTIONS_MAX {
            idle.push(connection);
        }
    }
}

/// `host:port` of `http://host:port/`.
pub fn authority(url: &str) -> anyhow::Result<String> {
    let uri: http::Uri = url.parse()?;
    anyhow::ensure!(uri.scheme_str() == Some("http"), "{url} is not an http:// address");
    match (uri.host(), uri.port_u16()) {
        (Some(host), port) => Ok(format!("{host}:{}", port.unwrap_or(80))),
        (None, _) => anyhow::bail!("{url} names no host"),
    }
}

/// True if something accepts connections at `authority` within `limit`.
pub async fn accepts(authority: &str, limit: Duration) -> bool {
    matches!(timeout(limit, TcpStream::connect(authority)).await, Ok(Ok(_)))
}

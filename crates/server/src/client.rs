//! A small HTTP client for probes and admin calls: one connection a call.

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::pin::pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::admin::SECRET_HEADER;
use crate::config::Secret;

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nothing listens there: the request was not sent.
    #[error("cannot connect to {address}")]
    Unreachable {
        /// Where to.
        address: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The connection broke, or the answer made no sense.
    #[error("the connection to {address} broke")]
    Broken {
        /// Where to.
        address: String,
    },
    /// No answer in time.
    #[error("{address} did not answer within {time:?}")]
    TimedOut {
        /// Where to.
        address: String,
        /// How long it was waited for.
        time: Duration,
    },
    /// It answered that it did not do it.
    #[error("{text}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What it said.
        text: String,
    },
}

/// Largest answer that is read, bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Sends one request to `address` (`host:port`) and reads the whole answer.
pub async fn send(
    address: &str,
    request: Request<Full<Bytes>>,
    time: Duration,
) -> Result<(StatusCode, Bytes), CallError> {
    let call = async {
        let stream = TcpStream::connect(address)
            .await
            .map_err(|source| CallError::Unreachable { address: address.to_owned(), source })?;
        // Only a matter of speed: a socket that is gone says so at the first write.
        let _ = stream.set_nodelay(true);
        exchange(stream, request)
            .await
            .map_err(|_| CallError::Broken { address: address.to_owned() })
    };
    let late = |_| CallError::TimedOut { address: address.to_owned(), time };
    tokio::time::timeout(time, call).await.map_err(late)?
}

/// Sends one request over `stream` and reads the whole answer.
pub(crate) async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
        Ok((head.status, body))
    };
    let mut answer = pin!(answer);
    tokio::select! {
        biased;
        answer = answer.as_mut() => return answer,
        ended = connection => ended?,
    }
    // The connection has handed over all that it read.
    answer.await
}

/// Whether `path` of `address` answers with success within `time`.
pub async fn is_up(address: &str, path: &str, time: Duration) -> bool {
    let request = Request::get(path).header(header::HOST, address);
    let Ok(request) = request.header(header::CONNECTION, "close").body(Full::default()) else {
        return false;
    };
    send(address, request, time).await.is_ok_and(|(status, _)| status.is_success())
}

/// The `host:port` of a URL or of a bare address.
pub fn address_of(url: &str) -> &str {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    rest.split('/').next().unwrap_or_default()
}

/// Talks to the admin listener of a node, a router or a playground.
#[derive(Debug, Clone)]
pub struct AdminClient {
    address: String,
    secret: Option<Secret>,
    time: Duration,
}

impl AdminClient {
    /// Talks to `url` (or `host:port`), waiting at most `time` for each answer.
    pub fn new(url: &str, secret: Option<Secret>, time: Duration) -> Self {
        AdminClient { address: address_of(url).to_owned(), secret, time }
    }

    /// Where it talks to.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Asks for a JSON value.
    pub async fn get(&self, path: &str) -> Result<Value, CallError> {
        self.call(Method::GET, path, Bytes::new()).await
    }

    /// Has something done.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, CallError> {
        self.call(Method::POST, path, Bytes::from(body.to_string())).await
    }

    async fn call(&self, method: Method, path: &str, body: Bytes) -> Result<Value, CallError> {
        let broken = || CallError::Broken { address: self.address.clone() };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.address)
            .header(header::CONNECTION, "close");
        if let Some(secret) = &self.secret {
            request = request.header(SECRET_HEADER, secret.reveal());
        }
        let request = request.body(Full::new(body)).map_err(|_| broken())?;
        let (status, body) = send(&self.address, request, self.time).await?;
        let value: Option<Value> = serde_json::from_slice(&body).ok();
        if status.is_success() {
            return value.ok_or_else(broken);
        }
        let said = value.as_ref().and_then(|v| v.get("error")).and_then(Value::as_str);
        let text = said.map_or_else(|| String::from_utf8_lossy(&body).into_owned(), str::to_owned);
        Err(CallError::Refused { status: status.as_u16(), text })
    }
}

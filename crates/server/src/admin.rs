//! The admin listener: health, metrics, and what operators ask.
//!
//! # Invariants
//!
//! - `/health` and `/metrics` are open; everything else needs the cluster secret in
//!   `x-meridian-secret`, or, where there is no secret, a caller on this machine.
//! - The listener is never behind the black-hole switch: it turns it off again.
//!
//! Tested by `admin/tests.rs`.

mod route;
#[cfg(test)]
mod tests;

use crate::answers::{BodyError, answer, json, read_body, text};
use crate::config::Secret;
use crate::listener::{Answer, HttpResponse};
use crate::metering::MetricsPage;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use meridian_api::admin::{AdminBackend, AdminError};
use meridian_transport::Switch;
use route::{Action, Unroutable};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The header of admin calls that holds the cluster secret.
pub const SECRET_HEADER: &str = "x-meridian-secret";

/// Largest body of an admin call, bytes.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Longest time for the body of an admin call.
const BODY_TIME: Duration = Duration::from_secs(5);
/// A black hole takes effect so long after its answer was handed to the socket.
const BLACKHOLE_DELAY: Duration = Duration::from_millis(20);

/// Who may call.
#[derive(Debug, Clone)]
pub struct Guard(Option<Secret>);

impl Guard {
    /// Admits those who know `secret`; without one, those on this machine.
    pub fn new(secret: Option<Secret>) -> Self {
        Guard(secret)
    }

    /// The refusal of a caller that may not go on.
    pub(crate) fn refusal(
        &self,
        request: &Request<Incoming>,
        remote: SocketAddr,
    ) -> Option<HttpResponse> {
        let Some(secret) = &self.0 else {
            let local = remote.ip().to_canonical().is_loopback();
            let text = "without a cluster secret, admin calls are taken from this machine only";
            return (!local).then(|| error(StatusCode::FORBIDDEN, text));
        };
        let given = request.headers().get(SECRET_HEADER).map_or(&b""[..], |v| v.as_bytes());
        if same(given, secret.reveal().as_bytes()) {
            return None;
        }
        tracing::warn!(%remote, "an admin call without the cluster secret was refused");
        Some(error(StatusCode::FORBIDDEN, "the cluster secret is missing or wrong"))
    }
}

/// Compares in a time that does not depend on where the difference is.
fn same(given: &[u8], secret: &[u8]) -> bool {
    let length = u8::from(given.len() != secret.len());
    let differing = (0..secret.len()).fold(length, |differing, at| {
        let byte = given.get(at).copied().unwrap_or_default();
        std::hint::black_box(differing | (byte ^ secret[at]))
    });
    differing == 0
}

/// An error as admin answers show it.
pub(crate) fn error(status: StatusCode, text: &str) -> HttpResponse {
    json(status, &json!({ "error": text }))
}

/// Answers the admin requests of a node.
pub struct AdminEdge {
    backend: Arc<dyn AdminBackend>,
    guard: Guard,
    metrics: MetricsPage,
    switch: Switch,
}

impl AdminEdge {
    /// Puts the listener's answers before `backend`. `switch` is that of the node's listeners.
    pub fn new(
        backend: Arc<dyn AdminBackend>,
        guard: Guard,
        metrics: MetricsPage,
        switch: Switch,
    ) -> Self {
        AdminEdge { backend, guard, metrics, switch }
    }

    async fn ready(&self) -> HttpResponse {
        if self.switch.is_on() {
            return text(StatusCode::SERVICE_UNAVAILABLE, "the black hole is on");
        }
        match self.backend.ready().await {
            Ok(()) => text(StatusCode::OK, "ready"),
            Err(waiting) => text(StatusCode::SERVICE_UNAVAILABLE, waiting),
        }
    }

    async fn act(&self, request: Request<Incoming>, remote: SocketAddr) -> HttpResponse {
        if let Some(refusal) = self.guard.refusal(&request, remote) {
            return refusal;
        }
        let (head, body) = request.into_parts();
        let body = match read_json(body).await {
            Ok(body) => body,
            Err(refusal) => return refusal,
        };
        match route::action(&head.method, &head.uri, &body) {
            Ok(Action::BlackHole(on)) => self.black_hole(on),
            Ok(Action::Call(call)) => match self.backend.call(call).await {
                Ok(value) => json(StatusCode::OK, &value),
                Err(refusal) => refused(&refusal),
            },
            Err(Unroutable::NotFound) => error(StatusCode::NOT_FOUND, "no such admin call"),
            Err(Unroutable::Invalid(text)) => error(StatusCode::BAD_REQUEST, &text),
        }
    }

    fn black_hole(&self, on: bool) -> HttpResponse {
        let switch = self.switch.clone();
        tokio::spawn(async move {
            tokio::time::sleep(BLACKHOLE_DELAY).await;
            tracing::info!(on, "black hole switched");
            switch.set(on);
        });
        json(StatusCode::OK, &json!({ "blackhole": on }))
    }
}

/// Reads a JSON body; an empty one is `null`.
pub(crate) async fn read_json(body: Incoming) -> Result<Value, HttpResponse> {
    let bytes = read_body(body, BODY_BYTES_MAX, BODY_TIME).await.map_err(|e| match e {
        BodyError::TooLarge => error(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
        BodyError::Slow => error(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"),
        BodyError::Broken => error(StatusCode::BAD_REQUEST, "the body broke off"),
    })?;
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&bytes)
        .map_err(|e| error(StatusCode::BAD_REQUEST, &format!("the body is not JSON: {e}")))
}

fn refused(refusal: &AdminError) -> HttpResponse {
    let status = match refusal {
        AdminError::NotFound(_) => StatusCode::NOT_FOUND,
        AdminError::Invalid(_) => StatusCode::BAD_REQUEST,
        AdminError::Refused(_) => StatusCode::CONFLICT,
        AdminError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    error(status, &refusal.to_string())
}

impl Answer for AdminEdge {
    async fn answer(&self, request: Request<Incoming>, remote: SocketAddr) -> HttpResponse {
        let open = matches!(*request.method(), Method::GET | Method::HEAD);
        match request.uri().path() {
            "/health/live" if open => text(StatusCode::OK, "live"),
            "/health/ready" if open => self.ready().await,
            "/metrics" if open => {
                answer(StatusCode::OK, MetricsPage::CONTENT_TYPE, self.metrics.render())
            }
            _ => self.act(request, remote).await,
        }
    }

    fn panicked(&self) -> HttpResponse {
        error(StatusCode::INTERNAL_SERVER_ERROR, "the admin call panicked; see the log")
    }
}

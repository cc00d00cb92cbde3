//! The DynamoDB endpoint: JSON 1.0 over HTTP/1.1.
//!
//! # Invariants
//!
//! - Every answer carries `x-amzn-RequestId` and `Server`; every answer of the API, and those that
//!   tell what is no request of it and that the endpoint is healthy, a CRC32 of its body.
//! - A body is read whole, within [`limits::BODY_BYTES_MAX`] and [`EdgeLimits::body`].
//! - Where credentials are known, a signature is checked before the body is parsed.
//! - A handler that panics is answered as DynamoDB answers an internal error.
//!
//! Tested by `http/tests.rs` over sockets.

mod meters;
#[cfg(test)]
mod tests;

use crate::answers::{BodyError, REQUEST_ID, RequestIds, answer, read_body, text};
use crate::credentials::Signatures;
use crate::listener::{Answer, HttpResponse};
use async_trait::async_trait;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use meridian_base::limits;
use meridian_wire::{ApiError, Fault};
use meters::Meters;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a client is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// HTTP status.
    pub status: u16,
    /// JSON.
    pub body: Bytes,
}

/// Answers the operations of the DynamoDB API.
#[async_trait]
pub trait RequestHandler: Send + Sync + 'static {
    /// Answers one operation. `target` is the value of `X-Amz-Target`, empty when there is none.
    async fn handle(&self, target: &str, body: Bytes) -> HttpAnswer;

    /// `Ok` when clients are served; otherwise what is being waited for.
    async fn ready(&self) -> Result<(), String>;
}

/// Limits of the endpoint.
#[derive(Debug, Clone, Copy)]
pub struct EdgeLimits {
    /// Longest time for the body of a request.
    pub body: Duration,
}

impl Default for EdgeLimits {
    fn default() -> Self {
        EdgeLimits { body: Duration::from_secs(10) }
    }
}

/// Turns HTTP requests into operations and their results into HTTP answers.
pub struct DynamoEdge {
    handler: Arc<dyn RequestHandler>,
    healthy: Bytes,
    limits: EdgeLimits,
    /// None where any credentials are taken.
    signatures: Option<Signatures>,
    ids: RequestIds,
    meters: Meters,
}

static CRC32: HeaderName = HeaderName::from_static("x-amz-crc32");
static TARGET: HeaderName = HeaderName::from_static("x-amz-target");
pub(crate) const JSON_1_0: &str = "application/x-amz-json-1.0";
const JSON_1_1: &str = "application/x-amz-json-1.1";
const JSON_PLAIN: &str = "application/json";
/// What the service's answers say of their server.
const SERVER: &str = "Server";

impl DynamoEdge {
    /// An endpoint of `region` before `handler`.
    pub fn new(region: &str, handler: Arc<dyn RequestHandler>, limits: EdgeLimits) -> Self {
        // The trailing space is AWS's.
        let healthy = Bytes::from(format!("healthy: dynamodb.{region}.amazonaws.com "));
        let (ids, meters) = (RequestIds::new(), Meters::new());
        DynamoEdge { handler, healthy, limits, signatures: None, ids, meters }
    }

    /// Refuses requests that are not rightly signed; without signatures any are taken.
    pub fn with_signatures(self, signatures: Option<Signatures>) -> Self {
        DynamoEdge { signatures, ..self }
    }

    async fn operation(&self, request: Request<Incoming>) -> HttpResponse {
        let begin = Instant::now();
        let (head, body) = request.into_parts();
        let Some(kind) = content_type(&head.headers) else { return unknown_operation() };
        let target = head.headers.get(&TARGET).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let body = match read_body(body, limits::BODY_BYTES_MAX, self.limits.body).await {
            Ok(body) => body,
            Err(error) => return refused(error, kind),
        };
        if let Some(Err(error)) = self.signatures.as_ref().map(|known| known.check(&head, &body)) {
            let response = api_error(&error, kind);
            self.meters.note(target, response.status(), begin.elapsed());
            return response;
        }
        let HttpAnswer { status, body } = self.handler.handle(target, body).await;
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        self.meters.note(target, status, begin.elapsed());
        dynamo(status, kind, body)
    }

    /// Puts the headers on an answer that every one has.
    fn mark(&self, response: &mut HttpResponse) {
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID.clone(), self.ids.next());
        headers.insert(header::SERVER, HeaderValue::from_static(SERVER));
    }

    async fn get(&self, path: &str) -> HttpResponse {
        match path {
            "/" | "/healthcheck" => {
                checked(text(StatusCode::OK, self.healthy.clone()), &self.healthy)
            }
            "/health/live" => text(StatusCode::OK, "live"),
            "/health/ready" => match self.handler.ready().await {
                Ok(()) => text(StatusCode::OK, "ready"),
                Err(waiting) => text(StatusCode::SERVICE_UNAVAILABLE, waiting),
            },
            _ => unknown_operation(),
        }
    }
}

impl Answer for DynamoEdge {
    async fn answer(&self, request: Request<Incoming>, _: SocketAddr) -> HttpResponse {
        let from_browser = request.headers().contains_key(header::ORIGIN);
        let mut response = match *request.method() {
            Method::POST => self.operation(request).await,
            Method::GET | Method::HEAD => self.get(request.uri().path()).await,
            Method::OPTIONS => preflight(request.headers()),
            _ => unknown_operation(),
        };
        self.mark(&mut response);
        if from_browser {
            cross_origin(response.headers_mut());
        }
        response
    }

    fn panicked(&self) -> HttpResponse {
        let mut response = api_error(&ApiError::InternalServerError, JSON_1_0);
        self.mark(&mut response);
        response
    }
}

/// The answer to an error of the API.
pub(crate) fn api_error(error: &ApiError, kind: &'static str) -> HttpResponse {
    let status = StatusCode::from_u16(status_of(error)).unwrap_or_default();
    dynamo(status, kind, Bytes::from(error.body()))
}

/// The HTTP status of an error (AWS: Programming.Errors).
pub(crate) fn status_of(error: &ApiError) -> u16 {
    match error.row().fault {
        Fault::Client => 400,
        Fault::Server => 500,
        Fault::ServerUnavailable => 503,
    }
}

/// The content type of the answer: that of the request where it is one of DynamoDB's. None for the
/// one of AWS's other JSON services, to which DynamoDB does not answer.
fn content_type(headers: &HeaderMap) -> Option<&'static str> {
    let asked = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let asked = asked.trim_start();
    if asked.starts_with(JSON_1_1) {
        return None;
    }
    Some(if asked.starts_with(JSON_PLAIN) { JSON_PLAIN } else { JSON_1_0 })
}

/// An answer with a checksum.
pub(crate) fn dynamo(status: StatusCode, kind: &'static str, body: Bytes) -> HttpResponse {
    checked(answer(status, kind, body.clone()), &body)
}

/// Puts the checksum of its body on an answer.
fn checked(mut response: HttpResponse, body: &[u8]) -> HttpResponse {
    response.headers_mut().insert(CRC32.clone(), HeaderValue::from(crc32fast::hash(body)));
    response
}

pub(crate) fn refused(error: BodyError, kind: &'static str) -> HttpResponse {
    let mut response = match error {
        BodyError::TooLarge => dynamo(StatusCode::PAYLOAD_TOO_LARGE, kind, Bytes::new()),
        BodyError::Broken => api_error(&ApiError::Serialization(None), kind),
        BodyError::Slow => {
            dynamo(StatusCode::REQUEST_TIMEOUT, kind, Bytes::from_static(SLOW.as_bytes()))
        }
    };
    // What is left of the body would be taken for the next request.
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

const SLOW: &str = r#"{"__type":"com.amazon.coral.service#RequestTimeoutException","message":"The body of the request did not arrive in time"}"#;

/// DynamoDB's answer to what is no request of its API.
fn unknown_operation() -> HttpResponse {
    const BODY: &str = "<UnknownOperationException/>\n";
    checked(answer(StatusCode::NOT_FOUND, "application/xml", BODY), BODY.as_bytes())
}

fn preflight(asked: &HeaderMap) -> HttpResponse {
    let mut response = text(StatusCode::OK, "");
    let headers = response.headers_mut();
    cross_origin(headers);
    if let Some(names) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, GET"));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("172800"));
    response
}

fn cross_origin(headers: &mut HeaderMap) {
    const SHOWN: &str = "x-amzn-RequestId,x-amzn-ErrorType,x-amz-crc32,Date";
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(SHOWN));
}

//! Answers clients of the global endpoint.

use super::Shared;
use super::forward::{NoAnswer, forward, is_read};
use super::node::NodeAnswer;
use crate::answers::{BodyError, REQUEST_ID, RequestIds, read_body, text};
use crate::http::{JSON_1_0, api_error, refused};
use crate::listener::{Answer, HttpResponse};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use meridian_base::limits;
use meridian_wire::ApiError;
use metrics::{Counter, Histogram, counter, histogram};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest time for the body of a request.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Headers that belong to one connection (RFC 9110, section 7.6.1) or are made anew.
static OF_ONE_CONNECTION: [HeaderName; 6] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::CONTENT_LENGTH,
    header::UPGRADE,
    header::TE,
    header::EXPECT,
];

/// The answers of the global endpoint.
pub(super) struct RouterEdge {
    shared: Arc<Shared>,
    ids: RequestIds,
    ok: Counter,
    unsent: Counter,
    unknown: Counter,
    seconds: Histogram,
}

impl RouterEdge {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let count = |outcome: &'static str| counter!("meridian_router_requests_total", "outcome" => outcome);
        RouterEdge {
            shared,
            ids: RequestIds::new(),
            ok: count("answered"),
            unsent: count("not_sent"),
            unknown: count("unknown"),
            seconds: histogram!("meridian_router_request_seconds"),
        }
    }

    async fn pass_on(&self, request: Request<Incoming>) -> HttpResponse {
        let begin = Instant::now();
        let (mut head, body) = request.into_parts();
        let body = match read_body(body, limits::BODY_BYTES_MAX, BODY_TIME).await {
            Ok(body) => body,
            Err(error) => return self.refuse(error),
        };
        strip(&mut head.headers);
        let target = head.headers.get("x-amz-target").and_then(|v| v.to_str().ok());
        let read = head.method != Method::POST || is_read(target.unwrap_or_default());
        let answer = forward(&self.shared, &head, body, read).await;
        self.seconds.record(begin.elapsed().as_secs_f64());
        match answer {
            Ok(answer) => {
                self.ok.increment(1);
                passed_back(answer)
            }
            Err(NoAnswer::NotSent) => {
                self.unsent.increment(1);
                let text = "The service is currently unavailable or busy.".to_owned();
                self.failed(&ApiError::ServiceUnavailable(text))
            }
            Err(NoAnswer::Unknown) => {
                self.unknown.increment(1);
                self.failed(&ApiError::InternalServerError)
            }
        }
    }

    fn refuse(&self, error: BodyError) -> HttpResponse {
        self.with_id(refused(error, JSON_1_0))
    }

    fn failed(&self, error: &ApiError) -> HttpResponse {
        self.with_id(api_error(error, JSON_1_0))
    }

    fn with_id(&self, mut response: HttpResponse) -> HttpResponse {
        response.headers_mut().insert(REQUEST_ID.clone(), self.ids.next());
        response
    }
}

fn strip(headers: &mut HeaderMap) {
    let listed: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in listed.iter().chain(&OF_ONE_CONNECTION) {
        headers.remove(name);
    }
}

fn passed_back(answer: NodeAnswer) -> HttpResponse {
    let NodeAnswer { status, mut headers, body } = answer;
    strip(&mut headers);
    let mut response = HttpResponse::new(Full::new(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

impl Answer for RouterEdge {
    async fn answer(&self, request: Request<Incoming>, _: SocketAddr) -> HttpResponse {
        let read = matches!(*request.method(), Method::GET | Method::HEAD);
        match request.uri().path() {
            "/health/live" if read => text(StatusCode::OK, "live"),
            "/health/ready" if read => {
                let region = self.shared.course.borrow().region;
                match self.shared.pick(region, &[]) {
                    Some(_) => text(StatusCode::OK, "ready"),
                    None => text(StatusCode::SERVICE_UNAVAILABLE, "no node answers"),
                }
            }
            _ => self.pass_on(request).await,
        }
    }

    fn panicked(&self) -> HttpResponse {
        let mut response = self.failed(&ApiError::InternalServerError);
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    }
}

//! What operators ask of a router.

use super::Shared;
use crate::admin::{Guard, error, read_json};
use crate::answers::{answer, json, text};
use crate::listener::{Answer, HttpResponse};
use crate::metering::MetricsPage;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;

/// The admin answers of a router.
pub(super) struct RouterAdmin {
    shared: Arc<Shared>,
    guard: Guard,
    metrics: MetricsPage,
}

impl RouterAdmin {
    pub(super) fn new(shared: Arc<Shared>, guard: Guard, metrics: MetricsPage) -> Self {
        RouterAdmin { shared, guard, metrics }
    }

    fn ready(&self) -> HttpResponse {
        let region = self.shared.course.borrow().region;
        match self.shared.pick(region, &[]) {
            Some(_) => text(StatusCode::OK, "ready"),
            None => text(StatusCode::SERVICE_UNAVAILABLE, "no node answers"),
        }
    }

    fn status(&self) -> Value {
        let mut status = self.shared.choice().status(self.shared.since_begin());
        let nodes = self.shared.nodes.iter().map(|node| {
            let region = self.shared.config.regions.get(node.region).map(|r| r.name.as_str());
            json!({
                "endpoint": format!("http://{}", node.address),
                "region": region,
                "healthy": node.is_healthy(),
            })
        });
        status["nodes"] = nodes.collect();
        status
    }

    async fn give_back(&self, request: Request<Incoming>) -> HttpResponse {
        let body = match read_json(request.into_body()).await {
            Ok(body) => body,
            Err(refusal) => return refusal,
        };
        let Some(region) = body.get("region").and_then(Value::as_str) else {
            return error(StatusCode::BAD_REQUEST, "`region` is needed");
        };
        if !self.shared.choice().give_back(region) {
            return error(StatusCode::NOT_FOUND, &format!("no region {region}"));
        }
        tracing::info!(region, "region may take traffic again");
        self.shared.remember();
        json(StatusCode::OK, &self.status())
    }
}

impl Answer for RouterAdmin {
    async fn answer(&self, request: Request<Incoming>, remote: SocketAddr) -> HttpResponse {
        let path = request.uri().path().to_owned();
        match (request.method(), path.as_str()) {
            (&Method::GET, "/health/live") => text(StatusCode::OK, "live"),
            (&Method::GET, "/health/ready") => self.ready(),
            (&Method::GET, "/metrics") => {
                answer(StatusCode::OK, MetricsPage::CONTENT_TYPE, self.metrics.render())
            }
            (method, path) => {
                if let Some(refusal) = self.guard.refusal(&request, remote) {
                    return refusal;
                }
                match (method, path) {
                    (&Method::GET, "/admin/router/status") => json(StatusCode::OK, &self.status()),
                    (&Method::POST, "/admin/router/return") => self.give_back(request).await,
                    _ => error(StatusCode::NOT_FOUND, "no such admin call"),
                }
            }
        }
    }

    fn panicked(&self) -> HttpResponse {
        error(StatusCode::INTERNAL_SERVER_ERROR, "the admin call panicked; see the log")
    }
}

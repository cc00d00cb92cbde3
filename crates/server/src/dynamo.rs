//! The DynamoDB API behind the HTTP endpoint.

use crate::http::{HttpAnswer, RequestHandler, status_of};
use async_trait::async_trait;
use bytes::Bytes;
use meridian_api::admin::AdminBackend;
use meridian_api::{Backend, RequestContext};
use std::sync::Arc;

/// Answers requests by the operations of `meridian_api` over a node.
pub struct ApiHandler<B> {
    backend: Arc<B>,
    context: RequestContext,
}

impl<B: Backend + AdminBackend> ApiHandler<B> {
    /// Serves `backend` as the region and endpoint that `context` names.
    pub fn new(backend: Arc<B>, context: RequestContext) -> Self {
        ApiHandler { backend, context }
    }
}

#[async_trait]
impl<B: Backend + AdminBackend> RequestHandler for ApiHandler<B> {
    async fn handle(&self, target: &str, body: Bytes) -> HttpAnswer {
        match meridian_api::handle(&*self.backend, &self.context, target, &body).await {
            Ok(answer) => HttpAnswer { status: 200, body: Bytes::from(answer) },
            Err(error) => {
                let status = status_of(&error);
                HttpAnswer { status, body: Bytes::from(error.body()) }
            }
        }
    }

    async fn ready(&self) -> Result<(), String> {
        self.backend.ready().await
    }
}

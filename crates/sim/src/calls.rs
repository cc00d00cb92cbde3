//! How a client's call reaches a node: over a network of its own, and never twice by itself.
//!
//! # Invariants
//!
//! - `Down` means that the node certainly did nothing.
//! - A client that gives up learns nothing more: its call is unknown.

use crate::network::{Endpoint, Net};
use meridian_base::NodeId;
use meridian_node::hosting::HostedPartition;
use meridian_node::pipeline::Refused;
use meridian_raft::rt;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;

type Answer<T> = Pin<Box<dyn Future<Output = Result<T, Refused>> + Send>>;

/// How a call to one node ended.
pub enum Told<T> {
    /// The node answered.
    Answered(Result<T, Refused>),
    /// The node was not there.
    Down,
}

/// Drops a handler on its node when nobody waits for it any more, as a closed connection does.
struct Handler<T>(rt::JoinHandle<T>);

impl<T> Drop for Handler<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Calls a node and waits for its answer, for ever when it dies.
pub async fn call<T: Send + 'static>(
    net: &Net,
    node: NodeId,
    ask: impl FnOnce(Arc<HostedPartition>) -> Answer<T>,
) -> Told<T> {
    rt::sleep(net.client_delay()).await;
    let Some(Endpoint { life, hosted }) = net.endpoint(node) else { return Told::Down };
    let mut handler = Handler(rt::spawn_in(life.process(), ask(hosted)));
    let answer = match (&mut handler.0).await {
        Ok(answer) => answer,
        // The handler panicked: found by its panic.
        Err(_) => pending().await,
    };
    if life.is_dead() {
        return pending().await;
    }
    rt::sleep(net.client_delay()).await;
    Told::Answered(answer)
}

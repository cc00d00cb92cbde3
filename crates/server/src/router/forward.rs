//! Passes one request on, and again only where that can do no harm.
//!
//! # Invariants
//!
//! - A write is sent at most once: after [`SendError::Unknown`] or a timeout it is not repeated.
//! - While no node can be reached, a request waits for one within its time.

use super::node::{Node, NodeAnswer, SendError};
use super::{Course, Shared};
use bytes::Bytes;
use http::request::Parts;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long a read waits for one node before it is tried at another, beyond the delay.
const READ_PATIENCE: Duration = Duration::from_millis(1500);

/// Pause before nodes that gave no answer are tried again.
const ROUND_PAUSE: Duration = Duration::from_millis(20);

/// Why a request has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// It was never sent: no node could be reached in time.
    NotSent,
    /// It may have been received.
    Unknown,
}

/// Whether an operation changes nothing, so that it may be sent twice.
pub(super) fn is_read(target: &str) -> bool {
    let operation = target.rsplit_once('.').map_or("", |(_, operation)| operation);
    ["Get", "BatchGet", "TransactGet", "Query", "Scan", "Describe", "List"]
        .iter()
        .any(|prefix| operation.starts_with(prefix))
}

/// How one attempt ended.
enum Attempt {
    Answer(NodeAnswer),
    NotSent,
    /// Sent, and no answer.
    Silent,
}

/// Passes a request on to the region that takes the traffic, within its time.
pub(super) async fn forward(
    shared: &Shared,
    head: &Parts,
    body: Bytes,
    read: bool,
) -> Result<NodeAnswer, NoAnswer> {
    let deadline = Instant::now() + shared.config.request_timeout;
    let mut course = shared.course.subscribe();
    let mut risen = shared.risen.subscribe();
    let mut tried: Vec<&Arc<Node>> = Vec::new();
    let mut sent = false;
    loop {
        let region = course.borrow_and_update().region;
        risen.mark_unchanged();
        let Some(node) = shared.pick(region, &tried) else {
            let again = !tried.is_empty();
            tried.clear();
            let change = async {
                tokio::select! {
                    _ = course.changed() => {}
                    _ = risen.changed() => {}
                    () = tokio::time::sleep(ROUND_PAUSE), if again => {}
                }
            };
            let given = if sent { NoAnswer::Unknown } else { NoAnswer::NotSent };
            timeout_at(deadline, change).await.map_err(|_| given)?;
            continue;
        };
        match attempt(shared, node, head, body.clone(), (read, deadline)).await {
            Attempt::Answer(answer) => return Ok(answer),
            Attempt::NotSent => {}
            Attempt::Silent if read => sent = true,
            Attempt::Silent => return Err(NoAnswer::Unknown),
        }
        if Instant::now() >= deadline {
            return Err(if sent { NoAnswer::Unknown } else { NoAnswer::NotSent });
        }
        tried.push(node);
    }
}

async fn attempt(
    shared: &Shared,
    node: &Arc<Node>,
    head: &Parts,
    body: Bytes,
    (read, deadline): (bool, Instant),
) -> Attempt {
    let mut course = shared.course.subscribe();
    let region_gone = course.wait_for(|c: &Course| c.gone == Some(node.region));
    let patience = Instant::now() + READ_PATIENCE + shared.config.latency;
    let until = if read { deadline.min(patience) } else { deadline };
    let sending = timeout_at(until, node.send(head, body));
    tokio::select! {
        biased;
        sent = sending => match sent {
            Ok(Ok(answer)) => Attempt::Answer(answer),
            Ok(Err(SendError::NotSent)) => {
                node.fail("cannot connect");
                Attempt::NotSent
            }
            Ok(Err(SendError::Unknown)) => Attempt::Silent,
            Err(_) => Attempt::Silent,
        },
        _ = region_gone => Attempt::Silent,
        () = node.fell.notified(), if read => Attempt::Silent,
    }
}

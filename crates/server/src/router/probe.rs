//! Watches the nodes and the cluster's records, and lets `choice` decide.

use super::choice::{Record, Status};
use super::node::Node;
use super::{Course, Shared};
use crate::client::AdminClient;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};

/// How often the cluster's records of its regions are asked for.
const LEARN_EVERY: Duration = Duration::from_millis(250);
/// How long their answer is waited for, beyond the delay.
const LEARN_TIME: Duration = Duration::from_millis(500);
/// A decision that comes so much too late means that the router itself stood still.
const LATE: Duration = Duration::from_millis(100);
/// Shortest time that a probe is given, beyond the delay.
const PROBE_TIME_MIN: Duration = Duration::from_millis(250);

/// Probes a node for ever, by the path that its clients use.
pub(super) async fn probe(shared: Arc<Shared>, node: Arc<Node>) {
    let request = Request::get("/health/ready").header(header::HOST, node.address.as_str());
    let (head, ()) =
        request.body(()).expect("an address has no character that a header lacks").into_parts();
    let time = (shared.config.leave_after / 2).max(PROBE_TIME_MIN) + shared.config.latency;
    let mut ticks = tokio::time::interval(shared.config.probe_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let sent = shared.since_begin();
        match tokio::time::timeout(time, node.send(&head, Bytes::new())).await {
            Ok(Ok(answer)) if answer.status == StatusCode::OK => {
                shared.choice().answered(node.region, sent);
                if !node.is_healthy() {
                    node.rose();
                    shared.risen.send_modify(|n| *n = n.wrapping_add(1));
                }
            }
            Ok(Ok(_)) => node.fail("not ready"),
            Ok(Err(_)) => node.fail("probe failed"),
            Err(_) => node.fail("probe timed out"),
        }
    }
}

/// Decides for ever.
pub(super) async fn decide(shared: Arc<Shared>) {
    let period = (shared.config.probe_interval / 4).max(Duration::from_millis(5));
    let mut last = Instant::now();
    loop {
        tokio::time::sleep(period).await;
        let pause = last.elapsed().saturating_sub(period);
        last = Instant::now();
        let step = {
            let mut choice = shared.choice();
            if pause > LATE {
                choice.forgive(pause);
            }
            choice.decide(shared.since_begin())
        };
        if let Some(step) = step {
            shared.steer(step);
        }
    }
}

/// Asks nodes for the cluster's records of its regions, for ever.
pub(super) async fn learn(shared: Arc<Shared>) {
    let config = &shared.config;
    let mut ticks = tokio::time::interval(LEARN_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut turn = 0;
    loop {
        ticks.tick().await;
        turn += 1;
        let Course { region, .. } = *shared.course.borrow();
        // In turn the current region's nodes and those of the others: each may be cut off.
        let at = if turn % 2 == 0 { region } else { turn / 2 % config.regions.len() };
        let endpoints = &config.regions[at].admin_endpoints;
        let Some(endpoint) = endpoints.get(turn / 2 % endpoints.len().max(1)) else { continue };
        let time = LEARN_TIME + config.latency;
        let client = AdminClient::new(endpoint.as_str(), config.cluster_secret.clone(), time);
        // A node that does not answer is no news: the probes see it.
        let Ok(answer) = client.get("/admin/regions").await else { continue };
        let before = shared.choice().abandoned();
        records(&answer).into_iter().for_each(|(name, r)| shared.choice().recorded(&name, r));
        if shared.choice().abandoned() != before {
            shared.remember();
        }
    }
}

/// Reads the answer of `/admin/regions`; what makes no sense is passed over.
fn records(answer: &Value) -> Vec<(String, Record)> {
    let regions = answer.get("regions").and_then(Value::as_array).into_iter().flatten();
    let record = |r: &Value| {
        let text = |name: &str| r.get(name).and_then(Value::as_str);
        let status = Status::parse(text("state")?)?;
        let epoch = r.get("epoch")?.as_u64()?;
        let restored_ms = r.get("restored_ms").and_then(Value::as_u64).unwrap_or(0);
        let target = text("target").map(str::to_owned);
        Some((text("name")?.to_owned(), Record { status, epoch, restored_ms, target }))
    };
    regions.filter_map(record).collect()
}

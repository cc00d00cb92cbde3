//! Waits for a playground to be ready.

use super::supervisor::Supervisor;
use anyhow::{Context, bail};
use meridian_server::client::CallError;
use meridian_server::router::Router;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// Longest time that a cluster may take to be ready.
const READY_TIME: Duration = Duration::from_secs(60);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Longest time that one look may take.
const LOOK_TIME: Duration = Duration::from_secs(2);
/// Longest time that founding the cluster may take.
const FOUND_TIME: Duration = Duration::from_secs(30);

/// Founds the cluster, unless the data folder holds one already.
pub(super) async fn found(supervisor: &Supervisor) -> anyhow::Result<()> {
    let spots: Vec<_> = supervisor.shape().nodes().collect();
    let first = spots.first().context("a playground without nodes")?;
    let deadline = Instant::now() + READY_TIME;
    loop {
        let status = supervisor.admin(first, LOOK_TIME).get("/admin/status").await;
        if status.as_ref().is_ok_and(|s| s.get("cluster_id").is_some_and(Value::is_string)) {
            return Ok(());
        }
        let nodes = json!({ "nodes": spots.len() });
        let failure =
            match supervisor.admin(first, FOUND_TIME).post("/admin/cluster/init", &nodes).await {
                Ok(_) => return Ok(()),
                Err(error @ CallError::Refused { status: 400 | 403 | 404, .. }) => {
                    return Err(error).context("the cluster cannot be founded");
                }
                Err(error) => error,
            };
        if Instant::now() > deadline {
            return Err(failure).context("the cluster was not founded in time");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Waits until every group of every region has a leader.
pub(super) async fn wait(supervisor: &Supervisor) -> anyhow::Result<()> {
    let deadline = Instant::now() + READY_TIME;
    for region in &supervisor.shape().regions {
        let spots: Vec<_> = supervisor.shape().nodes().filter(|s| s.region == *region).collect();
        loop {
            let mut missing = "no node answers".to_owned();
            for spot in &spots {
                match supervisor.admin(spot, LOOK_TIME).get("/admin/status").await {
                    Ok(status) => match leaderless(&status) {
                        None => missing.clear(),
                        Some(group) => {
                            missing = format!("{group} has no leader at node {}", spot.id)
                        }
                    },
                    Err(error) => missing = error.to_string(),
                }
                if !missing.is_empty() {
                    break;
                }
            }
            if missing.is_empty() {
                break;
            }
            if Instant::now() > deadline {
                bail!("region {region} is not ready after {READY_TIME:?}: {missing}");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    Ok(())
}

/// A group without a leader in what a node says of its region.
fn leaderless(status: &Value) -> Option<String> {
    let list = |name: &str| status.get(name).and_then(Value::as_array);
    let leads = |entry: &Value| entry.get("leader").is_some_and(Value::is_u64);
    let Some(groups) = list("groups") else { return Some("every group".to_owned()) };
    if let Some(waiting) = status.get("ready").and_then(Value::as_str) {
        return Some(format!("a group ({waiting})"));
    }
    let named =
        |name: &str| groups.iter().find(|g| g.get("group").and_then(Value::as_str) == Some(name));
    for name in ["global", "region"] {
        if !named(name).is_some_and(leads) {
            return Some(format!("the {name} group"));
        }
    }
    let partitions = list("partitions").into_iter().flatten();
    let mut without = partitions.filter(|p| !leads(p));
    without.next().map(|p| {
        let field = |name: &str| p.get(name).cloned().unwrap_or_default();
        format!("partition {} of table {}", field("partition"), field("table"))
    })
}

/// Waits until the router passes requests on.
pub(super) async fn router(router: &Router) -> anyhow::Result<()> {
    tokio::time::timeout(READY_TIME, router.ready())
        .await
        .with_context(|| format!("the router found no node within {READY_TIME:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_leader_is_named() {
        let status = |global: Value, region: Value, partition: Value| {
            json!({
                "groups": [{"group": "global", "leader": global}, {"group": "region", "leader": region}],
                "partitions": [{"table": "t", "partition": 17, "leader": partition}],
            })
        };
        let (one, none) = (json!(1), Value::Null);
        let named = |s: Value| leaderless(&s);
        assert_eq!(named(status(one.clone(), one.clone(), one.clone())), None);
        let missing = named(status(none.clone(), one.clone(), one.clone()));
        assert_eq!(missing.as_deref(), Some("the global group"));
        let missing = named(status(one.clone(), none.clone(), one.clone()));
        assert_eq!(missing.as_deref(), Some("the region group"));
        let missing = named(status(one.clone(), one, none));
        assert_eq!(missing.as_deref(), Some("partition 17 of table \"t\""));
        assert!(named(json!({})).is_some());
    }
}

//! `meridian drill region-loss`: a whole region goes, without a word, and comes back.
//!
//! # Invariants
//!
//! - T0 is read before the first action of a fault, its end after the last.
//! - A restore is asked of the survivors, never of the region itself.
//!
//! Tested by `rehearsal.rs` on a cluster in memory, and by running it.

use std::time::Duration;

use anyhow::Context as _;

use crate::admin::{self, Admin, StrandedWrite};
use crate::args::RegionFault;
use crate::cluster::{Cluster, Region};
use crate::load::eventually;
use crate::rpo_rto::Fault;
use crate::stage::Stage;
use crate::{netns, process};

/// Longest wait for a node to answer again.
const NODE_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for a region to be caught up and Active.
const RESTORE_TIMEOUT: Duration = Duration::from_secs(120);
/// Between two attempts at a restore.
const RESTORE_PAUSE: Duration = Duration::from_millis(500);

/// Applies the fault to every node of the region.
pub async fn leave(stage: &Stage, lose: &str, fault: RegionFault) -> anyhow::Result<Fault> {
    let cluster = stage.cluster()?;
    let region = cluster.region(lose)?;
    let began = match fault {
        RegionFault::Kill => {
            let pids = pids(region)?;
            let began = stage.clock.now();
            for pid in pids {
                process::signal(pid, process::Signal::KILL)?;
            }
            began
        }
        RegionFault::Blackhole => {
            let admins = admin::of_region(&cluster, lose)?;
            let began = stage.clock.now();
            black_hole(admins, true).await?;
            began
        }
        RegionFault::BlackholeNet => {
            let pids = pids(region)?;
            netns::check(&pids)?;
            let began = stage.clock.now();
            for pid in pids {
                netns::drop_packets(pid, true).await?;
            }
            began
        }
    };
    Ok(Fault { began, done: stage.clock.now() })
}

/// Ends the fault, and brings the region back into the cluster.
pub async fn come_back(
    stage: &Stage,
    lose: &str,
    fault: RegionFault,
) -> anyhow::Result<Vec<StrandedWrite>> {
    let cluster = stage.cluster()?;
    let region = cluster.region(lose)?;
    match fault {
        RegionFault::Kill => {
            for node in &region.nodes {
                stage.start_node(node.id).await?;
            }
        }
        RegionFault::Blackhole => {
            black_hole(admin::of_region(&cluster, lose)?, false).await?;
        }
        RegionFault::BlackholeNet => {
            for pid in pids(region)? {
                netns::drop_packets(pid, false).await?;
            }
        }
    }
    for node in &region.nodes {
        stage.await_health(node.id, "/health/live", NODE_TIMEOUT).await?;
    }
    restore(stage, lose).await
}

/// Asks the survivors in turn to restore the region until one has done it.
pub async fn restore(stage: &Stage, lose: &str) -> anyhow::Result<Vec<StrandedWrite>> {
    let cluster = stage.cluster()?;
    let survivors = survivors(&cluster, lose)?;
    let mut last = None;
    let mut listed = Vec::new();
    let mut attempt = 0;
    let done = eventually(RESTORE_TIMEOUT, async || {
        let survivor = &survivors[attempt % survivors.len()];
        attempt += 1;
        match survivor.region(lose, "restore").await {
            Ok(answer) => {
                listed = admin::stranded(&answer);
                true
            }
            Err(error) => {
                last = Some(error);
                tokio::time::sleep(RESTORE_PAUSE).await;
                false
            }
        }
    });
    if done.await {
        // A region that only the router had left was never Lost: the router is told itself.
        if let Some(url) = &cluster.router_admin {
            Admin::new(url, cluster.secret.as_ref())?.return_to(lose).await?;
        }
        return Ok(listed);
    }
    Err(last.context("the region was not restored")?.context(format!("cannot restore {lose}")))
}

/// The nodes of the other regions.
pub fn survivors(cluster: &Cluster, lose: &str) -> anyhow::Result<Vec<Admin>> {
    let others = cluster.others(lose);
    let nodes = others.iter().flat_map(|region| &region.nodes);
    let survivors: Vec<Admin> = nodes
        .map(|node| Admin::new(&node.admin, cluster.secret.as_ref()))
        .collect::<Result<_, _>>()?;
    anyhow::ensure!(!survivors.is_empty(), "there is no other region than {lose}");
    Ok(survivors)
}

async fn black_hole(admins: Vec<Admin>, on: bool) -> anyhow::Result<()> {
    // At once rather than in turn: what is half away for long is another fault.
    let mut switched = tokio::task::JoinSet::new();
    for admin in admins {
        switched.spawn(async move { admin.black_hole(on).await });
    }
    while let Some(result) = switched.join_next().await {
        result??;
    }
    Ok(())
}

fn pids(region: &Region) -> anyhow::Result<Vec<i32>> {
    region
        .nodes
        .iter()
        .map(|node| {
            node.pid
                .with_context(|| format!("the cluster file names no process of node {}", node.id))
        })
        .collect()
}

//! `meridian drill transactions`: nodes go while transactions are under way, and come back.
//!
//! Clients move money between accounts and append to lists, several items a transaction, and read
//! both in transactions. Whatever happens the total stays, the lists tell of one serial order, and
//! soon after the node is back nothing is held any more. The node that goes coordinates transactions
//! of its clients, so some are cut off between their phases.
//!
//! # Invariants
//!
//! - A history is never cut: unknown transactions of earlier trials may still take effect.
//!
//! Tested by running it; the verdict on lists in `meridian-checker`.

mod load;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use meridian_checker::{Anomaly, check_append};

use crate::admin::Admin;
use crate::args::TransactionFault;
use crate::client::Client;
use crate::process::{self, Signal};
use crate::report::{Trial, TrialReport, ms};
use crate::rpo_rto::SECOND;
use crate::stage::Stage;
use crate::verify;
use load::{ACCOUNTS, EACH, Load, Tally};
pub use load::{History, seed};

/// How long the node is away.
const AWAY: Duration = Duration::from_secs(4);
/// Longest wait for the node to serve again.
const NODE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long something may be held after the node is back.
const STUCK_MS_MAX: f64 = 5_000.0;
/// When waiting for what is held is given up.
const STUCK_PATIENCE: Duration = Duration::from_secs(30);
/// Anomalies that are named.
const NAMED_MAX: usize = 5;

/// Runs one trial; the history of all trials grows.
pub async fn run(
    stage: &mut Stage,
    home: &str,
    fault: Option<TransactionFault>,
    number: u32,
    history: &mut History,
) -> anyhow::Result<TrialReport> {
    let all = [TransactionFault::Kill, TransactionFault::Stop, TransactionFault::Blackhole];
    let turn = usize::try_from(number)?;
    let fault = fault.unwrap_or(all[turn % all.len()]);
    stage.progress.step("warming up");
    let cluster = stage.cluster()?;
    let endpoints = cluster.region(home)?.endpoints.clone();
    let random = stage.seed.wrapping_add(u64::from(number) << 32);
    let load = Load::start(stage, &endpoints, random, history.next_element())?;
    stage.warm_up().await;

    let nodes: Vec<u64> = cluster.region(home)?.nodes.iter().map(|node| node.id).collect();
    let node = *nodes.get(turn % nodes.len().max(1)).context("a region without nodes")?;
    stage.progress.step(&format!("losing node {node}"));
    let began = stage.clock.now();
    lose(stage, node, fault).await?;
    tokio::time::sleep(AWAY).await;
    stage.progress.step("bringing the node back");
    bring_back(stage, node, fault).await?;
    let returned = stage.clock.now();
    tokio::time::sleep(stage.common.aftermath).await;
    let tally = load.finish(history).await;

    stage.progress.step("waiting until nothing is held");
    let client = Client::patient(endpoints.first().context("no endpoint")?, NODE_TIMEOUT)?;
    let (total, free_after_ms) = read_all(stage, &client, returned, history).await?;
    stage.progress.step("checking the history");
    let mut findings = judge(total, free_after_ms, history);
    let comparison = verify::compare(&stage.cluster()?, &stage.table).await?;
    findings.extend(comparison.differences.iter().take(NAMED_MAX).cloned());
    let equal = comparison.differences.is_empty();
    Ok(report(&tally, (began, returned), free_after_ms, equal, findings))
}

async fn lose(stage: &Stage, node: u64, fault: TransactionFault) -> anyhow::Result<()> {
    let cluster = stage.cluster()?;
    let pid = || cluster.node(node)?.pid.context("a node without process");
    match fault {
        TransactionFault::Kill => process::signal(pid()?, Signal::KILL),
        TransactionFault::Stop => process::signal(pid()?, Signal::STOP),
        TransactionFault::Blackhole => Admin::of_node(&cluster, node)?.black_hole(true).await,
    }
}

async fn bring_back(stage: &Stage, node: u64, fault: TransactionFault) -> anyhow::Result<()> {
    let cluster = stage.cluster()?;
    match fault {
        TransactionFault::Kill => stage.start_node(node).await?,
        TransactionFault::Stop => {
            let pid = cluster.node(node)?.pid.context("a node without process")?;
            process::signal(pid, Signal::CONT)?;
        }
        TransactionFault::Blackhole => {
            Admin::of_node(&cluster, node)?.black_hole(false).await?;
        }
    }
    stage.await_health(node, "/health/ready", NODE_TIMEOUT).await
}

/// Reads all accounts and lists, each kind in one transaction, as soon as none is held; gives the
/// total and how long that took after the return, ms.
async fn read_all(
    stage: &Stage,
    client: &Client,
    returned: u64,
    history: &mut History,
) -> anyhow::Result<(Option<u64>, f64)> {
    let deadline = tokio::time::Instant::now() + STUCK_PATIENCE;
    loop {
        let total = load::read_total(client, &stage.table).await;
        let lists = load::read_lists(stage.clock, client, &stage.table, &load::all_lists()).await;
        let after = ms(stage.clock.now().saturating_sub(returned));
        match (total, lists) {
            (Some(total), Some(read)) => {
                history.push(read);
                // What was watched before the load ended counts as free.
                let waited = after - stage.common.aftermath.as_secs_f64() * 1000.0;
                return Ok((Some(total), waited.max(0.0)));
            }
            _ if tokio::time::Instant::now() >= deadline => return Ok((None, after)),
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

fn judge(total: Option<u64>, free_after_ms: f64, history: &History) -> Vec<String> {
    let mut findings = Vec::new();
    match total {
        Some(total) if total == ACCOUNTS * EACH => {}
        Some(total) => findings.push(format!("the total is {total}, not {}", ACCOUNTS * EACH)),
        None => findings.push("items were held until the end".to_owned()),
    }
    if free_after_ms > STUCK_MS_MAX {
        findings.push(format!("items were held for {free_after_ms:.0} ms after the return"));
    }
    findings.extend(
        history
            .wrong_totals()
            .take(NAMED_MAX)
            .map(|total| format!("a reading found the total {total}, not {}", ACCOUNTS * EACH)),
    );
    let anomalies = check_append(history.transactions());
    findings.extend(anomalies.iter().take(NAMED_MAX).map(told));
    if anomalies.len() > NAMED_MAX {
        findings.push(format!("and {} anomalies more", anomalies.len() - NAMED_MAX));
    }
    findings
}

fn told(anomaly: &Anomaly) -> String {
    match anomaly {
        Anomaly::Circle(circle) => format!("no serial order: transactions {circle:?} in a circle"),
        other => format!("{other:?}"),
    }
}

fn report(
    tally: &Tally,
    (began, returned): (u64, u64),
    free_after_ms: f64,
    regions_equal: bool,
    findings: Vec<String>,
) -> TrialReport {
    let gap = tally.longest_gap(began, returned);
    let at = |time: u64| (time as f64 - began as f64) / SECOND as f64;
    let lost = u64::try_from(findings.len()).unwrap_or(u64::MAX);
    TrialReport {
        trial: Trial {
            rto_ms: Some(ms(gap)),
            rpo_ms: 0.0,
            rpo_writes: 0,
            stranded: 0,
            merged: 0,
            overwritten: 0,
            lost,
            failed: tally.cancelled + tally.failed,
            unknown: tally.unknown,
            gap_ms_max: ms(gap),
            regions_equal,
        },
        measures: BTreeMap::from([
            ("held_ms".to_owned(), free_after_ms),
            ("transactions_done".to_owned(), tally.done as f64),
            ("transactions_cancelled".to_owned(), tally.cancelled as f64),
        ]),
        buckets: Vec::new(),
        marks: vec![(0.0, "fault".to_owned()), (at(returned), "serving".to_owned())],
        findings,
    }
}

//! `meridian drill`: runs the scenario, reports, and leaves nothing behind.
//!
//! # Invariants
//!
//! - An interrupt ends the drill like any other end: the playground is stopped.
//! - Trials that were completed are reported even if a later one could not be.
//!
//! Tested by `rehearsal.rs` on a cluster in memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::args::{
    Common, DrillArgs, EvacuateArgs, NodeFault, NodeLossArgs, Output, RegionFault, RegionLossArgs,
    Scenario, Shell, TransactionFault, TransactionsArgs,
};
use crate::cluster::Cluster;
use crate::region_trial::Departure;
use crate::report::{Report, TrialReport};
use crate::stage::{STEPS_PER_TRIAL, Stage};
use crate::{node_loss, region_trial, restore, transactions};

/// Regions of a playground for region drills, as `meridian playground` has them.
const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "ap-northeast-1"];
/// Exit status after an interrupt, as shells count it.
pub(crate) const INTERRUPTED: u8 = 130;

/// What is done to the cluster, in a trial.
#[derive(Debug, Clone, Copy)]
enum Plan {
    Region(Departure),
    Node(NodeFault),
    Transactions(Option<TransactionFault>),
}

impl Plan {
    /// True when it is about nodes of one region.
    fn is_about_nodes(self) -> bool {
        matches!(self, Plan::Node(_) | Plan::Transactions(_))
    }
}

/// Runs a drill; success only if nothing was lost and everything was found in order.
pub async fn run(args: DrillArgs, shell: Shell) -> anyhow::Result<ExitCode> {
    match args.scenario {
        Scenario::RegionLoss(RegionLossArgs { fault, lose, common }) => {
            perform(Plan::Region(Departure::Fault(fault)), lose, &common, &shell).await
        }
        Scenario::Evacuate(EvacuateArgs { lose, common }) => {
            perform(Plan::Region(Departure::Evacuation), lose, &common, &shell).await
        }
        Scenario::NodeLoss(NodeLossArgs { fault, common }) => {
            perform(Plan::Node(fault), None, &common, &shell).await
        }
        Scenario::Transactions(TransactionsArgs { fault, common }) => {
            perform(Plan::Transactions(fault), None, &common, &shell).await
        }
        Scenario::Restore(args) => restore::run(args, shell).await,
    }
}

async fn perform(
    plan: Plan,
    lose: Option<String>,
    common: &Common,
    shell: &Shell,
) -> anyhow::Result<ExitCode> {
    let (home, regions) = regions(plan, lose, common, shell)?;
    let pool = if matches!(plan, Plan::Node(_)) { node_loss::POOL_KEYS } else { 0 };
    let opened = tokio::select! {
        opened = Stage::open(common, shell, regions, pool) => opened,
        () = interrupted() => return Ok(ExitCode::from(INTERRUPTED)),
    };
    let mut stage = opened?;
    let mut trials = Vec::new();
    let ended = tokio::select! {
        ended = scenario(&mut stage, plan, &home, &mut trials) => Some(ended),
        () = interrupted() => None,
    };
    let settings = settings(&stage, &home);
    if let (Some(Err(_)), Some(words)) = (&ended, stage.ground.last_words()) {
        stage.progress.say(&words);
    }
    stage.close().await;
    let report = report(plan, common, settings, trials);
    conclude(&report, ended, &common.report, shell)
}

/// The region that the drill is about, and the regions of the playground with that one first, so
/// that the router prefers it.
fn regions(
    plan: Plan,
    lose: Option<String>,
    common: &Common,
    shell: &Shell,
) -> anyhow::Result<(String, Vec<String>)> {
    let mut names = match (&shell.cluster, plan) {
        (Some(file), _) => {
            Cluster::read(file)?.regions.into_iter().map(|region| region.name).collect()
        }
        (None, _) if !common.regions.is_empty() => common.regions.clone(),
        (None, Plan::Region(_)) => REGIONS.map(str::to_owned).to_vec(),
        (None, Plan::Node(_) | Plan::Transactions(_)) => vec![REGIONS[0].to_owned()],
    };
    let home = match lose {
        Some(lose) => lose,
        None => names.first().context("no region is named")?.clone(),
    };
    let listed = names.join(", ");
    let place = names.iter().position(|name| *name == home);
    let place = place.with_context(|| format!("region {home} is none of {listed}"))?;
    let first = names.remove(place);
    names.insert(0, first);
    anyhow::ensure!(
        plan.is_about_nodes() || names.len() > 1,
        "a region can only be left for another one"
    );
    Ok((home, names))
}

async fn scenario(
    stage: &mut Stage,
    plan: Plan,
    home: &str,
    trials: &mut Vec<TrialReport>,
) -> anyhow::Result<()> {
    stage.prepare_table(home).await?;
    if matches!(plan, Plan::Node(_)) {
        node_loss::seed_pool(stage).await?;
    }
    let mut history = transactions::History::default();
    if matches!(plan, Plan::Transactions(_)) {
        transactions::seed(stage).await?;
    }
    for number in 0..stage.common.trials {
        stage.progress.part(format!("trial {}/{}", number + 1, stage.common.trials));
        let trial = match plan {
            Plan::Region(departure) => region_trial::run(stage, home, departure, number).await,
            Plan::Node(fault) => node_loss::run(stage, home, fault, number).await,
            Plan::Transactions(fault) => {
                transactions::run(stage, home, fault, number, &mut history).await
            }
        };
        let trial = trial.with_context(|| format!("trial {}", number + 1))?;
        stage.progress.say(&told(number, &trial));
        stage.progress.reach(u64::from(number + 1) * STEPS_PER_TRIAL + 1);
        trials.push(trial);
    }
    if matches!(plan, Plan::Region(_))
        && let Some(last) = trials.last_mut()
    {
        let lost = region_trial::final_check(stage).await?;
        last.trial.lost += u64::try_from(lost.len()).unwrap_or(u64::MAX);
        if let Some(first) = lost.first() {
            last.findings.push(format!("{} writes gone after the last trial: {first}", lost.len()));
        }
    }
    Ok(())
}

fn told(number: u32, report: &TrialReport) -> String {
    let trial = &report.trial;
    let rto = trial.rto_ms.map_or("never".to_owned(), |rto| format!("{rto:.0} ms"));
    let mut text = format!(
        "trial {}: RTO {rto}, RPO {:.0} ms, {} writes missing, {} merged, {} overwritten, {} lost",
        number + 1,
        trial.rpo_ms,
        trial.rpo_writes,
        trial.merged,
        trial.overwritten,
        trial.lost
    );
    for finding in &report.findings {
        text.push_str("\n  ");
        text.push_str(finding);
    }
    text
}

fn settings(stage: &Stage, home: &str) -> Vec<(String, String)> {
    let common = &stage.common;
    let told: [(&str, String); 9] = [
        ("region", home.to_owned()),
        ("trials", common.trials.to_string()),
        ("latency between regions", format!("{} ms round trip", common.latency.as_millis())),
        ("load", format!("{0} writes/s and {0} reads/s, open loop", common.rate)),
        ("clients", format!("{}, 1 s timeout, no retries", common.clients)),
        (
            "recovered",
            format!(
                "{} s with 99 % served and p99 under {} ms",
                common.window.as_secs_f64(),
                common.p99_limit.as_millis()
            ),
        ),
        ("hot writes", format!("{} %", common.hot_percent)),
        ("table", stage.table.clone()),
        ("seed", stage.seed.to_string()),
    ];
    told.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn report(
    plan: Plan,
    common: &Common,
    settings: Vec<(String, String)>,
    trials: Vec<TrialReport>,
) -> Report {
    let (scenario, fault) = match plan {
        Plan::Region(Departure::Fault(RegionFault::Kill)) => ("region-loss", "kill"),
        Plan::Region(Departure::Fault(RegionFault::Blackhole)) => ("region-loss", "blackhole"),
        Plan::Region(Departure::Fault(RegionFault::BlackholeNet)) => {
            ("region-loss", "blackhole-net")
        }
        Plan::Region(Departure::Evacuation) => ("evacuate", "evacuate"),
        Plan::Node(NodeFault::Kill) => ("node-loss", "kill"),
        Plan::Node(NodeFault::Stop) => ("node-loss", "stop"),
        Plan::Transactions(None) => ("transactions", "each"),
        Plan::Transactions(Some(TransactionFault::Kill)) => ("transactions", "kill"),
        Plan::Transactions(Some(TransactionFault::Stop)) => ("transactions", "stop"),
        Plan::Transactions(Some(TransactionFault::Blackhole)) => ("transactions", "blackhole"),
    };
    Report {
        scenario: scenario.to_owned(),
        fault: fault.to_owned(),
        latency_ms: u64::try_from(common.latency.as_millis()).unwrap_or(u64::MAX),
        rate: common.rate,
        settings,
        trials,
        measures: BTreeMap::new(),
    }
}

/// Writes a report to a directory, and prints it.
fn publish(report: &Report, directory: &Path, shell: &Shell) -> anyhow::Result<()> {
    report.write(directory)?;
    match shell.output {
        Output::Json => println!("{}", report.json()),
        Output::Text => {
            println!("{}", report.table());
            println!("\nreport: {}", directory.join("report.html").display());
        }
    }
    Ok(())
}

/// Publishes what was found, and says how the process ends: `ended` is none after an interrupt.
pub(crate) fn conclude(
    report: &Report,
    ended: Option<anyhow::Result<()>>,
    directory: &Path,
    shell: &Shell,
) -> anyhow::Result<ExitCode> {
    if !report.trials.is_empty() {
        publish(report, directory, shell)?;
    }
    match ended {
        None => Ok(ExitCode::from(INTERRUPTED)),
        // The report was printed, and stdout holds one line of JSON: the rest goes to stderr.
        Some(Err(error)) if !report.trials.is_empty() => {
            eprintln!("error: {error:#}");
            Ok(ExitCode::FAILURE)
        }
        Some(Err(error)) => Err(error),
        Some(Ok(())) if report.passed() => Ok(ExitCode::SUCCESS),
        Some(Ok(())) => Ok(ExitCode::FAILURE),
    }
}

/// Waits for SIGINT or SIGTERM.
pub(crate) async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        // Without handlers the default holds: the signal ends the process.
        (Err(_), _) | (_, Err(_)) => std::future::pending().await,
    }
}

//! `meridian drill restore`: at a known moment a bad program overwrites and deletes half of the items,
//! and the table is restored to the second before, under load.
//!
//! Every item of the restored table is compared with what the clients did: their acknowledged writes
//! before that second must be there, and nothing that began after it.
//!
//! # Invariants
//!
//! - An interrupt ends the drill like any other end: the playground is stopped.
//! - Trials that were completed are reported even if a later one could not be.
//! - What fails the drill is a wrong item, never a slow machine.
//!
//! Tested by the tests of its parts and by running it.

mod args;
mod backups;
mod bulk;
mod judge;
mod lateness;
mod ledger;
mod moment;
mod pairs;
mod scan;
mod site;
mod trial;

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context as _;

pub use args::RestoreArgs;

use crate::args::Shell;
use crate::report::{Report, TrialReport};
use crate::run::{INTERRUPTED, conclude, interrupted};
use backups::Backups;
use pairs::Pair;
use site::{STEPS_BEFORE, STEPS_PER_TRIAL, Site};

/// What the drill found so far.
#[derive(Default)]
struct Found {
    trials: Vec<TrialReport>,
    /// How far the latest restorable time was behind under the steady load, in milliseconds.
    behind_ms: Vec<f64>,
    pairs: Vec<Pair>,
    /// The nodes' own measure of that: bounds of p50 and p99, in seconds.
    metric_s: Option<(f64, f64)>,
}

/// Runs the drill; success only if every item of every trial is as it was.
pub async fn run(args: RestoreArgs, shell: Shell) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        args.pairs == 0 || args.restore_bytes_per_s_max > 0 || shell.cluster.is_some(),
        "--pairs measures a restore with a limit: give --restore-bytes-per-s-max"
    );
    let opened = tokio::select! {
        opened = Site::open(&args, &shell) => opened,
        () = interrupted() => return Ok(ExitCode::from(INTERRUPTED)),
    };
    let mut site = opened?;
    let mut found = Found::default();
    let ended = tokio::select! {
        ended = perform(&mut site, &mut found) => Some(ended),
        () = interrupted() => None,
    };
    if let (Some(Err(_)), Some(words)) = (&ended, site.ground.last_words()) {
        site.progress.say(&words);
    }
    let settings = settings(&site);
    site.close().await;
    let report = report(&args, settings, found);
    conclude(&report, ended, &args.report, &shell)
}

async fn perform(site: &mut Site, found: &mut Found) -> anyhow::Result<()> {
    site.fill().await?;
    site.progress.step("turning recovery on");
    Backups::of(site)?.turn_on().await?;
    for number in 0..site.args.trials {
        site.progress.part(format!("trial {}/{}", number + 1, site.args.trials));
        let trial = trial::run(site, number).await;
        let (trial, behind) = trial.with_context(|| format!("trial {}", number + 1))?;
        site.progress.say(&told(number, &trial));
        site.progress.reach(u64::from(number + 1) * STEPS_PER_TRIAL + STEPS_BEFORE);
        found.trials.push(trial);
        found.behind_ms.extend(behind);
    }
    for number in 0..site.args.pairs {
        site.progress.part(format!("pair {}/{}", number + 1, site.args.pairs));
        let pair = pairs::run(site, number).await;
        let pair = pair.with_context(|| format!("pair {}", number + 1))?;
        let (alone, beside) = (pair.alone_ms, pair.beside_ms);
        site.progress
            .say(&format!("pair {}: p99 {alone:.1} ms alone, {beside:.1} ms beside", number + 1));
        found.pairs.push(pair);
    }
    let (half, most) = (lateness::metric(site, 50.0).await?, lateness::metric(site, 99.0).await?);
    found.metric_s = half.zip(most);
    Ok(())
}

fn told(number: u32, report: &TrialReport) -> String {
    let measure = |name: &str| report.measures.get(name).copied().unwrap_or(0.0);
    let mut text = format!(
        "trial {}: first read after {:.0} ms, {:.1} MB/s; {} items lost, {} wrong, {} extra",
        number + 1,
        report.trial.rto_ms.unwrap_or(f64::INFINITY),
        measure("restore_mb_per_s"),
        report.trial.lost,
        measure("items_wrong"),
        measure("items_extra"),
    );
    for finding in &report.findings {
        text.push_str("\n  ");
        text.push_str(finding);
    }
    text
}

fn settings(site: &Site) -> Vec<(String, String)> {
    let args = &site.args;
    let limit = match args.restore_bytes_per_s_max {
        0 => "none".to_owned(),
        limit => format!("{limit} bytes/s on each node"),
    };
    let told: [(&str, String); 11] = [
        ("trials", args.trials.to_string()),
        ("items", format!("{}, {} bytes of padding each", args.items, args.item_bytes)),
        ("load", format!("{0} writes/s, a tenth deletes, and {0} reads/s, open loop", args.rate)),
        ("clients", format!("{}, 1 s timeout, no retries", args.clients)),
        ("nodes", format!("{} on this machine", args.nodes_per_region)),
        ("partitions of a table", args.partitions.to_string()),
        ("limit of restores", limit),
        ("RTO", "from the command to the first read of the restored table".to_owned()),
        ("lost, wrong, extra", "items other than the clients' history as of the second".to_owned()),
        ("table", site.table.clone()),
        ("seed", site.seed.to_string()),
    ];
    told.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn report(args: &RestoreArgs, settings: Vec<(String, String)>, found: Found) -> Report {
    let mut measures = BTreeMap::new();
    let mut add = |name: &str, values: Vec<f64>| {
        if !values.is_empty() {
            measures.insert(name.to_owned(), values);
        }
    };
    let of = |of: fn(&Pair) -> f64| found.pairs.iter().map(of).collect::<Vec<f64>>();
    add("latest_restorable_behind_ms", found.behind_ms);
    add("metric_archive_lag_p50_s_below", found.metric_s.map(|one| one.0).into_iter().collect());
    add("metric_archive_lag_p99_s_below", found.metric_s.map(|one| one.1).into_iter().collect());
    add("pair_p99_ms_alone", of(|pair| pair.alone_ms));
    add("pair_p99_ms_beside", of(|pair| pair.beside_ms));
    add("pair_p99_ratio", of(|pair| pair.beside_ms / pair.alone_ms));
    add("pair_beside_s", of(|pair| pair.beside_s));
    Report {
        scenario: "restore".to_owned(),
        fault: "bad-program".to_owned(),
        latency_ms: 0,
        rate: args.rate,
        settings,
        trials: found.trials,
        measures,
    }
}

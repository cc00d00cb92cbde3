//! One trial of a region drill: load, departure, takeover, return, comparison.
//!
//! # Invariants
//!
//! - The load runs through the router from before the departure until after the return, so the way
//!   back is measured too.
//! - What the survivors show is read once, through the router, right after its first served call:
//!   exactly what the clients find in their new region.
//!
//! Tested by `rehearsal.rs` on a cluster in memory; the measures by `rpo_rto/tests.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use crate::admin::{self, StrandedWrite};
use crate::args::RegionFault;
use crate::client::Client;
use crate::items;
use crate::lag::{self, LagProbe};
use crate::load::{Load, Mix, eventually};
use crate::record::{Fate, Key, Nanos, Record};
use crate::report::{LagSample, Trial, TrialReport, buckets, ms};
use crate::rpo_rto::{
    Contents, Evidence, Fault, Losses, MS, Rule, SECOND, count, longest_gap, losses, percentile,
    recovery,
};
use crate::stage::Stage;
use crate::{evacuate, region_loss, verify};

/// Calls served after the fault that prove that the router has moved.
const TAKEOVER_CALLS: usize = 8;
/// Longest wait for the regions to show the same.
const CONVERGENCE_TIMEOUT: Duration = Duration::from_secs(30);
/// Findings of one kind that are named.
const NAMED_MAX: usize = 5;

/// How a region is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// By a fault.
    Fault(RegionFault),
    /// In an orderly way.
    Evacuation,
}

/// What is known of a trial besides the calls.
struct Course {
    fault: Fault,
    /// When the survey of the survivors was complete.
    surveyed: Nanos,
    takeover: Contents,
    /// Keys that another survivor showed although the new region did not.
    elsewhere: BTreeSet<Key>,
    /// When the region was asked to come back, and when it had.
    returning: Nanos,
    returned: Nanos,
    stranded: Vec<StrandedWrite>,
    lags: Vec<LagSample>,
    rto: Option<Nanos>,
}

/// Runs one trial.
pub async fn run(
    stage: &mut Stage,
    lose: &str,
    departure: Departure,
    number: u32,
) -> anyhow::Result<TrialReport> {
    stage.progress.step("waiting for every region to be active");
    stage.await_home(lose).await?;
    stage.progress.step("warming up");
    let profile = stage.profile(Mix::Own { hot_percent: stage.common.hot_percent });
    let cluster = stage.cluster()?;
    let seed = stage.seed.wrapping_add(u64::from(number) << 32);
    let load = Load::start(stage.clock, &profile, &cluster.router, &stage.writers, seed)?;
    let markers = u64::from(number) * 1_000_000 + 1;
    let probe = LagProbe::start(stage.clock, &cluster, &stage.table, markers)?;
    stage.warm_up().await;
    let course = course(stage, lose, departure, &load).await?;
    stage.progress.step("aftermath");
    tokio::time::sleep(stage.common.aftermath).await;
    let records = load.finish().await;
    let course = Course { lags: probe.finish(), ..course };
    stage.progress.step("comparing the regions");
    conclude(stage, lose, &records, &course).await
}

/// The departure, the takeover and the return, under load.
async fn course(
    stage: &Stage,
    lose: &str,
    departure: Departure,
    load: &Load,
) -> anyhow::Result<Course> {
    stage.progress.step("leaving the region");
    let fault = match departure {
        Departure::Fault(fault) => region_loss::leave(stage, lose, fault).await?,
        Departure::Evacuation => evacuate::leave(stage, lose).await?,
    };
    let (takeover, elsewhere) = survey(stage, load, fault, lose).await?;
    let surveyed = stage.clock.now();
    stage.progress.step("waiting for recovery");
    let rto = await_recovery(stage, load, fault).await;
    stage.progress.step("bringing the region back");
    let returning = stage.clock.now();
    let stranded = match departure {
        Departure::Fault(fault) => region_loss::come_back(stage, lose, fault).await?,
        Departure::Evacuation => evacuate::come_back(stage, lose).await?,
    };
    let returned = stage.clock.now();
    let lags = Vec::new();
    Ok(Course { fault, surveyed, takeover, elsewhere, returning, returned, stranded, lags, rto })
}

/// Waits for the takeover and reads what the new region shows of everything acknowledged before;
/// of what it does not show, also what the other survivors show.
async fn survey(
    stage: &Stage,
    load: &Load,
    fault: Fault,
    lose: &str,
) -> anyhow::Result<(Contents, BTreeSet<Key>)> {
    let taken_over = async || load.served_since(fault.done) >= TAKEOVER_CALLS;
    let in_time = eventually(stage.common.patience, taken_over).await;
    anyhow::ensure!(in_time, "no region took over within {:?}", stage.common.patience);
    let keys: BTreeSet<Key> = load
        .records()
        .iter()
        .filter(|record| record.started < fault.done && record.acknowledged().is_some())
        .map(|record| record.key)
        .collect();
    let cluster = stage.cluster()?;
    let router = Arc::new(Client::new(&cluster.router)?);
    let takeover = items::read(&router, &stage.table, &keys).await?;
    let absent = takeover.iter().filter(|(_, content)| content.is_none());
    let absent: BTreeSet<Key> = absent.map(|(key, _)| *key).collect();
    let mut elsewhere = BTreeSet::new();
    for region in cluster.others(lose) {
        let url = region.endpoints.first().context("a region without endpoint")?;
        let shown = items::read(&Arc::new(Client::new(url)?), &stage.table, &absent).await?;
        elsewhere.extend(shown.iter().filter(|one| one.1.is_some()).map(|(key, _)| *key));
    }
    Ok((takeover, elsewhere))
}

/// Waits for the first good window, or until patience ends.
async fn await_recovery(stage: &Stage, load: &Load, fault: Fault) -> Option<Nanos> {
    let rule = rule(stage, 1.0);
    let patience = u64::try_from(stage.common.patience.as_nanos()).unwrap_or(u64::MAX);
    let timeout = u64::try_from(crate::client::CALL_TIMEOUT.as_nanos()).unwrap_or(u64::MAX);
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        // Calls begun before this moment have all ended.
        let until = stage.clock.now().saturating_sub(timeout + 100 * MS);
        let found = recovery(&load.records(), fault.began, until, &rule);
        if found.is_some() || until > fault.began + patience {
            return found;
        }
    }
}

/// What counts as recovered, for a share of the load.
pub fn rule(stage: &Stage, share: f64) -> Rule {
    let seconds = stage.common.window.as_secs_f64();
    Rule {
        window: u64::try_from(stage.common.window.as_nanos()).unwrap_or(u64::MAX),
        latency_max: u64::try_from(stage.common.p99_limit.as_nanos()).unwrap_or(u64::MAX),
        calls: (stage.common.rate * 2.0 * seconds * share) as usize,
    }
}

/// Everything that is found out when the load has ended.
async fn conclude(
    stage: &mut Stage,
    lose: &str,
    records: &[Record],
    course: &Course,
) -> anyhow::Result<TrialReport> {
    let mut findings = Vec::new();
    let (finals, equal) = await_convergence(stage, records).await?;
    if !equal {
        findings.push("the regions do not show the same to clients".to_owned());
    }
    let cluster = stage.cluster()?;
    let comparison = verify::compare(&cluster, &stage.table).await?;
    findings.extend(comparison.differences.iter().take(NAMED_MAX).cloned());
    let mut listed = stage.conflicting_keys().await?;
    let ours = course.stranded.iter().filter(|one| one.table == stage.table);
    listed.extend(ours.filter_map(|one| one.key.parse::<Key>().ok()));
    // Not stranded in the lost region: another survivor had it all the time.
    listed.extend(&course.elsewhere);
    let losses = losses(&Evidence {
        records,
        past: &stage.past,
        fault: course.fault,
        takeover: &course.takeover,
        finals: &finals,
        listed: &listed,
    });
    findings.extend(explain(&losses));
    let partitions = partitions_of(stage, lose).await?;
    let measured = (course.fault.began, course.returning);
    let by_client = longest_gap(records, measured, |record| Some(record.client));
    let by_partition =
        longest_gap(records, measured, |record| partitions.get(&record.key).copied());
    let regions_equal = equal && comparison.differences.is_empty();
    let trial = trial(records, course, &losses, by_client.max(by_partition), regions_equal);
    stage.history.extend(records.iter().filter(|record| record.write().is_some()));
    // Where the regions differ the trial has failed, and any of them will do.
    if let Some(contents) = finals.first() {
        stage.past.add(records, contents);
    }
    Ok(TrialReport {
        trial,
        measures: measures(records, course),
        buckets: buckets(records, &course.lags, course.fault.began),
        marks: marks(course),
        findings,
    })
}

fn trial(
    records: &[Record],
    course: &Course,
    losses: &Losses,
    gap: Nanos,
    regions_equal: bool,
) -> Trial {
    let all = (0, Nanos::MAX);
    let lost = u64::try_from(losses.lost.len()).unwrap_or(u64::MAX);
    Trial {
        rto_ms: course.rto.map(ms),
        rpo_ms: ms(losses.oldest),
        rpo_writes: losses.missing,
        stranded: losses.stranded,
        merged: losses.merged,
        overwritten: losses.overwritten,
        lost,
        failed: count(records, Fate::Failed, all),
        unknown: count(records, Fate::Unknown, all),
        gap_ms_max: ms(gap),
        regions_equal,
    }
}

fn measures(records: &[Record], course: &Course) -> BTreeMap<String, f64> {
    let mut measures = BTreeMap::new();
    // The first seconds are those of a cold start; the steady state is what lies before the fault.
    let begin = records.iter().map(|one| one.intended).min().unwrap_or(0) + 2 * SECOND;
    let steady = lag::steady(&course.lags, (begin, course.fault.began));
    let lags: Vec<f64> = steady.map(|sample| ms(sample.lag)).collect();
    for (name, percent) in [("lag_ms_p50", 50.0), ("lag_ms_p99", 99.0)] {
        if let Some(lag) = percentile(&lags, percent) {
            measures.insert(name.to_owned(), lag);
        }
    }
    let back = (course.returning, Nanos::MAX);
    let not_served = count(records, Fate::Failed, back) + count(records, Fate::Unknown, back);
    measures.insert("failback_not_served".to_owned(), not_served as f64);
    let departure = course.fault.done - course.fault.began;
    measures.insert("departure_ms".to_owned(), ms(departure));
    measures.insert("return_ms".to_owned(), ms(course.returned - course.returning));
    measures
}

fn marks(course: &Course) -> Vec<(f64, String)> {
    let at = |time: Nanos| (time as f64 - course.fault.began as f64) / SECOND as f64;
    vec![
        (0.0, "fault".to_owned()),
        (at(course.surveyed), "taken over".to_owned()),
        (at(course.returning), "returning".to_owned()),
        (at(course.returned), "returned".to_owned()),
    ]
}

fn explain(losses: &Losses) -> Vec<String> {
    let mut findings = Vec::new();
    let mut name = |what: &str, entries: Vec<String>| {
        if !entries.is_empty() {
            let named: Vec<&str> = entries.iter().take(NAMED_MAX).map(String::as_str).collect();
            findings.push(format!("{} {what}: {}", entries.len(), named.join(", ")));
        }
    };
    let write = |(key, write): &(Key, crate::record::Write)| format!("{write} of key {key}");
    name("acknowledged writes lost", losses.lost.iter().map(write).collect());
    name(
        "stranded writes that neither the restore nor the conflict log lists",
        losses.unlisted.iter().map(write).collect(),
    );
    name(
        "keys with content that nobody can have written",
        losses.foreign.iter().map(Key::to_string).collect(),
    );
    findings
}

/// What every region shows of the trial's keys, when they agree or patience ends.
async fn await_convergence(
    stage: &Stage,
    records: &[Record],
) -> anyhow::Result<(Vec<Contents>, bool)> {
    let written = records.iter().filter(|record| record.write().is_some());
    let keys: BTreeSet<Key> = written.map(|record| record.key).collect();
    let cluster = stage.cluster()?;
    let deadline = tokio::time::Instant::now() + CONVERGENCE_TIMEOUT;
    loop {
        let mut finals = Vec::new();
        for region in &cluster.regions {
            let url = region.endpoints.first().context("a region without endpoint")?;
            let client = Arc::new(Client::patient(url, Duration::from_secs(5))?);
            finals.push(items::read(&client, &stage.table, &keys).await?);
        }
        let equal = finals.windows(2).all(|pair| pair[0] == pair[1]);
        if equal || tokio::time::Instant::now() >= deadline {
            return Ok((finals, equal));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Which partition of a region holds which key.
pub async fn partitions_of(stage: &Stage, region: &str) -> anyhow::Result<BTreeMap<Key, u64>> {
    let cluster = stage.cluster()?;
    let partitions = admin::partitions(&cluster, region, &stage.table).await?;
    let dump = verify::dump_region(&cluster, region, &stage.table, &partitions).await?;
    let of_key = dump.items.iter().filter_map(|(key, item)| {
        let key = serde_json::from_str(key).ok().and_then(|key| admin::key_text(&key))?;
        Some((key.parse().ok()?, item.partition))
    });
    Ok(of_key.collect())
}

/// After the last trial: every write of the drill to a key of its own is still in every region.
/// Returns what is lost.
pub async fn final_check(stage: &Stage) -> anyhow::Result<Vec<String>> {
    let mut lost = Vec::new();
    for region in &stage.cluster()?.regions {
        let url = region.endpoints.first().context("a region without endpoint")?;
        let client = Client::patient(url, Duration::from_secs(10))?;
        let contents = items::scan(&client, &stage.table).await;
        let contents = contents.with_context(|| format!("cannot scan {}", region.name))?;
        for record in &stage.history {
            if let (Key::Cold(_), Some(write)) = (record.key, record.acknowledged())
                && contents.get(&record.key).copied().flatten() != Some(write)
            {
                lost.push(format!("{write} of key {} in {}", record.key, region.name));
            }
        }
    }
    Ok(lost)
}

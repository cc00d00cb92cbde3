//! `meridian drill node-loss`: the node that leads a partition goes, and comes back.
//!
//! All clients share a pool of keys and write with and without conditions; the histories of all
//! trials together are checked for linearizability, key by key.
//!
//! # Invariants
//!
//! - A history is never cut: unknown calls of earlier trials may still take effect.
//!
//! Tested by `rehearsal.rs` on a cluster in memory, and by running it; the checks in
//! `meridian-checker`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use meridian_checker::{Operation, State, Verdict, check_durable, check_keys};

use crate::admin::{self, PartitionView};
use crate::args::NodeFault;
use crate::client::Client;
use crate::items;
use crate::load::{Load, Mix, eventually};
use crate::process::{self, Signal};
use crate::record::{Asked, Fate, Key, Nanos, Record, Seen};
use crate::region_trial::{partitions_of, rule};
use crate::report::{Trial, TrialReport, buckets, ms};
use crate::rpo_rto::{Contents, Fault, MS, SECOND, count, longest_gap, recovery};
use crate::stage::Stage;
use crate::verify;

/// Keys that all clients share.
pub const POOL_KEYS: u32 = 128;
/// Share of conditional writes, in hundredths.
const CONDITIONAL_PERCENT: u8 = 30;
/// Longest wait for the node to serve again.
const NODE_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest wait for every partition to have a leader.
const LEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Findings of one kind that are named.
const NAMED_MAX: usize = 5;

/// Gives every key of the pool a first content, as calls of the history.
pub async fn seed_pool(stage: &mut Stage) -> anyhow::Result<()> {
    let client = Client::patient(&stage.cluster()?.router, Duration::from_secs(5))?;
    let seeder = stage.common.clients;
    for number in 0..POOL_KEYS {
        let key = Key::Pool(number);
        let new = stage.writers.next(seeder);
        let call = items::Call { table: &stage.table, key, item_bytes: stage.common.item_bytes };
        let started = stage.clock.now();
        let asked = Asked::Put(new);
        let (fate, seen) = items::perform(&client, &call, asked).await;
        anyhow::ensure!(fate == Fate::Ok, "cannot write key {key} before the load: {fate:?}");
        let ended = stage.clock.now();
        stage.writers.note(key, Some(new));
        let (client, intended) = (seeder, started);
        stage.history.push(Record { client, key, asked, fate, seen, intended, started, ended });
    }
    Ok(())
}

/// Runs one trial on the partition whose turn it is.
pub async fn run(
    stage: &mut Stage,
    home: &str,
    fault: NodeFault,
    number: u32,
) -> anyhow::Result<TrialReport> {
    stage.progress.step("waiting for leaders");
    let target = target(stage, home, number).await?;
    let node = target.leader.context("a partition without leader")?;
    let of_key = partitions_of(stage, home).await?;
    stage.progress.step("warming up");
    let mix = Mix::Pool { keys: POOL_KEYS, conditional_percent: CONDITIONAL_PERCENT };
    let router = stage.cluster()?.router;
    let seed = stage.seed.wrapping_add(u64::from(number) << 32);
    let load = Load::start(stage.clock, &stage.profile(mix), &router, &stage.writers, seed)?;
    stage.warm_up().await;
    // The leader may have changed while the load warmed up.
    let node = leader_now(stage, home, &target).await.unwrap_or(node);
    stage.progress.step(&format!("losing node {node}, leader of partition {}", target.partition));
    let pid = stage.cluster()?.node(node)?.pid.context("a node without process")?;
    let began = stage.clock.now();
    process::signal(pid, if fault == NodeFault::Kill { Signal::KILL } else { Signal::STOP })?;
    let fault_times = Fault { began, done: stage.clock.now() };
    stage.progress.step("waiting for recovery");
    let mine = |record: &Record| of_key.get(&record.key) == Some(&target.partition);
    let share = share(&of_key, target.partition);
    await_recovery(stage, &load, fault_times, (&mine, share)).await;
    stage.progress.step("bringing the node back");
    let returning = stage.clock.now();
    match fault {
        NodeFault::Kill => stage.start_node(node).await?,
        NodeFault::Stop => process::signal(pid, Signal::CONT)?,
    }
    stage.await_health(node, "/health/ready", NODE_TIMEOUT).await?;
    let returned = stage.clock.now();
    tokio::time::sleep(stage.common.aftermath).await;
    let records = load.finish().await;
    stage.progress.step("checking the history");
    let times = Times { fault: fault_times, returning, returned };
    conclude(stage, home, records, times, (&of_key, target.partition)).await
}

struct Times {
    fault: Fault,
    returning: Nanos,
    returned: Nanos,
}

/// The partition whose turn it is; all partitions have leaders by then.
async fn target(stage: &Stage, home: &str, number: u32) -> anyhow::Result<PartitionView> {
    let cluster = stage.cluster()?;
    let mut found = Vec::new();
    let led = eventually(LEADER_TIMEOUT, async || {
        found = admin::partitions(&cluster, home, &stage.table).await.unwrap_or_default();
        !found.is_empty() && found.iter().all(|partition| partition.leader.is_some())
    })
    .await;
    anyhow::ensure!(led, "not every partition had a leader within {LEADER_TIMEOUT:?}");
    let turn = usize::try_from(number)? % found.len();
    Ok(found.swap_remove(turn))
}

async fn leader_now(stage: &Stage, home: &str, target: &PartitionView) -> Option<u64> {
    let cluster = stage.cluster().ok()?;
    let partitions = admin::partitions(&cluster, home, &stage.table).await.ok()?;
    partitions.into_iter().find(|one| one.partition == target.partition)?.leader
}

/// The share of the load that a partition should get, with some slack for the draw of the keys.
fn share(of_key: &BTreeMap<Key, u64>, partition: u64) -> f64 {
    let held = of_key.values().filter(|one| **one == partition).count();
    0.8 * held as f64 / f64::from(POOL_KEYS)
}

/// Waits until the partition's load has recovered, or patience ends.
async fn await_recovery(
    stage: &Stage,
    load: &Load,
    fault: Fault,
    (mine, share): (impl Fn(&Record) -> bool, f64),
) {
    let rule = rule(stage, share);
    let patience = u64::try_from(stage.common.patience.as_nanos()).unwrap_or(u64::MAX);
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let until = stage.clock.now().saturating_sub(SECOND + 100 * MS);
        let records: Vec<Record> = load.records().into_iter().filter(&mine).collect();
        let recovered = recovery(&records, fault.began, until, &rule).is_some();
        if recovered || until > fault.began + patience {
            return;
        }
    }
}

async fn conclude(
    stage: &mut Stage,
    home: &str,
    records: Vec<Record>,
    times: Times,
    (of_key, partition): (&BTreeMap<Key, u64>, u64),
) -> anyhow::Result<TrialReport> {
    let hit: Vec<Record> =
        records.iter().filter(|one| of_key.get(&one.key) == Some(&partition)).copied().collect();
    let writes = |one: &Record| one.write().map(|_| 0);
    let span = (times.fault.began, times.returning);
    let until = records.iter().map(|one| one.intended).max().unwrap_or(0);
    let rule = rule(stage, share(of_key, partition));
    let rto = recovery(&hit, times.fault.began, until, &rule);
    let write_gap = longest_gap(&hit, span, writes);
    let gap = longest_gap(&records, span, |one| Some(one.client)).max(longest_gap(
        &records,
        span,
        |one| of_key.get(&one.key).copied(),
    ));
    let chart = buckets(&records, &[], times.fault.began);
    let (failed, unknown) = (Fate::Failed, Fate::Unknown);
    let failed = count(&records, failed, (0, Nanos::MAX));
    let unknown = count(&records, unknown, (0, Nanos::MAX));
    stage.history.extend(records);
    let mut findings = Vec::new();
    let finals = read_pool(stage, home).await?;
    let lost = judge(stage, &finals, &mut findings);
    let comparison = verify::compare(&stage.cluster()?, &stage.table).await?;
    findings.extend(comparison.differences.iter().take(NAMED_MAX).cloned());
    let at = |time: Nanos| (time as f64 - times.fault.began as f64) / SECOND as f64;
    Ok(TrialReport {
        trial: Trial {
            rto_ms: rto.map(ms),
            rpo_ms: 0.0,
            rpo_writes: lost,
            stranded: 0,
            merged: 0,
            overwritten: 0,
            lost,
            failed,
            unknown,
            gap_ms_max: ms(gap),
            regions_equal: comparison.differences.is_empty(),
        },
        measures: BTreeMap::from([
            ("partition_write_gap_ms".to_owned(), ms(write_gap)),
            ("return_ms".to_owned(), ms(times.returned - times.returning)),
            ("index_entries".to_owned(), comparison.entries as f64),
        ]),
        buckets: chart,
        marks: vec![
            (0.0, "fault".to_owned()),
            (at(times.returning), "returning".to_owned()),
            (at(times.returned), "serving".to_owned()),
        ],
        findings,
    })
}

/// Reads every key of the pool, as calls of the history.
async fn read_pool(stage: &mut Stage, home: &str) -> anyhow::Result<Contents> {
    let cluster = stage.cluster()?;
    let url = cluster.region(home)?.endpoints.first().context("a region without endpoint")?;
    let client = Arc::new(Client::patient(url, Duration::from_secs(5))?);
    let keys: BTreeSet<Key> = (0..POOL_KEYS).map(Key::Pool).collect();
    let started = stage.clock.now();
    let finals = items::read(&client, &stage.table, &keys).await?;
    let ended = stage.clock.now();
    for (key, content) in &finals {
        stage.history.push(Record {
            client: stage.common.clients,
            key: *key,
            asked: Asked::Get,
            fate: Fate::Ok,
            seen: Seen::Content(*content),
            intended: started,
            started,
            ended,
        });
    }
    Ok(finals)
}

/// Checks the whole history: counts acknowledged writes that are gone, and names what no order
/// explains.
fn judge(stage: &Stage, finals: &Contents, findings: &mut Vec<String>) -> u64 {
    let mut histories: BTreeMap<Key, (State, Vec<Operation>)> = BTreeMap::new();
    for record in &stage.history {
        histories.entry(record.key).or_default().1.push(record.operation());
    }
    let mut lost = 0;
    for (key, (initial, history)) in &histories {
        let finally = finals.get(key).copied().flatten().map(|write| write.value());
        let verdict = check_durable(*initial, history, finally);
        lost += verdict.lost.len();
        if !verdict.lost.is_empty() || verdict.foreign {
            findings.push(format!("key {key}: {} writes lost, {verdict:?}", verdict.lost.len()));
        }
    }
    for (key, verdict) in check_keys(&histories) {
        match verdict {
            Verdict::Linearizable => {}
            Verdict::Undecided => findings.push(format!("key {key}: linearizability undecided")),
            Verdict::Violated(violation) => {
                let call = histories.get(&key).and_then(|one| one.1.get(violation.operation));
                findings.push(format!("key {key} is not linearizable: {violation}: {call:?}"));
            }
        }
    }
    u64::try_from(lost).unwrap_or(u64::MAX)
}

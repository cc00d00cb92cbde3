//! One trial: load, the chosen second, the damage, the restore, and the comparison.
//!
//! # Invariants
//!
//! - The bad program's first call begins after the chosen second is over on the wall clock.
//! - The comparison is with calls of clients only; nothing is asked of the nodes but the items.
//!
//! Tested by running the drill; the comparison by `judge/tests.rs`.

use std::collections::BTreeMap;

use rand::RngExt as _;
use rand::seq::SliceRandom as _;

use super::backups::{Backups, Restored, To};
use super::judge::{self, Verdict};
use super::lateness::{Lateness, Look};
use super::moment::{self, Chosen};
use super::scan::{self, Table};
use super::site::Site;
use crate::record::{Fate, Key, Nanos, Record};
use crate::report::{Trial, TrialReport, buckets, ms};
use crate::rpo_rto::{SECOND, count, longest_gap, percentile};

/// Odd findings of the scan that are named.
const NAMED_MAX: usize = 5;

/// Runs a trial; gives it with what `DescribeContinuousBackups` told under the steady load.
pub async fn run(site: &mut Site, number: u32) -> anyhow::Result<(TrialReport, Vec<f64>)> {
    let backups = Backups::of(site)?;
    let target = format!("{}-{}", site.table, number + 1);
    site.progress.step("load");
    let load = site.load(number)?;
    let lateness = Lateness::watch(site)?;
    let phase = site.random.random_range(0.0..1.0);
    tokio::time::sleep(site.args.warmup + std::time::Duration::from_secs_f64(phase)).await;

    let chosen = moment::next_second(site.clock).await?;
    let keys = half(site);
    site.progress.step("a bad program overwrites and deletes half of the items");
    let damage = site.damage(&keys).await?;
    let damaged = site.clock.now();
    site.progress.step("restoring to the second before");
    let probe = keys.first().copied().unwrap_or(Key::Pool(0));
    let restored = backups.restore(site, &target, To::Second(chosen.epoch_s), probe).await?;
    let records = load.finish().await;
    let looks = lateness.stop().await?;
    site.note(&damage);
    site.note(&records);

    site.progress.step("comparing every item with the history");
    let table = scan::read(&site.endpoints()?, &target, site.args.item_bytes).await?;
    let verdict = judge::compare(&site.ledger, chosen.moment, &table.items);
    site.progress.step("mending the table");
    backups.delete_table(&target).await?;
    if number + 1 < site.args.trials || site.args.pairs > 0 {
        site.mend(keys.iter().copied()).await?;
    }
    let steady = behind(&looks, (0, chosen.moment.earliest));
    let seen = Seen { chosen, damage: &damage, damaged, restored, records: &records, table, looks };
    Ok((report(&seen, verdict), steady))
}

/// Half of the items, drawn anew.
fn half(site: &mut Site) -> Vec<Key> {
    let mut keys: Vec<Key> = (0..site.args.items).map(Key::Pool).collect();
    keys.shuffle(&mut site.random);
    keys.truncate(keys.len().div_ceil(2));
    keys
}

/// How far behind the latest restorable time was at the looks within a span, in milliseconds.
fn behind(looks: &[Look], (from, until): (Nanos, Nanos)) -> Vec<f64> {
    let within = looks.iter().filter(|look| (from..until).contains(&look.at));
    within.filter_map(|look| look.behind_ms).collect()
}

/// What a trial saw.
struct Seen<'a> {
    chosen: Chosen,
    damage: &'a [Record],
    damaged: Nanos,
    restored: Restored,
    records: &'a [Record],
    table: Table,
    looks: Vec<Look>,
}

fn report(seen: &Seen<'_>, verdict: Verdict) -> TrialReport {
    let Seen { chosen, restored, records, .. } = seen;
    let line = chosen.moment.latest;
    let at = |time: Nanos| (time as f64 - line as f64) / SECOND as f64;
    let whole = (0, Nanos::MAX);
    let gap = longest_gap(records, (line, restored.read), |one| Some(one.client));
    let mut findings = verdict.findings.clone();
    if verdict.faults() > findings.len() as u64 {
        findings.push(format!("{} items are not as they were", verdict.faults()));
    }
    findings.extend(seen.table.odd.iter().take(NAMED_MAX).map(|odd| format!("odd item: {odd}")));
    TrialReport {
        trial: Trial {
            rto_ms: Some(ms(restored.read - restored.asked)),
            rpo_ms: 0.0,
            rpo_writes: verdict.lost,
            stranded: 0,
            merged: 0,
            overwritten: 0,
            lost: verdict.lost,
            failed: count(records, Fate::Failed, whole),
            unknown: count(records, Fate::Unknown, whole),
            gap_ms_max: ms(gap),
            regions_equal: verdict.faults() == 0 && seen.table.odd.is_empty(),
        },
        measures: measures(seen, &verdict),
        buckets: buckets(records, &[], line),
        marks: vec![
            (0.0, "damage".to_owned()),
            (at(seen.damaged), "damaged".to_owned()),
            (at(restored.asked), "restore".to_owned()),
            (at(restored.read), "read".to_owned()),
        ],
        findings,
    }
}

fn measures(seen: &Seen<'_>, verdict: &Verdict) -> BTreeMap<String, f64> {
    let Seen { chosen, restored, looks, .. } = seen;
    let megabytes = seen.table.bytes as f64 / 1e6;
    let seconds = (restored.read - restored.asked) as f64 / SECOND as f64;
    let first = seen.damage.iter().map(|call| call.started).min().unwrap_or(seen.damaged);
    let moment = chosen.moment;
    let late = behind(looks, (moment.earliest, restored.read));
    let unanswered = looks.iter().filter(|look| look.behind_ms.is_none()).count();
    let mut measures = BTreeMap::from([
        ("active_ms".to_owned(), ms(restored.active - restored.asked)),
        ("restored_mb".to_owned(), megabytes),
        ("restore_mb_per_s".to_owned(), megabytes / seconds),
        ("items_shown".to_owned(), verdict.shown as f64),
        ("items_wrong".to_owned(), verdict.wrong as f64),
        ("items_extra".to_owned(), verdict.extra as f64),
        ("items_open_at_the_second".to_owned(), verdict.open as f64),
        ("bad_writes".to_owned(), seen.damage.len() as f64),
        ("first_bad_write_ms_after_the_second".to_owned(), ms(first - moment.latest)),
        ("clocks_apart_us_max".to_owned(), (moment.latest - moment.earliest) as f64 / 1e3),
        ("latest_restorable_untold".to_owned(), unanswered as f64),
    ]);
    if let Some(late) = percentile(&late, 99.0) {
        measures.insert("behind_p99_ms_under_damage_and_restore".to_owned(), late);
    }
    measures
}

//! From a recorded history to the report, without a cluster.

use super::*;
use crate::record::{Asked, Fate, Key, Record, Seen, Write};
use crate::rpo_rto::{MS, Rule, SECOND, recovery};

/// A load of 20 calls a second over 30 s, away for 2 s from second 10.
fn recorded() -> Vec<Record> {
    (0..600u32)
        .map(|number| {
            let write = Write { client: 0, sequence: number + 1 };
            let intended = u64::from(number) * 50 * MS;
            let out = (10 * SECOND..12 * SECOND).contains(&intended);
            Record {
                client: 0,
                key: Key::Cold(write),
                asked: Asked::Put(write),
                fate: if out { Fate::Unknown } else { Fate::Ok },
                seen: Seen::Untold,
                intended,
                started: intended,
                ended: intended + if out { SECOND } else { 4 * MS },
            }
        })
        .collect()
}

fn trial(rto_ms: Option<f64>, lost: u64) -> Trial {
    Trial {
        rto_ms,
        rpo_ms: 120.0,
        rpo_writes: 4,
        stranded: 4,
        merged: 3,
        overwritten: 1,
        lost,
        failed: 0,
        unknown: 40,
        gap_ms_max: 2046.0,
        regions_equal: true,
    }
}

fn report(trials: Vec<TrialReport>) -> Report {
    Report {
        scenario: "region-loss".into(),
        fault: "kill".into(),
        latency_ms: 60,
        rate: 10.0,
        settings: vec![("seed".into(), "7 <&>".into())],
        trials,
        measures: BTreeMap::from([("ratio".to_owned(), vec![1.5, 1.25, 40.0])]),
    }
}

fn trial_report(trial: Trial) -> TrialReport {
    let records = recorded();
    let lags = [LagSample { written: 5 * SECOND, lag: 40 * MS }];
    TrialReport {
        trial,
        measures: BTreeMap::from([("lag_ms".to_owned(), 40.0)]),
        buckets: buckets(&records, &lags, 10 * SECOND),
        marks: vec![(0.0, "fault".to_owned()), (15.0, "restored".to_owned())],
        findings: Vec::new(),
    }
}

#[test]
fn a_recorded_history_becomes_a_report() {
    let rule = Rule { window: 10 * SECOND, latency_max: 500 * MS, calls: 200 };
    let rto = recovery(&recorded(), 10 * SECOND, 30 * SECOND, &rule).map(ms);
    assert_eq!(rto, Some(2000.0));
    let report = report(vec![trial_report(trial(rto, 0)), trial_report(trial(Some(1000.0), 0))]);
    assert!(report.passed());
    let json = report.json();
    assert_eq!(json["schema"], 1);
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        keys(&json),
        ["schema", "scenario", "fault", "latency_ms", "rate", "trials", "summary"]
    );
    assert_eq!(
        keys(&json["trials"][0]),
        [
            "rto_ms",
            "rpo_ms",
            "rpo_writes",
            "stranded",
            "merged",
            "overwritten",
            "lost",
            "failed",
            "unknown",
            "gap_ms_max",
            "regions_equal"
        ]
    );
    assert_eq!(json["summary"]["rto_ms"], json!({"p50": 1000.0, "p99": 2000.0, "max": 2000.0}));
    assert_eq!(json["summary"]["lag_ms"]["p50"], 40.0);
    assert_eq!(json["summary"]["ratio"], json!({"p50": 1.5, "p99": 40.0, "max": 40.0}));
    let row = report.table().lines().find(|line| line.starts_with("ratio")).unwrap().to_owned();
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["ratio", "1.50", "40", "40"]);
}

#[test]
fn the_files_are_written_and_the_page_stands_alone() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("new");
    report(vec![trial_report(trial(Some(2000.0), 0))]).write(&directory).unwrap();
    let json = std::fs::read_to_string(directory.join("report.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["fault"], "kill");
    let page = std::fs::read_to_string(directory.join("report.html")).unwrap();
    for part in ["<svg", "RTO per trial", "RPO per trial", "Replication lag", ">fault<", "passed"] {
        assert!(page.contains(part), "{part}");
    }
    assert!(page.contains("7 &lt;&amp;&gt;"));
    for foreign in ["http://", "https://", "<script", "{{"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
}

#[test]
fn a_loss_or_a_missing_recovery_fails_the_drill() {
    assert!(!report(vec![trial_report(trial(Some(1.0), 1))]).passed());
    assert!(!report(vec![]).passed());
    let never = report(vec![trial_report(trial(Some(1.0), 0)), trial_report(trial(None, 0))]);
    assert!(!never.passed());
    assert_eq!(never.json()["summary"]["rto_ms"]["max"], Value::Null);
    assert_eq!(never.json()["trials"][1]["rto_ms"], Value::Null);
    assert!(never.table().contains("never"));
    let mut odd = trial_report(trial(Some(1.0), 0));
    odd.findings.push("not linearizable".into());
    let odd = report(vec![odd]);
    assert!(!odd.passed());
    assert!(odd.table().contains("trial 1: not linearizable"));
}

#[test]
fn buckets_are_relative_to_the_fault() {
    let buckets = buckets(&recorded(), &[], 10 * SECOND);
    let at = |second: f64| buckets.iter().find(|one| (one.at_s - second).abs() < 0.01).unwrap();
    assert_eq!(at(-1.0).served, 20.0);
    assert_eq!(at(1.0).unknown, 20.0);
    assert_eq!(at(1.0).latency_ms, Some(1000.0));
    assert_eq!(at(5.0).served, 20.0);
}

#[test]
fn columns_are_aligned() {
    let rows = [vec!["a".into(), "10".into()], vec!["long".into(), "7".into()]];
    assert_eq!(aligned(&rows), "a     10\nlong   7\n");
}

//! The drills against a cluster made of nothing but their own contract, sound and with faults
//! planted: a drill that cannot fail proves nothing.

mod world;

use std::path::{Path, PathBuf};

use clap::Parser as _;
use serde_json::Value;

use crate::args::{DrillArgs, Output, Shell};
use world::{Plant, World};

#[derive(clap::Parser)]
struct Program {
    #[command(flatten)]
    drill: DrillArgs,
}

/// Runs a drill on a cluster with this fault planted; its report, the page, and whether it passed.
async fn drilled(plant: Plant, line: &str) -> (Value, String, bool) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cluster.json");
    let (cluster, node) = World::serve(plant).await;
    std::fs::write(&file, cluster.to_string()).unwrap();
    let report: PathBuf = folder.path().join("report");
    let quick = "--trials 1 --rate 100 --clients 8 --warmup 300ms --phase 200ms --window 1s --aftermath 300ms --patience 20s";
    let words = format!("drill {line} {quick} --seed 7 --report {}", report.display());
    let args = Program::try_parse_from(words.split(' ')).unwrap().drill;
    let shell = Shell { cluster: Some(file), output: Output::Text };
    let code = crate::run(args, shell).await.unwrap();
    drop(node);
    let passed = code == std::process::ExitCode::SUCCESS;
    (json(&report), std::fs::read_to_string(report.join("report.html")).unwrap(), passed)
}

fn json(report: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(report.join("report.json")).unwrap()).unwrap()
}

fn number(trial: &Value, field: &str) -> f64 {
    trial[field].as_f64().unwrap_or_else(|| panic!("{field} in {trial}"))
}

const BLACK_HOLE: &str = "region-loss --fault blackhole";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sound_cluster_loses_nothing() {
    let (report, page, passed) = drilled(Plant::Nothing, BLACK_HOLE).await;
    let trial = &report["trials"][0];
    assert!(passed, "{report} {page}");
    assert_eq!(number(trial, "lost"), 0.0);
    assert_eq!(trial["regions_equal"], true);
    // What the cluster does: it replicates after 100 ms and leaves a region after 300 ms.
    let (rto, rpo) = (number(trial, "rto_ms"), number(trial, "rpo_ms"));
    assert!((250.0..5000.0).contains(&rto), "{rto}");
    assert!((20.0..1000.0).contains(&rpo), "{rpo}");
    let missing = number(trial, "rpo_writes");
    assert!(missing >= 3.0, "{missing}");
    assert_eq!(number(trial, "stranded"), missing);
    assert!(number(trial, "merged") > 0.0);
    assert!(number(trial, "gap_ms_max") >= 250.0);
    assert!(number(trial, "unknown") > 0.0);
    assert!(report["summary"]["departure_ms"]["p50"].is_number());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stranded_writes_that_never_come_back_are_lost() {
    let (report, _, passed) = drilled(Plant::ForgetsStranded, BLACK_HOLE).await;
    let trial = &report["trials"][0];
    assert!(!passed);
    assert!(number(trial, "lost") >= 3.0, "{trial}");
    assert!(number(trial, "merged") < number(trial, "rpo_writes"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stranded_writes_that_are_not_listed_are_found() {
    let (report, page, passed) = drilled(Plant::ListsNothing, BLACK_HOLE).await;
    assert!(!passed);
    assert_eq!(number(&report["trials"][0], "lost"), 0.0);
    assert!(page.contains("neither the restore nor the conflict log lists"), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_differs_is_found() {
    let (report, page, passed) = drilled(Plant::Corrupts, BLACK_HOLE).await;
    assert!(!passed);
    assert_eq!(report["trials"][0]["regions_equal"], false);
    assert!(page.contains("the same version"), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_evacuation_costs_nothing() {
    let (report, page, passed) = drilled(Plant::Nothing, "evacuate").await;
    let trial = &report["trials"][0];
    assert!(passed, "{report} {page}");
    for field in ["rpo_writes", "rpo_ms", "lost", "failed", "unknown"] {
        assert_eq!(number(trial, field), 0.0, "{field}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_may_stop_without_harm() {
    let (report, page, passed) = drilled(Plant::Nothing, "node-loss --fault stop").await;
    assert!(passed, "{report} {page}");
    assert_eq!(report["fault"], "stop");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stale_reads_are_found() {
    let (report, page, passed) = drilled(Plant::StaleReads, "node-loss --fault stop").await;
    assert!(!passed);
    assert_eq!(number(&report["trials"][0], "lost"), 0.0);
    assert!(page.contains("is not linearizable"), "{page}");
}

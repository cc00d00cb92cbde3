//! What a drill found: `report.json`, `report.html`, the table on the terminal.
//!
//! # Invariants
//!
//! - `report.json` has the fields of schema 1 and no others.
//! - The HTML is one file that asks nothing of the network.
//! - A trial without recovery is never averaged away: its percentile is `null`.
//!
//! Tested by `report/tests.rs` on a recorded history, without a cluster.

mod chart;
mod html;
mod series;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::{Value, json};

pub use series::{Bucket, LagSample, buckets};

use crate::rpo_rto::percentile;

/// Version of `report.json`.
const SCHEMA: u32 = 1;

/// The measures of one trial.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trial {
    /// Time to recovery; absent if the load did not recover while it was watched.
    pub rto_ms: Option<f64>,
    /// T0 less the acknowledgement of the oldest missing write.
    pub rpo_ms: f64,
    /// Acknowledged writes that the survivors did not show at the takeover.
    pub rpo_writes: u64,
    /// Of these, those that were found again: merged or overwritten.
    pub stranded: u64,
    /// Stranded writes that are visible in the end.
    pub merged: u64,
    /// Writes beaten by a concurrent one.
    pub overwritten: u64,
    /// Acknowledged writes that are gone.
    pub lost: u64,
    /// Calls of the trial that certainly failed.
    pub failed: u64,
    /// Calls of the trial that nobody knows the end of.
    pub unknown: u64,
    /// Longest time without a served call, of any client and of any partition.
    pub gap_ms_max: f64,
    /// All regions, and all replicas in them, hold the same in the end.
    pub regions_equal: bool,
}

/// A trial with what only people read.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialReport {
    /// The measures.
    pub trial: Trial,
    /// Further measures by name; they appear in the summary.
    pub measures: BTreeMap<String, f64>,
    /// The load over time, relative to T0.
    pub buckets: Vec<Bucket>,
    /// Events with their seconds after T0.
    pub marks: Vec<(f64, String)>,
    /// What went wrong, or needs a look.
    pub findings: Vec<String>,
}

/// A whole drill.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// `region-loss`, `evacuate`, `node-loss`, `transactions` or `restore`.
    pub scenario: String,
    /// The fault.
    pub fault: String,
    /// Round trip between regions.
    pub latency_ms: u64,
    /// Writes a second and reads a second, each.
    pub rate: f64,
    /// How it was measured, line by line, for people.
    pub settings: Vec<(String, String)>,
    /// The trials.
    pub trials: Vec<TrialReport>,
    /// Measures of the drill that are of no one trial, by name; they appear in the summary.
    pub measures: BTreeMap<String, Vec<f64>>,
}

impl Report {
    /// Nothing lost, everything equal, every trial recovered, nothing unexplained.
    pub fn passed(&self) -> bool {
        !self.trials.is_empty()
            && self.trials.iter().all(|one| {
                one.trial.lost == 0
                    && one.trial.regions_equal
                    && one.trial.rto_ms.is_some()
                    && one.findings.is_empty()
            })
    }

    /// The document of `report.json`.
    pub fn json(&self) -> Value {
        let trials: Vec<&Trial> = self.trials.iter().map(|one| &one.trial).collect();
        let summary: serde_json::Map<String, Value> = self
            .measures()
            .into_iter()
            .map(|(name, values)| {
                let at = |percent| percentile(&values, percent).filter(|one| one.is_finite());
                (name, json!({ "p50": at(50.0), "p99": at(99.0), "max": at(100.0) }))
            })
            .collect();
        json!({
            "schema": SCHEMA,
            "scenario": self.scenario,
            "fault": self.fault,
            "latency_ms": self.latency_ms,
            "rate": self.rate,
            "trials": trials,
            "summary": summary,
        })
    }

    /// Every measure with its values over the trials; a recovery that did not come is infinite.
    fn measures(&self) -> Vec<(String, Vec<f64>)> {
        type Of = fn(&Trial) -> f64;
        let named: [(&str, Of); 10] = [
            ("rto_ms", |one| one.rto_ms.unwrap_or(f64::INFINITY)),
            ("rpo_ms", |one| one.rpo_ms),
            ("rpo_writes", |one| one.rpo_writes as f64),
            ("stranded", |one| one.stranded as f64),
            ("merged", |one| one.merged as f64),
            ("overwritten", |one| one.overwritten as f64),
            ("lost", |one| one.lost as f64),
            ("failed", |one| one.failed as f64),
            ("unknown", |one| one.unknown as f64),
            ("gap_ms_max", |one| one.gap_ms_max),
        ];
        let mut all: Vec<(String, Vec<f64>)> = named
            .into_iter()
            .map(|(name, of)| {
                (name.to_owned(), self.trials.iter().map(|one| of(&one.trial)).collect())
            })
            .collect();
        let mut further: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for (name, value) in self.trials.iter().flat_map(|one| &one.measures) {
            further.entry(name).or_default().push(*value);
        }
        all.extend(further.into_iter().map(|(name, values)| (name.to_owned(), values)));
        all.extend(self.measures.clone());
        all
    }

    /// Writes `report.json` and `report.html` into a directory.
    pub fn write(&self, directory: &Path) -> anyhow::Result<()> {
        let failed = || format!("cannot write the report to {}", directory.display());
        std::fs::create_dir_all(directory).with_context(failed)?;
        let text = format!("{:#}\n", self.json());
        std::fs::write(directory.join("report.json"), text).with_context(failed)?;
        std::fs::write(directory.join("report.html"), html::page(self)).with_context(failed)
    }

    /// The table for the terminal.
    pub fn table(&self) -> String {
        let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
        for (number, one) in self.trials.iter().enumerate() {
            rows.push(row(&(number + 1).to_string(), &one.trial));
        }
        let mut text = format!(
            "{} ({}), {} trials, {} ms between regions, {} writes/s + {} reads/s\n\n{}",
            self.scenario,
            self.fault,
            self.trials.len(),
            self.latency_ms,
            self.rate,
            self.rate,
            aligned(&rows)
        );
        let mut rows = vec![["", "p50", "p99", "max"].map(str::to_owned).to_vec()];
        for (name, values) in self.measures() {
            let at = |percent| number(percentile(&values, percent));
            rows.push(vec![name.clone(), at(50.0), at(99.0), at(100.0)]);
        }
        text.push('\n');
        text.push_str(&aligned(&rows));
        for (number, one) in self.trials.iter().enumerate() {
            for finding in &one.findings {
                text.push_str(&format!("\ntrial {}: {finding}", number + 1));
            }
        }
        text
    }
}

const HEAD: [&str; 12] = [
    "trial",
    "RTO ms",
    "RPO ms",
    "RPO writes",
    "stranded",
    "merged",
    "overwritten",
    "lost",
    "failed",
    "unknown",
    "gap ms",
    "equal",
];

fn row(label: &str, trial: &Trial) -> Vec<String> {
    vec![
        label.to_owned(),
        number(trial.rto_ms),
        number(Some(trial.rpo_ms)),
        trial.rpo_writes.to_string(),
        trial.stranded.to_string(),
        trial.merged.to_string(),
        trial.overwritten.to_string(),
        trial.lost.to_string(),
        trial.failed.to_string(),
        trial.unknown.to_string(),
        number(Some(trial.gap_ms_max)),
        if trial.regions_equal { "yes" } else { "NO" }.to_owned(),
    ]
}

fn number(value: Option<f64>) -> String {
    match value {
        // What is small and no count would lose what it tells.
        Some(value) if value.abs() < 10.0 && value.fract() != 0.0 => format!("{value:.2}"),
        Some(value) if value.is_finite() => format!("{value:.0}"),
        Some(_) | None => "never".to_owned(),
    }
}

/// Columns of equal width, aligned to the right but for the first.
pub(crate) fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.len()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> =
            row.iter()
                .zip(&widths)
                .enumerate()
                .map(|(column, (cell, width))| {
                    if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
                })
                .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A time in milliseconds, to a tenth.
pub fn ms(nanos: u64) -> f64 {
    (nanos as f64 / 100_000.0).round() / 10.0
}

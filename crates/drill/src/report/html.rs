//! The report as one HTML file.
//!
//! # Invariants
//!
//! - Every text that is not markup is escaped.
//!
//! Tested by `report/tests.rs`.

use std::fmt::Write as _;

use super::chart::{Line, bars, escape, lines};
use super::{Bucket, HEAD, Report, TrialReport, number, row};
use crate::rpo_rto::percentile;

const TEMPLATE: &str = include_str!("report.html");

/// Fills the template.
pub(super) fn page(report: &Report) -> String {
    let title = format!("{} ({})", report.scenario, report.fault);
    TEMPLATE
        .replace("{{title}}", &escape(&title))
        .replace("{{verdict}}", if report.passed() { "passed" } else { "failed" })
        .replace("{{settings}}", &settings(report))
        .replace("{{summary}}", &summary(report))
        .replace("{{trials}}", &trials(report))
        .replace("{{findings}}", &findings(report))
        .replace("{{bars}}", &overview(report))
        .replace("{{charts}}", &charts(report))
}

fn settings(report: &Report) -> String {
    let mut text = String::new();
    for (name, value) in &report.settings {
        let _ = write!(text, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
    }
    text
}

fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = String::from("<table><thead><tr>");
    for cell in head {
        let _ = write!(text, "<th>{}</th>", escape(cell));
    }
    text.push_str("</tr></thead><tbody>");
    for row in rows {
        text.push_str("<tr>");
        for cell in row {
            let _ = write!(text, "<td>{}</td>", escape(cell));
        }
        text.push_str("</tr>");
    }
    text.push_str("</tbody></table>");
    text
}

fn summary(report: &Report) -> String {
    let rows: Vec<Vec<String>> = report
        .measures()
        .into_iter()
        .map(|(name, values)| {
            let at = |percent| number(percentile(&values, percent));
            vec![name.clone(), at(50.0), at(99.0), at(100.0)]
        })
        .collect();
    table(&["measure", "p50", "p99", "max"], &rows)
}

fn trials(report: &Report) -> String {
    let rows: Vec<Vec<String>> = report
        .trials
        .iter()
        .enumerate()
        .map(|(number, one)| row(&(number + 1).to_string(), &one.trial))
        .collect();
    table(&HEAD, &rows)
}

fn findings(report: &Report) -> String {
    let mut text = String::new();
    for (number, one) in report.trials.iter().enumerate() {
        for finding in &one.findings {
            let _ = write!(text, "<li>trial {}: {}</li>", number + 1, escape(finding));
        }
    }
    if text.is_empty() { text } else { format!("<h2>Findings</h2><ul>{text}</ul>") }
}

fn overview(report: &Report) -> String {
    let rto: Vec<Option<f64>> = report.trials.iter().map(|one| one.trial.rto_ms).collect();
    let rpo: Vec<Option<f64>> = report.trials.iter().map(|one| Some(one.trial.rpo_ms)).collect();
    bars("RTO per trial", "ms", &rto) + &bars("RPO per trial", "ms", &rpo)
}

fn charts(report: &Report) -> String {
    let mut text = String::new();
    for (number, one) in report.trials.iter().enumerate() {
        let open = if number == 0 { " open" } else { "" };
        let _ = write!(
            text,
            "<details{open}><summary>Trial {}</summary>{}</details>",
            number + 1,
            trial(one)
        );
    }
    text
}

fn trial(one: &TrialReport) -> String {
    let line = |name, class, of: fn(&Bucket) -> Option<f64>| Line {
        name,
        class,
        points: one.buckets.iter().map(|bucket| (bucket.at_s, of(bucket))).collect(),
    };
    let throughput = [line("served", "served", |bucket| Some(bucket.served))];
    let errors = [
        line("failed", "failed", |bucket| Some(bucket.failed)),
        line("unknown", "unknown", |bucket| Some(bucket.unknown)),
    ];
    let latency = [line("p99", "served", |bucket| bucket.latency_ms)];
    // Markers are written less often than once a bucket: only where there are some is a point.
    let lag = [Line {
        name: "to other regions",
        class: "lag",
        points: one
            .buckets
            .iter()
            .filter(|bucket| bucket.lag_ms.is_some())
            .map(|bucket| (bucket.at_s, bucket.lag_ms))
            .collect(),
    }];
    let mut text = lines("Throughput", "calls/s", &throughput, &one.marks);
    text += &lines("Errors", "calls/s", &errors, &one.marks);
    text += &lines("Latency from the intended start", "ms", &latency, &one.marks);
    if !lag[0].points.is_empty() {
        text += &lines("Replication lag", "ms", &lag, &one.marks);
    }
    text
}

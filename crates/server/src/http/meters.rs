//! Counts and times of operations, looked up once and not for each request.

use http::StatusCode;
use metrics::{Counter, Histogram, counter, histogram};
use std::collections::BTreeMap;
use std::time::Duration;

/// Operations with metrics of their own; every other one counts as `other`.
const OPERATIONS: &[&str] = &[
    "BatchGetItem",
    "BatchWriteItem",
    "CreateTable",
    "DeleteItem",
    "DeleteTable",
    "DescribeTable",
    "GetItem",
    "ListTables",
    "PutItem",
    "Query",
    "Scan",
    "UpdateItem",
    "UpdateTable",
];

struct Meter {
    ok: Counter,
    refused: Counter,
    failed: Counter,
    seconds: Histogram,
}

impl Meter {
    fn new(operation: &'static str) -> Self {
        let count = |outcome: &'static str| counter!("meridian_requests_total", "operation" => operation, "outcome" => outcome);
        Meter {
            ok: count("ok"),
            refused: count("refused"),
            failed: count("failed"),
            seconds: histogram!("meridian_request_seconds", "operation" => operation),
        }
    }
}

/// A meter an operation. The recorder must be installed before this is made.
pub(super) struct Meters {
    known: BTreeMap<&'static str, Meter>,
    other: Meter,
}

impl Meters {
    pub(super) fn new() -> Self {
        let known = OPERATIONS.iter().map(|name| (*name, Meter::new(name))).collect();
        Meters { known, other: Meter::new("other") }
    }

    /// Notes an answered request.
    pub(super) fn note(&self, target: &str, status: StatusCode, took: Duration) {
        let operation = target.rsplit_once('.').map_or("", |(_, operation)| operation);
        let meter = self.known.get(operation).unwrap_or(&self.other);
        if status.is_success() {
            meter.ok.increment(1);
        } else if status.is_client_error() {
            meter.refused.increment(1);
        } else {
            meter.failed.increment(1);
        }
        meter.seconds.record(took.as_secs_f64());
    }
}

//! The load over time, in buckets relative to the fault.

use crate::record::{Fate, Nanos, Record};
use crate::rpo_rto::{SECOND, percentile};

/// Length of a bucket.
const BUCKET: Nanos = SECOND / 4;

/// A measured replication delay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LagSample {
    /// When the marker's write was acknowledged.
    pub written: Nanos,
    /// How long until another region showed it.
    pub lag: Nanos,
}

/// A quarter of a second of the load.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Bucket {
    /// Its start, in seconds after T0.
    pub at_s: f64,
    /// Served calls a second.
    pub served: f64,
    /// Failed calls a second.
    pub failed: f64,
    /// Calls a second that nobody knows the end of.
    pub unknown: f64,
    /// 99th percentile of the latency of the calls intended here, in milliseconds.
    pub latency_ms: Option<f64>,
    /// Longest replication delay of the markers written here, in milliseconds.
    pub lag_ms: Option<f64>,
}

/// Sorts calls, by their intended start, and lag samples into buckets around T0.
pub fn buckets(records: &[Record], lags: &[LagSample], t0: Nanos) -> Vec<Bucket> {
    let Some(first) = records.iter().map(|one| one.intended).min() else { return Vec::new() };
    let last = records.iter().map(|one| one.intended).max().unwrap_or(first);
    let place =
        |at: Nanos| usize::try_from(at.saturating_sub(first) / BUCKET).unwrap_or(usize::MAX);
    let per_second = SECOND as f64 / BUCKET as f64;
    let mut buckets = vec![Bucket::default(); place(last) + 1];
    let mut latencies: Vec<Vec<f64>> = vec![Vec::new(); buckets.len()];
    for record in records {
        let at = place(record.intended);
        match record.fate {
            Fate::Ok | Fate::Refused => buckets[at].served += per_second,
            Fate::Failed => buckets[at].failed += per_second,
            Fate::Unknown => buckets[at].unknown += per_second,
        }
        latencies[at].push(record.latency() as f64 / 1e6);
    }
    for sample in lags.iter().filter(|sample| sample.written >= first) {
        if let Some(bucket) = buckets.get_mut(place(sample.written)) {
            let lag = sample.lag as f64 / 1e6;
            bucket.lag_ms = Some(bucket.lag_ms.map_or(lag, |longest| longest.max(lag)));
        }
    }
    for (number, (bucket, latencies)) in buckets.iter_mut().zip(&latencies).enumerate() {
        let start = first as f64 + number as f64 * BUCKET as f64;
        bucket.at_s = (start - t0 as f64) / SECOND as f64;
        bucket.latency_ms = percentile(latencies, 99.0);
    }
    // The last bucket is cut off somewhere and would show as a drop.
    if buckets.len() > 1 {
        buckets.pop();
    }
    buckets
}

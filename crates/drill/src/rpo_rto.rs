//! RTO, RPO and what became of the missing writes, from what the clients recorded.
//!
//! # Invariants
//!
//! - Only client-side times on one monotonic clock are compared.
//! - A call counts at its intended start, so a stall is not hidden by clients that waited.
//! - An unknown write is neither acknowledged nor failed: it is never missing and never a mistake.
//!
//! Tested by `rpo_rto/tests.rs` on histories written by hand.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use meridian_checker::{Operation, check_durable};

use crate::record::{Fate, Key, Nanos, Record, Seen, Write};

/// Nanoseconds in a millisecond.
pub const MS: Nanos = 1_000_000;
/// Nanoseconds in a second.
pub const SECOND: Nanos = 1_000_000_000;

/// Calls of a window that must be served, and fast enough, in hundredths.
const SERVED_PERCENT_MIN: usize = 99;

/// When the fault was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// T0: the first action of the fault takes effect.
    pub began: Nanos,
    /// The last action of the fault has taken effect.
    pub done: Nanos,
}

/// What counts as recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Length of the window.
    pub window: Nanos,
    /// Limit of the 99th percentile of the latency within it.
    pub latency_max: Nanos,
    /// Calls that the window should hold at the intended rate.
    pub calls: usize,
}

/// Time from T0 to the start of the first window in which at least 99 % of the calls at the
/// intended rate are served within the limit; `None` if there is no such window before `until`.
///
/// A window that begins well and relapses does not count, so a relapse restarts it.
pub fn recovery(records: &[Record], began: Nanos, until: Nanos, rule: &Rule) -> Option<Nanos> {
    let mut calls: Vec<&Record> = records.iter().filter(|one| one.intended >= began).collect();
    calls.sort_unstable_by_key(|one| one.intended);
    let good = |one: &Record| one.served() && one.latency() <= rule.latency_max;
    // bad_before[i]: calls among the first i that were not served, or too late.
    let mut bad_before = vec![0usize];
    for call in &calls {
        bad_before.push(bad_before.last().copied().unwrap_or(0) + usize::from(!good(call)));
    }
    let mut end = 0;
    for (first, call) in calls.iter().enumerate() {
        let close = call.intended + rule.window;
        if close > until {
            return None;
        }
        end = end.max(first);
        while calls.get(end).is_some_and(|later| later.intended < close) {
            end += 1;
        }
        let (all, bad) = (end - first, bad_before[end] - bad_before[first]);
        let few_bad = bad * 100 <= all * (100 - SERVED_PERCENT_MIN);
        let enough = all * 100 >= rule.calls * SERVED_PERCENT_MIN;
        if good(call) && few_bad && enough {
            return Some(call.intended - began);
        }
    }
    None
}

/// The longest time without a served call, over groups of calls (a client, a partition) and within
/// `from..until`; a gap that began before `from` counts from its beginning.
pub fn longest_gap<G: Ord>(
    records: &[Record],
    (from, until): (Nanos, Nanos),
    group: impl Fn(&Record) -> Option<G>,
) -> Nanos {
    let mut served: BTreeMap<G, Vec<Nanos>> = BTreeMap::new();
    for record in records {
        if let Some(name) = group(record) {
            let ends = served.entry(name).or_default();
            if record.served() && record.ended <= until {
                ends.push(record.ended);
            }
        }
    }
    served.into_values().map(|ends| gap_within(ends, from, until)).max().unwrap_or(0)
}

fn gap_within(mut ends: Vec<Nanos>, from: Nanos, until: Nanos) -> Nanos {
    ends.sort_unstable();
    let after = ends.partition_point(|end| *end <= from);
    let mut last = if after == 0 { from } else { ends[after - 1] };
    let mut longest = 0;
    for end in ends[after..].iter().copied().chain(std::iter::once(until)) {
        longest = longest.max(end.saturating_sub(last));
        last = end;
    }
    longest
}

/// What the keys of a drill hold somewhere; absent keys are there with `None`.
pub type Contents = BTreeMap<Key, Option<Write>>;

/// What the trials that are over leave to the next one, which writes some of their keys again.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// What each key showed when the last trial that wrote it was over.
    pub contents: Contents,
    /// Writes that ended as unknown: they may still take effect.
    pub unknown: BTreeMap<Key, Vec<Record>>,
}

impl Past {
    /// Adds a trial that is over.
    pub fn add(&mut self, records: &[Record], finally: &Contents) {
        self.contents.extend(finally);
        let writes = records.iter().filter(|record| record.write().is_some());
        for record in writes.filter(|record| record.fate == Fate::Unknown) {
            self.unknown.entry(record.key).or_default().push(*record);
        }
    }
}

/// What is known when a trial is over.
pub struct Evidence<'a> {
    /// The calls of the trial.
    pub records: &'a [Record],
    /// What came before it.
    pub past: &'a Past,
    /// The fault.
    pub fault: Fault,
    /// What the clients' new region showed right after the takeover.
    pub takeover: &'a Contents,
    /// What each region shows in the end.
    pub finals: &'a [Contents],
    /// Keys whose stranded or conflicting writes the cluster itself listed.
    pub listed: &'a BTreeSet<Key>,
}

/// What the fault cost in writes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Losses {
    /// Acknowledged before the takeover and not shown by the survivors at the takeover.
    pub missing: u64,
    /// T0 less the acknowledgement of the oldest of them; 0 if it came after T0.
    pub oldest: Nanos,
    /// Missing writes that are not lost: merged or overwritten in the end.
    pub stranded: u64,
    /// Missing writes that are visible in the end.
    pub merged: u64,
    /// Missing writes, and others of the same keys, that a concurrent write has beaten.
    pub overwritten: u64,
    /// Acknowledged writes that are neither visible nor superseded.
    pub lost: Vec<(Key, Write)>,
    /// Missing or beaten writes that the cluster did not list.
    pub unlisted: Vec<(Key, Write)>,
    /// Keys that show what nobody can have written.
    pub foreign: Vec<Key>,
}

/// Follows every acknowledged write of the trial to its end.
pub fn losses(evidence: &Evidence<'_>) -> Losses {
    let by_key = by_key(evidence.records);
    let mut result = Losses::default();
    for (key, calls) in &by_key {
        let missing = missing_of(*key, calls, evidence);
        for (write, acknowledged) in &missing {
            result.missing += 1;
            let age = evidence.fault.began.saturating_sub(*acknowledged);
            result.oldest = result.oldest.max(age);
            // Neither merged nor overwritten when lost: decided below.
            if !evidence.listed.contains(key) {
                result.unlisted.push((*key, *write));
            }
        }
        let missing: BTreeSet<Write> = missing.into_iter().map(|(write, _)| write).collect();
        settle(*key, calls, &missing, evidence, &mut result);
    }
    let lost: BTreeSet<(Key, Write)> = result.lost.iter().copied().collect();
    result.unlisted.retain(|write| !lost.contains(write));
    result
}

/// Compares the writes of one key with what every region shows in the end.
fn settle(
    key: Key,
    calls: &[&Record],
    missing: &BTreeSet<Write>,
    evidence: &Evidence<'_>,
    result: &mut Losses,
) {
    let past = evidence.past;
    let initial = past.contents.get(&key).copied().flatten().map(Write::value);
    let late = past.unknown.get(&key).into_iter().flatten();
    // Only acknowledged writes are found lost, so positions are those of `calls`.
    let operations: Vec<Operation> =
        calls.iter().copied().chain(late).map(Record::operation).collect();
    let mut lost = BTreeSet::new();
    let mut beaten = BTreeSet::new();
    let mut visible = BTreeSet::new();
    for contents in evidence.finals {
        let finally = contents.get(&key).copied().flatten();
        visible.extend(finally);
        let verdict = check_durable(initial, &operations, finally.map(Write::value));
        if verdict.foreign && !result.foreign.contains(&key) {
            result.foreign.push(key);
        }
        for write in verdict.lost.iter().filter_map(|position| calls[*position].acknowledged()) {
            // A stranded write that wins over a later one of the survivors was concurrent with it.
            if finally.is_some_and(|winner| missing.contains(&winner)) {
                beaten.insert(write);
            } else {
                lost.insert(write);
            }
        }
    }
    for write in missing.iter().filter(|write| !lost.contains(write)) {
        result.stranded += 1;
        if visible.contains(write) {
            result.merged += 1;
        } else {
            beaten.insert(*write);
        }
    }
    result.overwritten += u64::try_from(beaten.len()).unwrap_or(u64::MAX);
    let silent = beaten.difference(missing).filter(|_| !evidence.listed.contains(&key));
    result.unlisted.extend(silent.map(|write| (key, *write)));
    result.lost.extend(lost.into_iter().map(|write| (key, write)));
}

/// The acknowledged writes of one key that were not there at the takeover, with the times of
/// their acknowledgement.
fn missing_of(key: Key, calls: &[&Record], evidence: &Evidence<'_>) -> Vec<(Write, Nanos)> {
    let before: Vec<(Write, &&Record)> = calls
        .iter()
        .filter(|call| call.started < evidence.fault.done)
        .filter_map(|call| call.acknowledged().map(|write| (write, call)))
        .collect();
    let mut missing = BTreeMap::new();
    let mut not_shown = |content: Option<Write>, seen_from: Nanos| {
        for (write, call) in &before {
            // One client writes the key, in sequence: a higher number was written later.
            let shown = content.is_some_and(|content| content.sequence >= write.sequence);
            if !shown && call.ended <= seen_from {
                missing.insert(*write, call.ended);
            }
        }
    };
    if let Some(content) = evidence.takeover.get(&key) {
        not_shown(*content, Nanos::MAX);
    }
    // The first write in the new region tells what it found there.
    for call in calls.iter().filter(|call| call.started >= evidence.fault.done) {
        if let (Some(_), Seen::Content(content)) = (call.acknowledged(), call.seen) {
            not_shown(content, call.started);
        }
    }
    missing.into_iter().collect()
}

/// The writes among the calls, by key, in order of their start.
fn by_key(records: &[Record]) -> BTreeMap<Key, Vec<&Record>> {
    let mut by_key: BTreeMap<Key, Vec<&Record>> = BTreeMap::new();
    for record in records.iter().filter(|record| record.write().is_some()) {
        by_key.entry(record.key).or_default().push(record);
    }
    by_key.values_mut().for_each(|calls| calls.sort_unstable_by_key(|call| call.started));
    by_key
}

/// Calls that ended so and were intended within `from..until`.
pub fn count(records: &[Record], fate: Fate, (from, until): (Nanos, Nanos)) -> u64 {
    let found = records
        .iter()
        .filter(|record| record.fate == fate && (from..until).contains(&record.intended))
        .count();
    u64::try_from(found).unwrap_or(u64::MAX)
}

/// The value below which `percent` of the values lie, by the nearest rank; `None` of none.
pub fn percentile(values: &[f64], percent: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (percent / 100.0 * sorted.len() as f64).ceil().max(1.0);
    sorted.get(rank as usize - 1).or(sorted.last()).copied()
}

//! What a run gives: violations, a hash of everything that was seen, and how much happened.

use crate::bug::Bug;
use crate::recorder::{Counts, Record, Violation};
use meridian_checker::{Call, Reply};
use meridian_partition::{ApplyOutcome, Command};
use std::fmt;
use std::fmt::Write as _;
use xxhash_rust::xxh64::Xxh64;

/// What a run gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// The planted bug.
    pub bug: Option<Bug>,
    /// Promises not kept; empty for a good run.
    pub violations: Vec<Violation>,
    /// Equal for two runs that saw the same.
    pub history_hash: u64,
    /// How much happened.
    pub activity: Activity,
}

/// How much happened in a run, or in many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Activity {
    /// Writes acknowledged.
    pub acknowledged: u64,
    /// Conditions refused.
    pub refused: u64,
    /// Reads answered.
    pub reads: u64,
    /// Calls that certainly did nothing.
    pub failed: u64,
    /// Calls without an answer.
    pub unknown: u64,
    /// Log entries applied.
    pub entries: u64,
    /// Incarnations of the pipeline.
    pub incarnations: u64,
    /// Decisions that the fence refused.
    pub fenced: u64,
    /// Faults and repairs.
    pub counts: Counts,
}

impl Outcome {
    pub(crate) fn of(seed: u64, bug: Option<Bug>, record: Record) -> Outcome {
        let activity = Activity::of(&record);
        let mut hash = Xxh64::new(0);
        let mut text = String::new();
        for calls in &record.histories.keys {
            // Writing to a String cannot fail.
            let _ = write!(text, "{calls:?}");
        }
        for (index, applied) in &record.entries {
            let _ = write!(text, "{index} {applied:?}");
        }
        let _ = write!(text, "{:?} {:?} {activity:?}", record.states, record.violations);
        hash.update(text.as_bytes());
        let (violations, history_hash) = (record.violations, hash.digest());
        Outcome { seed, bug, violations, history_hash, activity }
    }

    /// True when every promise was kept.
    pub fn is_good(&self) -> bool {
        self.violations.is_empty()
    }

    /// True when one of these properties was violated.
    pub fn violates(&self, properties: &[&str]) -> bool {
        self.violations.iter().any(|violation| properties.contains(&violation.property))
    }
}

impl Activity {
    fn of(record: &Record) -> Activity {
        let mut activity = Activity { counts: record.counts, ..Activity::default() };
        for operation in record.histories.keys.iter().flatten() {
            match (operation.call, operation.reply) {
                (_, Reply::Done) => activity.acknowledged += 1,
                (_, Reply::Refused(_)) => activity.refused += 1,
                (_, Reply::Got(_)) => activity.reads += 1,
                (Call::Get | Call::Put(_) | Call::PutIf { .. }, Reply::Failed) => {
                    activity.failed += 1;
                }
                (_, Reply::Unknown) => activity.unknown += 1,
            }
        }
        activity.entries = record.entries.len() as u64;
        for (_, command, outcome) in record.commands() {
            match command {
                Command::Begin { .. } => activity.incarnations += 1,
                Command::Batch(_) => activity.fenced += u64::from(outcome == ApplyOutcome::Fenced),
            }
        }
        activity
    }

    /// Adds another run's.
    pub fn add(&mut self, other: &Activity) {
        self.acknowledged += other.acknowledged;
        self.refused += other.refused;
        self.reads += other.reads;
        self.failed += other.failed;
        self.unknown += other.unknown;
        self.entries += other.entries;
        self.incarnations += other.incarnations;
        self.fenced += other.fenced;
        let (mine, its) = (&mut self.counts, &other.counts);
        mine.crashes += its.crashes;
        mine.power_losses += its.power_losses;
        mine.cuts += its.cuts;
        mine.pauses += its.pauses;
        mine.installs += its.installs;
        mine.releases += its.releases;
        mine.handovers += its.handovers;
        mine.rebuilds += its.rebuilds;
    }
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { crashes, power_losses, cuts, pauses, installs, releases, handovers, rebuilds } =
            self.counts;
        writeln!(
            f,
            "calls: {} writes acknowledged, {} conditions refused, {} reads, {} failed, {} unknown",
            self.acknowledged, self.refused, self.reads, self.failed, self.unknown
        )?;
        writeln!(
            f,
            "log: {} entries, {} incarnations, {} decisions fenced, {installs} snapshots installed",
            self.entries, self.incarnations, self.fenced
        )?;
        write!(
            f,
            "faults: {crashes} crashes ({power_losses} power losses), {cuts} cuts, {pauses} pauses, \
             {releases} purges, {handovers} handovers, {rebuilds} rebuilds"
        )
    }
}

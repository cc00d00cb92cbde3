//! What the replicas applied, written down as they apply it.
//!
//! # Invariants
//!
//! - Everything here is of committed entries: two replicas that tell different things of one log
//!   index are a violation, found at once.

use crate::history::Histories;
use meridian_base::{LogIndex, NodeId};
use meridian_partition::{ApplyOutcome, Command};
use meridian_raft::machine::{Committed, Content};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

/// A promise that the program did not keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which property.
    pub property: &'static str,
    /// What was seen.
    pub detail: String,
}

/// An entry that some replica applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Its term.
    pub term: u64,
    /// Its content, as committed.
    pub content: Content,
    /// What applying it did.
    pub outcome: ApplyOutcome,
}

/// How often what happened: a simulation in which nothing happens proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Processes that crashed.
    pub crashes: u64,
    /// Of these, by power loss.
    pub power_losses: u64,
    /// Links cut.
    pub cuts: u64,
    /// Processes paused.
    pub pauses: u64,
    /// Snapshots installed.
    pub installs: u64,
    /// Log purges asked for.
    pub releases: u64,
    /// Leaders asked to hand over.
    pub handovers: u64,
    /// Replicas that were rebuilt from a peer before their group was opened.
    pub rebuilds: u64,
}

/// The record of a run.
#[derive(Default)]
pub struct Record {
    /// Entries by log index.
    pub entries: BTreeMap<LogIndex, Applied>,
    /// State hashes by log index, and who told them first.
    pub states: BTreeMap<LogIndex, (u64, NodeId)>,
    /// What was found so far.
    pub violations: Vec<Violation>,
    /// What clients saw.
    pub histories: Histories,
    /// How often what happened.
    pub counts: Counts,
}

/// The shared record.
#[derive(Default)]
pub struct Recorder(Mutex<Record>);

impl Recorder {
    /// The record; held for moments only.
    pub fn lock(&self) -> MutexGuard<'_, Record> {
        self.0.lock().expect("no holder panics")
    }

    /// Notes a violation.
    pub fn violation(&self, property: &'static str, detail: String) {
        self.lock().violation(property, detail);
    }

    /// Notes what a replica applied.
    pub fn applied(&self, node: NodeId, entries: &[Committed], outcomes: &[ApplyOutcome]) {
        let mut record = self.lock();
        for (entry, outcome) in entries.iter().zip(outcomes) {
            let Committed { index, term, content } = entry.clone();
            record.entry(node, index, Applied { term, content, outcome: *outcome });
        }
    }

    /// Notes the state of a replica at a log index.
    pub fn state(&self, node: NodeId, index: LogIndex, hash: u64) {
        let mut record = self.lock();
        let (first, by) = *record.states.entry(index).or_insert((hash, node));
        if first != hash {
            let detail =
                format!("nodes {by} and {node} differ in their state at log index {index}");
            record.violation("replicas-agree", detail);
        }
    }
}

impl Record {
    /// Notes a violation.
    pub fn violation(&mut self, property: &'static str, detail: String) {
        self.violations.push(Violation { property, detail });
    }

    fn entry(&mut self, node: NodeId, index: LogIndex, applied: Applied) {
        match self.entries.get(&index) {
            None => drop(self.entries.insert(index, applied)),
            Some(first) if *first == applied => {}
            Some(first) => {
                let detail = format!(
                    "node {node} applied another entry at log index {index}: term {} with {:?}, not \
                     term {} with {:?}",
                    applied.term, applied.outcome, first.term, first.outcome
                );
                self.violation("replicas-agree", detail);
            }
        }
    }

    /// The commands in log order, with what became of them.
    pub fn commands(&self) -> Vec<(LogIndex, Command, ApplyOutcome)> {
        let mut commands = Vec::new();
        for (index, applied) in &self.entries {
            if let Content::Command(bytes) = &applied.content
                && let Ok(command) = Command::decode(bytes)
            {
                commands.push((*index, command, applied.outcome));
            }
        }
        commands
    }
}

//! What of each group is alive, and in which segment.
//!
//! # Invariants
//!
//! - The runs of a group cover its live log indexes without hole or overlap, ascending, and their
//!   segments never descend: a later index was appended later.
//! - Only the oldest segments are removed, so a truncation never outlives, nor dies before, what
//!   it truncates.
//!
//! Tested by the property tests of the log.

use super::record::{Kind, Raw};
use super::{Pin, Purged};
use std::collections::{BTreeMap, VecDeque};

/// Consecutive entries of a group in one segment.
#[derive(Debug, Clone, Copy)]
struct Run {
    first: u64,
    last: u64,
    segment: u64,
}

/// A small record that is kept by writing it again.
#[derive(Debug, Clone)]
struct Kept<T> {
    segment: u64,
    value: T,
}

#[derive(Debug, Default)]
struct Group {
    runs: VecDeque<Run>,
    vote: Option<Kept<Vec<u8>>>,
    committed: Option<Kept<Vec<u8>>>,
    purged: Option<Kept<Purged>>,
}

/// The live records of all groups.
#[derive(Debug, Default)]
pub(crate) struct Live {
    groups: BTreeMap<u64, Group>,
}

impl Live {
    /// Takes in a record that stands in `segment`.
    pub fn apply(&mut self, segment: u64, record: &Raw<'_>) {
        let group = record.group;
        let kept = || Some(Kept { segment, value: record.payload.to_vec() });
        match record.kind {
            Kind::Entry => self.group(group).entry(record.index, segment),
            Kind::Vote => self.group(group).vote = kept(),
            Kind::Committed => self.group(group).committed = kept(),
            Kind::Truncate => self.group(group).truncate(record.index),
            Kind::Purge => self.group(group).purge(segment, record),
            Kind::Forget => {
                self.groups.remove(&group);
            }
            Kind::Trim | Kind::Seal => {}
        }
    }

    fn group(&mut self, group: u64) -> &mut Group {
        self.groups.entry(group).or_default()
    }

    /// The last log index that an entry of `group` must follow, when there is one.
    pub fn last(&self, group: u64) -> Last {
        self.groups.get(&group).map_or(Last::default(), Group::last)
    }

    /// The oldest segment with a live entry.
    pub fn oldest_entry_segment(&self) -> Option<u64> {
        self.groups.values().filter_map(|g| g.runs.front()).map(|run| run.segment).min()
    }

    /// The groups with live entries in `segment`, when it is the oldest of the log.
    pub fn pins(&self, segment: u64) -> Vec<Pin> {
        let upto =
            |g: &Group| g.runs.iter().take_while(|r| r.segment == segment).last().map(|r| r.last);
        self.groups
            .iter()
            .filter_map(|(group, g)| upto(g).map(|upto| Pin { group: *group, upto }))
            .collect()
    }

    /// The votes, committed positions and purges that stand in segments before `segment`.
    pub fn kept_before(&self, segment: u64) -> Vec<(u64, Kind, u64, Vec<u8>)> {
        let mut found = Vec::new();
        for (id, group) in &self.groups {
            let old = |kept: &&Kept<Vec<u8>>| kept.segment < segment;
            if let Some(kept) = group.vote.as_ref().filter(old) {
                found.push((*id, Kind::Vote, 0, kept.value.clone()));
            }
            if let Some(kept) = group.committed.as_ref().filter(old) {
                found.push((*id, Kind::Committed, 0, kept.value.clone()));
            }
            if let Some(kept) = group.purged.as_ref().filter(|kept| kept.segment < segment) {
                found.push((*id, Kind::Purge, kept.value.upto, kept.value.bytes.clone()));
            }
        }
        found
    }
}

/// Between which log indexes the entries of a group lie.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Last {
    /// The first and the last live entry.
    entries: Option<(u64, u64)>,
    /// The last purged entry.
    purged: Option<u64>,
}

impl Last {
    /// As [`Last::misfit`], in replay: the entries between a purge and the next entry may have
    /// stood in a segment that was removed after a later purge.
    pub fn misfit_in_replay(&self, record: &Raw<'_>) -> Option<u64> {
        self.misfit(record).filter(|_| self.entries.is_some() || self.purged >= Some(record.index))
    }

    /// The log index that `record` leaves a hole after, or goes below, if it does.
    pub fn misfit(&self, record: &Raw<'_>) -> Option<u64> {
        if record.kind != Kind::Entry {
            return None;
        }
        let last = self.entries.map(|(_, last)| last).or(self.purged);
        let below = self.purged.filter(|purged| record.index <= *purged);
        below.or(last.filter(|last| record.index > last.saturating_add(1)))
    }

    /// The same after `record`.
    pub fn after(self, record: &Raw<'_>) -> Last {
        let cut = |from: u64| match self.entries {
            Some((first, last)) if first < from => Some((first, last.min(from - 1))),
            Some(_) | None => None,
        };
        match record.kind {
            Kind::Entry => {
                let first = cut(record.index).map_or(record.index, |(first, _)| first);
                Last { entries: Some((first, record.index)), ..self }
            }
            Kind::Truncate => Last { entries: cut(record.index), ..self },
            Kind::Purge => {
                let live = self.entries.filter(|(_, last)| *last > record.index);
                let entries = live.map(|(first, last)| (first.max(record.index + 1), last));
                Last { entries, purged: self.purged.max(Some(record.index)) }
            }
            Kind::Forget => Last::default(),
            Kind::Vote | Kind::Committed | Kind::Trim | Kind::Seal => self,
        }
    }
}

impl Group {
    fn last(&self) -> Last {
        Last {
            entries: self.runs.front().zip(self.runs.back()).map(|(f, l)| (f.first, l.last)),
            purged: self.purged.as_ref().map(|kept| kept.value.upto),
        }
    }

    fn entry(&mut self, index: u64, segment: u64) {
        self.truncate(index);
        match self.runs.back_mut() {
            Some(run) if run.segment == segment => run.last = index,
            Some(_) | None => self.runs.push_back(Run { first: index, last: index, segment }),
        }
    }

    fn truncate(&mut self, from: u64) {
        while self.runs.back().is_some_and(|run| run.first >= from) {
            self.runs.pop_back();
        }
        if let Some(run) = self.runs.back_mut() {
            run.last = run.last.min(from.saturating_sub(1));
        }
    }

    fn purge(&mut self, segment: u64, record: &Raw<'_>) {
        let upto = record.index;
        if self.purged.as_ref().is_some_and(|kept| kept.value.upto > upto) {
            return;
        }
        let value = Purged { upto, bytes: record.payload.to_vec() };
        self.purged = Some(Kept { segment, value });
        while self.runs.front().is_some_and(|run| run.last <= upto) {
            self.runs.pop_front();
        }
        if let Some(run) = self.runs.front_mut() {
            run.first = run.first.max(upto.saturating_add(1));
        }
    }
}

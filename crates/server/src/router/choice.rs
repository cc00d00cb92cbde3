//! Which region takes the traffic: a function of probes, region records and time.
//!
//! Times are durations since the router started, so that nothing here reads a clock.
//!
//! # Invariants
//!
//! - A region is abandoned only for another that can take over at once.
//! - An abandoned region takes no traffic until it was restored: its record moved on and is Active
//!   again, or an operator returned it.
//! - Draining keeps its traffic; Evacuated, Lost and Recovering take none.
//!
//! Tested by `choice/tests.rs`.

#[cfg(test)]
mod tests;

use serde_json::{Value, json};
use std::time::Duration;

/// The status of a region as the global group records it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Active,
    Draining,
    Evacuated,
    Lost,
    Recovering,
}

impl Status {
    /// Reads a status as `/admin/regions` writes it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "active" => Some(Status::Active),
            "draining" => Some(Status::Draining),
            "evacuated" => Some(Status::Evacuated),
            "lost" => Some(Status::Lost),
            "recovering" => Some(Status::Recovering),
            _ => None,
        }
    }

    /// The name that people and programs read.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Status::Active => "Active",
            Status::Draining => "Draining",
            Status::Evacuated => "Evacuated",
            Status::Lost => "Lost",
            Status::Recovering => "Recovering",
        }
    }

    fn takes_traffic(self) -> bool {
        match self {
            Status::Active | Status::Draining => true,
            Status::Evacuated | Status::Lost | Status::Recovering => false,
        }
    }
}

/// A region's record in the global group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) status: Status,
    /// Grows with each change of the record.
    pub(crate) epoch: u64,
    /// When the region was last restored, ms since the Unix epoch; 0 for never.
    pub(crate) restored_ms: u64,
    /// Who takes over from a draining region.
    pub(crate) target: Option<String>,
}

/// Why a region was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// All its nodes failed their probes.
    Silent,
    /// The cluster says that it takes no traffic.
    Recorded(Status),
    /// A region of higher preference can take the traffic again.
    Preference,
}

/// A move of the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) reason: Reason,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Region {
    name: String,
    record: Option<Record>,
    /// The last answered probe of any node.
    last_ok: Option<Duration>,
    /// Since when some node answers without a pause of `leave_after`.
    healthy_since: Option<Duration>,
    /// Left by probes; holds when it was last restored then, once that is known.
    abandoned: Option<Option<u64>>,
}

/// The regions in order of preference and the one that takes the traffic.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    regions: Vec<Region>,
    current: usize,
    leave_after: Duration,
    /// Named by the current region's drain.
    target: Option<String>,
    /// Regions before this one are preferred to the current one. One that took over from a drained
    /// region keeps the traffic until that region is back.
    preferred_before: usize,
}

impl Choice {
    /// Starts with the first region.
    pub(crate) fn new(names: impl Iterator<Item = String>, leave_after: Duration) -> Self {
        let region = |name| Region {
            name,
            record: None,
            last_ok: None,
            healthy_since: None,
            abandoned: None,
        };
        let regions = names.map(region).collect();
        Choice { regions, current: 0, leave_after, target: None, preferred_before: 0 }
    }

    /// The region that takes the traffic.
    pub(crate) fn current(&self) -> usize {
        self.current
    }

    /// Names of the abandoned regions, each with when it had last been restored, if known.
    pub(crate) fn abandoned(&self) -> Vec<(String, Option<u64>)> {
        let regions = self.regions.iter();
        regions.filter_map(|r| Some((r.name.clone(), r.abandoned?))).collect()
    }

    /// Takes up where an earlier router stopped.
    pub(crate) fn abandon(&mut self, name: &str, restored_ms: Option<u64>) {
        if let Some(region) = self.regions.iter_mut().find(|r| r.name == name) {
            region.abandoned = Some(restored_ms);
        }
        let usable = self.regions.iter().position(|r| r.abandoned.is_none());
        self.current = usable.unwrap_or(self.current);
        self.preferred_before = self.current;
    }

    /// A node of `region` answered a probe that was sent at `sent`.
    pub(crate) fn answered(&mut self, region: usize, sent: Duration) {
        let leave_after = self.leave_after;
        let Some(region) = self.regions.get_mut(region) else { return };
        let pause = region.last_ok.map_or(Duration::MAX, |last| sent.saturating_sub(last));
        if pause >= leave_after {
            region.healthy_since = Some(sent);
        }
        region.last_ok = region.last_ok.max(Some(sent));
    }

    /// The router itself stood still for `pause`: no silence within it counts.
    pub(crate) fn forgive(&mut self, pause: Duration) {
        for region in &mut self.regions {
            region.last_ok = region.last_ok.map(|last| last + pause);
        }
    }

    /// The cluster's record of a region. Older ones than the one known change nothing.
    pub(crate) fn recorded(&mut self, name: &str, record: Record) {
        let current = self.regions.get(self.current).is_some_and(|r| r.name == name);
        let Some(region) = self.regions.iter_mut().find(|r| r.name == name) else { return };
        if region.record.as_ref().is_some_and(|known| known.epoch >= record.epoch) {
            return;
        }
        match record.status {
            Status::Draining if current => self.target.clone_from(&record.target),
            Status::Active if current => self.target = None,
            Status::Active
            | Status::Draining
            | Status::Evacuated
            | Status::Lost
            | Status::Recovering => {}
        }
        match region.abandoned {
            Some(Some(was)) if record.restored_ms > was && record.status == Status::Active => {
                region.abandoned = None;
            }
            Some(None) => region.abandoned = Some(Some(record.restored_ms)),
            Some(Some(_)) | None => {}
        }
        region.record = Some(record);
    }

    /// An operator says that the region is restored. False when there is none of that name.
    pub(crate) fn give_back(&mut self, name: &str) -> bool {
        let Some(region) = self.regions.iter_mut().find(|r| r.name == name) else { return false };
        region.abandoned = None;
        true
    }

    /// Whether a node of the region answered of late.
    fn is_healthy(&self, at: usize, now: Duration) -> bool {
        !self.is_silent(at, now)
    }

    fn is_silent(&self, at: usize, now: Duration) -> bool {
        let last = self.regions.get(at).and_then(|r| r.last_ok).unwrap_or_default();
        now.saturating_sub(last) >= self.leave_after
    }

    /// Whether the region could take the traffic.
    fn is_usable(&self, at: usize, now: Duration) -> bool {
        self.regions.get(at).is_some_and(|region| {
            let taken = region.record.as_ref().is_none_or(|r| r.status.takes_traffic());
            // Proven for as long as it takes to be left, so that of regions that start together
            // the preferred one is not left for one that was faster by a moment.
            let proven = region.healthy_since.is_some_and(|s| now >= s + self.leave_after);
            region.abandoned.is_none() && taken && proven && self.is_healthy(at, now)
        })
    }

    fn refuses(&self, at: usize) -> Option<Status> {
        let status = self.regions.get(at)?.record.as_ref()?.status;
        (!status.takes_traffic()).then_some(status)
    }

    /// Moves the traffic where it must or may.
    pub(crate) fn decide(&mut self, now: Duration) -> Option<Move> {
        let from = self.current;
        let reason = match self.refuses(from) {
            Some(status) => Some(Reason::Recorded(status)),
            None if self.is_silent(from, now) => Some(Reason::Silent),
            None => None,
        };
        let named = self.target.as_ref().filter(|_| reason.is_some());
        let named = named.and_then(|name| self.regions.iter().position(|r| r.name == *name));
        let named = named.filter(|at| *at != from && self.is_usable(*at, now));
        let until = if reason.is_some() { self.regions.len() } else { self.preferred_before };
        let first = || (0..until).find(|at| *at != from && self.is_usable(*at, now));
        let to = named.or_else(first)?;
        let reason = reason.unwrap_or(Reason::Preference);
        // One that never answered had nothing of this router's clients.
        if reason == Reason::Silent && self.regions[from].last_ok.is_some() {
            let region = &mut self.regions[from];
            region.abandoned = Some(region.record.as_ref().map(|r| r.restored_ms));
        }
        self.current = to;
        self.preferred_before = if named.is_some() { to.min(from + 1) } else { to };
        self.target = None;
        Some(Move { from, to, reason })
    }

    /// For people and programs.
    pub(crate) fn status(&self, now: Duration) -> Value {
        let regions = self.regions.iter().enumerate().map(|(at, region)| {
            let silent = region.last_ok.map(|last| now.saturating_sub(last).as_millis() as u64);
            json!({
                "name": region.name,
                "current": at == self.current,
                "healthy": self.is_healthy(at, now) && region.last_ok.is_some(),
                "abandoned": region.abandoned.is_some(),
                "state": region.record.as_ref().map(|r| r.status.name()),
                "epoch": region.record.as_ref().map(|r| r.epoch),
                "silent_ms": silent,
            })
        });
        json!({
            "region": self.regions.get(self.current).map(|r| r.name.as_str()),
            "regions": regions.collect::<Vec<_>>(),
        })
    }
}

//! The policy `auto`: when the other regions agree that one is silent.
//!
//! Regions report what they see; the state keeps the last report of each. The global group's leader
//! asks [`GlobalState::regions_to_fail`] and proposes `SetRegionState` with the epoch given there,
//! so that a decision on old reports is refused.
//!
//! # Invariants
//!
//! - How long a region was silent is measured on one clock, the reporter's.
//! - A region never counts for or against itself, and a lost region does not count.
//!
//! Tested by `global/tests.rs`.

use super::{GlobalState, RegionRecord, RegionStatus};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One region's report about another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// When the reporter last heard it, by the reporter's clock.
    pub since_ms: u64,
    /// When the reporter said so, by the same clock.
    pub at_ms: u64,
}

/// When silence makes a region Lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AutoPolicy {
    /// How long each reporter must have heard nothing.
    pub silent_ms_min: u64,
    /// How old a report may be, clocks of different regions included.
    pub report_age_ms_max: u64,
}

impl Default for AutoPolicy {
    fn default() -> Self {
        AutoPolicy { silent_ms_min: 3_000, report_age_ms_max: 3_000 }
    }
}

impl AutoPolicy {
    fn counts(&self, report: Silence, now_ms: u64) -> bool {
        report.at_ms.saturating_sub(report.since_ms) >= self.silent_ms_min
            && now_ms.saturating_sub(report.at_ms) <= self.report_age_ms_max
    }
}

impl GlobalState {
    /// The regions that a majority of the others reports silent, each with the epoch to propose
    /// `Lost` for.
    pub fn regions_to_fail(&self, policy: &AutoPolicy, now_ms: u64) -> Vec<(String, u64)> {
        let none = BTreeMap::new();
        let failed = |(name, region): (&String, &RegionRecord)| {
            let reports = self.silences.get(name).unwrap_or(&none);
            let agreed = can_fall_silent(&region.status)
                && self.majority_reports(name, reports, policy, now_ms);
            (agreed && self.another_serves(name)).then(|| (name.clone(), region.epoch))
        };
        self.regions.iter().filter_map(failed).collect()
    }

    fn majority_reports(
        &self,
        about: &str,
        reports: &BTreeMap<String, Silence>,
        policy: &AutoPolicy,
        now_ms: u64,
    ) -> bool {
        let is_witness = |name: &str, region: &RegionRecord| {
            name != about && region.status != RegionStatus::Lost
        };
        let witnesses = self.regions.iter().filter(|(name, region)| is_witness(name, region));
        let (mut all, mut agreeing) = (0usize, 0usize);
        for (name, _) in witnesses {
            all += 1;
            let agrees = reports.get(name).is_some_and(|report| policy.counts(*report, now_ms));
            agreeing += usize::from(agrees);
        }
        agreeing * 2 > all
    }

    /// The reports about each region, for operators.
    pub fn silences(&self) -> &BTreeMap<String, BTreeMap<String, Silence>> {
        &self.silences
    }
}

/// An evacuated region takes no traffic, so that its silence hurts nobody: an operator decides.
fn can_fall_silent(status: &RegionStatus) -> bool {
    match status {
        RegionStatus::Active | RegionStatus::Draining { .. } | RegionStatus::Recovering => true,
        RegionStatus::Evacuated | RegionStatus::Lost => false,
    }
}

//! Settings that belong to one region's copy of a table and are never copied to another: tags, the
//! resource policy, the switch of Contributor Insights, point-in-time recovery.
//!
//! # Invariants
//!
//! - A table has at most [`TAGS_MAX`] tags.
//! - Each new policy has a higher revision than the one before, also over its absence.
//! - A refused change changes nothing.
//!
//! Tested by `region/tests.rs`.

use super::RegionState;
use super::command::{CommandResult, Done, Refusal};
use crate::stored::Stored;
use crate::table::TableStatus;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most tags of a table (AWS: service quotas).
pub const TAGS_MAX: usize = 50;

/// A resource policy: kept and shown, never evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourcePolicy {
    /// The document, as it was given.
    pub text: String,
    /// Its revision; AWS makes them of 13 digits too.
    pub revision: u64,
}

/// What Contributor Insights would count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum InsightsMode {
    /// ACCESSED_AND_THROTTLED_KEYS.
    AccessedAndThrottledKeys,
    /// THROTTLED_KEYS.
    ThrottledKeys,
}

/// The switch of Contributor Insights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Insights {
    /// The mode while it is on.
    pub mode: Option<InsightsMode>,
    /// When it was last switched, ms since the Unix epoch.
    pub changed_ms: u64,
}

/// Point-in-time recovery as it is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// How many days are kept.
    pub days: u32,
    /// When it was turned on, ms since the Unix epoch.
    pub since_ms: u64,
}

/// All of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OwnSettings {
    /// The tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<ResourcePolicy>,
    /// The policies of its streams, by label.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stream_policies: BTreeMap<String, ResourcePolicy>,
    /// The revision of the last policy, also of one that is gone.
    #[serde(default)]
    pub last_revision: u64,
    /// The switch; none as long as nobody touched it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insights: Option<Insights>,
    /// The switches of global indexes, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub index_insights: BTreeMap<String, Insights>,
    /// Point-in-time recovery, while it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Recovery>,
}

impl Stored for OwnSettings {}

impl OwnSettings {
    /// The changes that give a new table the same settings; without those of streams, of which it has
    /// others, and recovery, which begins when there is something to recover.
    pub fn changes(&self) -> Vec<OwnChange> {
        let mut changes = Vec::new();
        if !self.tags.is_empty() {
            changes.push(OwnChange::Tag(self.tags.clone()));
        }
        if let Some(policy) = &self.policy {
            let (text, expected) = (policy.text.clone(), ExpectedPolicy::Any);
            changes.push(OwnChange::SetPolicy { text, expected });
        }
        changes.extend(self.insights.map(|switch| OwnChange::Insights(switch.mode)));
        changes.extend(self.index_insights.iter().map(|(index, switch)| {
            OwnChange::IndexInsights { index: index.clone(), mode: switch.mode }
        }));
        changes
    }

    /// The policy of the table, or of the stream of that label.
    pub fn policy_of(&self, stream: Option<&str>) -> Option<&ResourcePolicy> {
        match stream {
            None => self.policy.as_ref(),
            Some(label) => self.stream_policies.get(label),
        }
    }

    /// True when nothing was ever set.
    pub fn is_default(&self) -> bool {
        *self == OwnSettings::default()
    }
}

/// Which policy a change expects to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExpectedPolicy {
    /// Any or none.
    Any,
    /// None.
    Absent,
    /// The one of this revision.
    Revision(u64),
}

/// A change of one of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OwnChange {
    /// Adds tags, or gives them other values.
    Tag(BTreeMap<String, String>),
    /// Takes tags away; unknown ones are no error.
    Untag(Vec<String>),
    /// Sets the policy.
    SetPolicy {
        /// The document.
        text: String,
        /// What it replaces.
        expected: ExpectedPolicy,
    },
    /// Sets the policy of a stream.
    SetStreamPolicy {
        /// The stream's label.
        label: String,
        /// The document.
        text: String,
        /// What it replaces.
        expected: ExpectedPolicy,
    },
    /// Takes the policy of a stream away, as that of the table.
    DropStreamPolicy {
        /// The stream's label.
        label: String,
        /// What is taken away.
        expected: ExpectedPolicy,
    },
    /// Takes the policy away; one that is not there is no error, unless a revision is expected.
    DropPolicy(ExpectedPolicy),
    /// Turns Contributor Insights on, or off.
    Insights(Option<InsightsMode>),
    /// Turns them on, or off, for a global index.
    IndexInsights {
        /// Its name.
        index: String,
        /// The mode, to turn them on.
        mode: Option<InsightsMode>,
    },
    /// Turns point-in-time recovery on, or changes the days that it keeps; none turns it off.
    Recovery(Option<u32>),
}

impl RegionState {
    pub(super) fn change_own(
        &mut self,
        name: &str,
        change: &OwnChange,
        at_ms: u64,
    ) -> CommandResult {
        let table = self.tables.get_mut(name).ok_or(Refusal::TableNotFound)?;
        match table.status {
            TableStatus::Active | TableStatus::Updating => {}
            // Whoever turns recovery off meanwhile wants no backup of the table.
            TableStatus::Deleting if *change == OwnChange::Recovery(None) => {
                table.own.change(change, at_ms)?;
                let id = table.id;
                self.drop_deleted_backup(id);
                return Ok(Done::Table(id));
            }
            TableStatus::Creating | TableStatus::Deleting => {
                return Err(Refusal::InUse { status: table.status });
            }
        }
        if let OwnChange::IndexInsights { index, .. } = change {
            table.index(index).ok_or(Refusal::IndexNotFound)?;
        }
        table.own.change(change, at_ms)?;
        Ok(Done::Table(table.id))
    }
}

impl OwnSettings {
    pub(super) fn change(&mut self, change: &OwnChange, at_ms: u64) -> Result<(), Refusal> {
        match change {
            OwnChange::Tag(tags) => {
                let new = tags.keys().filter(|key| !self.tags.contains_key(*key)).count();
                if self.tags.len() + new > TAGS_MAX {
                    return Err(Refusal::TooManyTags);
                }
                self.tags.extend(tags.clone());
            }
            OwnChange::Untag(keys) => self.tags.retain(|key, _| !keys.contains(key)),
            OwnChange::SetPolicy { text, expected } => {
                self.expect(None, *expected)?;
                self.policy = Some(self.revised(text, at_ms));
            }
            OwnChange::DropPolicy(expected) => {
                self.expect(None, *expected)?;
                self.policy = None;
            }
            OwnChange::SetStreamPolicy { label, text, expected } => {
                self.expect(Some(label), *expected)?;
                let policy = self.revised(text, at_ms);
                self.stream_policies.insert(label.clone(), policy);
            }
            OwnChange::DropStreamPolicy { label, expected } => {
                self.expect(Some(label), *expected)?;
                self.stream_policies.remove(label);
            }
            OwnChange::Insights(mode) => {
                self.insights = Some(Insights { mode: *mode, changed_ms: at_ms });
            }
            OwnChange::IndexInsights { index, mode } => {
                let insights = Insights { mode: *mode, changed_ms: at_ms };
                self.index_insights.insert(index.clone(), insights);
            }
            OwnChange::Recovery(days) => {
                let since_ms = self.recovery.map_or(at_ms, |on| on.since_ms);
                self.recovery = days.map(|days| Recovery { days, since_ms });
            }
        }
        Ok(())
    }

    /// A policy of the next revision.
    fn revised(&mut self, text: &str, at_ms: u64) -> ResourcePolicy {
        let revision = at_ms.max(self.last_revision + 1);
        self.last_revision = revision;
        ResourcePolicy { text: text.to_owned(), revision }
    }

    fn expect(&self, stream: Option<&str>, expected: ExpectedPolicy) -> Result<(), Refusal> {
        let found = self.policy_of(stream).map(|policy| policy.revision);
        let fits = match expected {
            ExpectedPolicy::Any => true,
            ExpectedPolicy::Absent => found.is_none(),
            ExpectedPolicy::Revision(revision) => found == Some(revision),
        };
        if fits { Ok(()) } else { Err(Refusal::OtherPolicy) }
    }
}

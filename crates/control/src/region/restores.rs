//! Tables that are filled from an archive: from which, how far, and what they become afterwards.
//!
//! # Invariants
//!
//! - What would act on the filling itself (stream, expiry, recovery) begins when all is filled.
//! - Progress is told, not decided on: a partition is filled when it says so.
//!
//! Tested by `restore_tests.rs`.

use super::RegionState;
use super::apply::note_times;
use super::command::{CommandResult, Done, Refusal};
use super::own::{OwnChange, OwnSettings};
use crate::stored;
use crate::table::{StreamView, TableDefinition, TableStatus};
use meridian_base::{BackupId, PartitionId, TableId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Whose archive it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ArchiveOwner {
    /// The id of the cluster.
    pub cluster: String,
    /// The name of its region.
    pub region: String,
}

/// What a table is restored from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreSource {
    /// Whose archive holds it; none for this region's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<ArchiveOwner>,
    /// The id of the source table.
    #[serde(with = "stored::id")]
    pub table: TableId,
    /// Its name.
    pub table_name: String,
    /// Its ARN.
    pub table_arn: String,
    /// The ARN of the backup; none where it is a moment that is restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_arn: Option<String>,
    /// The backup.
    #[serde(with = "stored::id_option", default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupId>,
    /// The moment of the source's history, ms since the Unix epoch.
    pub at_ms: u64,
    /// What the table gets when it is filled.
    #[serde(default, skip_serializing_if = "LaterSettings::is_none")]
    pub later: LaterSettings,
    /// It is for a comparison only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_scratch: bool,
}

/// What makes a restored table all that its source was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllSettings {
    /// What it is while it is filled.
    pub definition: TableDefinition,
    /// What it has of its own from the beginning.
    pub own: Vec<OwnChange>,
    /// What it gets when it is filled.
    pub later: LaterSettings,
}

impl AllSettings {
    /// Every setting of a table, but its replicas in other regions and what these have of their own.
    pub fn of(table: &TableDefinition, own: &OwnSettings) -> Self {
        let mut definition = table.clone();
        definition.overrides.clear();
        definition.scaling.clear();
        let (stream, ttl) = (definition.stream.take(), definition.ttl.take());
        let recovery_days = own.recovery.map(|recovery| recovery.days);
        let later = LaterSettings { stream, ttl, recovery_days };
        AllSettings { definition, own: own.changes(), later }
    }
}

/// Settings that a restored table gets when it is filled.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LaterSettings {
    /// The view type of its stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamView>,
    /// The attribute of its time to live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// How many days recovery keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_days: Option<u32>,
}

impl LaterSettings {
    /// True when there are none.
    pub fn is_none(&self) -> bool {
        *self == LaterSettings::default()
    }
}

/// How much of something is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Restored {
    /// Items that are written.
    pub items: u64,
    /// Bytes of their keys and images.
    pub bytes: u64,
    /// Bytes that there are to write, about.
    pub bytes_total: u64,
}

impl std::ops::Add for Restored {
    type Output = Restored;

    fn add(self, more: Restored) -> Restored {
        Restored {
            items: self.items.saturating_add(more.items),
            bytes: self.bytes.saturating_add(more.bytes),
            bytes_total: self.bytes_total.saturating_add(more.bytes_total),
        }
    }
}

/// How far a table is restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restore {
    /// From what.
    pub source: RestoreSource,
    /// The partitions of this table that are not filled yet.
    #[serde(with = "stored::id_list")]
    pub pending: Vec<PartitionId>,
    /// How far its partitions said to be, as long as any is pending.
    #[serde(with = "stored::id_map", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub progress: BTreeMap<PartitionId, Restored>,
    /// When the last one was filled, ms since the Unix epoch.
    pub done_ms: Option<u64>,
}

impl Restore {
    /// Nothing is filled yet.
    pub(super) fn begin(source: RestoreSource, partitions: &[PartitionId]) -> Self {
        Restore { source, pending: partitions.to_vec(), progress: BTreeMap::new(), done_ms: None }
    }

    /// How far it is, all partitions together; none as long as one has not begun.
    pub fn restored(&self) -> Option<Restored> {
        let known = self.pending.iter().all(|partition| self.progress.contains_key(partition));
        known.then(|| self.progress.values().fold(Restored::default(), |sum, one| sum + *one))
    }
}

impl RegionState {
    pub(super) fn partition_restored(
        &mut self,
        id: TableId,
        partition: PartitionId,
        at_ms: u64,
    ) -> CommandResult {
        let table = self.table_mut(id)?;
        let Some(restore) = &mut table.restore else { return Ok(Done::Table(id)) };
        restore.pending.retain(|one| *one != partition);
        if !restore.pending.is_empty() || restore.done_ms.is_some() {
            return Ok(Done::Table(id));
        }
        restore.done_ms = Some(at_ms);
        restore.progress.clear();
        let later = restore.source.later.clone();
        let mut definition = table.definition.clone();
        definition.stream = definition.stream.or(later.stream);
        definition.ttl = definition.ttl.or(later.ttl);
        note_times(table, &definition, at_ms);
        table.definition = definition;
        table.follow_stream(at_ms);
        if later.recovery_days.is_some() {
            table.own.change(&OwnChange::Recovery(later.recovery_days), at_ms)?;
        }
        Ok(Done::Table(id))
    }

    /// Deletes a table that is still being restored, whatever its name is now.
    pub(super) fn drop_restoring(&mut self, id: TableId) -> CommandResult {
        let table = self.table_mut(id)?;
        match table.status {
            TableStatus::Creating if table.restore.is_some() => {}
            status => return Err(Refusal::InUse { status }),
        }
        table.status = TableStatus::Deleting;
        self.delete_indexes(id);
        Ok(Done::Table(id))
    }

    pub(super) fn restore_progress(
        &mut self,
        id: TableId,
        partition: PartitionId,
        restored: Restored,
    ) -> CommandResult {
        let table = self.table_mut(id)?;
        let restore = table.restore.as_mut().filter(|restore| restore.pending.contains(&partition));
        if let Some(restore) = restore {
            restore.progress.insert(partition, restored);
        }
        Ok(Done::Table(id))
    }
}

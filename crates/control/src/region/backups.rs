//! Backups of tables: what each holds, and how far it is taken.
//!
//! A backup holds its table as of one moment. Each partition takes its items in one view, and says as
//! of when; the moment is the latest of these. Then each takes what was committed between its view and
//! the moment. A leader that comes after one that died opens a new view, and the moment moves.
//!
//! When a table with point-in-time recovery is deleted, its archive becomes a backup, of the kind that
//! DynamoDB calls SYSTEM: nothing is copied, and the table is gone only when all of it is archived.
//!
//! # Invariants
//!
//! - A backup is available only when every partition has all that was committed at or before its
//!   moment, which does not move any more.
//! - A table does not go while a backup of it is being taken.
//! - A backup is not deleted while it is taken, or while a table is restored from it.
//!
//! Tested by `backup_tests.rs`.

use super::RegionState;
use super::command::{CommandResult, Done, Refusal};
use crate::stored;
use crate::table::{TableDefinition, TableStatus};
use meridian_base::{BackupId, PartitionId, TableId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How long a backup of a deleted table is kept, ms (AWS: 35 days).
pub const SYSTEM_BACKUP_KEPT_MS: u64 = 35 * 24 * 3600 * 1000;

/// `BackupType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BackupKind {
    /// USER: asked for.
    User,
    /// SYSTEM: what is left of a deleted table.
    System,
}

/// How much of a partition is in a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BackupPart {
    /// As of when its items were taken, ms since the Unix epoch; none before.
    pub based_ms: Option<u64>,
    /// Everything committed at or before this time is there, ms since the Unix epoch.
    pub covered_ms: u64,
}

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupRecord {
    /// Its id.
    #[serde(with = "stored::id")]
    pub id: BackupId,
    /// `BackupName`; several backups may have the same.
    pub name: String,
    /// `BackupType`.
    pub kind: BackupKind,
    /// When it was asked for, ms since the Unix epoch.
    pub created_ms: u64,
    /// The moment that it holds, ms since the Unix epoch; may move until it is available.
    pub at_ms: u64,
    /// When it goes by itself, ms since the Unix epoch.
    pub expires_ms: Option<u64>,
    /// The table.
    #[serde(with = "stored::id")]
    pub table: TableId,
    /// The table's name.
    pub table_name: String,
    /// When the table was made, ms since the Unix epoch.
    pub table_created_ms: u64,
    /// What the table was.
    pub definition: TableDefinition,
    /// How many items the table had, about.
    pub items: u64,
    /// Their size, bytes.
    pub bytes: u64,
    /// The table's partitions; none is listed any more once it is available.
    #[serde(with = "stored::id_map")]
    pub parts: BTreeMap<PartitionId, BackupPart>,
    /// It is being removed, and nobody is to see it any more.
    #[serde(default)]
    pub deleting: bool,
}

impl BackupRecord {
    /// True when it can be restored.
    pub fn is_available(&self) -> bool {
        self.parts.is_empty()
    }

    /// The moment up to which every partition is to be taken, ms; none while it can still move because
    /// some partition has not begun.
    pub fn moment_ms(&self) -> Option<u64> {
        let begun = self.parts.values().all(|part| part.based_ms.is_some());
        begun.then_some(self.at_ms)
    }

    /// The last part of its ARN: when it was made and, of those of one millisecond, which.
    pub fn label(&self) -> String {
        let which = match self.kind {
            // Any odd factor gives each id another number.
            BackupKind::User => (self.id.0 as u32).wrapping_mul(0x9e37_79b1),
            BackupKind::System => 0,
        };
        format!("{:014}-{which:08x}", self.created_ms)
    }
}

/// A change of the backups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BackupCommand {
    /// Begins a backup of a table.
    Create {
        /// The table's name.
        table: String,
        /// The backup's name.
        backup: String,
        /// How many items the table has, about.
        items: u64,
        /// Their size, bytes.
        bytes: u64,
        /// Now.
        at_ms: u64,
    },
    /// The items of a partition are being taken for a backup.
    Based {
        /// The backup.
        #[serde(with = "stored::id")]
        backup: BackupId,
        /// The partition.
        #[serde(with = "stored::id")]
        partition: PartitionId,
        /// As of when, ms since the Unix epoch.
        based_ms: u64,
    },
    /// Everything that a partition had committed by a time is in a backup.
    Covered {
        /// The backup.
        #[serde(with = "stored::id")]
        backup: BackupId,
        /// The partition.
        #[serde(with = "stored::id")]
        partition: PartitionId,
        /// That time, ms since the Unix epoch.
        covered_ms: u64,
    },
    /// Begins to remove a backup.
    Delete {
        /// The backup.
        #[serde(with = "stored::id")]
        backup: BackupId,
    },
    /// The objects of a backup are removed.
    Gone {
        /// The backup.
        #[serde(with = "stored::id")]
        backup: BackupId,
    },
}

/// What CreateBackup states.
struct NewBackup<'a> {
    table: &'a str,
    name: &'a str,
    items: u64,
    bytes: u64,
    at_ms: u64,
}

impl RegionState {
    /// The backups that can be seen, oldest first.
    pub fn backups(&self) -> impl Iterator<Item = &BackupRecord> {
        self.backups.values().filter(|backup| !backup.deleting)
    }

    /// Every backup, by id, also those that are being removed.
    pub fn all_backups(&self) -> &BTreeMap<BackupId, BackupRecord> {
        &self.backups
    }

    /// The backups of a table that are being taken.
    pub fn backups_under_way(&self, table: TableId) -> impl Iterator<Item = &BackupRecord> {
        self.backups.values().filter(move |one| one.table == table && !one.is_available())
    }

    /// True while a table that is being deleted has to wait for a backup of it.
    pub fn is_held(&self, table: TableId) -> bool {
        self.backups_under_way(table).next().is_some()
    }

    pub(super) fn change_backups(&mut self, command: &BackupCommand) -> CommandResult {
        match command {
            BackupCommand::Create { table, backup, items, bytes, at_ms } => {
                let (items, bytes, at_ms) = (*items, *bytes, *at_ms);
                self.create_backup(&NewBackup { table, name: backup, items, bytes, at_ms })
            }
            BackupCommand::Based { backup, partition, based_ms } => {
                self.backup_based(*backup, *partition, *based_ms)
            }
            BackupCommand::Covered { backup, partition, covered_ms } => {
                self.backup_covered(*backup, *partition, *covered_ms)
            }
            BackupCommand::Delete { backup } => self.delete_backup(*backup),
            BackupCommand::Gone { backup } => self.backup_gone(*backup),
        }
    }

    fn create_backup(&mut self, new: &NewBackup<'_>) -> CommandResult {
        let table = self.tables.get(new.table).ok_or(Refusal::TableNotFound)?;
        match table.status {
            TableStatus::Active | TableStatus::Updating => {}
            // Its replicas may be gone already.
            TableStatus::Creating | TableStatus::Deleting => {
                return Err(Refusal::InUse { status: table.status });
            }
        }
        let backup = BackupRecord {
            id: BackupId(self.last_backup + 1),
            name: new.name.to_owned(),
            kind: BackupKind::User,
            created_ms: new.at_ms,
            at_ms: new.at_ms,
            expires_ms: None,
            table: table.id,
            table_name: table.name.clone(),
            table_created_ms: table.created_ms,
            definition: table.definition.clone(),
            items: new.items,
            bytes: new.bytes,
            parts: table.partitions.iter().map(|id| (*id, BackupPart::default())).collect(),
            deleting: false,
        };
        Ok(self.add_backup(backup))
    }

    /// Makes a backup of what the archive holds of a table that is being deleted, as of a moment at
    /// which nothing is written any more.
    pub(super) fn back_up_deleted(&mut self, name: &str, at_ms: u64) {
        let Some(table) = self.tables.get(name).filter(|table| table.own.recovery.is_some()) else {
            return;
        };
        let begun = BackupPart { based_ms: Some(0), covered_ms: 0 };
        let backup = BackupRecord {
            id: BackupId(self.last_backup + 1),
            name: format!("{name}$DeletedTableBackup"),
            kind: BackupKind::System,
            created_ms: at_ms,
            at_ms,
            expires_ms: Some(at_ms.saturating_add(SYSTEM_BACKUP_KEPT_MS)),
            table: table.id,
            table_name: table.name.clone(),
            table_created_ms: table.created_ms,
            definition: table.definition.clone(),
            items: 0,
            bytes: 0,
            parts: table.partitions.iter().map(|id| (*id, begun)).collect(),
            deleting: false,
        };
        self.add_backup(backup);
    }

    /// Lets go of the backup of a table that is being deleted: recovery was turned off meanwhile.
    pub(super) fn drop_deleted_backup(&mut self, table: TableId) {
        self.backups.retain(|_, one| {
            one.table != table || one.kind != BackupKind::System || one.is_available()
        });
    }

    fn add_backup(&mut self, backup: BackupRecord) -> Done {
        let id = backup.id;
        self.last_backup = id.0;
        self.backups.insert(id, backup);
        Done::Backup(id)
    }

    fn backup_mut(&mut self, id: BackupId) -> Result<&mut BackupRecord, Refusal> {
        self.backups.get_mut(&id).ok_or(Refusal::BackupNotFound)
    }

    fn backup_based(
        &mut self,
        id: BackupId,
        partition: PartitionId,
        based_ms: u64,
    ) -> CommandResult {
        let backup = self.backup_mut(id)?;
        if let Some(part) = backup.parts.get_mut(&partition) {
            part.based_ms = Some(based_ms);
            backup.at_ms = backup.at_ms.max(based_ms);
        }
        Ok(Done::Backup(id))
    }

    fn backup_covered(
        &mut self,
        id: BackupId,
        partition: PartitionId,
        covered_ms: u64,
    ) -> CommandResult {
        let backup = self.backup_mut(id)?;
        if let Some(part) = backup.parts.get_mut(&partition) {
            part.covered_ms = part.covered_ms.max(covered_ms);
        }
        let at_ms = backup.moment_ms();
        if at_ms.is_some_and(|at| backup.parts.values().all(|part| part.covered_ms >= at)) {
            backup.parts.clear();
        }
        Ok(Done::Backup(id))
    }

    fn delete_backup(&mut self, id: BackupId) -> CommandResult {
        let restored = self.restores_from(id);
        let backup = self.backup_mut(id)?;
        if !backup.is_available() || restored {
            return Err(Refusal::BackupInUse);
        }
        backup.deleting = true;
        Ok(Done::Backup(id))
    }

    fn backup_gone(&mut self, id: BackupId) -> CommandResult {
        let backup = self.backup_mut(id)?;
        if !backup.deleting {
            return Err(Refusal::BackupInUse);
        }
        self.backups.remove(&id);
        Ok(Done::Changed)
    }

    /// True while a table is being restored from a backup.
    fn restores_from(&self, id: BackupId) -> bool {
        // The archive of a deleted table is restored from by the table's id as well.
        let of_table = self.backups.get(&id).filter(|one| one.kind == BackupKind::System);
        let of_table = of_table.map(|backup| backup.table);
        let pending = |restore: &&super::Restore| !restore.pending.is_empty();
        let mut restores = self.tables.values().filter_map(|table| table.restore.as_ref());
        restores.any(|restore| {
            let source = &restore.source;
            let from_it = match source.backup {
                Some(backup) => backup == id,
                None => Some(source.table) == of_table,
            };
            source.owner.is_none() && from_it && pending(&restore)
        })
    }

    /// Whether a table can be restored from a backup now.
    pub(super) fn check_restorable(&self, id: BackupId) -> Result<(), Refusal> {
        let backup = self.backups.get(&id).filter(|backup| !backup.deleting);
        let backup = backup.ok_or(Refusal::BackupNotFound)?;
        if !backup.is_available() || self.restores_from(id) {
            return Err(Refusal::BackupInUse);
        }
        Ok(())
    }
}

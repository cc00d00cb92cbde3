//! What an object store holds of which tables and backups, read from the store alone: also of clusters
//! that are gone.
//!
//! Tested by `cluster_tests/catalogue.rs`.

use super::objects::{ObjectError, Objects, folders};
use super::reading::archived_times;
use crate::node::Node;
use meridian_api::backend::BackendError;
use meridian_api::backups::{ArchivedTable, Restorable};
use meridian_archive::{Prefix, Subject, TableMeta};
use meridian_base::{BackupId, TableId};
use meridian_control::region::{ArchiveOwner, OwnSettings};
use meridian_control::stored::Stored;
use meridian_control::table::TableDefinition;

/// A table, or a backup, that an archive holds.
pub struct Archived {
    /// Whose archive it is in.
    pub owner: ArchiveOwner,
    /// Which one.
    pub subject: Subject,
    /// What it was last, and which of its times can be brought back; or why that cannot be told.
    pub content: Result<Content, String>,
}

/// What the archive tells of a table or backup.
pub struct Content {
    /// What it was last.
    pub meta: TableMeta,
    /// Which of its times can be brought back; none as long as a partition has none.
    pub times: Option<Restorable>,
}

impl Archived {
    /// The number of the table or backup.
    pub fn number(&self) -> u64 {
        match self.subject {
            Subject::Table(id) => id.0,
            Subject::Backup(id) => id.0,
        }
    }

    /// True for a backup, false for a table.
    pub fn is_backup(&self) -> bool {
        matches!(self.subject, Subject::Backup(_))
    }
}

/// What the objects hold; none before they say of what they are.
pub async fn content(objects: &Objects) -> Result<Option<Content>, ObjectError> {
    let Some(meta) = objects.meta(u64::MAX).await? else { return Ok(None) };
    let partitions = meta.partitions.iter().map(|part| part.partition);
    let mut times = archived_times(objects, partitions).await?;
    // Of what was archived before recovery was off for a while, a part is missing.
    let recovery = OwnSettings::decode(&meta.own).ok().and_then(|own| own.recovery);
    let is_history = matches!(objects.subject(), Subject::Table(_));
    if let (Some(times), Some(recovery)) = (&mut times, recovery.filter(|_| is_history)) {
        times.earliest_ms = times.earliest_ms.max(recovery.since_ms);
    }
    let times = times.filter(|times| times.earliest_ms <= times.latest_ms);
    Ok(Some(Content { meta, times }))
}

impl Node {
    /// Whose archives the store holds. Without an archive there are none.
    pub(crate) async fn archive_owners(&self) -> Result<Vec<ArchiveOwner>, ObjectError> {
        let Some(options) = &self.archive.options else { return Ok(Vec::new()) };
        let mut owners = Vec::new();
        for cluster in folders(&options.store, "").await? {
            for region in folders(&options.store, &cluster).await? {
                owners.push(ArchiveOwner { cluster: cluster.clone(), region });
            }
        }
        Ok(owners)
    }

    /// Everything that somebody's archive holds: tables, then backups, by number.
    pub(crate) async fn archived(
        &self,
        owner: &ArchiveOwner,
    ) -> Result<Vec<Archived>, ObjectError> {
        let mut found = Vec::new();
        for subject in self.archived_subjects(owner).await? {
            let Some(objects) = self.objects_in(owner.clone(), subject) else { break };
            let content = match content(&objects).await {
                Ok(Some(content)) => Ok(content),
                // Being made, or the rest of one whose removal was cut off.
                Ok(None) => continue,
                Err(ObjectError::Archive(why)) => Err(why.to_string()),
                Err(why @ (ObjectError::Store(_) | ObjectError::Silent)) => return Err(why),
            };
            found.push(Archived { owner: owner.clone(), subject, content });
        }
        Ok(found)
    }

    /// Which tables and backups somebody's archive holds anything of.
    pub(crate) async fn archived_subjects(
        &self,
        owner: &ArchiveOwner,
    ) -> Result<Vec<Subject>, ObjectError> {
        let Some(options) = &self.archive.options else { return Ok(Vec::new()) };
        let mut subjects = Vec::new();
        for kind in ["tables", "backups"] {
            let at = format!("{}/{}/{kind}", owner.cluster, owner.region);
            for number in folders(&options.store, &at).await? {
                subjects.extend(Prefix::parse(&format!("{at}/{number}")).map(|one| one.subject));
            }
        }
        subjects.sort_unstable();
        Ok(subjects)
    }
}

impl Node {
    /// The newest table of that name in the archive of another region of this cluster.
    pub(crate) async fn archived_in(
        &self,
        region: &str,
        table: &str,
    ) -> Result<Option<ArchivedTable>, BackendError> {
        let Some(own) = self.own_archive() else { return Ok(None) };
        let owner = ArchiveOwner { region: region.to_owned(), ..own };
        let found = self.archived(&owner).await.map_err(|why| {
            tracing::warn!(region, %why, "the archive of another region cannot be read");
            BackendError::Internal
        })?;
        let named = found.into_iter().filter_map(|one| {
            let content = one.content.ok().filter(|content| content.meta.name == table)?;
            let definition = TableDefinition::decode(&content.meta.definition).ok()?;
            let Subject::Table(id) = one.subject else { return None };
            Some(ArchivedTable { owner: one.owner, id, definition, times: content.times })
        });
        // Ids do not tell which of several was there last: regions give them out by themselves.
        Ok(named.max_by_key(|one| (one.times.map(|times| times.latest_ms), one.id)))
    }
}

/// The table or backup of that number.
pub fn subject(is_backup: bool, number: u64) -> Subject {
    if is_backup { Subject::Backup(BackupId(number)) } else { Subject::Table(TableId(number)) }
}

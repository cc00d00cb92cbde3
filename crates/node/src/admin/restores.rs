//! What an archive holds, tables that are filled from it, and tables that change names.

use super::unavailable;
use crate::archive::catalogue::{Archived, content, subject};
use crate::archive::objects::{ObjectError, Objects};
use crate::backend::TableOrigin;
use crate::node::Node;
use meridian_api::admin::{AdminError, ArchivedSource, RestoreKind};
use meridian_api::backend::{Backend, ChangeError};
use meridian_api::backups::Restorable;
use meridian_api::restores::restored_as_usual;
use meridian_archive::Subject;
use meridian_base::{BackupId, TableId};
use meridian_control::region::{
    AllSettings, ArchiveOwner, Command, LaterSettings, OwnSettings, Refusal, RestoreSource,
};
use meridian_control::stored::Stored;
use meridian_control::table::{TableDefinition, TableStatus};
use meridian_control::time::iso_label;
use meridian_wire::arn::table_arn;
use serde_json::{Value, json};
use std::sync::Arc;

/// A table or backup that was asked for and found.
pub(super) struct Found {
    pub(super) owner: ArchiveOwner,
    pub(super) subject: Subject,
    pub(super) objects: Arc<Objects>,
}

/// What an object that cannot be had is to an operator.
pub(super) fn from_object(error: ObjectError) -> AdminError {
    match error {
        ObjectError::Archive(why) => AdminError::Refused(why.to_string()),
        why @ (ObjectError::Store(_) | ObjectError::Silent) => unavailable(why),
    }
}

fn no_archive() -> AdminError {
    AdminError::Refused(
        "this node keeps no archive: its configuration has neither archive_dir nor archive_url"
            .to_owned(),
    )
}

fn nothing_yet() -> AdminError {
    AdminError::Refused("the archive can bring back no time of it yet".to_owned())
}

/// As the service's table names: 3 to 255 letters, digits, `_`, `-` and `.`.
fn check_name(name: &str) -> Result<(), AdminError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if (3..=255).contains(&name.len()) && name.chars().all(plain) {
        return Ok(());
    }
    Err(AdminError::Invalid(format!(
        "`to`: {name} is no name of a table: 3 to 255 letters, digits, `_`, `-` and `.`"
    )))
}

impl Node {
    fn owner_of(
        &self,
        cluster: Option<String>,
        region: Option<String>,
    ) -> Result<ArchiveOwner, AdminError> {
        let own = self.own_archive().ok_or_else(|| unavailable("no cluster is founded yet"))?;
        Ok(ArchiveOwner {
            cluster: cluster.unwrap_or(own.cluster),
            region: region.unwrap_or(own.region),
        })
    }

    /// Everything that the store holds, as operators see it.
    pub(crate) async fn archived_json(&self) -> Result<Value, AdminError> {
        if !self.archive.is_kept() {
            return Err(no_archive());
        }
        let mut all = Vec::new();
        for owner in self.archive_owners().await.map_err(from_object)? {
            all.extend(self.archived(&owner).await.map_err(from_object)?.iter().map(shown));
        }
        let own = self.own_archive();
        Ok(json!({
            "cluster": own.as_ref().map(|own| own.cluster.clone()),
            "region": own.map(|own| own.region),
            "archived": all,
        }))
    }

    /// Wraps the data keys of somebody's archive with the newest master key.
    pub(crate) async fn rewrap(
        &self,
        cluster: Option<String>,
        region: Option<String>,
    ) -> Result<Value, AdminError> {
        if !self.archive.is_kept() {
            return Err(no_archive());
        }
        let owner = self.owner_of(cluster, region)?;
        let (mut keys, mut again, mut failed) = (0, 0, Vec::new());
        for subject in self.archived_subjects(&owner).await.map_err(from_object)? {
            let objects = self.objects_in(owner.clone(), subject).ok_or_else(no_archive)?;
            match objects.rewrap().await {
                Ok((all, wrapped)) => (keys, again) = (keys + all, again + wrapped),
                Err(ObjectError::Archive(why)) => {
                    failed.push(json!({"objects": objects.prefix(), "why": why.to_string()}));
                }
                Err(why @ (ObjectError::Store(_) | ObjectError::Silent)) => {
                    return Err(unavailable(why));
                }
            }
        }
        Ok(json!({"data_keys": keys, "wrapped_again": again, "failed": failed}))
    }

    /// Finds what a restore is to be from. A live table is found by its name without a look at the
    /// others.
    pub(super) async fn archived_source(&self, from: &ArchivedSource) -> Result<Found, AdminError> {
        if !self.archive.is_kept() {
            return Err(no_archive());
        }
        let owner = self.owner_of(from.cluster.clone(), from.region.clone())?;
        let found = |subject| {
            let objects = self.objects_in(owner.clone(), subject).ok_or_else(no_archive)?;
            Ok(Found { owner: owner.clone(), subject, objects })
        };
        if Some(&owner) == self.own_archive().as_ref()
            && !from.is_backup
            && let Some(table) = self.control.region_state().tables().get(&from.source)
        {
            return found(Subject::Table(table.id));
        }
        let number = from.source.parse().ok();
        let fits = |one: &Archived| {
            let named = one.content.as_ref().is_ok_and(|known| known.meta.name == from.source);
            one.is_backup() == from.is_backup && (named || Some(one.number()) == number)
        };
        let mut fitting = self.archived(&owner).await.map_err(from_object)?;
        fitting.retain(fits);
        let (kind, ArchiveOwner { cluster, region }) =
            (if from.is_backup { "backup" } else { "table" }, &owner);
        match fitting.as_slice() {
            [] => Err(AdminError::NotFound(format!(
                "the archive of region {region} of cluster {cluster} has no {kind} {}",
                from.source
            ))),
            [one] => found(subject(from.is_backup, one.number())),
            several => {
                let numbers: Vec<String> = several.iter().map(|o| o.number().to_string()).collect();
                Err(AdminError::Invalid(format!(
                    "`source`: there are several of the name {}; give the number of one: {}",
                    from.source,
                    numbers.join(", ")
                )))
            }
        }
    }

    /// Which times of what was found can be brought back.
    async fn times_of(&self, found: &Found) -> Result<Restorable, AdminError> {
        let content = content(&found.objects).await.map_err(from_object)?;
        let mut times = content.and_then(|content| content.times).ok_or_else(nothing_yet)?;
        let state = self.control.region_state();
        let own = self.own_archive().is_some_and(|own| own == found.owner);
        match found.subject {
            // It holds one moment. Where nobody knows it any more, that is the last that all of its
            // partitions have, a second after it at most.
            Subject::Backup(id) => {
                let known = state.all_backups().get(&id).filter(|_| own);
                times.latest_ms = known.map_or(times.latest_ms, |backup| backup.at_ms);
                times.earliest_ms = times.latest_ms;
            }
            Subject::Table(_) => {}
        }
        Ok(times)
    }

    /// Makes a table and begins to fill it.
    pub(crate) async fn begin_restore(
        &self,
        from: &ArchivedSource,
        to: &str,
        at_ms: Option<u64>,
        kind: RestoreKind,
    ) -> Result<Value, AdminError> {
        check_name(to)?;
        if let Some(table) = Backend::table(self, to) {
            return Err(AdminError::Refused(format!(
                "`to`: table {to} exists, {:?}",
                table.status
            )));
        }
        let found = self.archived_source(from).await?;
        let times = self.times_of(&found).await?;
        let at_ms = at_ms.unwrap_or(times.latest_ms);
        if !(times.earliest_ms..=times.latest_ms).contains(&at_ms) {
            return Err(AdminError::Invalid(format!(
                "`at`: {}Z is not archived; what can be restored is {}Z to {}Z",
                iso_label(at_ms),
                iso_label(times.earliest_ms),
                iso_label(times.latest_ms)
            )));
        }
        let meta = found.objects.meta(at_ms).await.map_err(from_object)?;
        let meta = meta.ok_or_else(nothing_yet)?;
        let definition = TableDefinition::decode(&meta.definition).map_err(unavailable)?;
        let (definition, own, later) = if kind == RestoreKind::AllSettings {
            let own = match meta.own.as_slice() {
                [] => OwnSettings::default(),
                own => OwnSettings::decode(own).map_err(unavailable)?,
            };
            let AllSettings { definition, own, later } = AllSettings::of(&definition, &own);
            (definition, own, later)
        } else {
            let restored = restored_as_usual(&definition);
            let restored =
                restored.map_err(|why| AdminError::Refused(why.message().unwrap_or_default()))?;
            (restored, Vec::new(), LaterSettings::default())
        };
        let (table, backup) = match found.subject {
            Subject::Table(id) => (id, None),
            Subject::Backup(id) => (own_backup(self, id).unwrap_or_default(), Some(id)),
        };
        let source = RestoreSource {
            table_arn: table_arn(&found.owner.region, &meta.name),
            owner: Some(found.owner).filter(|owner| Some(owner) != self.own_archive().as_ref()),
            table,
            table_name: meta.name,
            backup_arn: None,
            backup,
            at_ms,
            later,
            is_scratch: kind == RestoreKind::Scratch,
        };
        let made = self.make_table(to, definition, TableOrigin::Restore(source, own)).await;
        made.map_err(not_made)?.map_err(|refusal| AdminError::Refused(refusal.to_string()))?;
        let partitions: Vec<u64> = meta.partitions.iter().map(|part| part.partition.0).collect();
        Ok(json!({
            "table": to,
            "at": format!("{}Z", iso_label(at_ms)),
            "at_ms": at_ms,
            "partitions": partitions,
        }))
    }

    /// How far a table is restored.
    pub(crate) fn restoring_json(&self, table: &str) -> Result<Value, AdminError> {
        let record = self.restored_table(table)?;
        let restored = record.restore.as_ref().and_then(|restore| restore.restored());
        let pending = record.restore.as_ref().map_or(0, |restore| restore.pending.len());
        Ok(json!({
            "table": table,
            "status": format!("{:?}", record.status),
            "partitions": record.partitions.len(),
            "partitions_pending": pending,
            "items": restored.map(|restored| restored.items),
            "bytes": restored.map(|restored| restored.bytes),
            "bytes_total": restored.map(|restored| restored.bytes_total),
        }))
    }

    fn restored_table(
        &self,
        name: &str,
    ) -> Result<Arc<meridian_control::region::TableRecord>, AdminError> {
        let table = Backend::table(self, name);
        let table =
            table.ok_or_else(|| AdminError::NotFound(format!("there is no table {name}")))?;
        if table.restore.is_none() {
            return Err(AdminError::Refused(format!("table {name} was not restored")));
        }
        Ok(table)
    }

    /// Deletes a table that is being restored, which clients cannot, or one that was for a comparison only.
    pub(crate) async fn table_drop(&self, name: &str) -> Result<Value, AdminError> {
        let table = self.restored_table(name)?;
        let is_scratch = table.restore.as_ref().is_some_and(|restore| restore.source.is_scratch);
        let command = match table.status {
            TableStatus::Creating => Command::DropRestoring { table: table.id },
            _ if is_scratch => {
                let name = name.to_owned();
                Command::DeleteTable { name, force: false, backup_ms: None }
            }
            TableStatus::Active | TableStatus::Updating | TableStatus::Deleting => {
                let why = format!("table {name} is restored: delete it with DeleteTable");
                return Err(AdminError::Refused(why));
            }
        };
        super::refused(self.control.region(&command).await)?;
        tracing::info!(table = name, "a table that was being restored is deleted");
        Ok(json!({"table": name, "status": format!("{:?}", TableStatus::Deleting)}))
    }

    /// Two tables change their names.
    pub(crate) async fn table_swap(&self, first: &str, second: &str) -> Result<Value, AdminError> {
        let global = self.control.global_state();
        if global.tables().contains_key(first) || global.tables().contains_key(second) {
            return Err(replicated());
        }
        let (one, other) = (first.to_owned(), second.to_owned());
        let done = self.control.region(&Command::SwapTables { first: one, second: other }).await;
        let why = |refusal: Refusal| match refusal {
            Refusal::TableNotFound => {
                AdminError::NotFound(format!("there is no table {first}, or no table {second}"))
            }
            Refusal::Replicated => replicated(),
            refusal => AdminError::Refused(refusal.to_string()),
        };
        done.map_err(unavailable)?.map_err(why)?;
        let state = self.control.region_state();
        let id = |name: &str| state.tables().get(name).map(|table| table.id.0);
        Ok(json!({"tables": [
            {"table": first, "id": id(first)},
            {"table": second, "id": id(second)},
        ]}))
    }
}

fn replicated() -> AdminError {
    AdminError::Refused(
        "a table with replicas in other regions keeps its name: take its replicas away first, and \
         add them again afterwards"
            .to_owned(),
    )
}

fn not_made(error: ChangeError) -> AdminError {
    match error {
        ChangeError::Region(refusal) => AdminError::Refused(refusal.to_string()),
        ChangeError::Global(refusal) => AdminError::Refused(refusal.to_string()),
        ChangeError::Backend(error) => unavailable(error),
    }
}

fn shown(one: &Archived) -> Value {
    let time = |ms: u64| format!("{}Z", iso_label(ms));
    let (content, error) = match &one.content {
        Ok(content) => (Some(content), None),
        Err(why) => (None, Some(why)),
    };
    let times = content.and_then(|content| content.times);
    json!({
        "cluster": one.owner.cluster,
        "region": one.owner.region,
        "kind": if one.is_backup() { "backup" } else { "table" },
        "number": one.number(),
        "name": content.map(|content| content.meta.name.clone()),
        "partitions": content.map(|content| content.meta.partitions.len()),
        "earliest": times.map(|times| time(times.earliest_ms)),
        "latest": times.map(|times| time(times.latest_ms)),
        "latest_ms": times.map(|times| times.latest_ms),
        "error": error,
    })
}

/// The backup of that number, of this region.
pub(super) fn own_backup(node: &Node, id: BackupId) -> Option<TableId> {
    node.control.region_state().all_backups().get(&id).map(|backup| backup.table)
}

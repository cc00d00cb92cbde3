//! Removes the objects of backups that are deleted, and backups whose time is over, on the leader of
//! the region group.
//!
//! # Invariants
//!
//! - A backup is forgotten only when its objects are gone.
//! - The history of a table goes only with a backup of that table deleted, and never while a table of
//!   that id lives.
//!
//! Tested by `cluster_tests/backups.rs`.

use super::objects::ObjectError;
use crate::node::Node;
use meridian_archive::Subject;
use meridian_base::GroupId;
use meridian_control::region::{BackupCommand, BackupKind, BackupRecord, Command};
use meridian_raft::rt;
use std::sync::Arc;
use std::time::Duration;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(2);

/// Runs until the node stops.
pub async fn run(node: Arc<Node>) {
    let mut stopping = node.stopping();
    while node.archive.is_kept() {
        let leads = node.hosting.group(GroupId::Region).is_some_and(|g| g.leading().is_some());
        if leads {
            look(&node).await;
        }
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = rt::sleep(EVERY) => {}
        }
    }
}

async fn look(node: &Node) {
    let state = node.control.region_state();
    let now_ms = node.options.clock.now_ms();
    for backup in state.all_backups().values() {
        let command = if backup.deleting {
            if let Err(why) = remove(node, backup).await {
                tracing::warn!(backup = backup.id.0, %why, "a backup's objects are not removed yet");
                continue;
            }
            Command::Backup(BackupCommand::Gone { backup: backup.id })
        } else if backup.expires_ms.is_some_and(|expires_ms| expires_ms < now_ms) {
            Command::Backup(BackupCommand::Delete { backup: backup.id })
        } else {
            continue;
        };
        // Refused or not answered: the next look finds it again.
        let _ = node.control.region(&command).await;
    }
}

async fn remove(node: &Node, backup: &BackupRecord) -> Result<(), ObjectError> {
    let subject = backup_subject(backup);
    let lives = match subject {
        Subject::Table(table) => node.control.region_state().table_by_id(table).is_some(),
        Subject::Backup(_) => false,
    };
    match node.objects_of(subject).filter(|_| !lives) {
        Some(objects) => objects.delete_all().await,
        None => Ok(()),
    }
}

/// Whose objects hold a backup.
pub fn backup_subject(backup: &BackupRecord) -> Subject {
    match backup.kind {
        BackupKind::User => Subject::Backup(backup.id),
        BackupKind::System => Subject::Table(backup.table),
    }
}

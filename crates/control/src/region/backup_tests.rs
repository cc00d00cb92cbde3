//! Tests of backups as the region group keeps them.

use super::tests::{Region, create, delete, placed, restore_source};
use super::*;

const FIRST: PartitionId = PartitionId(GroupId::FIRST_PARTITION);
const SECOND: PartitionId = PartitionId(GroupId::FIRST_PARTITION + 1);

/// A region with an active table `t` of two partitions, and a backup of it that has begun.
fn with_backup() -> (Region, TableId, BackupId) {
    let (mut region, table) = with_table();
    let backup = ask(&mut region, 10);
    (region, table, backup)
}

fn with_table() -> (Region, TableId) {
    let mut region = Region::with_nodes(3);
    let Done::Table(table) = region.done(create("t", placed(2, &[1, 2, 3]))) else {
        panic!("no table was made")
    };
    region.done(Command::TableActive { table });
    (region, table)
}

fn ask(region: &mut Region, at_ms: u64) -> BackupId {
    let (table, backup) = ("t".to_owned(), "b".to_owned());
    match region.done(Command::Backup(BackupCommand::Create {
        table,
        backup,
        items: 1,
        bytes: 2,
        at_ms,
    })) {
        Done::Backup(id) => id,
        other => panic!("no backup: {other:?}"),
    }
}

fn based(region: &mut Region, backup: BackupId, partition: PartitionId, based_ms: u64) {
    region.done(Command::Backup(BackupCommand::Based { backup, partition, based_ms }));
}

/// Tells that a partition is covered; true when the backup is available then.
fn covered(region: &mut Region, backup: BackupId, partition: PartitionId, covered_ms: u64) -> bool {
    region.done(Command::Backup(BackupCommand::Covered { backup, partition, covered_ms }));
    region.state.all_backups()[&backup].is_available()
}

#[test]
fn a_backup_is_available_when_all_of_it_is_there_as_of_one_moment() {
    let (mut region, _, backup) = with_backup();
    let moment = |region: &Region| region.state.all_backups()[&backup].moment_ms();
    based(&mut region, backup, FIRST, 12);
    assert_eq!(moment(&region), None);
    assert!(!covered(&mut region, backup, FIRST, 99));
    based(&mut region, backup, SECOND, 9);
    assert_eq!(moment(&region), Some(12));
    assert!(!covered(&mut region, backup, SECOND, 11));
    // Another leader has taken the items again, later.
    based(&mut region, backup, SECOND, 120);
    assert_eq!(moment(&region), Some(120));
    assert!(!covered(&mut region, backup, SECOND, 120));
    assert!(covered(&mut region, backup, FIRST, 121));
    // What is available stays as it is.
    based(&mut region, backup, SECOND, 500);
    assert_eq!(region.state.all_backups()[&backup].at_ms, 120);
}

#[test]
fn a_table_waits_for_its_backups_and_they_outlive_it() {
    let (mut region, table, backup) = with_backup();
    region.done(delete("t"));
    let deleting = Refusal::InUse { status: TableStatus::Deleting };
    assert_eq!(region.refused(Command::TableGone { table }), deleting);
    for partition in [FIRST, SECOND] {
        based(&mut region, backup, partition, 20);
    }
    for partition in [FIRST, SECOND] {
        covered(&mut region, backup, partition, 20);
    }
    region.done(Command::TableGone { table });
    let left: Vec<&BackupRecord> = region.state.backups().collect();
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].table, left[0].at_ms, left[0].table_name.as_str()), (table, 20, "t"));
    let other = Command::Backup(BackupCommand::Create {
        table: "t".to_owned(),
        backup: "b".to_owned(),
        items: 0,
        bytes: 0,
        at_ms: 30,
    });
    assert_eq!(region.refused(other), Refusal::TableNotFound);
}

#[test]
fn a_deleted_table_with_recovery_leaves_a_backup_unless_that_is_turned_off() {
    for keeps in [true, false] {
        let (mut region, table) = with_table();
        let recovery = |region: &mut Region, days| {
            let change = OwnChange::Recovery(days);
            region.done(Command::ChangeOwn { name: "t".to_owned(), change, at_ms: 5 });
        };
        recovery(&mut region, Some(35));
        let (name, force, backup_ms) = ("t".to_owned(), false, Some(100));
        region.done(Command::DeleteTable { name, force, backup_ms });
        region.refused(Command::TableGone { table });
        if keeps {
            let backup = BackupId(1);
            assert!(!covered(&mut region, backup, FIRST, 100));
            assert!(!covered(&mut region, backup, SECOND, 99));
            assert!(covered(&mut region, backup, SECOND, 101));
        } else {
            recovery(&mut region, None);
        }
        region.done(Command::TableGone { table });
        let left: Vec<_> = region.state.backups().map(|one| (one.kind, one.expires_ms)).collect();
        let expected = (BackupKind::System, Some(100 + SYSTEM_BACKUP_KEPT_MS));
        assert_eq!(left, if keeps { vec![expected] } else { Vec::new() });
    }
}

#[test]
fn a_backup_in_use_is_neither_deleted_nor_restored_twice() {
    let (mut region, _, backup) = with_backup();
    let drop = || Command::Backup(BackupCommand::Delete { backup });
    let restore = |name: &str| {
        let mut command = create(name, placed(1, &[1, 2, 3]));
        if let Command::CreateTable { restore, .. } = &mut command {
            *restore = Some(Box::new(RestoreSource { backup: Some(backup), ..restore_source() }));
        }
        command
    };
    assert_eq!(region.refused(drop()), Refusal::BackupInUse);
    assert_eq!(region.refused(restore("one")), Refusal::BackupInUse);
    for partition in [FIRST, SECOND] {
        based(&mut region, backup, partition, 20);
    }
    for partition in [FIRST, SECOND] {
        covered(&mut region, backup, partition, 20);
    }
    let Done::Table(table) = region.done(restore("one")) else { panic!("no table") };
    assert_eq!(region.refused(restore("two")), Refusal::BackupInUse);
    assert_eq!(region.refused(drop()), Refusal::BackupInUse);
    let partition = PartitionId(SECOND.0 + 1);
    region.done(Command::PartitionRestored { table, partition, at_ms: 30 });
    region.done(drop());
    assert_eq!(region.state.backups().count(), 0);
    assert_eq!(region.refused(restore("two")), Refusal::BackupNotFound);
    region.done(Command::Backup(BackupCommand::Gone { backup }));
    assert_eq!(region.refused(drop()), Refusal::BackupNotFound);
}

#[test]
fn backups_of_one_millisecond_have_labels_of_their_own() {
    let (mut region, _, _) = with_backup();
    for _ in 0..100 {
        ask(&mut region, 10);
    }
    let labels: std::collections::BTreeSet<String> =
        region.state.backups().map(BackupRecord::label).collect();
    assert_eq!(labels.len(), 101);
    assert!(labels.iter().all(|label| label.starts_with("00000000000010-") && label.len() == 23));
}

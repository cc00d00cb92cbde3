//! Tests of point-in-time recovery and of tables that are restored.

use super::tests::{Region, create, delete, placed, restore_source};
use super::*;

/// A table `t` of that many partitions that is being restored.
fn restoring(region: &mut Region, parts: u32) -> TableId {
    let mut command = create("t", placed(parts, &[1, 2, 3]));
    if let Command::CreateTable { restore, .. } = &mut command {
        *restore = Some(Box::new(restore_source()));
    }
    let Done::Table(table) = region.done(command) else { panic!("no table was made") };
    table
}

#[test]
fn a_restored_table_knows_which_partitions_are_still_to_be_filled() {
    let mut region = Region::with_nodes(3);
    let table = restoring(&mut region, 2);
    let first = PartitionId(GroupId::FIRST_PARTITION);
    let second = PartitionId(first.0 + 1);
    let mut fill = |partition, at_ms| {
        region.done(Command::PartitionRestored { table, partition, at_ms });
        let record = &region.state.tables()["t"];
        let restore = record.restore.clone().unwrap();
        assert_eq!(record.is_being_restored(), restore.done_ms.is_none());
        (restore.pending, restore.done_ms)
    };
    for _ in 0..2 {
        assert_eq!(fill(first, 5), (vec![second], None));
    }
    assert_eq!(fill(second, 6), (Vec::new(), Some(6)));
    assert_eq!(fill(second, 7), (Vec::new(), Some(6)));
    let creating = Refusal::InUse { status: TableStatus::Creating };
    assert_eq!(region.refused(delete("t")), creating);
    let (name, force) = ("t".to_owned(), true);
    region.done(Command::DeleteTable { name, force, backup_ms: None });
    region.done(Command::TableGone { table });
    let late = Command::PartitionRestored { table, partition: second, at_ms: 8 };
    assert_eq!(region.refused(late), Refusal::TableNotFound);
}

#[test]
fn recovery_knows_since_when_it_is_on() {
    let mut region = Region::with_nodes(3);
    region.active_table("t");
    let mut recovery = |days, at_ms| {
        let change = OwnChange::Recovery(days);
        region.done(Command::ChangeOwn { name: "t".to_owned(), change, at_ms });
        region.state.tables()["t"].own.recovery
    };
    assert_eq!(recovery(Some(35), 5), Some(Recovery { days: 35, since_ms: 5 }));
    assert_eq!(recovery(Some(1), 6), Some(Recovery { days: 1, since_ms: 5 }));
    assert_eq!(recovery(None, 7), None);
    assert_eq!(recovery(Some(2), 8), Some(Recovery { days: 2, since_ms: 8 }));
}

#[test]
fn what_would_act_on_the_filling_begins_after_it() {
    let mut region = Region::with_nodes(3);
    let mut command = create("t", placed(2, &[1, 2, 3]));
    let (stream, ttl) = (Some(StreamView::NewImage), Some("expires".to_owned()));
    let later = LaterSettings { stream, ttl: ttl.clone(), recovery_days: Some(9) };
    if let Command::CreateTable { restore, definition, .. } = &mut command {
        (definition.stream, definition.ttl) = (None, None);
        *restore = Some(Box::new(RestoreSource { later, ..restore_source() }));
    }
    let Done::Table(table) = region.done(command) else { panic!("no table was made") };
    let partitions = region.state.tables()["t"].partitions.clone();
    for (at_ms, partition) in (5..).zip(&partitions) {
        let record = &region.state.tables()["t"];
        assert_eq!((record.definition.stream, record.definition.ttl.clone()), (None, None));
        assert!(record.own.recovery.is_none() && record.streams.is_empty());
        region.done(Command::PartitionRestored { table, partition: *partition, at_ms });
    }
    let record = &region.state.tables()["t"];
    assert_eq!((record.definition.stream, record.definition.ttl.clone()), (stream, ttl));
    assert_eq!(record.own.recovery, Some(Recovery { days: 9, since_ms: 6 }));
    assert_eq!((record.stream_ms, record.ttl_ms), (Some(6), Some(6)));
    assert_eq!(record.streamless, partitions);
}

#[test]
fn only_what_is_still_being_restored_is_dropped() {
    let mut region = Region::with_nodes(3);
    let active = region.active_table("active");
    let table = restoring(&mut region, 1);
    let Done::Table(made) = region.done(create("new", placed(1, &[1]))) else { panic!("none") };
    let in_use = |status| Refusal::InUse { status };
    let refused = [(active, TableStatus::Active), (made, TableStatus::Creating)];
    for (table, status) in refused {
        assert_eq!(region.refused(Command::DropRestoring { table }), in_use(status));
    }
    region.done(Command::DropRestoring { table });
    assert_eq!(region.state.tables()["t"].status, TableStatus::Deleting);
    let again = region.refused(Command::DropRestoring { table });
    assert_eq!(again, in_use(TableStatus::Deleting));
}

#[test]
fn progress_is_shown_once_all_have_begun_and_until_all_are_filled() {
    let mut region = Region::with_nodes(3);
    let table = restoring(&mut region, 2);
    let first = PartitionId(GroupId::FIRST_PARTITION);
    let second = PartitionId(first.0 + 1);
    let mut tell = |partition, bytes| {
        let restored = Restored { items: 1, bytes, bytes_total: 100 };
        region.done(Command::RestoreProgress { table, partition, restored });
        region.state.tables()["t"].restore.clone().unwrap().restored()
    };
    assert_eq!(tell(first, 10), None);
    assert_eq!(tell(second, 5), Some(Restored { items: 2, bytes: 15, bytes_total: 200 }));
    assert_eq!(tell(first, 20), Some(Restored { items: 2, bytes: 25, bytes_total: 200 }));
    region.done(Command::PartitionRestored { table, partition: first, at_ms: 7 });
    let late = Restored { items: 9, bytes: 9, bytes_total: 9 };
    region.done(Command::RestoreProgress { table, partition: first, restored: late });
    let restore = region.state.tables()["t"].restore.clone().unwrap();
    assert_eq!(restore.restored(), Some(Restored { items: 2, bytes: 25, bytes_total: 200 }));
    region.done(Command::PartitionRestored { table, partition: second, at_ms: 8 });
    let restore = region.state.tables()["t"].restore.clone().unwrap();
    assert!(restore.progress.is_empty() && restore.done_ms == Some(8));
}

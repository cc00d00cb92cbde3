//! Backups of a whole region, while it takes writes and its leaders stop.

use super::archive::bytes_of;
use super::region::Region;
use super::testing::{definition, eventually, put};
use crate::node::Node;
use meridian_api::backend::{Backend, Consistency};
use meridian_base::BackupId;
use meridian_control::region::{BackupKind, LaterSettings, OwnChange, RestoreSource};
use meridian_control::table::TableStatus;
use meridian_model::{AttributeValue, Item, Key};
use meridian_partition::{Action, Returns, Write, WriteOutcome};
use meridian_storage::EngineKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const KEYS: u64 = 40;

/// The numbers that a table holds: of each key the last one written, if any.
async fn numbers(node: &Node, table: &str) -> Vec<Option<u64>> {
    let table = node.table(table).unwrap();
    let mut found = Vec::new();
    for n in 0..KEYS {
        let key = Key { partition: AttributeValue::S(format!("k{n}")), sort: None };
        let got = node.get(&table, key, Consistency::Strong).await.unwrap();
        let value = got.item.and_then(|item| match item.get("v") {
            Some(AttributeValue::S(value)) => value.parse().ok(),
            _ => None,
        });
        found.push(value);
    }
    found
}

/// Writes, again where a leader went: the same value under the same key.
async fn insist(node: &Node, key: &str, value: &str) {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    loop {
        let item = Item::from([("pk".to_owned(), text(key)), ("v".to_owned(), text(value))]);
        let (key, action) = (Key { partition: text(key), sort: None }, Action::Put(item));
        let write = Write { key, action, condition: None, returns: Returns::default() };
        let table = node.table("t").unwrap();
        if let Ok(WriteOutcome::Done(_)) = node.write(&table, write).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn is_available(node: &Node, backup: BackupId) -> bool {
    node.backups().iter().any(|one| one.id == backup && one.is_available())
}

async fn restore(node: &Node, name: &str, backup: BackupId) {
    let record = node.backups().into_iter().find(|one| one.id == backup).unwrap();
    let source = RestoreSource {
        owner: None,
        table: record.table,
        table_name: record.table_name,
        table_arn: "arn".to_owned(),
        backup_arn: Some("arn".to_owned()),
        backup: Some(backup),
        at_ms: record.at_ms,
        later: LaterSettings::default(),
        is_scratch: false,
    };
    node.restore_table(name, definition(), source).await.unwrap();
    eventually("the table is restored", async || {
        node.table(name).is_some_and(|table| table.status == TableStatus::Active)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_one_moment_while_writes_go_on_and_leaders_stop() {
    let mut region = Region::start(EngineKind::Fjall).await;
    for n in 0..KEYS {
        put(region.node(1), &format!("k{n}"), "0").await;
    }
    // One writer, so that what it has written at any moment is a number: all up to it.
    let (written, ends) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let writer = {
        let (node, written) = (Arc::clone(region.node(1)), Arc::clone(&written));
        let ends = Arc::clone(&ends);
        tokio::spawn(async move {
            let mut number = 0;
            while !ends.load(Ordering::Relaxed) {
                number += 1;
                insist(&node, &format!("k{}", number % KEYS), &number.to_string()).await;
                written.store(number, Ordering::SeqCst);
            }
        })
    };
    let mut backups = Vec::new();
    for round in 0..3u64 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let before = written.load(Ordering::SeqCst);
        let table = region.node(1).table("t").unwrap();
        let made = region.node(1).create_backup(&table, "b").await.unwrap();
        backups.push((made.id, before));
        if round > 0 {
            let stopped = 1 + round;
            region.stop_node(stopped).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            region.start_node(stopped).await;
            region.is_ready().await;
        }
        let node = region.node(1);
        eventually("the backup is available", async || is_available(node, made.id).await).await;
    }
    ends.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    for (backup, before) in backups {
        let name = format!("restored-{}", backup.0);
        restore(region.node(2), &name, backup).await;
        let found = numbers(region.node(3), &name).await;
        let last = found.iter().flatten().copied().max().unwrap();
        assert!(last >= before, "{last} is older than {before}, which was acknowledged");
        for (key, value) in (0..KEYS).zip(found) {
            // The last number up to `last` that was written to this key.
            let back = (last + KEYS - key) % KEYS;
            assert_eq!(value, Some(last.saturating_sub(back)), "{name} k{key} as of {last}");
        }
    }
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_outlive_their_table_and_their_objects_go_with_them() {
    let region = Region::start(EngineKind::Memory).await;
    let node = region.node(1);
    for n in 0..KEYS {
        put(node, &format!("k{n}"), &n.to_string()).await;
    }
    node.change_own("t", OwnChange::Recovery(Some(1))).await.unwrap();
    let table = node.table("t").unwrap();
    let user = node.create_backup(&table, "b").await.unwrap().id;
    // Deleted at once: both backups are still taken.
    put(node, "k0", "100").await;
    node.delete_table("t").await.unwrap();
    eventually("the table is gone", async || node.table("t").is_none()).await;
    let system = node.backups().into_iter().find(|one| one.kind == BackupKind::System).unwrap().id;
    assert!(is_available(node, user).await && is_available(node, system).await);
    let expected = |first: u64| [first].into_iter().chain(1..KEYS).map(Some).collect::<Vec<_>>();
    restore(node, "of-user", user).await;
    let found = numbers(node, "of-user").await;
    assert!(found == expected(0) || found == expected(100), "{found:?}");
    restore(node, "of-system", system).await;
    assert_eq!(numbers(node, "of-system").await, expected(100));
    let held = async |part: &str| {
        bytes_of(&region).await.iter().filter(|(name, _)| name.contains(part)).count()
    };
    let (of_table, of_backup) = (format!("tables/{}/", table.id), format!("backups/{user}/"));
    assert!(held(&of_backup).await > 0 && held(&of_table).await > 0);
    for (backup, part) in [(user, &of_backup), (system, &of_table)] {
        node.delete_backup(backup).await.unwrap();
        assert!(node.backups().iter().all(|one| one.id != backup));
        eventually("its objects are gone", async || held(part).await == 0).await;
    }
    eventually("it is forgotten", async || node.control.region_state().all_backups().is_empty())
        .await;
    region.stop().await;
}

//! The archive of a whole region, over leaders that stop: what was at any moment comes back.

use super::region::Region;
use super::testing::{definition, eventually, make_table, put};
use crate::archive::{ArchiveOptions, CHECK_EVERY};
use crate::node::Node;
use meridian_api::backend::{Backend, Consistency};
use meridian_base::PartitionId;
use meridian_control::region::{LaterSettings, OwnChange, RestoreSource};
use meridian_control::table::TableStatus;
use meridian_model::{AttributeValue, Key};
use meridian_partition::{Action, Returns, Write};
use meridian_storage::EngineKind;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What a table holds: the value of each key.
pub(super) type Content = BTreeMap<String, String>;

pub(super) async fn delete(node: &Node, key: &str) {
    let table = node.table("t").unwrap();
    let key = Key { partition: AttributeValue::S(key.to_owned()), sort: None };
    let write = Write { key, action: Action::Delete, condition: None, returns: Returns::default() };
    node.write(&table, write).await.unwrap();
}

/// What a table holds of some keys.
pub(super) async fn content(node: &Node, table: &str, keys: &Content) -> Content {
    let table = node.table(table).unwrap();
    let mut content = Content::new();
    for name in keys.keys() {
        let key = Key { partition: AttributeValue::S(name.clone()), sort: None };
        let found = node.get(&table, key, Consistency::Strong).await.unwrap();
        if let Some(AttributeValue::S(value)) = found.item.as_ref().and_then(|item| item.get("v")) {
            content.insert(name.clone(), value.clone());
        }
    }
    content
}

/// The table `t` at a time, as what a restore is from.
pub(super) fn source_at(node: &Node, at_ms: u64) -> RestoreSource {
    let source = node.table("t").unwrap();
    RestoreSource {
        owner: None,
        table: source.id,
        table_name: "t".to_owned(),
        table_arn: "arn".to_owned(),
        backup_arn: None,
        backup: None,
        at_ms,
        later: LaterSettings::default(),
        is_scratch: false,
    }
}

/// Restores the table `t` as it was at a time.
pub(super) async fn restore(node: &Node, name: &str, at_ms: u64) {
    let source = source_at(node, at_ms);
    let made = node.restore_table(name, definition(), source).await.unwrap();
    assert_eq!(made.status, TableStatus::Creating);
    eventually("the table is restored", async || {
        node.table(name).is_some_and(|table| table.status == TableStatus::Active)
    })
    .await;
}

pub(super) async fn latest_ms(node: &Node) -> u64 {
    let table = node.table("t").unwrap();
    let range = Node::restorable(node, &table).await.unwrap();
    range.map_or(0, |range| range.latest_ms)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_moment_comes_back_over_leaders() {
    let mut region = Region::start(EngineKind::Fjall).await;
    let mut now = Content::new();
    let mut moments: Vec<(u64, Content)> = Vec::new();
    for n in 0..20 {
        put(region.node(1), &format!("k{n}"), "before").await;
        now.insert(format!("k{n}"), "before".to_owned());
    }
    region.node(1).change_own("t", OwnChange::Recovery(Some(1))).await.unwrap();
    eventually("the archive has begun", async || latest_ms(region.node(1)).await > 0).await;
    for round in 0..3u64 {
        for n in 0..20 {
            let key = format!("k{}", (n * 7 + round) % 30);
            if (n + round) % 4 == 0 {
                delete(region.node(1), &key).await;
                now.remove(&key);
            } else {
                let value = format!("{round}-{n}");
                put(region.node(1), &key, &value).await;
                now.insert(key, value);
            }
        }
        // A moment in which nothing is written, on whichever clock.
        tokio::time::sleep(Duration::from_millis(400)).await;
        moments.push((region.node(1).now_ms(), now.clone()));
        tokio::time::sleep(Duration::from_millis(400)).await;
        let stopped = 2 + round % 2;
        region.stop_node(stopped).await;
        put(region.node(1), "while one is down", &round.to_string()).await;
        now.insert("while one is down".to_owned(), round.to_string());
        region.start_node(stopped).await;
        region.is_ready().await;
    }
    let last_ms = moments.last().unwrap().0;
    let every_key: Content = moments.iter().flat_map(|(_, content)| content.clone()).collect();
    eventually("the moments are archived", async || latest_ms(region.node(1)).await > last_ms)
        .await;
    for (number, (at_ms, expected)) in moments.iter().enumerate() {
        let name = format!("restored-{number}");
        restore(region.node(2), &name, *at_ms).await;
        assert_eq!(content(region.node(3), &name, &every_key).await, *expected, "{name}");
    }
    assert_eq!(content(region.node(1), "t", &now).await, now, "the source stays as it is");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn turning_recovery_off_lets_the_change_log_go() {
    let region = Region::start(EngineKind::Memory).await;
    let readers = || {
        let hosted = region.nodes.values().flat_map(|node| node.hosting.partitions());
        hosted.filter(|one| one.replica.marks().keeps_changes()).count()
    };
    region.node(1).change_own("t", OwnChange::Recovery(Some(1))).await.unwrap();
    eventually("the archive has begun", async || latest_ms(region.node(2)).await > 0).await;
    assert!(readers() > 0);
    region.node(1).change_own("t", OwnChange::Recovery(None)).await.unwrap();
    eventually("nobody reads the change log", async || readers() == 0).await;
    assert_eq!(latest_ms(region.node(2)).await, 0);
    region.stop().await;
}

/// Everything that the archive holds.
pub(super) async fn bytes_of(region: &Region) -> Vec<(String, Vec<u8>)> {
    use futures_util::TryStreamExt;
    use object_store::{ObjectStore, ObjectStoreExt};
    let store = Arc::clone(&region.archive.store);
    let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
    let mut all = Vec::new();
    for object in listed {
        let read = store.get(&object.location).await.unwrap().bytes().await.unwrap();
        all.push((object.location.to_string(), read.to_vec()));
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_readable_leaves_the_node() {
    let region = Region::start(EngineKind::Memory).await;
    put(region.node(1), "a-key-before", "a-value-before").await;
    region.node(1).change_own("t", OwnChange::Recovery(Some(1))).await.unwrap();
    eventually("the archive has begun", async || latest_ms(region.node(1)).await > 0).await;
    put(region.node(1), "a-key-after", "a-value-after").await;
    let after_ms = region.node(1).now_ms();
    eventually("it is archived", async || latest_ms(region.node(1)).await > after_ms).await;
    let all = bytes_of(&region).await;
    for kind in ["keys/", "meta/", "/log/", "/base/", "watermark"] {
        assert!(all.iter().any(|(name, _)| name.contains(kind)), "no {kind} in {all:?}");
    }
    for (name, bytes) in &all {
        for secret in ["a-key-before", "a-value-before", "a-key-after", "a-value-after", "\"pk\""] {
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found && !name.contains(secret), "{secret} stands in {name}");
        }
    }
    region.stop().await;
}

/// Slow enough that half of a restore takes longer than its leader's telling how far it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_goes_on_where_its_leader_stopped() {
    let archive = ArchiveOptions {
        store: Arc::new(object_store::memory::InMemory::new()),
        key: meridian_archive::MasterKey::new([7; 32]),
        restore_bytes_per_s_max: Some(500_000),
        check_every: CHECK_EVERY,
    };
    let mut region = Region::found(EngineKind::Fjall, 9, archive).await;
    make_table(region.node(1)).await;
    let mut now = Content::new();
    for n in 0..400 {
        let (key, value) = (format!("k{n}"), format!("{n}").repeat(3000));
        put(region.node(1), &key, &value).await;
        now.insert(key, value);
    }
    region.node(1).change_own("t", OwnChange::Recovery(Some(1))).await.unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    let at_ms = region.node(1).now_ms();
    eventually("the items are archived", async || latest_ms(region.node(1)).await > at_ms).await;
    let source = source_at(region.node(1), at_ms);
    region.node(1).restore_table("r", definition(), source).await.unwrap();
    let told = |region: &Region, node: u64| -> BTreeMap<PartitionId, u64> {
        let state = region.node(node).control.region_state();
        let table = state.tables().get("r").unwrap();
        let restore = table.restore.as_ref().unwrap();
        restore.progress.iter().map(|(partition, restored)| (*partition, restored.items)).collect()
    };
    let leader_of = |region: &Region, partition: PartitionId| {
        let leads = |node: &&Arc<Node>| {
            let hosted = node.hosting.partition(partition);
            hosted.is_some_and(|hosted| hosted.group.leading().is_some())
        };
        region.nodes.values().find(leads).map(|node| node.id().0)
    };
    eventually("much of a partition is restored", async || {
        told(&region, 1).values().any(|items| *items > 100)
    })
    .await;
    let (partition, before) = told(&region, 1).into_iter().max_by_key(|(_, items)| *items).unwrap();
    let stopped = leader_of(&region, partition).unwrap();
    region.stop_node(stopped).await;
    let other = 1 + stopped % 3;
    let mut seen = before;
    eventually("the table is restored by another", async || {
        let state = region.node(other).control.region_state();
        if state.tables().get("r").is_some_and(|table| table.status == TableStatus::Active) {
            return true;
        }
        let items = told(&region, other).get(&partition).copied().unwrap_or(seen);
        assert!(items >= seen, "{items} items after {seen}: it began anew");
        seen = items;
        false
    })
    .await;
    assert_eq!(content(region.node(other), "r", &now).await, now);
    region.start_node(stopped).await;
    region.stop().await;
}

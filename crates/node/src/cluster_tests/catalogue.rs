//! Archives read from the object store alone: by another cluster, by a comparison, with all settings.

use super::archive::{Content, content, delete, latest_ms};
use super::region::Region;
use super::testing::{eventually, put};
use crate::archive::ArchiveOptions;
use crate::node::Node;
use meridian_api::admin::{AdminBackend, AdminCall, AdminError, ArchivedSource, RestoreKind};
use meridian_api::backend::Backend;
use meridian_archive::MasterKey;
use meridian_control::region::{OwnChange, Setting, TableSettings};
use meridian_control::table::{StreamView, TableStatus};
use meridian_model::{AttributeValue, Item, Key};
use meridian_partition::{Action, Returns, Write};
use meridian_storage::EngineKind;
use serde_json::Value;
use std::collections::BTreeMap;

fn from(source: &str) -> ArchivedSource {
    ArchivedSource { source: source.to_owned(), is_backup: false, cluster: None, region: None }
}

async fn restored(
    node: &Node,
    from: ArchivedSource,
    to: &str,
    at_ms: Option<u64>,
    kind: RestoreKind,
) -> Value {
    let to = to.to_owned();
    let call = AdminCall::Restore { from, to: to.clone(), at_ms, kind };
    let begun = node.call(call).await.unwrap();
    eventually("the table is restored", async || {
        node.table(&to).is_some_and(|table| table.status == TableStatus::Active)
    })
    .await;
    begun
}

/// A table of 20 items whose archive holds all of them; gives what it holds, and when it did.
async fn archived(region: &Region) -> (Content, u64) {
    let node = region.node(1);
    let mut now = Content::new();
    node.change_own("t", OwnChange::Recovery(Some(9))).await.unwrap();
    for n in 0..20 {
        put(node, &format!("k{n}"), "one").await;
        now.insert(format!("k{n}"), "one".to_owned());
    }
    let at_ms = node.now_ms();
    eventually("it is archived", async || latest_ms(node).await > at_ms).await;
    (now, at_ms)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_is_gone_comes_back_from_its_archive() {
    let region = Region::start(EngineKind::Memory).await;
    let node = region.node(1);
    let stream = Setting::Set(StreamView::NewImage);
    let ttl = Setting::Set("expires".to_owned());
    let settings = TableSettings { stream, ttl, ..TableSettings::default() };
    node.update_table("t", settings).await.unwrap();
    let tags = BTreeMap::from([("team".to_owned(), "a".to_owned())]);
    node.change_own("t", OwnChange::Tag(tags.clone())).await.unwrap();
    let (now, at_ms) = archived(&region).await;
    let id = node.table("t").unwrap().id.0;
    let archive = region.archive.clone();
    region.stop().await;

    let other = Region::found(EngineKind::Memory, 8, archive).await;
    let node = other.node(2);
    let listed = node.call(AdminCall::Archived).await.unwrap();
    let rows = listed["archived"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{listed}");
    let (cluster, owner) = (rows[0]["cluster"].as_str(), rows[0]["region"].as_str());
    assert_eq!((rows[0]["name"].as_str(), rows[0]["number"].as_u64()), (Some("t"), Some(id)));
    assert!(rows[0]["latest_ms"].as_u64().unwrap() > at_ms);
    let source = |name: &str| ArchivedSource {
        source: name.to_owned(),
        is_backup: false,
        cluster: cluster.map(str::to_owned),
        region: owner.map(str::to_owned),
    };
    let unknown = AdminCall::Restore {
        from: from("t"),
        to: "here".to_owned(),
        at_ms: None,
        kind: RestoreKind::AllSettings,
    };
    assert!(matches!(node.call(unknown).await, Err(AdminError::NotFound(_))), "another's archive");
    restored(node, source("t"), "again", None, RestoreKind::AllSettings).await;
    assert_eq!(content(node, "again", &now).await, now);
    let table = node.table("again").unwrap();
    assert_eq!(table.definition.stream, Some(StreamView::NewImage));
    assert_eq!(table.definition.ttl.as_deref(), Some("expires"));
    assert_eq!((&table.own.tags, table.own.recovery.map(|on| on.days)), (&tags, Some(9)));
    restored(node, source(&id.to_string()), "bare", Some(at_ms), RestoreKind::Usual).await;
    let table = node.table("bare").unwrap();
    assert_eq!(content(node, "bare", &now).await, now);
    assert_eq!((table.definition.stream, table.own.is_default()), (None, true));
    let late = AdminCall::Restore {
        from: source("t"),
        to: "later".to_owned(),
        at_ms: Some(u64::MAX / 2),
        kind: RestoreKind::AllSettings,
    };
    let Err(AdminError::Invalid(why)) = node.call(late).await else { panic!("it was restored") };
    assert!(why.starts_with("`at`: "), "{why}");
    other.stop().await;
}

async fn compared(node: &Node, begun: &Value, table: &str) -> (u64, u64, u64) {
    let (mut items, mut since, mut wrong) = (0, 0, 0);
    for partition in begun["partitions"].as_array().unwrap() {
        let call = AdminCall::Compare {
            from: from("t"),
            restored: table.to_owned(),
            partition: partition.as_u64().unwrap(),
            at_ms: begun["at_ms"].as_u64().unwrap(),
        };
        let found = node.call(call).await.unwrap();
        items += found["items"].as_u64().unwrap();
        since += found["written_since"].as_u64().unwrap();
        wrong += found["wrong"].as_u64().unwrap();
        assert!(found["live"].is_u64(), "{found}");
        assert_eq!(found["named"].as_array().unwrap().len() as u64, found["wrong"], "{found}");
    }
    (items, since, wrong)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comparison_finds_what_is_not_as_it_was() {
    let region = Region::start(EngineKind::Memory).await;
    let node = region.node(1);
    let (_, at_ms) = archived(&region).await;
    put(node, "k0", "two").await;
    put(node, "new", "two").await;
    delete(node, "k1").await;
    // There and gone again: nothing of it is left to see.
    put(node, "passing", "two").await;
    delete(node, "passing").await;
    let begun =
        restored(region.node(2), from("t"), "copy.verify", Some(at_ms), RestoreKind::Scratch).await;
    assert_eq!(compared(region.node(3), &begun, "copy.verify").await, (20, 3, 0));
    // Behind its back: one other, one more, one less.
    let table = node.table("copy.verify").unwrap();
    let changed = [("k5", true), ("more", true), ("k6", false)];
    for (name, is_put) in changed {
        let name = AttributeValue::S(name.to_owned());
        let key = Key { partition: name.clone(), sort: None };
        let item = Item::from([("pk".to_owned(), name)]);
        let action = if is_put { Action::Put(item) } else { Action::Delete };
        let write = Write { key, action, condition: None, returns: Returns::default() };
        node.write(&table, write).await.unwrap();
    }
    // Each of them differs from the archive and, unwritten there since, from the live table.
    assert_eq!(compared(node, &begun, "copy.verify").await, (20, 6, 6));
    node.call(AdminCall::TableDrop { table: "copy.verify".to_owned() }).await.unwrap();
    eventually("the copy is gone", async || node.table("copy.verify").is_none()).await;
    let other = AdminCall::TableDrop { table: "t".to_owned() };
    assert!(matches!(node.call(other).await, Err(AdminError::Refused(_))), "it was not restored");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_table_takes_the_name_of_its_source() {
    let region = Region::start(EngineKind::Memory).await;
    let node = region.node(1);
    let (before, at_ms) = archived(&region).await;
    for n in 0..20 {
        put(node, &format!("k{n}"), "nonsense").await;
    }
    restored(node, from("t"), "good", Some(at_ms), RestoreKind::Usual).await;
    let (first, second) = ("t".to_owned(), "good".to_owned());
    node.call(AdminCall::TableSwap { first, second }).await.unwrap();
    for reader in region.nodes.values() {
        eventually("every node has heard", async || content(reader, "t", &before).await == before)
            .await;
    }
    put(node, "k0", "after").await;
    assert_eq!(content(region.node(2), "t", &before).await["k0"], "after");
    assert_eq!(content(region.node(2), "good", &before).await["k0"], "nonsense");
    // Its history goes with the table, not with the name.
    let old = node.table("good").unwrap();
    assert!(Node::restorable(node, &old).await.unwrap().is_some_and(|t| t.earliest_ms < at_ms));
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_master_key_opens_everything_once_the_data_keys_are_wrapped_again() {
    let region = Region::start(EngineKind::Memory).await;
    let (now, _) = archived(&region).await;
    let node = region.node(1);
    let own = node.own_archive().unwrap();
    let mut archive = region.archive.clone();
    region.stop().await;

    let old = std::mem::replace(&mut archive.key, MasterKey::new([8; 32]));
    let blind = Region::found(EngineKind::Memory, 9, archive.clone()).await;
    let listed = blind.node(1).call(AdminCall::Archived).await.unwrap();
    let why = listed["archived"][0]["error"].as_str().unwrap();
    assert!(why.contains("needs the master key"), "{why}");
    let (cluster, name) = (Some(own.cluster.clone()), Some(own.region.clone()));
    let rewrap = AdminCall::Rewrap { cluster: cluster.clone(), region: name.clone() };
    let failed = blind.node(1).call(rewrap.clone()).await.unwrap();
    assert_eq!(
        (failed["wrapped_again"].as_u64(), failed["failed"].as_array().unwrap().len()),
        (Some(0), 1)
    );
    blind.stop().await;

    let both = ArchiveOptions { key: MasterKey::new([8; 32]).after(vec![old]), ..archive.clone() };
    let seeing = Region::found(EngineKind::Memory, 10, both).await;
    for wrapped_again in [1, 0] {
        let done = seeing.node(1).call(rewrap.clone()).await.unwrap();
        assert_eq!(done["wrapped_again"].as_u64(), Some(wrapped_again), "{done}");
        assert_eq!(done["data_keys"].as_u64(), Some(1));
    }
    seeing.stop().await;

    let new = Region::found(EngineKind::Memory, 11, archive).await;
    let source = ArchivedSource { source: "t".to_owned(), is_backup: false, cluster, region: name };
    restored(new.node(1), source, "again", None, RestoreKind::AllSettings).await;
    assert_eq!(content(new.node(1), "again", &now).await, now);
    new.stop().await;
}

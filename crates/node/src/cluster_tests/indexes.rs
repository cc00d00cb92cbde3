//! Global indexes on whole regions: filled while writes go on, followed over leaders and regions.

use super::region::Region;
use super::testing::{Cluster, eventually, put};
use crate::node::Node;
use meridian_api::backend::{Backend, Consistency};
use meridian_base::limits::PAGE_BYTES_MAX;
use meridian_control::region::{IndexChange, TableSettings};
use meridian_control::table::{GlobalIndexDefinition, IndexStatus, OnDemandMaximum};
use meridian_model::{
    AttributeValue, GlobalIndex, IndexProjection, Item, Key, KeyAttribute, KeyAttributes, KeyKind,
};
use meridian_partition::{Action, PageRequest, Returns, Write};
use meridian_storage::EngineKind;
use std::collections::BTreeSet;
use std::ops::Bound;

fn added(name: &str) -> TableSettings {
    let key = KeyAttribute::new("v", KeyKind::S);
    let keys = KeyAttributes { partition: vec![key.clone()], sort: Vec::new() };
    let index = GlobalIndex { name: name.to_owned(), keys, projection: IndexProjection::All };
    let on_demand = OnDemandMaximum::default();
    let new = GlobalIndexDefinition { index, throughput: None, on_demand, warm: None };
    TableSettings {
        attributes: vec![key],
        indexes: vec![IndexChange::Create(new)],
        ..TableSettings::default()
    }
}

fn removed(name: &str) -> TableSettings {
    let indexes = vec![IndexChange::Delete(name.to_owned())];
    TableSettings { indexes, ..TableSettings::default() }
}

async fn update(node: &Node, settings: &TableSettings) {
    eventually("the table takes the change", async || {
        node.update_table("t", settings.clone()).await.is_ok()
    })
    .await;
}

/// Key and value of every item of the table, or of every entry of an index.
async fn all(node: &Node, index: Option<&str>) -> Option<BTreeSet<(String, String)>> {
    let table = node.table("t")?;
    let request = PageRequest {
        start: Bound::Unbounded,
        end: Bound::Unbounded,
        reverse: false,
        limit: None,
        bytes_max: PAGE_BYTES_MAX,
        filter: None,
        count_only: false,
        index: None,
    };
    let strength = if index.is_some() { Consistency::Eventual } else { Consistency::Strong };
    let page = node.page(&table, index, request, strength).await.ok()?;
    let text = |item: &Item, name| match item.get(name) {
        Some(AttributeValue::S(text)) => text.clone(),
        _ => String::new(),
    };
    Some(page.items.iter().map(|item| (text(item, "pk"), text(item, "v"))).collect())
}

async fn is_active(node: &Node, name: &str) {
    eventually("the index is active", async || {
        let table = node.table("t");
        let index = table.as_ref().and_then(|table| table.index(name));
        index.is_some_and(|index| index.status == IndexStatus::Active)
    })
    .await;
}

async fn equals_the_table(node: &Node, name: &str, items: usize) {
    eventually("the index equals the table", async || {
        let table = all(node, None).await;
        table.as_ref().is_some_and(|table| table.len() == items)
            && all(node, Some(name)).await == table
    })
    .await;
}

async fn delete(node: &Node, key: &str) {
    let table = node.table("t").unwrap();
    let key = Key { partition: AttributeValue::S(key.to_owned()), sort: None };
    let returns = Returns::default();
    let write = Write { key, action: Action::Delete, condition: None, returns };
    eventually("a delete is done", async || node.write(&table, write.clone()).await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_is_filled_while_writes_go_on_and_follows_over_leaders() {
    let mut region = Region::start(EngineKind::Fjall).await;
    for n in 0..40 {
        put(region.node(1), &format!("k{n}"), "before").await;
    }
    let node = region.node(1);
    let writing = async {
        for n in 20..60 {
            put(node, &format!("k{n}"), &format!("during-{}", n % 3)).await;
        }
    };
    let making = async {
        update(node, &added("by-v")).await;
        is_active(node, "by-v").await;
    };
    futures_util::future::join(writing, making).await;
    equals_the_table(region.node(1), "by-v", 60).await;

    // Leaders of the table and of the index go, and come back.
    for stopped in [2, 3] {
        region.stop_node(stopped).await;
        for n in 0..30 {
            put(region.node(1), &format!("k{n}"), &format!("without-{stopped}-{n}")).await;
        }
        for n in 30..35 {
            delete(region.node(1), &format!("k{n}")).await;
        }
        equals_the_table(region.node(1), "by-v", 55).await;
        for n in 30..35 {
            put(region.node(1), &format!("k{n}"), "again").await;
        }
        region.start_node(stopped).await;
        region.is_ready().await;
    }
    equals_the_table(region.node(2), "by-v", 60).await;
    region.is_whole().await;

    update(region.node(1), &removed("by-v")).await;
    eventually("the index and its partitions are gone", async || {
        let state = region.node(1).control.region_state();
        let readers = region.nodes.values().flat_map(|node| node.hosting.partitions());
        let held = readers.filter(|hosted| hosted.replica.marks().keeps_changes()).count();
        state.tables().len() == 1 && state.partitions().len() == 2 && held == 0
    })
    .await;
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_is_made_in_every_region_and_follows_what_is_replicated() {
    let cluster = Cluster::global_table(2).await;
    for n in 0..10 {
        cluster.put(1, &format!("k{n}"), "before").await;
    }
    update(cluster.node(2), &added("by-v")).await;
    for region in [1, 2] {
        is_active(cluster.node(region), "by-v").await;
    }
    for n in 5..15 {
        cluster.put(1 + n % 2, &format!("k{n}"), &format!("after-{n}")).await;
    }
    for region in [1, 2] {
        equals_the_table(cluster.node(region), "by-v", 15).await;
    }
    update(cluster.node(1), &removed("by-v")).await;
    for region in [1, 2] {
        eventually("the index is gone", async || {
            cluster.node(region).control.region_state().tables().len() == 1
        })
        .await;
    }
    cluster.stop().await;
}

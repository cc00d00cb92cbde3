//! Streams of whole regions: every change once and in order, over leaders and regions.

use super::region::Region;
use super::testing::{Cluster, eventually, put};
use crate::node::Node;
use meridian_api::backend::Backend;
use meridian_api::streams::{StreamChange, StreamRead};
use meridian_base::{PartitionId, Position};
use meridian_control::region::{Setting, TableSettings};
use meridian_control::table::{StreamView, TableStatus};
use meridian_model::{AttributeValue, Item};
use meridian_storage::EngineKind;
use std::collections::BTreeMap;
use std::sync::Arc;

async fn turn_on(node: &Node) {
    let stream = Setting::Set(StreamView::NewAndOldImages);
    let settings = TableSettings { stream, ..TableSettings::default() };
    node.update_table("t", settings).await.unwrap();
    eventually("the stream is on", async || {
        node.table("t").is_some_and(|table| {
            table.status == TableStatus::Active
                && table.definition.stream.is_some()
                && table.streamless.is_empty()
        })
    })
    .await;
}

/// The text of an item before and after a change.
type Told = (Option<String>, Option<String>);

/// A consumer of all shards, as a client would be one.
#[derive(Default)]
struct Consumer {
    after: BTreeMap<PartitionId, Position>,
    /// What was told of each item, in the order in which it came.
    told: BTreeMap<String, Vec<Told>>,
}

fn text(item: Option<&Item>, name: &str) -> Option<String> {
    match item?.get(name) {
        Some(AttributeValue::S(text)) => Some(text.clone()),
        _ => None,
    }
}

impl Consumer {
    /// Reads what is there; true when there was something.
    async fn read(&mut self, node: &Arc<Node>) -> bool {
        let table = node.table("t").unwrap();
        let mut any = false;
        for partition in table.partitions.clone() {
            let after = match self.after.get(&partition) {
                Some(after) => *after,
                None => {
                    let read = StreamRead { after: Position(0), limit: 0 };
                    let Ok(page) = node.stream_page(table.id, partition, read).await else {
                        continue;
                    };
                    page.kept_after
                }
            };
            let read = StreamRead { after, limit: 7 };
            let Ok(page) = node.stream_page(table.id, partition, read).await else { continue };
            assert!(page.kept_after <= after, "changes were trimmed before they were read");
            for StreamChange { old, new, .. } in &page.changes {
                let key = text(new.as_ref().or(old.as_ref()), "pk").unwrap();
                let change = (text(old.as_ref(), "v"), text(new.as_ref(), "v"));
                self.told.entry(key).or_default().push(change);
            }
            any |= !page.changes.is_empty();
            let next = page.changes.last().map_or(after, |last| last.position);
            self.after.insert(partition, next);
        }
        any
    }

    /// Each item was told to go from nothing through all of these values.
    fn is_whole(&self, key: &str, values: &[String]) -> bool {
        let mut wanted = Vec::new();
        let mut before = None;
        for value in values {
            wanted.push((before, Some(value.clone())));
            before = Some(value.clone());
        }
        self.told.get(key) == Some(&wanted)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_is_told_once_and_in_order_over_leaders() {
    let mut region = Region::start(EngineKind::Fjall).await;
    turn_on(region.node(1)).await;
    let mut consumer = Consumer::default();
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut write = async |region: &Region, round: u64| {
        for n in 0..12 {
            let (key, value) = (format!("k{n}"), format!("round-{round}"));
            put(region.node(1), &key, &value).await;
            values.entry(key).or_default().push(value);
        }
    };
    write(&region, 0).await;
    for (round, stopped) in [(1, 2), (2, 3)] {
        region.stop_node(stopped).await;
        write(&region, round).await;
        consumer.read(region.node(1)).await;
        region.start_node(stopped).await;
        region.is_ready().await;
        write(&region, round + 10).await;
    }
    eventually("all changes are told", async || {
        consumer.read(region.node(2)).await;
        values.iter().all(|(key, values)| consumer.is_whole(key, values))
    })
    .await;
    assert!(!consumer.read(region.node(3)).await);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_region_tells_what_was_written_anywhere() {
    let cluster = Cluster::global_table(2).await;
    turn_on(cluster.node(1)).await;
    eventually("the stream is on everywhere", async || {
        let table = cluster.node(2).table("t").unwrap();
        table.definition.stream.is_some() && table.streamless.is_empty()
    })
    .await;
    let mut consumers = [Consumer::default(), Consumer::default()];
    for n in 0..6 {
        let region = 1 + n % 2;
        cluster.put(region, &format!("k{n}"), "one").await;
        cluster.shows(3 - region, &format!("k{n}"), "one").await;
        cluster.put(3 - region, &format!("k{n}"), "two").await;
    }
    for (region, consumer) in [1, 2].into_iter().zip(&mut consumers) {
        eventually("all changes are told", async || {
            consumer.read(cluster.node(region)).await;
            let values = ["one".to_owned(), "two".to_owned()];
            (0..6).all(|n| consumer.is_whole(&format!("k{n}"), &values))
        })
        .await;
    }
    cluster.stop().await;
}

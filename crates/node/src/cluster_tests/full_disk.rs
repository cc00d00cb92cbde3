//! Nodes that are short of disk.

use super::region::{FREE_MIN, Region};
use super::testing::{PATIENCE, eventually, get, put};
use crate::node::Node;
use meridian_api::backend::{Backend, BackendError};
use meridian_model::{AttributeValue, Item, Key};
use meridian_partition::{Action, Returns, Write, WriteOutcome};
use meridian_raft::rt;
use meridian_storage::EngineKind;

fn leads(node: &Node) -> usize {
    node.hosting.groups().iter().filter(|group| group.leading().is_some()).count()
}

async fn try_put(node: &Node, key: &str) -> Result<WriteOutcome, BackendError> {
    let key = AttributeValue::S(key.to_owned());
    let write = Write {
        key: Key { partition: key.clone(), sort: None },
        action: Action::Put(Item::from([("pk".to_owned(), key)])),
        condition: None,
        returns: Returns::default(),
    };
    let table = node.table("t").unwrap();
    rt::timeout(PATIENCE, node.write(&table, write)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_short_of_disk_leads_nothing_and_the_region_goes_on() {
    let region = Region::start(EngineKind::Memory).await;
    region.set_free(2, FREE_MIN - 1);
    eventually("it leads nothing", async || {
        region.node(2).room.refuses() && leads(region.node(2)) == 0
    })
    .await;
    // Through it, too: it forwards, and stores what the leaders send.
    for n in 0..20 {
        put(region.node(2), &format!("k{n}"), "v").await;
        assert_eq!(leads(region.node(2)), 0);
    }
    region.is_whole().await;
    let status = region.node(1).status_json().await;
    let short: Vec<bool> = status["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["short_of_disk"].as_bool().unwrap())
        .collect();
    assert_eq!(short, [false, true, false]);
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_short_of_disk_refuses_writes_reads_on_and_resumes_by_itself() {
    let region = Region::start(EngineKind::Memory).await;
    put(region.node(1), "before", "v").await;
    for id in 1..=3 {
        region.set_free(id, FREE_MIN - 1);
    }
    eventually("all refuse", async || region.nodes.values().all(|node| node.room.refuses())).await;
    for id in 1..=3 {
        let refused = try_put(region.node(id), "refused").await;
        assert_eq!(refused, Err(BackendError::NoRoom), "{id}");
        assert_eq!(get(region.node(id), "before").await.as_deref(), Some("v"));
    }
    // A little more is not enough for a node that was short.
    region.set_free(1, FREE_MIN);
    assert_eq!(try_put(region.node(1), "refused").await, Err(BackendError::NoRoom));
    for id in 1..=3 {
        region.set_free(id, 2 * FREE_MIN);
    }
    eventually("it takes writes again", async || try_put(region.node(2), "after").await.is_ok())
        .await;
    assert_eq!(get(region.node(1), "refused").await, None);
    region.stop().await;
}

//! Time to live on whole regions: who takes an item away, and how the others see it.

use super::testing::{Cluster, eventually};
use crate::node::Node;
use crate::pipeline::Order;
use meridian_api::backend::Backend;
use meridian_base::{Cause, Position};
use meridian_control::region::{Setting, TableSettings};
use meridian_model::{AttributeValue, Item, Key, Number};
use meridian_partition::{Action, ReadLimits, Reader, Returns, Write, WriteOutcome, read_changes};

async fn put_until(node: &Node, key: &str, due_s: u64) {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let due = AttributeValue::N(Number::from(due_s));
    let item = [("pk".to_owned(), text(key)), ("v".to_owned(), text("x")), ("at".to_owned(), due)];
    let write = Write {
        key: Key { partition: text(key), sort: None },
        action: Action::Put(Item::from(item)),
        condition: None,
        returns: Returns::default(),
    };
    let done = node.write(&node.table("t").unwrap(), write).await;
    assert!(matches!(done, Ok(WriteOutcome::Done(_))), "{done:?}");
}

/// Items that are written while time to live is being turned on.
const SOON: usize = 60;

/// Why items were deleted in a region, as its change logs say.
fn deletions(node: &Node) -> Vec<Cause> {
    let limits = ReadLimits { records: 1000, bytes: 1_000_000 };
    let of = |hosted: &crate::hosting::HostedPartition| {
        let (engine, partition) = (hosted.engine.as_ref(), hosted.spec.partition);
        let trimmed = hosted.replica.header().trimmed;
        let page = read_changes(engine, partition, trimmed.max(Position(0)), limits).unwrap();
        let gone = page.records.into_iter().filter(|record| record.new.is_none());
        gone.map(|record| record.cause).collect::<Vec<_>>()
    };
    node.hosting.partitions().iter().flat_map(|hosted| of(hosted)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_item_goes_where_it_was_written_and_so_everywhere() {
    let cluster = Cluster::global_table(2).await;
    for hosted in cluster.nodes.iter().flat_map(|node| node.hosting.partitions()) {
        // Holds the change logs, which are looked at in the end.
        hosted.order(Order::StartReader(Reader::Archive)).await.unwrap();
    }
    let now_s = cluster.node(1).options.clock.now_ms() / 1000;
    // Before time to live is on, and after.
    put_until(cluster.node(1), "early", now_s - 20).await;
    put_until(cluster.node(1), "stays", now_s + 1000).await;
    cluster.shows(2, "stays", "x").await;
    let settings = TableSettings { ttl: Setting::Set("at".to_owned()), ..TableSettings::default() };
    cluster.node(1).update_table("t", settings).await.unwrap();
    // While the setting spreads: none may be passed over.
    let soon: Vec<String> = (0..SOON).map(|number| format!("soon-{number}")).collect();
    for key in &soon {
        put_until(cluster.node(2), key, now_s).await;
    }
    eventually("the setting is everywhere", async || {
        cluster.nodes.iter().all(|node| node.table("t").unwrap().definition.ttl.is_some())
    })
    .await;
    put_until(cluster.node(2), "late", now_s).await;
    for region in [1, 2] {
        let all = ["early", "late"].into_iter().chain(soon.iter().map(String::as_str));
        for key in all {
            eventually("an expired item is gone", async || {
                cluster.get(region, key).await.is_none()
            })
            .await;
        }
        assert_eq!(cluster.get(region, "stays").await.as_deref(), Some("x"));
    }
    eventually("each was taken away in its region and replicated to the other", async || {
        let counts = cluster.nodes.iter().map(|node| {
            let causes = deletions(node);
            let count = |wanted| causes.iter().filter(|cause| **cause == wanted).count();
            [count(Cause::Ttl), count(Cause::Replicated), causes.len()]
        });
        counts.collect::<Vec<_>>() == [[1, SOON + 1, SOON + 2], [SOON + 1, 1, SOON + 2]]
    })
    .await;
    cluster.stop().await;
}

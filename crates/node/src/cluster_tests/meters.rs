//! Limits of throughput: of a whole region, whichever nodes its clients use.

use super::region::Region;
use super::testing::eventually;
use crate::node::Node;
use meridian_api::backend::{Backend, BackendError};
use meridian_api::transact::{CancelReason, TransactWrite, TransactWriteOutcome};
use meridian_control::region::{OnDemandChange, Setting, TableSettings};
use meridian_control::table::TableStatus;
use meridian_model::{AttributeValue, Item, Key};
use meridian_partition::{Action, Returns, Write, WriteOutcome};
use meridian_raft::rt;
use meridian_storage::EngineKind;
use std::sync::Arc;
use std::time::Duration;

/// Units a second.
const RATE: u64 = 30;
const LOAD: Duration = Duration::from_secs(3);

async fn set(region: &Region, write_units: Setting<u64>) {
    let on_demand = OnDemandChange { write_units, ..OnDemandChange::default() };
    let settings = TableSettings { on_demand, ..TableSettings::default() };
    region.node(1).update_table("t", settings).await.unwrap();
    let wanted = match write_units {
        Setting::Set(units) => Some(units),
        Setting::Keep | Setting::Unset => None,
    };
    eventually("every node knows the limit", async || {
        (1..=3).all(|id| {
            let table = region.node(id).table("t");
            table.is_some_and(|table| {
                table.status == TableStatus::Active
                    && table.definition.on_demand.write_units == wanted
            })
        })
    })
    .await;
}

fn a_put(key: &str) -> Write {
    let text = AttributeValue::S(key.to_owned());
    Write {
        key: Key { partition: text.clone(), sort: None },
        action: Action::Put(Item::from([("pk".to_owned(), text)])),
        condition: None,
        returns: Returns::default(),
    }
}

async fn put(node: &Node, key: &str) -> Result<WriteOutcome, BackendError> {
    let table = node.table("t").unwrap();
    node.write(&table, a_put(key)).await
}

/// Writes two items together until a limit cancels it; gives why.
async fn cancelled(node: &Node) -> Vec<Option<CancelReason>> {
    let table = node.table("t").unwrap();
    let start = rt::now();
    while rt::now() < start + LOAD {
        let write = |key| TransactWrite { table: Arc::clone(&table), write: a_put(key) };
        let writes = vec![write("one"), write("two")];
        if let TransactWriteOutcome::Cancelled(reasons) =
            node.transact_write(writes, None).await.expect("it is answered")
        {
            return reasons;
        }
    }
    panic!("no limit is reached")
}

/// Writes as fast as it goes; gives how many writes were done, and a refusal.
async fn load(node: Arc<Node>) -> (u64, Option<BackendError>) {
    let (start, mut done, mut refused) = (rt::now(), 0, None);
    while rt::now() < start + LOAD {
        match put(&node, &format!("k{}", done % 20)).await {
            Ok(_) => done += 1,
            Err(error @ BackendError::Exceeded(_)) => {
                refused = Some(error);
                rt::sleep(Duration::from_millis(5)).await;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    (done, refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_holds_for_the_region_and_not_for_each_node() {
    let region = Region::start(EngineKind::Memory).await;
    set(&region, Setting::Set(RATE)).await;
    let start = rt::now();
    let loads = (1..=3).map(|id| tokio::spawn(load(Arc::clone(region.node(id)))));
    let done: Vec<_> = futures_util::future::join_all(loads).await;
    let done: Vec<_> = done.into_iter().map(Result::unwrap).collect();
    let elapsed = rt::now().saturating_duration_since(start).as_millis();
    let total: u64 = done.iter().map(|(done, _)| done).sum();
    // A second's worth is saved up, each node may owe one write, and has taken some ahead.
    let most = u64::try_from(elapsed).unwrap() * RATE / 1000 + RATE + 3;
    assert!(total <= most, "{total} writes in {elapsed} ms, at most {most}");
    assert!(total >= RATE * 2, "{total} writes in {elapsed} ms");
    let refused = done.into_iter().find_map(|(_, refused)| refused).expect("the limit is reached");
    let BackendError::Exceeded(limit) = refused else { panic!("{refused:?}") };
    assert!(limit.on_demand && limit.of_writes && !limit.of_index, "{limit:?}");
    assert!(limit.resource.ends_with(":table/t"), "{limit:?}");

    let reasons = cancelled(region.node(1)).await;
    assert!(matches!(reasons.as_slice(), [.., Some(CancelReason::Exceeded(_))]), "{reasons:?}");

    set(&region, Setting::Unset).await;
    for number in 0..2 * RATE {
        put(region.node(2), &format!("k{number}")).await.expect("there is no limit any more");
    }
    region.stop().await;
}

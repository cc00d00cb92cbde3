//! Limits of throughput: of a whole region, whichever nodes its clients use.

use super::region::Region;
use super::testing::{Cluster, eventually};
use crate::node::Node;
use meridian_api::backend::{Backend, BackendError, Consistency, ReplicaChange};
use meridian_api::transact::{CancelReason, TransactWrite, TransactWriteOutcome};
use meridian_control::region::{OnDemandChange, Setting, TableSettings};
use meridian_control::replica_settings::{ReadOverride, ReplicaOverrides};
use meridian_control::table::TableStatus;
use meridian_model::{AttributeValue, Item, Key};
use meridian_partition::{Action, Returns, Write, WriteOutcome};
use meridian_raft::rt;
use meridian_storage::EngineKind;
use std::collections::BTreeMap;
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

async fn get(node: &Node) -> Result<(), BackendError> {
    let table = node.table("t").unwrap();
    let key = Key { partition: AttributeValue::S("k".to_owned()), sort: None };
    node.get(&table, key, Consistency::Strong).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_can_have_a_limit_of_reads_of_its_own() {
    let cluster = Cluster::global_table(2).await;
    let read = ReadOverride { provisioned: None, on_demand: Some(1) };
    let own = ReplicaOverrides { read, ..ReplicaOverrides::default() };
    let overrides = BTreeMap::from([("region-2".to_owned(), own)]);
    let settings = TableSettings { overrides, ..TableSettings::default() };
    let answer = cluster.node(1).update_table("t", settings).await.unwrap();
    assert_eq!(answer.status, TableStatus::Updating);
    eventually("region 2 refuses reads", async || {
        matches!(get(cluster.node(2)).await, Err(BackendError::Exceeded(_)))
    })
    .await;
    for _ in 0..20 {
        get(cluster.node(1)).await.unwrap();
    }
    eventually("both regions are done with the change", async || {
        (1..=2).all(|region| cluster.node(region).table("t").unwrap().status == TableStatus::Active)
    })
    .await;
    // The replica takes its setting along when it goes.
    let gone = vec![ReplicaChange::Delete("region-2".into())];
    cluster.node(1).update_replicas("t", gone).await.unwrap();
    eventually("nothing is left of it", async || {
        let table = cluster.node(1).table("t").unwrap();
        table.global.is_none() && table.definition.overrides.is_empty()
    })
    .await;
    cluster.stop().await;
}

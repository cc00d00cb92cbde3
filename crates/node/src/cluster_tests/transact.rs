//! Transactions on a region of three nodes: totals that hold while nodes go, and what a coordinator
//! leaves behind.

use super::archive::{latest_ms, restore};
use super::region::Region;
use super::testing::eventually;
use crate::node::Node;
use meridian_api::backend::Backend;
use meridian_api::transact::{
    CancelReason, TransactGetOutcome, TransactToken, TransactWrite, TransactWriteOutcome,
};
use meridian_base::{PartitionId, Position};
use meridian_control::region::OwnChange;
use meridian_expression::{Condition, ExpressionKind, Placeholders, Update};
use meridian_model::{AttributeValue, Item, Key, Number};
use meridian_partition::transact::{Head, Place, Transact, TransactAnswer, TransactId};
use meridian_partition::{Action, ChangeRecord, ReadLimits, Returns, Write, read_changes};
use meridian_raft::rt;
use meridian_storage::EngineKind;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const ACCOUNTS: u64 = 12;
const EACH: u64 = 100;

fn key(n: u64) -> Key {
    Key { partition: AttributeValue::S(format!("account-{n}")), sort: None }
}

fn number(value: u64) -> AttributeValue {
    AttributeValue::N(Number::from(value))
}

fn placeholders(value: u64) -> Placeholders {
    let values = BTreeMap::from([(":x".to_owned(), number(value))]);
    Placeholders::new(None, Some(values)).unwrap()
}

fn act(node: &Node, n: u64, action: Action, condition: Option<&str>) -> TransactWrite {
    let condition = condition.map(|text| {
        Condition::parse(ExpressionKind::Condition, text, &mut placeholders(1)).unwrap()
    });
    let returns = Returns::default();
    let write = Write { key: key(n), action, condition, returns };
    TransactWrite { table: node.table("t").unwrap(), write }
}

fn set(node: &Node, n: u64, balance: u64) -> TransactWrite {
    let mut item = Item::from([("balance".to_owned(), number(balance))]);
    item.insert("pk".to_owned(), key(n).partition);
    act(node, n, Action::Put(item), None)
}

fn change(node: &Node, n: u64, expression: &str, condition: Option<&str>) -> TransactWrite {
    let update = Update::parse(expression, &mut placeholders(1)).unwrap();
    act(node, n, Action::Update(update), condition)
}

fn transfer(node: &Node, from: u64, to: u64) -> Vec<TransactWrite> {
    vec![
        change(node, from, "SET balance = balance - :x", Some("balance >= :x")),
        change(node, to, "SET balance = balance + :x", None),
    ]
}

async fn fill(node: &Node) {
    for n in 0..ACCOUNTS {
        eventually("an account is made", async || {
            let made = node.transact_write(vec![set(node, n, EACH)], None).await;
            matches!(made, Ok(TransactWriteOutcome::Done(_)))
        })
        .await;
    }
}

/// All balances of one moment; none when there was no such moment.
async fn balances(node: &Node) -> Option<Vec<u64>> {
    balances_in(node, "t").await
}

async fn balances_in(node: &Node, table: &str) -> Option<Vec<u64>> {
    let table = node.table(table)?;
    let reads = (0..ACCOUNTS).map(|n| (Arc::clone(&table), key(n))).collect();
    let Ok(TransactGetOutcome::Items(items)) = node.transact_get(reads).await else { return None };
    let of = |item: &Item| match item.get("balance") {
        Some(AttributeValue::N(number)) => number.floor_u64().unwrap(),
        other => panic!("no balance: {other:?}"),
    };
    Some(items.iter().map(|found| of(found.item.as_ref().unwrap())).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn totals_hold_while_nodes_go_and_come_back() {
    let mut region = Region::start(EngineKind::Memory).await;
    fill(region.node(1)).await;
    let (done, looks) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let ends = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for client in 0..4 {
        let (node, done) = (Arc::clone(region.node(1)), Arc::clone(&done));
        let (ends, looks) = (Arc::clone(&ends), Arc::clone(&looks));
        tasks.push(tokio::spawn(async move {
            let mut step = client;
            while !ends.load(Ordering::Relaxed) {
                step += 7;
                let (from, to) = (step % ACCOUNTS, (step * 5 + 1) % ACCOUNTS);
                if from == to {
                    continue;
                }
                match node.transact_write(transfer(&node, from, to), None).await {
                    Ok(TransactWriteOutcome::Done(_)) => drop(done.fetch_add(1, Ordering::Relaxed)),
                    Ok(_) | Err(_) => rt::sleep(Duration::from_millis(2)).await,
                }
                if let Some(balances) = balances(&node).await {
                    assert_eq!(balances.iter().sum::<u64>(), ACCOUNTS * EACH, "{balances:?}");
                    looks.fetch_add(1, Ordering::Relaxed);
                }
            }
        }));
    }
    for stopped in [2, 3] {
        region.stop_node(stopped).await;
        let before = done.load(Ordering::Relaxed);
        eventually("transfers go on without a node", async || {
            done.load(Ordering::Relaxed) > before + 20
        })
        .await;
        region.start_node(stopped).await;
        region.is_ready().await;
    }
    ends.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    eventually("all is resolved", async || {
        let held = region.nodes.values().flat_map(|node| node.hosting.partitions());
        let mut left = 0;
        for hosted in held.collect::<Vec<_>>() {
            if let Ok(behind) = hosted.left_behind(u64::MAX).await {
                left += behind.held.len() + behind.unfinished.len();
            }
        }
        left == 0 && balances(region.node(3)).await.is_some()
    })
    .await;
    let balances = balances(region.node(2)).await.unwrap();
    assert_eq!(balances.iter().sum::<u64>(), ACCOUNTS * EACH, "{balances:?}");
    assert!(looks.load(Ordering::Relaxed) > 20);
    region.is_whole().await;
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_is_done_whole_once_or_not_at_all() {
    let region = Region::start(EngineKind::Memory).await;
    let node = region.node(1);
    fill(node).await;
    let all = |condition| {
        let mut writes: Vec<TransactWrite> = (0..5).map(|n| set(node, n, 7)).collect();
        writes.push(act(node, 5, Action::Check, Some(condition)));
        writes
    };
    let refused = node.transact_write(all("attribute_not_exists(balance)"), None).await;
    let Ok(TransactWriteOutcome::Cancelled(reasons)) = refused else { panic!("{refused:?}") };
    let mut wanted = vec![None; 5];
    wanted.push(Some(CancelReason::ConditionFailed(None)));
    assert_eq!(reasons, wanted);
    assert_eq!(balances(node).await.unwrap(), vec![EACH; 12]);

    let token = |fingerprint| Some(TransactToken { token: "once".to_owned(), fingerprint });
    let first = node.transact_write(transfer(node, 0, 1), token(1)).await;
    assert!(matches!(first, Ok(TransactWriteOutcome::Done(_))), "{first:?}");
    for other in [1, 2, 3] {
        let again = region.node(other).transact_write(transfer(node, 0, 1), token(1)).await;
        assert_eq!(again, Ok(TransactWriteOutcome::DoneBefore));
    }
    let other = node.transact_write(transfer(node, 3, 4), token(2)).await;
    assert_eq!(other, Ok(TransactWriteOutcome::OtherParameters));
    let now = balances(node).await.unwrap();
    assert_eq!(now[..5], [EACH - 1, EACH + 1, EACH, EACH, EACH]);
    region.stop().await;
}

/// Times at which some partition had written its part of a transfer and another had not.
fn amid_transfers(region: &Region) -> Vec<u64> {
    let mut logs: BTreeMap<PartitionId, Vec<ChangeRecord>> = BTreeMap::new();
    for hosted in region.nodes.values().flat_map(|node| node.hosting.partitions()) {
        let limits = ReadLimits { records: 100_000, bytes: 1 << 28 };
        let (engine, partition) = (hosted.engine.as_ref(), hosted.spec.partition);
        let log = read_changes(engine, partition, Position(0), limits).unwrap().records;
        let known = logs.entry(partition).or_default();
        if known.len() < log.len() {
            *known = log;
        }
    }
    // When the first and the last part of each transfer was written.
    let mut written: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for record in logs.values().flatten() {
        let Some(transacted_ms) = record.transacted_ms else { continue };
        let range = written.entry(transacted_ms).or_insert((u64::MAX, 0));
        *range = (range.0.min(record.commit_ms), range.1.max(record.commit_ms));
    }
    written.into_values().filter(|(first, last)| first < last).map(|(first, _)| first).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_moment_amid_transfers_comes_back_whole() {
    let region = Region::start(EngineKind::Memory).await;
    let node = region.node(1);
    fill(node).await;
    node.change_own("t", OwnChange::Recovery(Some(1))).await.unwrap();
    eventually("the archive has begun", async || latest_ms(node).await > 0).await;
    let (ends, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let client = |number: u64| {
        let (node, ends, done) = (Arc::clone(region.node(1)), Arc::clone(&ends), Arc::clone(&done));
        tokio::spawn(async move {
            let mut step = number;
            while !ends.load(Ordering::Relaxed) {
                step += 7;
                let (from, to) = (step % ACCOUNTS, (step * 5 + 1) % ACCOUNTS);
                let transfer = transfer(&node, from, to);
                if from != to
                    && let Ok(TransactWriteOutcome::Done(_)) =
                        node.transact_write(transfer, None).await
                {
                    done.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
    };
    let clients: Vec<_> = (0..4).map(client).collect();
    eventually("there are transfers", async || done.load(Ordering::Relaxed) > 300).await;
    ends.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let ended_ms = node.now_ms();
    eventually("the transfers are archived", async || latest_ms(node).await > ended_ms).await;
    let amid = amid_transfers(&region);
    assert!(amid.len() > 10, "transfers came one by one: {amid:?}");
    let mut all = Vec::new();
    for at_ms in amid.iter().copied().step_by(amid.len() / 4).take(4) {
        let name = format!("amid-{at_ms}");
        restore(node, &name, at_ms).await;
        let mut found = None;
        eventually("the balances are read", async || {
            found = balances_in(node, &name).await;
            found.is_some()
        })
        .await;
        all.extend(found);
    }
    for balances in &all {
        assert_eq!(balances.iter().sum::<u64>(), ACCOUNTS * EACH, "{all:?}");
    }
    assert!(all.windows(2).all(|two| two[0] != two[1]), "not amid transfers: {all:?}");
    region.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_coordinator_leaves_behind_is_finished() {
    let region = Region::start(EngineKind::Memory).await;
    let node = region.node(1);
    fill(node).await;
    let table = node.table("t").unwrap();
    let place_of = |n| {
        let encoded = key(n).encode().into_bytes();
        let partition = node.catalog().partition_at(table.id, &encoded).unwrap().id;
        Place { table: table.id, partition }
    };
    let home = place_of(0);
    let elsewhere = (1..ACCOUNTS).find(|n| place_of(*n) != home).unwrap();
    let send = async |place: Place, step: Transact| {
        let request = crate::items::message::ItemRequest::Transact(Box::new(step));
        match node.items.at_partition(place.table, place.partition, &request).await {
            Ok(crate::items::message::ItemAnswer::Transact(answer)) => answer,
            other => panic!("{other:?}"),
        }
    };
    for (id, commits) in [(1u128, true), (2, false)] {
        let began_ms = node.options.clock.now_ms();
        let head = Head { id: TransactId(id), home, began_ms };
        for n in [0, elsewhere] {
            let write = set(node, n, 5).write;
            let held = send(place_of(n), Transact::Prepare(head, vec![write])).await;
            assert!(matches!(held, TransactAnswer::Held(..)), "{held:?}");
        }
        let plain = node.write(&table, set(node, 0, 9).write).await;
        assert_eq!(plain, Ok(meridian_partition::WriteOutcome::Conflict));
        if commits {
            let places = vec![home, place_of(elsewhere)];
            let committed = send(home, Transact::Commit(head, None, places, began_ms)).await;
            assert!(matches!(committed, TransactAnswer::Committed(_)), "{committed:?}");
        }
        // Nobody resolves it; the coordinator is gone.
        let wanted = if commits { [5, 5] } else { [6, 6] };
        eventually("it is finished", async || {
            let now = balances(node).await;
            now.is_some_and(|now| [now[0], now[usize::try_from(elsewhere).unwrap()]] == wanted)
        })
        .await;
        for n in [0, elsewhere] {
            let done = node.transact_write(vec![set(node, n, 6)], None).await;
            assert!(matches!(done, Ok(TransactWriteOutcome::Done(_))), "{done:?}");
        }
    }
    region.stop().await;
}

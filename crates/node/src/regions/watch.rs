//! What a region's nodes do about the other regions all the time.
//!
//! # Invariants
//!
//! - Only a region's leader reports silence and takes care of replicas; only the global leader
//!   marks a region Lost, and only when a majority of the others agrees.

use super::clocks;
use super::message::{RegionsAnswer, RegionsRequest};
use crate::hosting::HostedPartition;
use crate::node::Node;
use crate::replication::progress::Heard;
use crate::replication::replicas;
use meridian_base::{GroupId, NodeId, Received, TableId};
use meridian_control::global::{AutoPolicy, Command, RegionStatus};
use meridian_control::region::{Catalog, PartitionRecord};
use meridian_model::KeyRange;
use meridian_raft::rt;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Between two looks at what is silent.
const LISTEN_EVERY: Duration = Duration::from_millis(200);
/// Between two reports about a region that stays silent.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Between two looks at the replicas of global tables while some are being made.
const HURRY: Duration = Duration::from_millis(50);
/// The same otherwise; changes of the cluster's or the region's state are seen at once.
const REST: Duration = Duration::from_secs(2);
/// Between two rounds of noting and measuring what was heard.
const NOTE_EVERY: Duration = Duration::from_millis(500);
/// What was not heard for longer may come through another node of the region now.
const MOVED_AFTER: Duration = Duration::from_secs(2);
/// What was not heard for longer says nothing of the lag: another node of the region hears it now.
const HEARD_AGE_MAX: Duration = Duration::from_secs(60);

/// Starts the loops; they run until the node stops.
pub fn start(node: &Arc<Node>) {
    spawn(node, keep_replicas(Arc::clone(node)));
    spawn(node, note_received(Arc::clone(node)));
    spawn(node, clocks::watch(Arc::clone(node)));
    if node.options.auto_fail_ms.is_some() {
        spawn(node, listen(Arc::clone(node)));
    }
}

fn spawn(node: &Node, work: impl Future<Output = ()> + Send + 'static) {
    let mut stopping = node.stopping();
    rt::spawn(async move {
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => {}
            () = work => {}
        }
    });
}

fn leads(node: &Node, group: GroupId) -> bool {
    node.hosting.group(group).is_some_and(|group| group.leading().is_some())
}

async fn keep_replicas(node: Arc<Node>) {
    let (mut global, mut region) = (node.control.watch_global(), node.control.watch_region());
    loop {
        global.borrow_and_update();
        region.borrow_and_update();
        let is_busy = leads(&node, GroupId::Region) && {
            let any = replicas::step(&node).await;
            any || is_pending(&node)
        };
        let pause = if is_busy { HURRY } else { REST };
        tokio::select! {
            () = rt::sleep(pause) => {}
            _ = global.changed() => {}
            _ = region.changed() => {}
        }
    }
}

/// True while a replica here is on its way in or out.
fn is_pending(node: &Node) -> bool {
    use meridian_control::table::ReplicaStatus::{Active, Creating, CreationFailed, Deleting};
    let global = node.control.global_state();
    let mut own = global.tables_of(node.regions.own());
    own.any(|(_, _, replica)| match replica.status {
        Creating | Deleting => true,
        CreationFailed | Active => false,
    })
}

/// Reports silent regions, and marks those Lost that a majority reports.
async fn listen(node: Arc<Node>) {
    let Some(silent_ms_min) = node.options.auto_fail_ms else { return };
    let policy = AutoPolicy { silent_ms_min, ..AutoPolicy::default() };
    let started = rt::now();
    let mut reported: BTreeMap<String, rt::Instant> = BTreeMap::new();
    loop {
        rt::sleep(LISTEN_EVERY).await;
        if leads(&node, GroupId::Region) {
            report(&node, silent_ms_min, started, &mut reported).await;
        }
        if leads(&node, GroupId::Global) {
            fail_silent(&node, &policy).await;
        }
    }
}

async fn report(
    node: &Node,
    silent_ms_min: u64,
    started: rt::Instant,
    reported: &mut BTreeMap<String, rt::Instant>,
) {
    let global = node.control.global_state();
    let own = node.regions.own();
    for about in global.regions().keys().filter(|name| *name != own) {
        let Some(silent) = silence(node, about, started) else { continue };
        let silent_ms = u64::try_from(silent.as_millis()).unwrap_or(u64::MAX);
        let is_known = global.silences().get(about).is_some_and(|by| by.contains_key(own));
        let now_ms = node.options.clock.now_ms();
        let since_ms = if silent_ms >= silent_ms_min {
            if reported.get(about).is_some_and(|at| at.elapsed() < REPORT_EVERY) {
                continue;
            }
            Some(now_ms.saturating_sub(silent_ms))
        } else if is_known {
            None
        } else {
            reported.remove(about);
            continue;
        };
        reported.insert(about.clone(), rt::now());
        let (by, about) = (own.to_owned(), about.clone());
        let report = Command::ReportSilence { by, about, since_ms, at_ms: now_ms };
        if let Err(error) = node.control.global(&report).await {
            tracing::debug!(%error, "a silence is not reported");
        }
    }
}

/// For how long no node of a region was heard; none for one without nodes.
fn silence(node: &Node, region: &str, started: rt::Instant) -> Option<Duration> {
    let global = node.control.global_state();
    let unheard = started.elapsed();
    let silent = |(id, _)| node.peers.link(id).silent.unwrap_or(unheard);
    global.nodes_of(region).map(silent).min()
}

async fn fail_silent(node: &Node, policy: &AutoPolicy) {
    let now_ms = node.options.clock.now_ms();
    for (region, expected_epoch) in node.control.global_state().regions_to_fail(policy, now_ms) {
        tracing::warn!(
            region,
            "a majority of the other regions does not hear it: it counts as lost"
        );
        let to = RegionStatus::Lost;
        let command = Command::SetRegionState { region, to, expected_epoch, at_ms: now_ms };
        match node.control.global(&command).await {
            Ok(Ok(_)) => {}
            Ok(Err(refusal)) => tracing::info!(%refusal, "the region is not marked Lost"),
            Err(error) => tracing::warn!(%error, "the region may not be marked Lost"),
        }
    }
}

/// Stores what was heard with the partitions that it concerns, and shows the lag.
async fn note_received(node: Arc<Node>) {
    loop {
        rt::sleep(NOTE_EVERY).await;
        show_lag(&node);
        let catalog = node.catalog();
        let exchange = &node.regions.exchange;
        let held = node.hosting.partitions();
        exchange.keep(|heard| {
            catalog.table_by_id(heard.table).is_some()
                && (heard.silent < MOVED_AFTER || !has_moved(&held, heard))
        });
        let due = exchange.to_store();
        let notes = due.iter().map(|(table, received)| store(&node, &catalog, *table, received));
        futures_util::future::join_all(notes).await;
    }
}

/// True when another node of the region has heard more of an origin partition since.
fn has_moved(held: &[Arc<HostedPartition>], heard: &Heard) -> bool {
    let origin = (heard.received.region, heard.received.partition);
    held.iter().filter(|hosted| hosted.spec.table == heard.table).any(|hosted| {
        let marks = hosted.replica.marks();
        marks.received.get(&origin).is_some_and(|stored| stored.closed > heard.received.closed)
    })
}

async fn store(node: &Node, catalog: &Catalog, table: TableId, received: &Received) {
    let range = KeyRange { start: received.start.clone(), end: received.end.clone() };
    let mut bytes = Vec::new();
    received.encode(&mut bytes);
    for partition in catalog.partitions_over(table, &range) {
        let request =
            RegionsRequest::Received { partition: partition.id.0, received: bytes.clone() };
        for to in holders(node, partition) {
            match node.ask_regions(to, &request).await {
                Ok(RegionsAnswer::NotHere) | Err(_) => {}
                Ok(_) => break,
            }
        }
    }
}

/// The nodes that hold a partition, the one that leads it first where that is known.
pub fn holders(node: &Node, partition: &PartitionRecord) -> Vec<NodeId> {
    let leader = node.hosting.partition(partition.id).and_then(|hosted| hosted.group.leader());
    let others = partition.replicas.voters.iter().copied().filter(|id| Some(*id) != leader);
    leader.into_iter().chain(others).collect()
}

fn show_lag(node: &Node) {
    let now_ms = node.options.clock.now_ms();
    let mut lags: BTreeMap<(TableId, u16), u64> = BTreeMap::new();
    for heard in node.regions.exchange.heard() {
        if heard.silent > HEARD_AGE_MAX || heard.received.closed.0 == 0 {
            continue;
        }
        let lag = lags.entry((heard.table, heard.received.region.number)).or_default();
        *lag = (*lag).max(now_ms.saturating_sub(heard.received.closed.ms()));
    }
    for ((table, region), lag_ms) in lags {
        let (table, origin) = node.names(table, region);
        let lag_ms = f64::from(u32::try_from(lag_ms).unwrap_or(u32::MAX));
        metrics::gauge!("meridian_replication_lag_ms", "table" => table, "origin" => origin)
            .set(lag_ms);
    }
}

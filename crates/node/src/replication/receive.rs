//! Takes changes of other regions and brings each to its own partition here.
//!
//! # Invariants
//!
//! - A batch is acknowledged only when a quorum of every target partition has its part.
//! - How much is committed at a time is bounded; senders wait for their acknowledgements.

use super::{Parcel, Receipt};
use crate::items::message::{ItemAnswer, ItemRequest};
use crate::node::Node;
use bytes::Bytes;
use futures_util::future::try_join_all;
use meridian_base::{Change, Hlc, NodeId, PartitionId};
use meridian_control::global::{GlobalState, RegionStatus};
use meridian_geo::{Ack, ReplicationBatch};
use meridian_partition::Replicated;
use meridian_partition::evaluator::ReplicatedOutcome;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a batch waits for the one before it, which a faster thread may have overtaken.
const ORDER_PATIENCE: Duration = Duration::from_millis(500);

/// What became of the changes of a batch.
#[derive(Debug, Clone, Copy, Default)]
struct Outcome {
    conflicts: u64,
    diverged: u64,
    /// Some were not taken, because too many wait for their time.
    refused: bool,
}

/// Takes a batch of another region.
pub async fn receive(node: &Node, payload: &[u8]) -> Result<Bytes, String> {
    let parcel = Parcel::decode(payload).map_err(|e| e.to_string())?;
    if node.catalog().table_by_id(parcel.batch.table).is_none() {
        return Err(format!("table {} is not here", parcel.batch.table));
    }
    let origin_is_lost = is_lost(&node.control.global_state(), &parcel.batch);
    let closed = if parcel.is_copy() {
        commit(node, &parcel.batch, origin_is_lost).await?;
        Hlc(0)
    } else {
        let exchange = &node.regions.exchange;
        let now_ms = node.options.clock.now_ms();
        let arrival = exchange.arrive(&parcel, now_ms, ORDER_PATIENCE).await?;
        commit(node, &parcel.batch, origin_is_lost || arrival.late).await?;
        let closed = arrival.committed();
        measure(node, &parcel.batch);
        closed
    };
    let batch = &parcel.batch;
    let (table, partition, upto) = (batch.table, batch.partition, batch.upto);
    let ack = Ack { table, partition, upto, closed };
    Ok(Receipt { ack, better: better(node, batch) }.encode())
}

/// Who leads the partition here that most of the origin's changes go to.
fn better(node: &Node, batch: &ReplicationBatch) -> Option<NodeId> {
    let catalog = node.catalog();
    let target = catalog.partition_at(batch.table, &batch.start)?;
    node.hosting.partition(target.id)?.group.leader()
}

/// True while what a region sends may be what only it had.
fn is_lost(global: &GlobalState, batch: &ReplicationBatch) -> bool {
    let region = global.region_numbered(batch.region.number);
    batch.late
        || region.is_some_and(|(_, record)| match record.status {
            RegionStatus::Lost | RegionStatus::Recovering => true,
            RegionStatus::Active | RegionStatus::Draining { .. } | RegionStatus::Evacuated => false,
        })
}

async fn commit(node: &Node, batch: &ReplicationBatch, late: bool) -> Result<(), String> {
    if batch.changes.is_empty() {
        return Ok(());
    }
    let exchange = &node.regions.exchange;
    let _room = exchange.room.acquire().await.map_err(|e| e.to_string())?;
    let catalog = node.catalog();
    let mut parts: BTreeMap<PartitionId, Vec<Change>> = BTreeMap::new();
    for change in &batch.changes {
        let target = catalog.partition_at(batch.table, &change.key);
        let target = target.ok_or_else(|| format!("table {} is not here", batch.table))?;
        parts.entry(target.id).or_default().push(change.clone());
    }
    let parts = parts.into_values().map(|changes| commit_part(node, batch, changes, late));
    let outcomes = try_join_all(parts).await?;
    let conflicts: u64 = outcomes.iter().map(|outcome| outcome.conflicts).sum();
    if conflicts > 0 {
        metrics::counter!("meridian_replication_conflicts_total").increment(conflicts);
    }
    if outcomes.iter().any(|outcome| outcome.diverged > 0) {
        tracing::error!(table = batch.table.0, region = %batch.region,
            "two writes have one version and different contents; the conflict log names them");
    }
    if outcomes.iter().any(|outcome| outcome.refused) {
        return Err("too many changes wait for their time".into());
    }
    Ok(())
}

async fn commit_part(
    node: &Node,
    batch: &ReplicationBatch,
    changes: Vec<Change>,
    late: bool,
) -> Result<Outcome, String> {
    let Some(key) = changes.first().map(|change| change.key.clone()) else {
        return Ok(Outcome::default());
    };
    let request = ItemRequest::Replicate(changes, late);
    let answer = node.items.at_key(batch.table, &key, &request).await;
    match answer.map_err(|e| e.to_string())? {
        ItemAnswer::Replicate(outcomes) => Ok(summed(&outcomes)),
        other => Err(other.unexpected().to_string()),
    }
}

fn summed(outcomes: &[Replicated]) -> Outcome {
    let count = |is: fn(&Replicated) -> bool| outcomes.iter().filter(|o| is(o)).count() as u64;
    Outcome {
        conflicts: count(|o| o.conflict),
        diverged: count(|o| o.outcome == ReplicatedOutcome::Diverged),
        refused: outcomes.iter().any(|o| o.outcome == ReplicatedOutcome::Refused),
    }
}

/// Records how long ago the oldest change of a batch was committed at its origin.
fn measure(node: &Node, batch: &ReplicationBatch) {
    let Some(oldest_ms) = batch.changes.iter().map(|change| change.commit_ms).min() else { return };
    let (table, origin) = node.names(batch.table, batch.region.number);
    let lag = Duration::from_millis(node.options.clock.now_ms().saturating_sub(oldest_ms));
    metrics::histogram!("meridian_replication_lag_seconds", "table" => table, "origin" => origin)
        .record(lag.as_secs_f64());
}

impl Node {
    /// Names of a table and a region, for metrics and for people.
    pub(crate) fn names(&self, table: meridian_base::TableId, region: u16) -> (String, String) {
        let catalog = self.catalog();
        let known = catalog.table_by_id(table).map(|record| record.name.clone());
        let global = self.control.global_state();
        let origin = global.region_numbered(region).map(|(name, _)| name.clone());
        (known.unwrap_or_else(|| table.to_string()), origin.unwrap_or_else(|| region.to_string()))
    }
}

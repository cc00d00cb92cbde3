//! Brings a region back that was lost, evacuated, or left by its clients.
//!
//! # Invariants
//!
//! - The region is Active again only when the other regions have everything that it held when the
//!   return began, and it has everything that they wrote until then.
//! - What only it had is listed, each write with what became of it.

use super::evacuate::{active_others, record};
use super::message::Findings;
use super::standing::RegionStanding;
use crate::admin::unavailable;
use crate::node::Node;
use futures_util::future::join_all;
use meridian_api::admin::AdminError;
use meridian_base::{Hlc, NodeId, PartitionId, Position, TableId, Version};
use meridian_control::global::{GlobalState, RegionRecord, RegionStatus};
use meridian_control::table::ReplicaStatus;
use meridian_geo::{ReceivedClosed, ReturningPartition, StrandedSummary, returned};
use meridian_partition::{StrandedOutcome, StrandedRecord};
use meridian_raft::rt;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a return may take before it is left Recovering.
const LIMIT: Duration = Duration::from_secs(150);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(25);
/// By how much clocks of nodes may differ when stranded writes are counted to this return, ms.
const CLOCKS_APART_MS: u64 = 1_000;

impl Node {
    /// Brings a region back; returns when it is Active and caught up.
    pub(crate) async fn restore(&self, region: &str) -> Result<Value, AdminError> {
        self.confirm_global().await;
        let known = record(&self.control.global_state(), region)?.clone();
        // What was stranded before the last return was listed then.
        let since_ms = known.restored_ms.unwrap_or(0);
        if self.standing_of(region).await.answered == 0 {
            return Err(AdminError::Unavailable(format!("no node of {region} answers yet")));
        }
        let began = rt::now();
        let epoch = self.begin_recovery(region, &known).await?;
        let tables = self.await_returned(region).await?;
        let (stranded, summary) = self.stranded_of(region, &tables, since_ms).await?;
        let epoch = self.move_region(region, RegionStatus::Active, epoch).await?;
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            region,
            took_ms,
            merged = summary.merged,
            overwritten = summary.overwritten,
            "a region is back"
        );
        Ok(json!({
            "region": region,
            "state": RegionStatus::Active.name(),
            "epoch": epoch,
            "took_ms": took_ms,
            "merged": summary.merged,
            "overwritten": summary.overwritten,
            "stranded": stranded,
        }))
    }

    async fn begin_recovery(&self, region: &str, known: &RegionRecord) -> Result<u64, AdminError> {
        let lost = match known.status {
            RegionStatus::Recovering => return Ok(known.epoch),
            RegionStatus::Draining { .. } => {
                let text = format!("{region} is being drained: abort that, or wait for its end");
                return Err(AdminError::Refused(text));
            }
            // Only its clients had left it: from now on its record shows that it was away.
            RegionStatus::Active => {
                self.move_region(region, RegionStatus::Lost, known.epoch).await?
            }
            RegionStatus::Lost | RegionStatus::Evacuated => known.epoch,
        };
        self.move_region(region, RegionStatus::Recovering, lost).await
    }

    /// Waits until both directions are caught up; gives the tables that the region shares.
    async fn await_returned(&self, region: &str) -> Result<BTreeSet<TableId>, AdminError> {
        let since = Hlc::from_ms(self.options.clock.now_ms());
        let deadline = rt::now() + LIMIT;
        // The ends of the change logs as first seen: what may be stranded lies before.
        let mut ends: BTreeMap<PartitionId, Position> = BTreeMap::new();
        loop {
            let global = self.control.global_state();
            if record(&global, region)?.status != RegionStatus::Recovering {
                return Err(AdminError::Refused(format!("{region} is not recovering any more")));
            }
            let standing = self.standing_of(region).await;
            for (id, led) in &standing.led {
                ends.entry(*id).or_insert(Position(led.position));
            }
            let active = active_others(&global, region);
            let missing = match missing(&standing, &active, &ends, since) {
                None => return Ok(active.into_keys().collect()),
                Some(missing) => missing,
            };
            if rt::now() >= deadline {
                return Err(unavailable(format!("{region} is still recovering: {missing}")));
            }
            rt::sleep(LOOK).await;
        }
    }

    /// The stranded writes of a region that its return brought to the others.
    async fn stranded_of(
        &self,
        region: &str,
        tables: &BTreeSet<TableId>,
        since_ms: u64,
    ) -> Result<(Vec<Value>, StrandedSummary), AdminError> {
        let global = self.control.global_state();
        let origin = record(&global, region)?.id.number;
        let survivors = survivors(&global, region);
        let mut found: BTreeMap<(TableId, Vec<u8>, Version), StrandedRecord> = BTreeMap::new();
        for survivor in &survivors {
            let standing = self.standing_of(survivor).await;
            let nodes: Vec<NodeId> = global.nodes_of(survivor).map(|(id, _)| id).collect();
            let ours = standing.partitions.iter().filter(|(_, table)| tables.contains(table));
            let asked = ours.map(|(partition, table)| {
                let holders = leader_first(&standing, *partition, &nodes);
                async move {
                    let records = self.findings(*partition, &holders, Findings::Stranded).await;
                    (*table, records)
                }
            });
            for (table, records) in join_all(asked).await {
                for bytes in records.map_err(unavailable)? {
                    let record = StrandedRecord::decode(&bytes).map_err(unavailable)?;
                    let is_of_this_return = record.origin.region.number == origin
                        && record.found_ms.saturating_add(CLOCKS_APART_MS) >= since_ms;
                    if is_of_this_return {
                        note(&mut found, table, record);
                    }
                }
            }
        }
        let mut summary = StrandedSummary::default();
        let listed = found.into_iter().map(|((table, ..), record)| {
            let outcome = match record.outcome {
                StrandedOutcome::Overwritten => {
                    summary.overwritten += 1;
                    "overwritten"
                }
                StrandedOutcome::Merged | StrandedOutcome::Present => {
                    summary.merged += 1;
                    "merged"
                }
            };
            json!({
                "table": self.names(table, origin).0,
                "key": self.key_json(table, &record.key),
                "version": record.version.to_string(),
                "deleted": record.deleted,
                "outcome": outcome,
                "kept": record.kept.to_string(),
            })
        });
        let listed = listed.collect();
        Ok((listed, summary))
    }
}

/// Of the reports of several regions about one write the worst counts: where a newer write had
/// arrived already, it was overwritten.
fn note(
    found: &mut BTreeMap<(TableId, Vec<u8>, Version), StrandedRecord>,
    table: TableId,
    record: StrandedRecord,
) {
    let id = (table, record.key.clone(), record.version);
    let known = found.get(&id);
    if known.is_none_or(|known| known.outcome < record.outcome) {
        found.insert(id, record);
    }
}

fn survivors(global: &GlobalState, region: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (_, table, _) in global.tables_of(region) {
        for (name, replica) in &table.replicas {
            let known = global.regions().get(name);
            let serves = known.is_some_and(|known| known.status.takes_traffic());
            if name != region && replica.status == ReplicaStatus::Active && serves {
                names.insert(name.clone());
            }
        }
    }
    names
}

fn leader_first(
    standing: &RegionStanding,
    partition: PartitionId,
    nodes: &[NodeId],
) -> Vec<NodeId> {
    let leader = standing.led.get(&partition).map(|led| NodeId(led.node));
    let others = nodes.iter().copied().filter(|node| Some(*node) != leader);
    leader.into_iter().chain(others).collect()
}

/// What a return still lacks; none when it is proved.
fn missing(
    standing: &RegionStanding,
    active: &BTreeMap<TableId, BTreeSet<u16>>,
    ends: &BTreeMap<PartitionId, Position>,
    since: Hlc,
) -> Option<String> {
    if standing.answered == 0 {
        return Some("no node of the region answers".to_owned());
    }
    for (partition, table) in &standing.partitions {
        // A table that is only there has nothing to catch up with.
        let Some(others) = active.get(table) else { continue };
        let Some((led, end)) = standing.led.get(partition).zip(ends.get(partition)) else {
            return Some(format!("partition {partition} has no leader"));
        };
        let received = standing.received_of(*table);
        let back = ReturningPartition {
            partition: *partition,
            start: &led.start,
            end: led.end.as_deref(),
            position: *end,
            cursors: led.cursors(),
            received: ReceivedClosed::new(&received),
        };
        if let Some(missing) = returned(std::slice::from_ref(&back), others, since).first() {
            return Some(missing.to_string());
        }
    }
    None
}

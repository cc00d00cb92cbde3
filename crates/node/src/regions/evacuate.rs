//! Leaves a region in an orderly way.
//!
//! # Invariants
//!
//! - A region is Evacuated only when every partition of it is frozen and every other Active region
//!   that has the table has acknowledged everything up to the freeze.

use super::standing::RegionStanding;
use crate::admin::{refused, unavailable};
use crate::node::Node;
use meridian_api::admin::AdminError;
use meridian_base::{PartitionId, Position, TableId};
use meridian_control::global::{Command, Done, GlobalState, RegionRecord, RegionStatus};
use meridian_control::table::ReplicaStatus;
use meridian_geo::{FrozenPartition, evacuated};
use meridian_raft::rt;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long an evacuation may take before it is left Draining.
const LIMIT: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// The record of a region.
pub fn record<'g>(global: &'g GlobalState, region: &str) -> Result<&'g RegionRecord, AdminError> {
    let unknown = || AdminError::NotFound(format!("there is no region {region}"));
    global.regions().get(region).ok_or_else(unknown)
}

/// The numbers of the other Active regions that have a replica of each global table of `region`.
pub fn active_others(global: &GlobalState, region: &str) -> BTreeMap<TableId, BTreeSet<u16>> {
    let others = |table: &meridian_control::global::GlobalTable| {
        let holds = table
            .replicas
            .iter()
            .filter(|(name, replica)| *name != region && replica.status == ReplicaStatus::Active);
        let records = holds.filter_map(|(name, _)| global.regions().get(name));
        records.filter(|r| r.status.is_active()).map(|r| r.id.number).collect()
    };
    global.tables_of(region).map(|(_, table, _)| (table.table, others(table))).collect()
}

impl Node {
    /// Moves a region to a status; gives its new epoch.
    pub(crate) async fn move_region(
        &self,
        region: &str,
        to: RegionStatus,
        expected_epoch: u64,
    ) -> Result<u64, AdminError> {
        let at_ms = self.options.clock.now_ms();
        let command =
            Command::SetRegionState { region: region.to_owned(), to, expected_epoch, at_ms };
        match refused(self.control.global(&command).await)? {
            Done::Epoch(epoch) => Ok(epoch),
            Done::Changed | Done::Region(_) | Done::Version(_) => Ok(expected_epoch),
        }
    }

    /// Drains a region, or undoes a drain.
    pub(crate) async fn evacuate(
        &self,
        region: &str,
        target: Option<String>,
        abort: bool,
    ) -> Result<Value, AdminError> {
        self.confirm_global().await;
        let global = self.control.global_state();
        let known = record(&global, region)?.clone();
        if abort {
            return self.abort_evacuation(region, &known).await;
        }
        let began = rt::now();
        let epoch = match &known.status {
            RegionStatus::Draining { target: under_way } => {
                if target.is_some_and(|wanted| wanted != *under_way) {
                    return Err(AdminError::Refused(format!(
                        "{region} is being drained to {under_way} already"
                    )));
                }
                known.epoch
            }
            RegionStatus::Active
            | RegionStatus::Evacuated
            | RegionStatus::Lost
            | RegionStatus::Recovering => {
                let target = self.evacuation_target(&global, region, target)?;
                self.check_movable(region, &target).await?;
                self.move_region(region, RegionStatus::Draining { target }, known.epoch).await?
            }
        };
        let proof = self.await_evacuated(region, epoch).await?;
        let epoch = self.move_region(region, RegionStatus::Evacuated, epoch).await?;
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(region, took_ms, "a region is evacuated");
        Ok(json!({
            "region": region,
            "state": RegionStatus::Evacuated.name(),
            "epoch": epoch,
            "took_ms": took_ms,
            "proof": proof,
        }))
    }

    async fn abort_evacuation(
        &self,
        region: &str,
        known: &RegionRecord,
    ) -> Result<Value, AdminError> {
        match known.status {
            RegionStatus::Draining { .. } => {}
            RegionStatus::Active
            | RegionStatus::Evacuated
            | RegionStatus::Lost
            | RegionStatus::Recovering => {
                let text = format!("{region} is {}, not being drained", known.status.name());
                return Err(AdminError::Refused(text));
            }
        }
        let epoch = self.move_region(region, RegionStatus::Active, known.epoch).await?;
        Ok(json!({"region": region, "state": RegionStatus::Active.name(), "epoch": epoch}))
    }

    fn evacuation_target(
        &self,
        global: &GlobalState,
        region: &str,
        target: Option<String>,
    ) -> Result<String, AdminError> {
        if let Some(target) = target {
            record(global, &target)?;
            return Ok(target);
        }
        let others = global.regions().iter().filter(|(name, _)| *name != region);
        let active = others.filter(|(_, known)| known.status.is_active());
        let first = active.min_by_key(|(_, known)| known.id.number);
        let none = || AdminError::Refused(format!("no other region than {region} is Active"));
        first.map(|(name, _)| name.clone()).ok_or_else(none)
    }

    /// Refuses to drain a region of which a table has no replica in the target region.
    async fn check_movable(&self, region: &str, target: &str) -> Result<(), AdminError> {
        let standing = self.standing_of(region).await;
        if standing.answered == 0 {
            let text = format!("no node of {region} answers; to leave it all the same, fail it");
            return Err(AdminError::Unavailable(text));
        }
        let global = self.control.global_state();
        let moves = |table: &TableId| {
            global.tables().values().any(|known| {
                let there = known.replicas.get(target);
                known.table == *table && there.is_some_and(|r| r.status == ReplicaStatus::Active)
            })
        };
        let stuck: BTreeSet<TableId> =
            standing.partitions.values().copied().filter(|table| !moves(table)).collect();
        if stuck.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = stuck.iter().map(|id| self.names(*id, 0).0).collect();
        Err(AdminError::Refused(format!(
            "{region} has tables without an Active replica in {target}: {}",
            names.join(", ")
        )))
    }

    async fn await_evacuated(&self, region: &str, epoch: u64) -> Result<Value, AdminError> {
        let deadline = rt::now() + LIMIT;
        loop {
            let global = self.control.global_state();
            if record(&global, region)?.epoch > epoch {
                return Err(AdminError::Refused(format!("the drain of {region} was ended")));
            }
            let standing = self.standing_of(region).await;
            let missing = match proof(&standing, &active_others(&global, region)) {
                Ok(proof) => return Ok(proof),
                Err(missing) => missing,
            };
            if rt::now() >= deadline {
                return Err(unavailable(format!(
                    "{region} is still being drained; missing: {missing}"
                )));
            }
            rt::sleep(LOOK).await;
        }
    }
}

/// The proof that a region holds nothing that the others lack, or what is missing.
fn proof(
    standing: &RegionStanding,
    active: &BTreeMap<TableId, BTreeSet<u16>>,
) -> Result<Value, String> {
    if standing.answered == 0 {
        return Err("no node of the region answers".to_owned());
    }
    let none = BTreeSet::new();
    let mut proof = Vec::new();
    for (partition, table) in &standing.partitions {
        let frozen = frozen_partition(*partition, standing);
        let others = active.get(table).unwrap_or(&none);
        if others.is_empty() {
            return Err(format!("table {table} has no Active replica elsewhere"));
        }
        if let Some(missing) = evacuated(std::slice::from_ref(&frozen), others).first() {
            return Err(missing.to_string());
        }
        let acked: BTreeMap<String, u64> = frozen
            .cursors
            .iter()
            .map(|(region, position)| (region.to_string(), position.0))
            .collect();
        proof.push(json!({
            "table": table.0,
            "partition": partition.0,
            "frozen_at": frozen.frozen_at.map(|position| position.0),
            "acknowledged": acked,
        }));
    }
    Ok(Value::Array(proof))
}

fn frozen_partition(partition: PartitionId, standing: &RegionStanding) -> FrozenPartition {
    let led = standing.led.get(&partition);
    FrozenPartition {
        partition,
        frozen_at: led.and_then(|led| led.frozen_at).map(|(position, _)| Position(position)),
        cursors: led.map(|led| led.cursors()).unwrap_or_default(),
    }
}

//! What operators ask of regions.

use super::unavailable;
use crate::node::Node;
use crate::regions::evacuate::record;
use crate::regions::message::Findings;
use crate::regions::watch::holders;
use futures_util::future::join_all;
use meridian_api::admin::AdminError;
use meridian_base::{TableId, Version};
use meridian_control::global::RegionStatus;
use meridian_geo::ReceivedClosed;
use meridian_partition::ConflictRecord;
use serde_json::{Value, json};

impl Node {
    /// The regions of the cluster and their states.
    pub(crate) fn regions_json(&self) -> Value {
        let global = self.control.global_state();
        let regions = global.regions().iter().map(|(name, region)| {
            let target = match &region.status {
                RegionStatus::Draining { target } => Some(target.clone()),
                RegionStatus::Active
                | RegionStatus::Evacuated
                | RegionStatus::Lost
                | RegionStatus::Recovering => None,
            };
            let silent = global.silences().get(name).map(|by| by.keys().cloned().collect());
            let silent: Vec<String> = silent.unwrap_or_default();
            json!({
                "name": name,
                "state": region.status.name(),
                "epoch": region.epoch,
                "since_ms": region.since_ms,
                "restored_ms": region.restored_ms,
                "target": target,
                "silent_to": silent,
            })
        });
        json!({"own": self.options.region, "regions": regions.collect::<Vec<_>>()})
    }

    /// An encoded key of a table as DynamoDB writes it.
    pub(crate) fn key_json(&self, table: TableId, key: &[u8]) -> Value {
        let catalog = self.catalog();
        let schema = catalog.table_by_id(table).map(|record| &record.definition.key);
        let item = schema.and_then(|schema| Some(schema.decode_key(key).ok()?.to_item(schema)));
        let Some(item) = item else { return Value::Null };
        let mut out = Vec::new();
        meridian_wire::write_item(&mut out, &item);
        serde_json::from_slice(&out).unwrap_or(Value::Null)
    }

    /// The conflicts that this region found in a table.
    pub(crate) async fn conflicts_json(&self, table: &str) -> Result<Value, AdminError> {
        let catalog = self.catalog();
        let unknown = || AdminError::NotFound(format!("there is no table {table}"));
        let id = catalog.table(table).ok_or_else(unknown)?.id;
        let partitions = catalog.partitions_of(id).iter().map(|partition| async move {
            self.findings(partition.id, &holders(self, partition), Findings::Conflicts).await
        });
        let mut conflicts = Vec::new();
        for records in join_all(partitions).await {
            for bytes in records.map_err(unavailable)? {
                let record = ConflictRecord::decode(&bytes).map_err(unavailable)?;
                conflicts.push(self.conflict_json(table, id, &record));
            }
        }
        Ok(json!({"conflicts": conflicts}))
    }

    fn conflict_json(&self, table: &str, id: TableId, record: &ConflictRecord) -> Value {
        let side = |version: Version, deleted: bool| {
            let region = self.names(id, version.region.number).1;
            json!({"version": version.to_string(), "region": region, "deleted": deleted})
        };
        json!({
            "table": table,
            "found_in": self.options.region,
            "found_ms": record.found_ms,
            "key": self.key_json(id, &record.key),
            "kept": side(record.kept, record.kept_deleted),
            "lost": side(record.lost, record.lost_deleted),
            "diverged": record.diverged,
        })
    }

    /// How far this region is behind the others: the age of the newest closed version that holds
    /// over a whole table.
    pub(crate) async fn lag_json(&self) -> Value {
        let standing = self.standing_of(&self.options.region).await;
        let now_ms = self.options.clock.now_ms();
        let lags = standing.origins().into_iter().map(|(table, region)| {
            let received = standing.received_of(table);
            let closed = ReceivedClosed::new(&received).closed(region, &[], None);
            let closed = closed.filter(|closed| closed.0 > 0);
            let lag_ms = closed.map(|closed| now_ms.saturating_sub(closed.ms()));
            let (table, origin) = self.names(table, region);
            json!({
                "table": table,
                "origin": origin,
                "target": self.options.region,
                "lag_ms": lag_ms,
            })
        });
        json!({"lag": lags.collect::<Vec<_>>()})
    }

    /// Marks a region Lost.
    pub(crate) async fn region_fail(
        &self,
        region: &str,
        override_epoch: Option<u64>,
    ) -> Result<Value, AdminError> {
        self.confirm_global().await;
        let known = record(&self.control.global_state(), region)?.clone();
        if known.status == RegionStatus::Lost {
            return Ok(json!({"region": region, "state": "Lost", "epoch": known.epoch}));
        }
        let expected = override_epoch.unwrap_or(known.epoch);
        let epoch = match self.move_region(region, RegionStatus::Lost, expected).await {
            Ok(epoch) => epoch,
            Err(AdminError::Unavailable(why)) => return Err(no_majority(&why, override_epoch)),
            Err(error) => return Err(error),
        };
        Ok(json!({"region": region, "state": "Lost", "epoch": epoch}))
    }

    /// Brings a region back.
    pub(crate) async fn region_restore(&self, region: &str) -> Result<Value, AdminError> {
        self.restore(region).await
    }

    /// Drains a region.
    pub(crate) async fn region_evacuate(
        &self,
        region: &str,
        target: Option<String>,
        abort: bool,
    ) -> Result<Value, AdminError> {
        self.evacuate(region, target, abort).await
    }
}

/// What an operator is told when the global group does not answer.
fn no_majority(why: &str, override_epoch: Option<u64>) -> AdminError {
    let text = match override_epoch {
        None => format!(
            "{why}: without a majority of the global group no region can be marked Lost; routers \
             leave a silent region by themselves all the same"
        ),
        Some(_) => format!(
            "{why}: an epoch does not replace the majority: two halves of a cluster could mark \
             each other Lost. Routers leave a silent region by themselves; it is restored when its \
             nodes are back"
        ),
    };
    AdminError::Unavailable(text)
}

//! What operators look at: status, tables, digests, dumps.

use crate::hosting::HostedPartition;
use crate::node::Node;
use crate::planner::{Seen, observe_region, silent_ms};
use meridian_api::admin::AdminError;
use meridian_base::GroupId;
use meridian_partition::{index, layout, record, replica};
use meridian_storage::{Control, Range, View};
use serde_json::{Value, json};
use std::ops::Bound;
use std::sync::Arc;

/// A node that was heard within this time is alive, ms.
const ALIVE_MS_MAX: u64 = 2_000;
/// Items of one page of a dump.
const DUMP_ITEMS: usize = 1_000;

pub(super) fn broken(error: impl ToString) -> AdminError {
    AdminError::Unavailable(error.to_string())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

impl Node {
    /// The cluster, this region's groups and nodes, as this node knows them.
    pub(crate) async fn status_json(&self) -> Value {
        let (global, state) = (self.control.global_state(), self.control.region_state());
        let Seen { groups: observed, short_of_room } = observe_region(self).await;
        let silent = silent_ms(self);
        let nodes: Vec<Value> = global
            .nodes()
            .iter()
            .map(|(id, known)| {
                let silent = silent.get(id).copied();
                json!({
                    "id": id.0,
                    "region": known.region,
                    "zone": known.zone,
                    "state": format!("{:?}", known.state),
                    "alive": silent.is_some_and(|ms| ms <= ALIVE_MS_MAX),
                    "silent_ms": silent,
                    "short_of_disk": short_of_room.contains(id),
                    "client": known.addresses.client,
                    "admin": known.addresses.admin,
                })
            })
            .collect();
        let partitions: Vec<Value> = state
            .partitions()
            .values()
            .map(|record| {
                let table = state.table_by_id(record.table).map(|table| table.name.clone());
                let said = observed.get(&GroupId::Partition(record.id));
                let hosted = self.hosting.partition(record.id);
                let applied = hosted.and_then(|hosted| hosted.group.status().applied);
                json!({
                    "table": table,
                    "partition": record.id.0,
                    "region": self.options.region,
                    "leader": said.map(|(_, said)| said.leader.0),
                    "replicas": record.replicas.nodes().map(|n| n.0).collect::<Vec<_>>(),
                    "epoch": record.epoch,
                    "applied": applied.map(|index| index.0),
                })
            })
            .collect();
        let leader = |group| self.hosting.group(group).and_then(|g| g.leader()).map(|n| n.0);
        let regions: Vec<Value> = global
            .regions()
            .iter()
            .map(|(name, region)| {
                json!({"name": name, "state": region.status.name(), "epoch": region.epoch})
            })
            .collect();
        json!({
            "cluster_id": global.cluster().map(|cluster| cluster.id.clone()),
            "node": self.id().0,
            "region": self.options.region,
            "ready": self.ready().err(),
            "groups": [
                {"group": "global", "leader": leader(GroupId::Global)},
                {"group": "region", "region": self.options.region, "leader": leader(GroupId::Region)},
            ],
            "regions": regions,
            "nodes": nodes,
            "partitions": partitions,
        })
    }

    /// The tables of this region.
    pub(crate) async fn tables_json(&self) -> Value {
        let state = self.control.region_state();
        let tables: Vec<Value> = state
            .tables()
            .values()
            .map(|table| {
                let replicas = table.global.as_ref().map(|global| {
                    let named = global.replicas.iter();
                    named.map(|(r, s)| json!({"region": r, "status": format!("{s:?}")})).collect()
                });
                let replicas: Vec<Value> = replicas.unwrap_or_default();
                json!({
                    "name": table.name,
                    "id": table.id.0,
                    "status": format!("{:?}", table.status),
                    "partitions": table.partitions.iter().map(|p| p.0).collect::<Vec<_>>(),
                    "replicas": replicas,
                })
            })
            .collect();
        json!({"region": self.options.region, "tables": tables})
    }

    fn hosted_of(
        &self,
        table: &str,
        partition: Option<u64>,
    ) -> Result<Vec<Arc<HostedPartition>>, AdminError> {
        let catalog = self.catalog();
        let Some(record) = catalog.table(table) else {
            return Err(AdminError::NotFound(format!("there is no table {table}")));
        };
        let wanted = |id: &u64| partition.is_none_or(|only| only == *id);
        let ids = record.partitions.iter().filter(|id| wanted(&id.0));
        Ok(ids.filter_map(|id| self.hosting.partition(*id)).collect())
    }

    /// One digest for each replica of the table that this node holds.
    pub(crate) fn digest_json(
        &self,
        table: &str,
        partition: Option<u64>,
    ) -> Result<Value, AdminError> {
        let hosted = self.hosted_of(table, partition)?;
        let digests = hosted.iter().map(|hosted| self.digest(hosted));
        Ok(Value::Array(digests.collect::<Result<_, _>>()?))
    }

    fn digest(&self, hosted: &HostedPartition) -> Result<Value, AdminError> {
        // The header that goes with the view is the one in the view.
        let view = hosted.engine.view().map_err(broken)?;
        let key = layout::header_key(hosted.spec.partition);
        let header = view.get(&key).map_err(broken)?;
        let header = header.map(|bytes| meridian_partition::Header::decode(&bytes));
        let header = header.transpose().map_err(broken)?.unwrap_or_default();
        let hash = replica::state_hash(view.as_ref(), &hosted.spec).map_err(broken)?;
        let indexes = index::differences(view.as_ref(), &hosted.spec).map_err(broken)?;
        let indexes = indexes
            .into_iter()
            .map(|one| json!({"index": one.index, "missing": one.missing, "stale": one.stale}));
        Ok(json!({
            "partition": hosted.spec.partition.0,
            "node": self.id().0,
            "applied": header.applied.map_or(0, |at| at.index.0),
            "hash": format!("{hash:016x}"),
            "items": header.items,
            "index_differences": indexes.collect::<Vec<_>>(),
        }))
    }

    /// A page of the items of a replica, with their versions.
    pub(crate) fn dump_json(
        &self,
        table: &str,
        partition: u64,
        after: Option<&str>,
    ) -> Result<Value, AdminError> {
        let hosted = self.hosted_of(table, Some(partition))?;
        let Some(hosted) = hosted.first() else {
            return Err(AdminError::NotFound(format!("no replica of partition {partition} here")));
        };
        let bad = || AdminError::Invalid("after must be what the last page named as next".into());
        let after = after.map(|text| unhex(text).ok_or_else(bad)).transpose()?;
        let view = hosted.engine.view().map_err(broken)?;
        let (items, next) = dump_page(view.as_ref(), hosted, after)?;
        Ok(json!({"partition": partition, "node": self.id().0, "items": items, "next": next}))
    }
}

fn dump_page(
    view: &dyn View,
    hosted: &HostedPartition,
    after: Option<Vec<u8>>,
) -> Result<(Vec<Value>, Option<String>), AdminError> {
    let spec = &hosted.spec;
    let mut range: Range = layout::items(spec.table, &spec.range);
    if let Some(key) = after {
        range.start = Bound::Excluded(layout::item_key(spec.table, &key));
    }
    let (mut items, mut next, mut damage) = (Vec::new(), None, None);
    let scanned = view.scan(range, &mut |key, value| {
        let encoded = layout::encoded_of(key);
        match entry(hosted, encoded, value) {
            Ok(entry) => items.push(entry),
            Err(error) => {
                damage = Some(error);
                return Control::Break(());
            }
        }
        if items.len() < DUMP_ITEMS {
            return Control::Continue(());
        }
        next = Some(hex(encoded));
        Control::Break(())
    });
    scanned.map_err(broken)?;
    damage.map_or(Ok((items, next)), Err)
}

fn entry(hosted: &HostedPartition, key: &[u8], value: &[u8]) -> Result<Value, AdminError> {
    let state = record::decode_item_record(value).map_err(broken)?;
    let item = record::item_of(&state.image.unwrap_or_default()).map_err(broken)?;
    let schema = &hosted.spec.schema;
    let key = schema.decode_key(key).map_err(broken)?.to_item(schema);
    let text = |item| {
        let mut out = Vec::new();
        meridian_wire::write_item(&mut out, item);
        serde_json::from_slice::<Value>(&out).map_err(broken)
    };
    Ok(json!({"key": text(&key)?, "item": text(&item)?, "version": state.version.to_string()}))
}

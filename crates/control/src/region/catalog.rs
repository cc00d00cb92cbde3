//! The region's state as requests read it: tables by name, partitions by key.
//!
//! # Invariants
//!
//! - A catalog never changes; a new one is made after each command and swapped in.
//! - For a table of the catalog, exactly one partition holds any key.
//!
//! Tested beside the code and by `region/tests.rs`.

use super::{PartitionRecord, RegionNode, RegionState, TableRecord};
use meridian_base::{LogIndex, NodeId, PartitionId, RegionId, TableId};
use meridian_model::KeyRange;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An immutable view of a [`RegionState`] for routing.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    applied: LogIndex,
    region: Option<RegionId>,
    name: String,
    tables: BTreeMap<String, Arc<TableRecord>>,
    by_id: BTreeMap<TableId, Arc<TableRecord>>,
    partitions: BTreeMap<PartitionId, Arc<PartitionRecord>>,
    /// Per table, in the order of the ranges.
    routes: BTreeMap<TableId, Vec<Arc<PartitionRecord>>>,
    nodes: BTreeMap<NodeId, RegionNode>,
}

impl Catalog {
    /// Makes the catalog of a state. Linear in the number of partitions.
    pub fn of(state: &RegionState) -> Self {
        let shared = |table: &TableRecord| (table.name.clone(), Arc::new(table.clone()));
        let tables: BTreeMap<_, _> = state.tables().values().map(shared).collect();
        let by_id = tables.values().map(|table| (table.id, Arc::clone(table))).collect();
        let shared = |p: &PartitionRecord| (p.id, Arc::new(p.clone()));
        let partitions: BTreeMap<_, _> = state.partitions().values().map(shared).collect();
        let route = |table: &Arc<TableRecord>| {
            let parts = table.partitions.iter().filter_map(|id| partitions.get(id).cloned());
            (table.id, parts.collect())
        };
        let routes = tables.values().map(route).collect();
        Catalog {
            applied: state.applied(),
            region: state.region(),
            name: state.name().to_owned(),
            tables,
            by_id,
            partitions,
            routes,
            nodes: state.nodes().clone(),
        }
    }

    /// The log index of the region group that it shows.
    pub fn applied(&self) -> LogIndex {
        self.applied
    }

    /// The region; none before it is initialised.
    pub fn region(&self) -> Option<RegionId> {
        self.region
    }

    /// The region's name.
    pub fn region_name(&self) -> &str {
        &self.name
    }

    /// The table of that name, whatever its status.
    pub fn table(&self, name: &str) -> Option<&Arc<TableRecord>> {
        self.tables.get(name)
    }

    /// The table of that id.
    pub fn table_by_id(&self, id: TableId) -> Option<&Arc<TableRecord>> {
        self.by_id.get(&id)
    }

    /// All tables in the order of their names, without those that keep global indexes, from the
    /// first name after `after`: a page of ListTables.
    pub fn tables_after<'a>(
        &'a self,
        after: Option<&str>,
    ) -> impl Iterator<Item = &'a Arc<TableRecord>> + 'a {
        use std::ops::Bound::{Excluded, Unbounded};
        let start = after.map_or(Unbounded, Excluded);
        let tables = self.tables.range::<str, _>((start, Unbounded)).map(|(_, table)| table);
        tables.filter(|table| table.index_of.is_none())
    }

    /// The partition of that id.
    pub fn partition(&self, id: PartitionId) -> Option<&Arc<PartitionRecord>> {
        self.partitions.get(&id)
    }

    /// All partitions, by id.
    pub fn partitions(&self) -> impl Iterator<Item = &Arc<PartitionRecord>> {
        self.partitions.values()
    }

    /// The partitions of a table in the order of their ranges; none for an unknown table.
    pub fn partitions_of(&self, table: TableId) -> &[Arc<PartitionRecord>] {
        self.routes.get(&table).map_or(&[], Vec::as_slice)
    }

    /// The partition that holds an encoded key.
    pub fn partition_at(&self, table: TableId, key: &[u8]) -> Option<&Arc<PartitionRecord>> {
        let route = self.partitions_of(table);
        let after = route.partition_point(|p| p.range.start.as_slice() <= key);
        route.get(after.checked_sub(1)?)
    }

    /// The partitions that may hold keys of `range`, in order.
    pub fn partitions_over(&self, table: TableId, range: &KeyRange) -> &[Arc<PartitionRecord>] {
        let route = self.partitions_of(table);
        if range.is_empty() {
            return &[];
        }
        let first =
            route.partition_point(|p| p.range.end.as_ref().is_some_and(|end| *end <= range.start));
        let end = range.end.as_ref();
        let last = route.partition_point(|p| end.is_none_or(|end| p.range.start < *end));
        route.get(first..last).unwrap_or(&[])
    }

    /// The node of that id, removed or not.
    pub fn node(&self, id: NodeId) -> Option<&RegionNode> {
        self.nodes.get(&id)
    }

    /// The nodes of the region, removed ones too.
    pub fn nodes(&self) -> &BTreeMap<NodeId, RegionNode> {
        &self.nodes
    }
}

//! ListGlobalTables.
//!
//! Tested by `global_tables.txt`.

use meridian_wire::Fields;
use meridian_wire::json::{Array, Object};

use crate::backend::Backend;

/// Most tables of one answer (AWS: ListGlobalTables).
const TABLES_MAX: usize = 100;

/// Answers ListGlobalTables.
pub fn run(backend: &dyn Backend, mut fields: Fields) -> Vec<u8> {
    let after = fields.take_text("ExclusiveStartGlobalTableName");
    let region = fields.take_text("RegionName");
    let limit = fields.take_number("Limit").and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(TABLES_MAX).min(TABLES_MAX);
    let names = backend.table_names(after.as_deref(), usize::MAX);
    let tables = names.iter().filter_map(|name| backend.table(name));
    let tables = tables.filter_map(|table| Some((table.name.clone(), table.global.clone()?)));
    let has_region = |replicas: &std::collections::BTreeMap<String, _>| {
        region.as_ref().is_none_or(|region| replicas.contains_key(region))
    };
    // One more than asked tells whether there is a next page.
    let mut found: Vec<_> =
        tables.filter(|(_, global)| has_region(&global.replicas)).take(limit + 1).collect();
    let more = found.len() > limit;
    found.truncate(limit);
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    let mut list = Array::open(answer.key("GlobalTables"));
    for (name, global) in &found {
        let mut one = Object::open(list.element());
        one.text("GlobalTableName", name);
        let mut group = Array::open(one.key("ReplicationGroup"));
        for region in global.replicas.keys() {
            let mut replica = Object::open(group.element());
            replica.text("RegionName", region);
            replica.close();
        }
        group.close();
        one.close();
    }
    list.close();
    if let Some((last, _)) = found.last().filter(|_| more) {
        answer.text("LastEvaluatedGlobalTableName", last);
    }
    answer.close();
    out
}

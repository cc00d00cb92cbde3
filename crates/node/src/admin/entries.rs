//! The entries of a global index, as the items say and as the index holds them.

use super::inspect::{broken, hex, unhex};
use crate::hosting::HostedPartition;
use crate::indexes::copy_page;
use crate::node::Node;
use meridian_api::admin::AdminError;
use meridian_base::PartitionId;
use meridian_model::GlobalIndex;
use meridian_partition::read;
use serde_json::{Value, json};

/// Entries of one page.
const PAGE: usize = 500;

impl Node {
    /// A page of entries: for a partition of the table those that its items are to have, for a
    /// partition of the index those that it holds. Each has the hash of what it shows.
    pub(crate) fn entries_json(
        &self,
        (table, index): (&str, &str),
        partition: u64,
        after: Option<&str>,
    ) -> Result<Value, AdminError> {
        let missing = |what: String| AdminError::NotFound(format!("there is no {what}"));
        let catalog = self.catalog();
        let record = catalog.table(table).ok_or_else(|| missing(format!("table {table}")))?;
        let index = record.index(index).ok_or_else(|| missing(format!("index {index}")))?;
        let id = PartitionId(partition);
        let hosted = self.hosting.partition(id);
        let hosted = hosted.ok_or_else(|| missing(format!("replica of {partition} here")))?;
        let bad = || AdminError::Invalid("after must be what the last page named as next".into());
        let after = after.map(|text| unhex(text).ok_or_else(bad)).transpose()?;
        let (entries, next) = if record.partitions.contains(&id) {
            wanted(&hosted, &index.definition.index, after)?
        } else if hosted.spec.table == index.id {
            held(&hosted, after)?
        } else {
            return Err(missing(format!("partition {partition} of the table or the index")));
        };
        let entries = entries.into_iter().map(|(key, hash)| {
            json!({"key": hex(&key), "hash": format!("{:016x}", hash.unwrap_or_default())})
        });
        let next = next.map(|key| hex(&key));
        Ok(json!({"partition": partition, "entries": entries.collect::<Vec<_>>(), "next": next}))
    }
}

type Page = (Vec<(Vec<u8>, Option<u64>)>, Option<Vec<u8>>);

fn wanted(
    hosted: &HostedPartition,
    index: &GlobalIndex,
    after: Option<Vec<u8>>,
) -> Result<Page, AdminError> {
    let view = hosted.engine.view().map_err(broken)?;
    let (entries, next) = copy_page(view.as_ref(), &hosted.spec, index, after).map_err(broken)?;
    Ok((entries.into_iter().map(|one| (one.key.clone(), one.hash())).collect(), next))
}

fn held(hosted: &HostedPartition, after: Option<Vec<u8>>) -> Result<Page, AdminError> {
    let view = hosted.engine.view().map_err(broken)?;
    let found = read::digests(view.as_ref(), &hosted.spec, false, after.as_deref(), PAGE);
    let found = found.map_err(broken)?;
    let next = found.last().filter(|_| found.len() == PAGE).map(|last| last.key.clone());
    Ok((found.into_iter().map(|one| (one.key, one.hash)).collect(), next))
}

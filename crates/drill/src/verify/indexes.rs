//! Global indexes, entry by entry: what the items of a region say against what its index holds.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::dump::pages;
use super::{ask, replicas};
use crate::admin::{self, PartitionView};
use crate::client::Outcome;
use crate::cluster::{Cluster, Region};

/// Entries by key, each with the hash of what it shows.
type Entries = BTreeMap<String, String>;

/// What was compared, and what differs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IndexComparison {
    /// Partitions of indexes whose replicas were compared.
    pub partitions: usize,
    /// Entries that were compared.
    pub entries: usize,
    /// What differs, for people.
    pub differences: Vec<String>,
}

/// Compares every global index of a table in one region with the items there.
pub async fn compare(
    cluster: &Cluster,
    region: &Region,
    table: &str,
) -> anyhow::Result<IndexComparison> {
    let mut comparison = IndexComparison::default();
    for index in names(region, table).await? {
        let path = format!("/admin/entries/{table}/{index}");
        let own = admin::partitions(cluster, &region.name, table).await?;
        let wanted = entries(cluster, &own, &path).await?;
        let partitions =
            admin::partitions(cluster, &region.name, &format!("{table}/{index}")).await?;
        let held = entries(cluster, &partitions, &path).await?;
        for partition in &partitions {
            comparison.differences.extend(replicas::compare(cluster, partition).await?);
        }
        comparison.partitions += partitions.len();
        comparison.entries += held.len();
        let place = format!("index {index} in {}", region.name);
        comparison.differences.extend(differences(&place, &wanted, &held));
    }
    Ok(comparison)
}

async fn names(region: &Region, table: &str) -> anyhow::Result<Vec<String>> {
    let Outcome::Ok(answer) =
        ask(&region.endpoints, "DescribeTable", &json!({ "TableName": table })).await?
    else {
        return Ok(Vec::new());
    };
    let listed = answer["Table"]["GlobalSecondaryIndexes"].as_array();
    let names = listed.into_iter().flatten().map(|one| one["IndexName"].as_str());
    Ok(names.flatten().map(str::to_owned).collect())
}

async fn entries(
    cluster: &Cluster,
    partitions: &[PartitionView],
    path: &str,
) -> anyhow::Result<Entries> {
    let mut all = Entries::new();
    for partition in partitions {
        let found = pages(cluster, partition, path, "entries").await?;
        let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        all.extend(found.iter().map(|entry| (text(entry, "key"), text(entry, "hash"))));
    }
    Ok(all)
}

fn differences(place: &str, wanted: &Entries, held: &Entries) -> Vec<String> {
    let mut found = Vec::new();
    for (key, hash) in wanted {
        match held.get(key) {
            None => found.push(format!("{place} lacks the entry {key}")),
            Some(other) if other != hash => {
                found.push(format!("{place} shows another content under {key}"));
            }
            Some(_) => {}
        }
    }
    let stale = held.keys().filter(|key| !wanted.contains_key(*key));
    found.extend(stale.map(|key| format!("{place} has the entry {key}, which no item has")));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(list: &[(&str, &str)]) -> Entries {
        list.iter().map(|(key, hash)| ((*key).to_owned(), (*hash).to_owned())).collect()
    }

    #[test]
    fn missing_stale_and_other_entries_are_told() {
        let wanted = entries(&[("a", "1"), ("b", "1"), ("c", "1")]);
        assert_eq!(differences("index", &wanted, &wanted), Vec::<String>::new());
        let held = entries(&[("a", "1"), ("b", "2"), ("d", "1")]);
        let told = differences("index", &wanted, &held);
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].contains("under b") && told[1].contains("lacks the entry c"), "{told:?}");
        assert!(told[2].contains("entry d, which no item has"), "{told:?}");
    }
}

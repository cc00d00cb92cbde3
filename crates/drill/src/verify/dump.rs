//! The items of a region with their versions, as its nodes dump them.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use anyhow::Context as _;
use serde_json::Value;

use crate::admin::{Admin, PartitionView};
use crate::cluster::Cluster;

/// What one region holds under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredItem {
    /// The partition that holds it; partitions differ between regions.
    pub partition: u64,
    /// Its version, as text.
    pub version: String,
    /// A hash of its content: whole tables are compared, and the items may be large.
    content: u64,
}

/// A table in one region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionDump {
    /// Name of the region.
    pub region: String,
    /// By the key's JSON.
    pub items: BTreeMap<String, StoredItem>,
}

/// Dumps every partition of a table in one region, each from its leader or else from a replica.
pub async fn dump_region(
    cluster: &Cluster,
    region: &str,
    table: &str,
    partitions: &[PartitionView],
) -> anyhow::Result<RegionDump> {
    let mut dump = RegionDump { region: region.to_owned(), items: BTreeMap::new() };
    for partition in partitions {
        let id = partition.partition;
        let pages = pages(cluster, partition, &format!("/admin/dump/{table}"), "items").await;
        let pages = pages.with_context(|| format!("cannot dump table {table} in {region}"))?;
        dump.items.extend(pages.iter().filter_map(|item| stored(item, id)));
    }
    Ok(dump)
}

/// All that a partition lists under a path, from its leader or else from a replica.
pub(super) async fn pages(
    cluster: &Cluster,
    partition: &PartitionView,
    path: &str,
    member: &str,
) -> anyhow::Result<Vec<Value>> {
    let mut last = anyhow::anyhow!("partition {} has no replica", partition.partition);
    for node in partition.leader.iter().chain(&partition.replicas) {
        let admin = Admin::of_node(cluster, *node)?;
        match pages_of(&admin, path, partition.partition, member).await {
            Ok(found) => return Ok(found),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn pages_of(
    admin: &Admin,
    path: &str,
    partition: u64,
    member: &str,
) -> anyhow::Result<Vec<Value>> {
    let mut found = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let mut path = format!("{path}?partition={partition}");
        if let Some(after) = &after {
            path.push_str("&after=");
            path.push_str(&percent_encoded(after));
        }
        let page = admin.get(&path).await?;
        let listed = page.get(member).and_then(Value::as_array);
        let listed = listed.with_context(|| format!("{path} answers without {member}"))?;
        found.extend(listed.iter().cloned());
        match page.get("next") {
            Some(Value::String(next)) if after.as_ref() != Some(next) => after = Some(next.clone()),
            Some(_) | None => return Ok(found),
        }
    }
}

/// An entry of a dump; tombstones are no items.
fn stored(entry: &Value, partition: u64) -> Option<(String, StoredItem)> {
    let item =
        entry.get("item").filter(|item| item.as_object().is_some_and(|one| !one.is_empty()))?;
    let key = entry.get("key").unwrap_or(item).to_string();
    let version = match entry.get("version") {
        Some(Value::String(version)) => version.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let mut hasher = DefaultHasher::new();
    item.to_string().hash(&mut hasher);
    Some((key, StoredItem { partition, version, content: hasher.finish() }))
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// What differs between two regions, key by key.
pub(super) fn differences(one: &RegionDump, other: &RegionDump) -> Vec<String> {
    let mut found = Vec::new();
    for (key, item) in &one.items {
        match other.items.get(key) {
            None => found.push(format!(
                "key {key}: {} has version {}, {} has nothing",
                one.region, item.version, other.region
            )),
            Some(theirs) if theirs.version != item.version => found.push(format!(
                "key {key}: {} has version {}, {} has version {}",
                one.region, item.version, other.region, theirs.version
            )),
            Some(theirs) if theirs.content != item.content => found.push(format!(
                "key {key}: {} and {} have the same version {} with different content",
                one.region, other.region, item.version
            )),
            Some(_) => {}
        }
    }
    for (key, item) in other.items.iter().filter(|(key, _)| !one.items.contains_key(*key)) {
        found.push(format!(
            "key {key}: {} has version {}, {} has nothing",
            other.region, item.version, one.region
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn dump(region: &str, entries: &[Value]) -> RegionDump {
        let items = entries.iter().filter_map(|entry| stored(entry, 1)).collect();
        RegionDump { region: region.to_owned(), items }
    }

    fn entry(key: &str, value: &str, version: &str) -> Value {
        json!({"key": {"pk": {"S": key}}, "item": {"pk": {"S": key}, "v": {"S": value}}, "version": version})
    }

    #[test]
    fn equal_regions_do_not_differ() {
        let entries = [entry("a", "1", "5@1"), entry("b", "2", "6@2")];
        let tombstone = json!({"key": {"pk": {"S": "gone"}}, "item": null, "version": "7@1"});
        let mut with_tombstone = entries.to_vec();
        with_tombstone.push(tombstone);
        with_tombstone
            .push(json!({"key": {"pk": {"S": "gone too"}}, "item": {}, "version": "8@1"}));
        let found = differences(&dump("one", &entries), &dump("other", &with_tombstone));
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn each_kind_of_difference_is_named() {
        let one = dump("one", &[entry("a", "1", "5"), entry("b", "1", "5"), entry("c", "1", "5")]);
        let other =
            dump("two", &[entry("a", "1", "6"), entry("b", "2", "5"), entry("d", "1", "5")]);
        let found = differences(&one, &other);
        assert_eq!(found.len(), 4);
        assert!(found[0].contains("one has version 5, two has version 6"));
        assert!(found[1].contains("same version 5 with different content"));
        assert!(found[2].contains("\"c\"") && found[2].contains("two has nothing"));
        assert!(found[3].contains("\"d\"") && found[3].contains("one has nothing"));
    }

    #[test]
    fn positions_survive_the_query() {
        assert_eq!(percent_encoded("a+/=&b"), "a%2B%2F%3D%26b");
    }
}

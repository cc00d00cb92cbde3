//! The replicas of one partition, compared by digest at an equal applied index; and the local indexes
//! of each, compared with its items, entry by entry, by the node itself.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use crate::admin::{Admin, PartitionView};
use crate::cluster::Cluster;

/// Attempts to catch all replicas at the same applied index.
const ATTEMPTS: u32 = 20;
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// The digest of one replica.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Digest {
    applied: u64,
    hash: String,
    items: u64,
    /// How local indexes differ from the items.
    indexes: Vec<String>,
}

/// What differs between the replicas of a partition.
pub(super) async fn compare(
    cluster: &Cluster,
    partition: &PartitionView,
) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for _ in 0..ATTEMPTS {
        let digests = digests(cluster, partition).await?;
        match verdict(&digests) {
            Verdict::Equal => return Ok(Vec::new()),
            Verdict::Different(what) => found = vec![what],
            Verdict::NotComparable(what) => found = vec![what],
        }
        tokio::time::sleep(PAUSE).await;
    }
    let name = format!("{} partition {}", partition.region, partition.partition);
    Ok(found.into_iter().map(|what| format!("{name}: {what}")).collect())
}

type Digests = BTreeMap<u64, Result<Digest, String>>;

async fn digests(cluster: &Cluster, partition: &PartitionView) -> anyhow::Result<Digests> {
    let mut digests = Digests::new();
    for node in &partition.replicas {
        let admin = Admin::of_node(cluster, *node)?;
        let path = format!("/admin/digest/{}?partition={}", partition.table, partition.partition);
        let digest = match admin.get(&path).await {
            Ok(answer) => parse(&answer, partition.partition).map_err(|error| error.to_string()),
            Err(error) => Err(format!("{error:#}")),
        };
        digests.insert(*node, digest);
    }
    Ok(digests)
}

enum Verdict {
    Equal,
    Different(String),
    NotComparable(String),
}

fn verdict(digests: &Digests) -> Verdict {
    let mut known: BTreeMap<u64, &Digest> = BTreeMap::new();
    for (node, digest) in digests {
        match digest {
            Ok(digest) => known.insert(*node, digest),
            Err(error) => return Verdict::NotComparable(format!("node {node}: {error}")),
        };
    }
    let Some((first, theirs)) = known.first_key_value() else {
        return Verdict::NotComparable("no replica is known".to_owned());
    };
    for (node, digest) in &known {
        if !digest.indexes.is_empty() {
            return Verdict::Different(format!("node {node}: {}", digest.indexes.join(", ")));
        }
        if digest.applied != theirs.applied {
            return Verdict::NotComparable(format!(
                "node {first} has applied {}, node {node} {}",
                theirs.applied, digest.applied
            ));
        }
        if digest != theirs {
            return Verdict::Different(format!(
                "at applied index {} node {first} has {} items with hash {}, node {node} {} with {}",
                digest.applied, theirs.items, theirs.hash, digest.items, digest.hash
            ));
        }
    }
    Verdict::Equal
}

/// One digest, alone or in a list of the node's replicas.
fn parse(answer: &Value, partition: u64) -> anyhow::Result<Digest> {
    let mine = |one: &&Value| one.get("partition").and_then(Value::as_u64) == Some(partition);
    let list = answer.as_array().or_else(|| answer.get("replicas").and_then(Value::as_array));
    let one = match list {
        Some(list) => list.iter().find(mine).context("the node holds no such replica")?,
        None => answer,
    };
    Ok(Digest {
        applied: one.get("applied").and_then(Value::as_u64).context("no applied index")?,
        hash: one.get("hash").context("no hash")?.to_string(),
        items: one.get("items").and_then(Value::as_u64).unwrap_or(0),
        indexes: one
            .get("index_differences")
            .and_then(Value::as_array)
            .map(|list| list.iter().map(index_difference).collect())
            .unwrap_or_default(),
    })
}

fn index_difference(one: &Value) -> String {
    let number = |name: &str| one.get(name).and_then(Value::as_u64).unwrap_or(0);
    let index = one.get("index").and_then(Value::as_str).unwrap_or_default();
    let (missing, stale) = (number("missing"), number("stale"));
    format!("index {index} lacks {missing} entries and has {stale} that no item has")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn digest(applied: u64, hash: &str) -> Result<Digest, String> {
        Ok(Digest { applied, hash: hash.to_owned(), items: 1, indexes: Vec::new() })
    }

    #[test]
    fn replicas_are_compared_at_one_index_only() {
        let equal = Digests::from([(1, digest(5, "a")), (2, digest(5, "a"))]);
        assert!(matches!(verdict(&equal), Verdict::Equal));
        let different = Digests::from([(1, digest(5, "a")), (2, digest(5, "b"))]);
        assert!(matches!(verdict(&different), Verdict::Different(_)));
        let behind = Digests::from([(1, digest(5, "a")), (2, digest(6, "b"))]);
        assert!(matches!(verdict(&behind), Verdict::NotComparable(_)));
        let silent = Digests::from([(1, digest(5, "a")), (2, Err("refused".to_owned()))]);
        assert!(matches!(verdict(&silent), Verdict::NotComparable(_)));
        assert!(matches!(verdict(&Digests::new()), Verdict::NotComparable(_)));
    }

    #[test]
    fn digests_are_read_alone_and_in_a_list() {
        let one = json!({"partition": 3, "node": 1, "applied": 9, "hash": "ab", "items": 4});
        assert_eq!(parse(&one, 3).unwrap().items, 4);
        assert_eq!(parse(&json!([{"partition": 1}, one]), 3).unwrap().applied, 9);
        let odd = json!([{"index": "by-size", "missing": 2, "stale": 1}]);
        let odd = json!({"partition": 3, "applied": 9, "hash": "ab", "index_differences": odd});
        let digests = Digests::from([(1, Ok(parse(&odd, 3).unwrap()))]);
        let Verdict::Different(what) = verdict(&digests) else { panic!("an index differs") };
        assert!(what.contains("index by-size lacks 2 entries and has 1"), "{what}");
        assert!(parse(&json!([]), 3).is_err());
        assert!(parse(&json!({}), 3).is_err());
    }
}

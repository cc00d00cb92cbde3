//! `meridian verify`: do the replicas of each partition, and the regions of a global table, hold
//! the same?
//!
//! Replicas are compared by digest at an equal applied index, and each with its own local indexes;
//! regions item by item, with versions; global indexes with the items of their region, entry by entry.
//! All are looked at again for a while before they count as different, because changes may be under
//! way.
//!
//! # Invariants
//!
//! - A replica that does not answer is a difference, not an exception.
//! - Two regions are compared only where the table says that it is replicated.
//!
//! Tested in `verify/dump.rs` and `verify/replicas.rs`, and as a whole by `rehearsal.rs`.

mod dump;
mod indexes;
mod replicas;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};
use tokio::time::Instant;

pub use dump::{RegionDump, StoredItem, dump_region};

use crate::admin;
use crate::args::{Output, Shell};
use crate::client::{Client, Outcome};
use crate::cluster::Cluster;

/// Differences that are named; the rest is counted.
const NAMED_MAX: usize = 20;
/// How long differences may persist before they count.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two comparisons.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest wait for an answer about a table.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Arguments of `meridian verify`.
#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// The table; all tables when absent. `indexes TABLE` compares its global indexes alone.
    #[arg(value_name = "[indexes] TABLE", num_args = 0..=2)]
    pub table: Vec<String>,
    /// The file of the cluster secret, where the cluster has one.
    #[arg(long, value_name = "FILE")]
    pub cluster_secret_file: Option<PathBuf>,
}

/// What was compared of a table, and what differs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Comparison {
    /// Name of the table.
    pub table: String,
    /// Regions that hold it.
    pub regions: Vec<String>,
    /// Partitions whose replicas were compared, over all regions.
    pub partitions: usize,
    /// Items of one region.
    pub items: usize,
    /// Entries of global indexes, over all regions.
    pub entries: usize,
    /// What differs, for people.
    pub differences: Vec<String>,
}

/// Compares and prints; success only if everything is equal.
pub async fn run(args: VerifyArgs, shell: Shell) -> anyhow::Result<ExitCode> {
    let file = shell.cluster.context("verify needs --cluster FILE")?;
    let cluster = Cluster::read_with(&file, args.cluster_secret_file.as_deref())?;
    let (tables, scope) = match args.table.as_slice() {
        [] => (table_names(&cluster).await?, Scope::All),
        [table] => (vec![table.clone()], Scope::All),
        [what, table] if what == "indexes" => (vec![table.clone()], Scope::Indexes),
        _ => anyhow::bail!("verify takes a table, or `indexes` and a table"),
    };
    let mut comparisons = Vec::new();
    for table in &tables {
        comparisons.push(compare_patiently(&cluster, table, scope).await?);
    }
    let equal = comparisons.iter().all(|one| one.differences.is_empty());
    match shell.output {
        Output::Json => {
            let tables: Vec<Value> = comparisons.iter().map(json_of).collect();
            println!("{}", json!({ "equal": equal, "tables": tables }));
        }
        Output::Text => comparisons.iter().for_each(print),
    }
    Ok(if equal { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn json_of(one: &Comparison) -> Value {
    json!({
        "table": one.table,
        "regions": one.regions,
        "partitions": one.partitions,
        "items": one.items,
        "index_entries": one.entries,
        "difference_count": one.differences.len(),
        "differences": one.differences.iter().take(NAMED_MAX).collect::<Vec<_>>(),
    })
}

fn print(one: &Comparison) {
    let verdict = match one.differences.len() {
        0 => "equal".to_owned(),
        count => format!("{count} differences"),
    };
    println!(
        "{}: {verdict} ({} items, {} index entries, {} partitions in {})",
        one.table,
        one.items,
        one.entries,
        one.partitions,
        one.regions.join(", ")
    );
    for difference in one.differences.iter().take(NAMED_MAX) {
        println!("  {difference}");
    }
    if one.differences.len() > NAMED_MAX {
        println!("  and {} more", one.differences.len() - NAMED_MAX);
    }
}

/// Compares a table's replicas and regions until they are equal or patience ends.
pub async fn compare(cluster: &Cluster, table: &str) -> anyhow::Result<Comparison> {
    compare_patiently(cluster, table, Scope::All).await
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    All,
    Indexes,
}

async fn compare_patiently(
    cluster: &Cluster,
    table: &str,
    scope: Scope,
) -> anyhow::Result<Comparison> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let comparison = compare_once(cluster, table, scope).await;
        let settled = comparison.as_ref().is_ok_and(|one| one.differences.is_empty());
        if settled || Instant::now() >= deadline {
            return comparison;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn compare_once(cluster: &Cluster, table: &str, scope: Scope) -> anyhow::Result<Comparison> {
    let mut comparison = Comparison { table: table.to_owned(), ..Comparison::default() };
    let mut dumps: Vec<RegionDump> = Vec::new();
    for region in regions_of(cluster, table).await? {
        if let Some(known) = cluster.regions.iter().find(|known| known.name == region) {
            let indexes = indexes::compare(cluster, known, table).await?;
            comparison.partitions += indexes.partitions;
            comparison.entries += indexes.entries;
            comparison.differences.extend(indexes.differences);
        }
        if scope == Scope::Indexes {
            comparison.regions.push(region);
            continue;
        }
        let partitions = admin::partitions(cluster, &region, table).await?;
        comparison.partitions += partitions.len();
        for partition in &partitions {
            comparison.differences.extend(replicas::compare(cluster, partition).await?);
        }
        dumps.push(dump_region(cluster, &region, table, &partitions).await?);
        comparison.regions.push(region);
    }
    comparison.items = dumps.first().map_or(0, |dump| dump.items.len());
    for other in dumps.iter().skip(1) {
        comparison.differences.extend(dump::differences(&dumps[0], other));
    }
    Ok(comparison)
}

/// The regions that hold a table. If several do, they must be replicas of each other.
async fn regions_of(cluster: &Cluster, table: &str) -> anyhow::Result<Vec<String>> {
    let mut holding = Vec::new();
    let mut replicas = BTreeSet::new();
    for region in &cluster.regions {
        let body = json!({ "TableName": table });
        match ask(&region.endpoints, "DescribeTable", &body).await? {
            Outcome::Ok(answer) => {
                let listed = answer["Table"]["Replicas"].as_array();
                let names = listed.into_iter().flatten().map(|one| one["RegionName"].clone());
                replicas.extend(names.filter_map(|name| name.as_str().map(str::to_owned)));
                holding.push(region.name.clone());
            }
            Outcome::Failed { code, .. } if code == "ResourceNotFoundException" => {}
            Outcome::Failed { code, body } => anyhow::bail!("DescribeTable: {code}: {body}"),
            Outcome::Unknown(why) => anyhow::bail!("DescribeTable: {why}"),
        }
    }
    anyhow::ensure!(!holding.is_empty(), "no region has a table {table}");
    anyhow::ensure!(
        holding.len() == 1 || !replicas.is_empty(),
        "table {table} stands in {} but is not replicated: nothing to compare between regions",
        holding.join(", ")
    );
    Ok(holding)
}

async fn table_names(cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    let mut names = BTreeSet::new();
    for region in &cluster.regions {
        let mut body = json!({});
        loop {
            let Outcome::Ok(answer) = ask(&region.endpoints, "ListTables", &body).await? else {
                anyhow::bail!("region {} does not list its tables", region.name);
            };
            let listed = answer["TableNames"].as_array().into_iter().flatten();
            names.extend(listed.filter_map(|name| name.as_str().map(str::to_owned)));
            match answer.get("LastEvaluatedTableName") {
                Some(last) if !last.is_null() => {
                    body = json!({ "ExclusiveStartTableName": last });
                }
                Some(_) | None => break,
            }
        }
    }
    Ok(names.into_iter().collect())
}

/// The first clear answer of any of these endpoints.
async fn ask(endpoints: &[String], operation: &str, body: &Value) -> anyhow::Result<Outcome> {
    let mut last = Outcome::Unknown("the region has no endpoint".to_owned());
    for url in endpoints {
        last = Client::patient(url, ANSWER_TIMEOUT)?.call(operation, body).await;
        match &last {
            Outcome::Ok(_) => return Ok(last),
            Outcome::Failed { code, .. } if code == "ResourceNotFoundException" => return Ok(last),
            Outcome::Failed { .. } | Outcome::Unknown(_) => {}
        }
    }
    Ok(last)
}

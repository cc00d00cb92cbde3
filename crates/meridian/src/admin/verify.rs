//! `admin backup verify`: shows that something restores, by doing it.
//!
//! # Invariants
//!
//! - The scratch table is deleted, also when the comparison failed; one that an earlier run left is
//!   deleted first.

use super::archive_args::VerifyArgs;
use super::ask::Cluster;
use super::escaped;
use super::restore::{Begun, begin, source_json, wait};
use crate::cli::Shell;
use crate::output;
use anyhow::{Context, bail};
use meridian_api::admin::RestoreKind;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Between two looks whether the scratch table is gone.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The end of a scratch table's name.
const SCRATCH_SUFFIX: &str = ".verify";
/// Longest name of a table.
const NAME_MAX: usize = 255;

/// What the comparison of one partition found.
#[derive(Debug, Default, Deserialize)]
struct Part {
    items: u64,
    restored: u64,
    /// None where there is no live table, or nothing says what was written to it since.
    live: Option<u64>,
    written_since: u64,
    wrong: u64,
    named: Vec<Value>,
}

/// The name of the scratch table.
fn scratch(source: &str, is_backup: bool) -> String {
    let of = if is_backup { format!("backup-{source}") } else { source.to_owned() };
    let kept: String = of.chars().take(NAME_MAX - SCRATCH_SUFFIX.len()).collect();
    format!("{kept}{SCRATCH_SUFFIX}")
}

/// `admin backup verify`.
pub(super) async fn run(cluster: &Cluster, args: &VerifyArgs, shell: &Shell) -> anyhow::Result<()> {
    let cluster = cluster.only(args.by.region.as_deref())?;
    loop {
        let checked = once(&cluster, args).await;
        let Some(every) = args.every else {
            let (answer, wrong) = checked?;
            output::result(shell.output, &answer, super::show::text);
            if wrong > 0 {
                bail!("{wrong} items are wrong");
            }
            return Ok(());
        };
        match checked {
            Ok((answer, _)) => output::result(shell.output, &answer, super::show::text),
            Err(error) => output::failed(shell.output, &error),
        }
        tokio::time::sleep(every).await;
    }
}

async fn once(cluster: &Cluster, args: &VerifyArgs) -> anyhow::Result<(Value, u64)> {
    let table = scratch(&args.from.source, args.from.backup);
    remove(cluster, &table).await?;
    let source = source_json(&args.from);
    let begun = begin(cluster, source.clone(), &table, RestoreKind::Scratch).await?;
    let compared = compare(cluster, source, &begun).await;
    remove(cluster, &table).await.context("the scratch table")?;
    let whole = compared?;
    let answer = json!({
        "source": args.from.source,
        "at": begun.at,
        "partitions": begun.partitions.len(),
        "items_archived": whole.items,
        "items_restored": whole.restored,
        "items_live": whole.live,
        "written_since": whole.written_since,
        "wrong": whole.wrong,
        "wrong_items": whole.named,
    });
    Ok((answer, whole.wrong))
}

async fn compare(
    cluster: &Cluster,
    mut source: Map<String, Value>,
    begun: &Begun,
) -> anyhow::Result<Part> {
    wait(cluster, &begun.table).await?;
    source.insert("restored".to_owned(), json!(begun.table));
    source.insert("at_ms".to_owned(), json!(begun.at_ms));
    let mut whole = Part { live: Some(0), ..Part::default() };
    for partition in &begun.partitions {
        source.insert("partition".to_owned(), json!(partition));
        let part = cluster.change("/admin/compare", &Value::Object(source.clone()), None).await?;
        let part: Part = serde_json::from_value(part).context("the node's answer")?;
        whole.items += part.items;
        whole.restored += part.restored;
        whole.live = whole.live.zip(part.live).map(|(sum, more)| sum + more);
        whole.written_since += part.written_since;
        whole.wrong += part.wrong;
        whole.named.extend(part.named);
    }
    Ok(whole)
}

/// Deletes a scratch table, if there is one, and waits until it is gone.
async fn remove(cluster: &Cluster, table: &str) -> anyhow::Result<()> {
    let path = format!("/admin/restoring/{}", escaped(table));
    let mut is_first = true;
    while cluster.is_there(&path).await? {
        if is_first {
            let body = json!({ "table": table });
            cluster.change("/admin/table/drop", &body, None).await?;
            is_first = false;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scratch_tables_have_names_that_tables_can_have() {
        assert_eq!(scratch("music", false), "music.verify");
        assert_eq!(scratch("7", true), "backup-7.verify");
        assert_eq!(scratch(&"x".repeat(255), false).len(), 255);
    }
}

//! `admin restore` and `admin archive`: tables that are filled from an archive.

use super::archive_args::{ArchiveCommand, RebuildArgs, RestoreArgs, SourceArgs};
use super::ask::Cluster;
use super::escaped;
use crate::cli::Shell;
use crate::output;
use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use meridian_api::admin::RestoreKind;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Between two looks at how far a restore is.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A table of which the archive ends so much before that of another, ms, was not written to it any more.
const BEHIND_MS: u64 = 60_000;

/// What a request says of a restore's source.
pub(super) fn source_json(from: &SourceArgs) -> Map<String, Value> {
    let value = json!({
        "source": from.source,
        "backup": from.backup,
        "cluster": from.from_cluster,
        "region": from.from_region,
        "at_ms": from.at,
    });
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// A restore that has begun.
#[derive(Debug, Deserialize)]
pub(super) struct Begun {
    pub(super) table: String,
    pub(super) at: String,
    pub(super) at_ms: u64,
    /// The partitions of the source.
    pub(super) partitions: Vec<u64>,
}

/// Begins a restore.
pub(super) async fn begin(
    cluster: &Cluster,
    mut source: Map<String, Value>,
    to: &str,
    kind: RestoreKind,
) -> anyhow::Result<Begun> {
    source.insert("to".to_owned(), json!(to));
    source.insert("all_settings".to_owned(), json!(kind == RestoreKind::AllSettings));
    source.insert("scratch".to_owned(), json!(kind == RestoreKind::Scratch));
    let begun = cluster.change("/admin/restore", &Value::Object(source), None).await?;
    serde_json::from_value(begun).context("the node's answer")
}

/// Waits until a table serves; shows how far it is. Gives what the node said last.
pub(super) async fn wait(cluster: &Cluster, table: &str) -> anyhow::Result<Value> {
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template(
        "{msg} [{elapsed_precise}] {bar:30} {bytes}/{total_bytes} {binary_bytes_per_sec}, {eta} left",
    );
    if let Ok(style) = style {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(table.to_owned());
    let path = format!("/admin/restoring/{}", escaped(table));
    loop {
        // While no node answers it may still go on.
        if let Ok(Value::Object(now)) = cluster.everywhere(&path).await {
            let number = |name: &str| now.get(name).and_then(Value::as_u64);
            if let (Some(bytes), Some(total)) = (number("bytes"), number("bytes_total")) {
                bar.set_length(total.max(bytes));
                bar.set_position(bytes);
            }
            match now.get("status").and_then(Value::as_str) {
                Some("Creating") => {}
                Some("Deleting") => bail!("table {table} was deleted meanwhile"),
                Some(_) => {
                    bar.finish_and_clear();
                    return Ok(Value::Object(now));
                }
                None => bail!("a node answered without a status"),
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// `admin restore`.
pub(super) async fn restore(cluster: &Cluster, args: &RestoreArgs) -> anyhow::Result<Value> {
    let cluster = cluster.only(args.by.region.as_deref())?;
    let kind = if args.all_settings { RestoreKind::AllSettings } else { RestoreKind::Usual };
    let begun = begin(&cluster, source_json(&args.from), &args.to, kind).await?;
    wait(&cluster, &begun.table).await?;
    Ok(json!({"table": begun.table, "at": begun.at, "status": "Active"}))
}

/// `admin archive`.
pub(super) async fn archive(
    cluster: &Cluster,
    command: &ArchiveCommand,
    shell: &Shell,
) -> anyhow::Result<Value> {
    match command {
        ArchiveCommand::List { by } => {
            let mut listed = cluster.only(by.region.as_deref())?.slowly("/admin/archive").await?;
            let rows = listed.get_mut("archived").and_then(Value::as_array_mut);
            for row in rows.into_iter().flatten().filter_map(Value::as_object_mut) {
                row.remove("latest_ms");
            }
            Ok(listed)
        }
        ArchiveCommand::Rewrap { from_cluster, from_region, by } => {
            let cluster = cluster.only(by.region.as_deref())?;
            let body = json!({ "cluster": from_cluster, "region": from_region });
            let answer = cluster.change("/admin/rewrap", &body, None).await?;
            let failed = answer.get("failed").and_then(Value::as_array).map_or(0, Vec::len);
            if failed > 0 {
                output::result(shell.output, &answer, super::show::text);
                bail!("the data keys of {failed} tables or backups were not wrapped again");
            }
            Ok(answer)
        }
        ArchiveCommand::Rebuild(args) => {
            rebuild(&cluster.only(args.by.region.as_deref())?, args, shell).await
        }
    }
}

/// A line of `archive list`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Row {
    cluster: String,
    region: String,
    kind: String,
    number: u64,
    name: Option<String>,
    latest: Option<String>,
    latest_ms: Option<u64>,
    error: Option<String>,
}

/// What is made again, and as of when.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    /// Number and name.
    tables: Vec<(u64, String)>,
    at_ms: u64,
    /// What is left out, and why.
    left: Vec<(String, String)>,
}

/// Chooses the tables of a region that are made again: of each name the newest, if its archive goes on to
/// about the end of the others' or it is asked for by name.
fn plan(rows: &[Row], args: &RebuildArgs) -> Result<Plan, String> {
    let of = |row: &&Row| {
        row.cluster == args.from_cluster && row.region == args.from_region && row.kind == "table"
    };
    let mut left = Vec::new();
    let mut usable: Vec<(&Row, &str, u64)> = Vec::new();
    for row in rows.iter().filter(of) {
        let label = row.name.clone().unwrap_or_else(|| format!("number {}", row.number));
        match (&row.name, row.latest_ms, &row.error) {
            (_, _, Some(why)) => left.push((label, why.clone())),
            (Some(name), Some(latest_ms), None) => usable.push((row, name, latest_ms)),
            (_, _, None) => left.push((label, "nothing of it can be brought back".to_owned())),
        }
    }
    let newest_ms = usable.iter().map(|(_, _, latest_ms)| *latest_ms).max().unwrap_or_default();
    let mut chosen: Vec<(&Row, &str, u64)> = Vec::new();
    // A name's newest table comes last; numbers do not tell, since regions give them out by themselves.
    usable.sort_unstable_by_key(|(row, name, latest_ms)| (*name, *latest_ms, row.number));
    for (row, name, latest_ms) in usable {
        let asked = args.table.iter().any(|one| one == name);
        if !args.table.is_empty() && !asked {
            continue;
        }
        if !asked && newest_ms.saturating_sub(latest_ms) > BEHIND_MS {
            let ends = row.latest.clone().unwrap_or_default();
            left.push((name.to_owned(), format!("its archive ends earlier, at {ends}")));
            continue;
        }
        if let Some(before) = chosen.pop_if(|(_, before, _)| *before == name) {
            left.push((
                name.to_owned(),
                format!("number {} has the name of a newer one", before.0.number),
            ));
        }
        chosen.push((row, name, latest_ms));
    }
    let is_missing = |name: &&String| !chosen.iter().any(|one| one.1 == name.as_str());
    if let Some(name) = args.table.iter().find(is_missing) {
        return Err(format!(
            "--table {name}: the archive has nothing of it that can be brought back"
        ));
    }
    let last_ms = chosen.iter().map(|(_, _, latest_ms)| *latest_ms).min();
    let Some(last_ms) = last_ms else {
        return Err(format!(
            "the archive has no table of region {} of cluster {}; `admin archive list` shows what it has",
            args.from_region, args.from_cluster
        ));
    };
    let tables = chosen.iter().map(|(row, name, _)| (row.number, (*name).to_owned())).collect();
    Ok(Plan { tables, at_ms: args.at.unwrap_or(last_ms), left })
}

async fn rebuild(cluster: &Cluster, args: &RebuildArgs, shell: &Shell) -> anyhow::Result<Value> {
    let listed = cluster.slowly("/admin/archive").await?;
    let rows = listed.get("archived").cloned().unwrap_or_default();
    let rows: Vec<Row> = serde_json::from_value(rows).context("the node's answer")?;
    let Plan { tables, at_ms, left } = plan(&rows, args).map_err(anyhow::Error::msg)?;
    let (mut begun, mut failed) = (Vec::new(), Vec::new());
    for (number, name) in &tables {
        let source = json!({
            "source": number.to_string(),
            "cluster": args.from_cluster,
            "region": args.from_region,
            "at_ms": at_ms,
        });
        let source = source.as_object().cloned().unwrap_or_default();
        match begin(cluster, source, name, RestoreKind::AllSettings).await {
            Ok(one) => begun.push(one),
            Err(why) => failed.push(json!({"table": name, "why": format!("{why:#}")})),
        }
    }
    let mut made = Vec::new();
    for one in &begun {
        wait(cluster, &one.table).await?;
        made.push(json!({"table": one.table, "at": one.at}));
    }
    let left: Vec<Value> =
        left.into_iter().map(|(table, why)| json!({"table": table, "why": why})).collect();
    let answer = json!({"made": made, "left": left, "failed": failed});
    if failed.is_empty() {
        return Ok(answer);
    }
    output::result(shell.output, &answer, super::show::text);
    bail!("{} of {} tables were not made", failed.len(), tables.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::archive_args::In;

    fn row(number: u64, name: &str, latest_ms: u64) -> Row {
        Row {
            cluster: "c".to_owned(),
            region: "r".to_owned(),
            kind: "table".to_owned(),
            number,
            name: Some(name.to_owned()),
            latest: Some("then".to_owned()),
            latest_ms: Some(latest_ms),
            error: None,
        }
    }

    fn args(table: &[&str], at: Option<u64>) -> RebuildArgs {
        RebuildArgs {
            from_cluster: "c".to_owned(),
            from_region: "r".to_owned(),
            at,
            table: table.iter().map(|name| (*name).to_owned()).collect(),
            by: In { region: None },
        }
    }

    #[test]
    fn a_region_is_made_again_as_of_one_moment() {
        let ended = row(3, "ended", 10_000);
        let other = Row { region: "s".to_owned(), ..row(4, "other", 999_000) };
        let damaged = Row { error: Some("broken".to_owned()), name: None, ..row(5, "", 0) };
        let backup = Row { kind: "backup".to_owned(), ..row(6, "music", 999_000) };
        let rows =
            [row(1, "music", 100_000), row(2, "films", 90_000), ended, other, damaged, backup];
        let found = plan(&rows, &args(&[], None)).unwrap();
        assert_eq!(found.tables, [(2, "films".to_owned()), (1, "music".to_owned())]);
        assert_eq!(found.at_ms, 90_000, "what both have");
        let names: Vec<&str> = found.left.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["number 5", "ended"]);
        assert_eq!(plan(&rows, &args(&[], Some(7))).unwrap().at_ms, 7);
        let asked = plan(&rows, &args(&["ended"], None)).unwrap();
        assert_eq!((asked.tables, asked.at_ms), (vec![(3, "ended".to_owned())], 10_000));
        assert!(plan(&rows, &args(&["gone"], None)).unwrap_err().contains("--table gone"));
        assert!(plan(&[], &args(&[], None)).is_err());
    }

    #[test]
    fn of_one_name_the_newest_is_made_again() {
        let rows = [row(2, "music", 100_000), row(9, "music", 99_000)];
        let found = plan(&rows, &args(&[], None)).unwrap();
        assert_eq!((found.tables, found.at_ms), (vec![(2, "music".to_owned())], 100_000));
        assert_eq!(found.left.len(), 1);
    }
}

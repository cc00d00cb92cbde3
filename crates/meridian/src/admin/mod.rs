//! `meridian admin`: looks after a cluster through the admin listeners of its nodes.
//!
//! # Invariants
//!
//! - A change is sent to one node; another is asked only when the first surely did not get it.
//! - The exit status is 0 only when the cluster says that it is done.
//!
//! `args` and `archive_args` are the command line, `ask` finds who answers, `show` makes tables for people; `restore`,
//! `verify` and `tables` are commands that take several calls.

mod archive_args;
mod args;
mod ask;
mod restore;
mod show;
mod tables;
mod verify;

pub use args::AdminArgs;

use crate::cli::Shell;
use crate::output;
use anyhow::{Context, bail};
use archive_args::BackupCommand;
use args::{AdminCommand, ClusterCommand, NodeCommand, RegionCommand};
use ask::Cluster;
use serde_json::{Map, Value, json};
use std::cmp::Reverse;

/// Does what is asked and prints the answer.
pub async fn run(args: &AdminArgs, shell: &Shell) -> anyhow::Result<()> {
    let cluster = Cluster::find(args, shell)?;
    let answer = match &args.command {
        AdminCommand::Status => cluster.everywhere("/admin/status").await?,
        AdminCommand::Tables => cluster.everywhere("/admin/tables").await?,
        AdminCommand::Lag => cluster.everywhere("/admin/lag").await?,
        AdminCommand::Regions => cluster.everywhere("/admin/regions").await?,
        AdminCommand::Conflicts { table } => {
            cluster.everywhere(&format!("/admin/conflicts/{}", escaped(table))).await?
        }
        AdminCommand::Cluster(ClusterCommand::Init { nodes }) => {
            cluster.change("/admin/cluster/init", &json!({ "nodes": nodes }), None).await?
        }
        AdminCommand::Region(command) => region(&cluster, command).await?,
        AdminCommand::Node(command) => node(&cluster, command).await?,
        AdminCommand::Archive(command) => restore::archive(&cluster, command, shell).await?,
        AdminCommand::Restore(args) => restore::restore(&cluster, args).await?,
        AdminCommand::Backup(BackupCommand::Verify(args)) => {
            return verify::run(&cluster, args, shell).await;
        }
        AdminCommand::Table(command) => tables::run(&cluster, command).await?,
    };
    output::result(shell.output, &answer, show::text);
    Ok(())
}

async fn region(cluster: &Cluster, command: &RegionCommand) -> anyhow::Result<Value> {
    let path = |region: &str, verb: &str| format!("/admin/region/{}/{verb}", escaped(region));
    match command {
        RegionCommand::Fail { region, override_epoch } => {
            let body = json!({ "override_epoch": override_epoch });
            cluster.change(&path(region, "fail"), &body, Some(region)).await
        }
        RegionCommand::Evacuate { region, to, abort } => {
            let body = json!({ "target": to, "abort": abort });
            cluster.change(&path(region, "evacuate"), &body, Some(region)).await
        }
        RegionCommand::Restore { region } => {
            let body = Value::Object(Map::new());
            let answer = cluster.change(&path(region, "restore"), &body, Some(region)).await?;
            cluster.return_at_router(region).await.with_context(|| {
                format!("{region} is restored, but the router was not told to return to it")
            })?;
            Ok(answer)
        }
    }
}

async fn node(cluster: &Cluster, command: &NodeCommand) -> anyhow::Result<Value> {
    let body = |node: &u64| json!({ "node": node });
    match command {
        NodeCommand::Start { node } => cluster.start_node(*node).await,
        NodeCommand::Add { node } => cluster.change("/admin/node/add", &body(node), None).await,
        NodeCommand::Drain { node } => cluster.change("/admin/node/drain", &body(node), None).await,
        NodeCommand::Remove { node } => {
            cluster.change("/admin/node/remove", &body(node), None).await
        }
    }
}

/// Escapes what a path segment may not hold.
fn escaped(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes()
        .map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// Puts answers of several regions together: lists are joined, of two records of one thing the
/// one with the higher epoch, or the one of who heard of it last, stays; of other fields the first.
fn joined(answers: Vec<Value>) -> anyhow::Result<Value> {
    let mut whole = Map::new();
    for answer in answers {
        let Value::Object(fields) = answer else { bail!("a node answered {answer}") };
        for (name, value) in fields {
            match (whole.get_mut(&name), value) {
                (None, value) => {
                    whole.insert(name, value);
                }
                (Some(Value::Array(list)), Value::Array(more)) => {
                    more.into_iter().for_each(|entry| add(list, entry));
                }
                (Some(_), _) => {}
            }
        }
    }
    Ok(Value::Object(whole))
}

fn add(list: &mut Vec<Value>, entry: Value) {
    let number = |v: &Value, name: &str| v.get(name).and_then(Value::as_u64);
    let newness = |v: &Value| (number(v, "epoch"), number(v, "silent_ms").map(Reverse));
    let known = match identity(&entry) {
        Some(name) => list.iter_mut().find(|known| identity(known) == Some(name)),
        None => list.iter_mut().find(|known| **known == entry),
    };
    match known {
        None => list.push(entry),
        Some(known) if newness(&entry) > newness(known) => *known = entry,
        Some(_) => {}
    }
}

/// What a record is of, where it is a record that several nodes keep.
fn identity(entry: &Value) -> Option<&Value> {
    let kept = entry.get("epoch").is_some() || entry.get("silent_ms").is_some();
    entry.get("name").or_else(|| entry.get("id")).filter(|_| kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_joined() {
        let region = |state: &str, epoch: u64| json!({"name": "a", "state": state, "epoch": epoch});
        let answers = vec![
            json!({"cluster_id": "c", "regions": [region("Active", 1)], "partitions": [1]}),
            json!({"cluster_id": "c", "regions": [region("Lost", 2)], "partitions": [1, 2]}),
            json!({"regions": [region("Active", 1)], "other": 3}),
        ];
        let whole = joined(answers).unwrap();
        assert_eq!(
            whole,
            json!({"cluster_id": "c", "regions": [region("Lost", 2)], "partitions": [1, 2], "other": 3})
        );
        assert!(joined(vec![json!(1)]).is_err());
        let node = |silent: u64| json!({"id": 1, "silent_ms": silent});
        let answers = [30, 0, 200].map(|silent| json!({"nodes": [node(silent)]}));
        assert_eq!(joined(answers.to_vec()).unwrap(), json!({"nodes": [node(0)]}));
    }

    #[test]
    fn names_are_escaped() {
        assert_eq!(escaped("a.b-c_d/é"), "a.b-c_d%2F%C3%A9");
    }
}

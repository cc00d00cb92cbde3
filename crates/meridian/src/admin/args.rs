//! The command line of `meridian admin`.

use super::archive_args::{ArchiveCommand, BackupCommand, RestoreArgs, TableCommand};
use crate::cli::span;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `admin`.
#[derive(Debug, Args)]
pub struct AdminArgs {
    /// Admin URL of a node, where there is no --cluster FILE.
    #[arg(long, global = true, value_name = "URL", conflicts_with = "cluster")]
    pub endpoint: Vec<String>,
    /// The file of the cluster secret.
    #[arg(long, global = true, value_name = "FILE")]
    pub cluster_secret_file: Option<PathBuf>,
    /// Admin URL of the router, where the cluster file names none.
    #[arg(long, global = true, value_name = "URL")]
    pub router: Option<String>,
    /// Longest time that a change may take.
    #[arg(long, global = true, default_value = "10m", value_parser = span)]
    pub timeout: Duration,
    /// What to do.
    #[command(subcommand)]
    pub command: AdminCommand,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// Regions, nodes, groups and partitions with their leaders.
    Status,
    /// Tables with their partitions and replicas.
    Tables,
    /// Regions and their states.
    Regions,
    /// Recorded conflicts of a table.
    Conflicts {
        /// Name of the table.
        table: String,
    },
    /// Replication lag between regions.
    Lag,
    /// The cluster as a whole.
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// One region.
    #[command(subcommand)]
    Region(RegionCommand),
    /// One node.
    #[command(subcommand)]
    Node(NodeCommand),
    /// What the archive's object store holds, of whichever clusters and regions.
    #[command(subcommand)]
    Archive(ArchiveCommand),
    /// Fill a new table from the archive, and wait until it serves.
    Restore(RestoreArgs),
    /// Backups and the archive of tables.
    #[command(subcommand)]
    Backup(BackupCommand),
    /// Tables.
    #[command(subcommand)]
    Table(TableCommand),
}

/// The cluster as a whole.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Found the cluster, once, out of the nodes that know each other.
    Init {
        /// Refuse unless exactly so many nodes are known.
        #[arg(long)]
        nodes: Option<u64>,
    },
}

/// One region.
#[derive(Debug, Subcommand)]
pub enum RegionCommand {
    /// Mark a region Lost.
    Fail {
        /// Name of the region.
        region: String,
        /// Without a majority of the global group, at this epoch of the region.
        #[arg(long, value_name = "EPOCH")]
        override_epoch: Option<u64>,
    },
    /// Bring a region back: it catches up, sends what only it holds, and takes traffic again.
    Restore {
        /// Name of the region.
        region: String,
    },
    /// Move a region's traffic to another without a failed request.
    Evacuate {
        /// Name of the region.
        region: String,
        /// The region that takes over; chosen by the cluster when absent.
        #[arg(long, value_name = "REGION")]
        to: Option<String>,
        /// Undo a drain that is under way.
        #[arg(long, conflicts_with = "to")]
        abort: bool,
    },
}

/// One node.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// Start a node of a running playground again.
    Start {
        /// Id of the node.
        node: u64,
    },
    /// Let a node that has joined take replicas.
    Add {
        /// Id of the node.
        node: u64,
    },
    /// Move every replica off a node.
    Drain {
        /// Id of the node.
        node: u64,
    },
    /// Forget a node for good; its replicas are rebuilt elsewhere.
    Remove {
        /// Id of the node.
        node: u64,
    },
}

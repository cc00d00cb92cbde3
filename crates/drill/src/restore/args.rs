//! What the command line can say to the drill of a restore.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::args::{rate, span};

/// Arguments of `meridian drill restore`.
#[derive(Debug, Clone, Args)]
pub struct RestoreArgs {
    /// How often it happens.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub trials: u32,
    /// Items of the table.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..=50_000_000))]
    pub items: u32,
    /// Padding of each item, in bytes.
    #[arg(long, default_value_t = 1024)]
    pub item_bytes: usize,
    /// Writes a second, one in ten of them a delete, and as many reads a second.
    #[arg(long, default_value = "500", value_parser = rate)]
    pub rate: f64,
    /// Clients that share the rate.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub clients: u16,
    /// Partitions of a new table of the playground.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub partitions: u32,
    /// Bytes a second that restores write at most on each node of the playground; 0 for no limit.
    #[arg(long, default_value_t = 0)]
    pub restore_bytes_per_s_max: u64,
    /// After the trials, how often the traffic is measured alone and beside an on-demand backup and
    /// a restore, in turns.
    #[arg(long, default_value_t = 0)]
    pub pairs: u32,
    /// Load before the damage, and on its own in a pair.
    #[arg(long, default_value = "10s", value_parser = span)]
    pub warmup: Duration,
    /// Longest wait for a restore or a backup.
    #[arg(long, default_value = "10m", value_parser = span)]
    pub patience: Duration,
    /// Nodes of the playground's region.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=10))]
    pub nodes_per_region: u16,
    /// Storage engine of the playground.
    #[arg(long)]
    pub engine: Option<String>,
    /// Where the playground keeps its data; a temporary folder when absent.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Where `report.json` and `report.html` go.
    #[arg(long, value_name = "DIR", default_value = "drill-report")]
    pub report: PathBuf,
    /// The file of the cluster secret, where the cluster has one.
    #[arg(long, value_name = "FILE")]
    pub cluster_secret_file: Option<PathBuf>,
    /// Seed of the keys and of the damage; random when absent, and printed.
    #[arg(long)]
    pub seed: Option<u64>,
}

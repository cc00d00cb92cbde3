//! The command line.

use crate::admin::AdminArgs;
use clap::{Args, Parser, Subcommand};
use meridian_drill::DrillArgs;
use meridian_drill::bench::BenchArgs;
use meridian_drill::verify::VerifyArgs;
use meridian_server::config::EngineChoice;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use meridian_drill::args::span;
pub use meridian_drill::{Output, Shell};

/// A DynamoDB-compatible database in several regions.
#[derive(Debug, Parser)]
#[command(name = "meridian", version, propagate_version = true)]
pub struct Cli {
    /// The cluster.json of the cluster to talk to, as `playground` writes it.
    #[arg(long, global = true, value_name = "FILE")]
    pub cluster: Option<PathBuf>,
    /// How results are printed on stdout.
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run one node of one region in this process, for development.
    Dev(DevArgs),
    /// Run several regions on this machine, with latency between them.
    Playground(PlaygroundArgs),
    /// Run one node of a cluster.
    Serve(ConfigArgs),
    /// Run the global endpoint of a cluster.
    Router(ConfigArgs),
    /// Look after a cluster.
    Admin(AdminArgs),
    /// Rehearse the loss of a region or a node, and measure what it costs.
    Drill(DrillArgs),
    /// Compare the replicas of each partition, and the regions of each global table.
    Verify(VerifyArgs),
    /// Measure an endpoint under load.
    Bench(BenchArgs),
}

/// Arguments of `dev`.
#[derive(Debug, Args)]
pub struct DevArgs {
    /// Where clients are served; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8000")]
    pub listen: SocketAddr,
    /// Where /health, /metrics and /admin are served; a free port when absent.
    #[arg(long)]
    pub listen_admin: Option<SocketAddr>,
    /// Where the data is kept.
    #[arg(long, default_value = "meridian-data", conflicts_with = "in_memory")]
    pub data_dir: PathBuf,
    /// Keep the data in memory only.
    #[arg(long, conflicts_with = "engine")]
    pub in_memory: bool,
    /// Storage engine: fjall or sled.
    #[arg(long, default_value = "fjall")]
    pub engine: EngineChoice,
    /// Partitions of a new table.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub partitions: u32,
    /// Name of the region.
    #[arg(long, default_value = "us-east-1", value_parser = region_name)]
    pub region: String,
    /// Take only requests that are signed with one of this file's access keys; any when absent.
    #[arg(long, value_name = "FILE")]
    pub credentials: Option<PathBuf>,
    /// What is logged.
    #[arg(long, default_value = "warn")]
    pub log_level: String,
}

/// Arguments of `playground`.
#[derive(Debug, Clone, Args)]
pub struct PlaygroundArgs {
    /// Names of the regions, the router's preferred one first; at most 9.
    #[arg(long, value_delimiter = ',', value_parser = region_name)]
    pub regions: Option<Vec<String>>,
    /// Nodes in each region, at most 10.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=10))]
    pub nodes_per_region: Option<u16>,
    /// Node j of region i serves clients on this + 10 i + j, admin 100 higher, peers 200 higher;
    /// the router is 90 higher.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=65_000))]
    pub base_port: Option<u16>,
    /// Where the data is kept; a temporary folder, removed at the end, when absent.
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
    /// Round trip between regions; half of it each way.
    #[arg(long, default_value = "60ms", value_parser = span)]
    pub latency: Duration,
    /// Storage engine: fjall or sled.
    #[arg(long)]
    pub engine: Option<EngineChoice>,
    /// Partitions of a new table.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub partitions: Option<u32>,
    /// Bytes a second that restores write at most on each node, together; 0 for no limit.
    #[arg(long, default_value_t = 0)]
    pub restore_bytes_per_s_max: u64,
    /// Take only requests that are signed with one of this file's access keys; any when absent.
    #[arg(long, value_name = "FILE")]
    pub credentials: Option<PathBuf>,
}

/// Arguments of `serve` and `router`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Overrides one setting of the file, over the environment's MERIDIAN_<SETTING>.
    #[arg(long = "set", value_name = "SETTING=VALUE")]
    pub set: Vec<String>,
    /// Read the configuration, report every mistake, and end.
    #[arg(long)]
    pub check_config: bool,
    /// Print the configuration that would be used, and end.
    #[arg(long)]
    pub print_config: bool,
}

fn region_name(text: &str) -> Result<String, String> {
    let good = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if good && !text.is_empty() && text.len() <= 64 {
        return Ok(text.to_owned());
    }
    Err("a region is named by letters, digits and dashes".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_commands_of_the_documentation_parse() {
        for line in [
            "dev",
            "dev --listen 127.0.0.1:0 --in-memory",
            "dev --data-dir d --engine sled --partitions 1",
            "playground",
            "playground --regions us-east-1,eu-west-1 --nodes-per-region 1 --base-port 9000 \
             --data-dir d --latency 0 --engine sled --output json",
            "serve --config node.toml --set partitions=8 --check-config",
            "router --config router.toml --print-config",
            "admin --cluster c.json status",
            "admin status --cluster c.json --output json",
            "--cluster c.json admin regions",
            "admin tables --endpoint http://127.0.0.1:8100",
            "admin region fail us-east-1 --override-epoch 4",
            "admin region restore us-east-1",
            "admin region evacuate us-east-1 --to eu-west-1",
            "admin region evacuate us-east-1 --abort",
            "admin node start 1",
            "admin node add 4",
            "admin node drain 4",
            "admin node remove 4",
            "admin cluster init --nodes 9",
            "admin conflicts t",
            "admin lag",
            "admin archive list --in us-east-1",
            "admin archive rewrap",
            "admin archive rebuild --from-cluster 0000000000000007 --from-region us-east-1 \
             --at 2026-11-28T07:30:59.250Z --table music --table films",
            "admin restore music music-restored --at 2026-11-28T07:30:59Z --all-settings",
            "admin restore 3 films --from-cluster 0000000000000007 --from-region eu-west-1",
            "admin restore 3 films --backup",
            "admin backup verify music --every 1d",
            "admin table swap music music-restored",
            "admin table drop music-restored",
            "drill region-loss --trials 10 --rate 300 --fault blackhole --output json",
            "drill --cluster c.json node-loss",
            "drill restore --trials 10 --restore-bytes-per-s-max 5000000 --pairs 5",
            "playground --restore-bytes-per-s-max 5000000",
            "verify t --cluster c.json",
            "--cluster c.json verify",
            "bench --endpoint http://127.0.0.1:8000 --op put --closed",
        ] {
            let words = std::iter::once("meridian").chain(line.split_whitespace());
            Cli::try_parse_from(words).unwrap_or_else(|e| panic!("{line}: {e}"));
        }
    }

    #[test]
    fn wrong_lines_are_refused() {
        for line in [
            "",
            "dev --in-memory --data-dir d",
            "dev --in-memory --engine sled",
            "dev --engine rocksdb",
            "playground --nodes-per-region 11",
            "playground --regions us_east",
            "playground --latency 60",
            "serve",
            "admin region fail",
        ] {
            let words = std::iter::once("meridian").chain(line.split_whitespace());
            assert!(Cli::try_parse_from(words).is_err(), "{line}");
        }
    }
}

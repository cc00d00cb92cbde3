//! What the command line can say to a drill.
//!
//! Tested below: defaults and spans of time.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::restore::RestoreArgs;

/// How results are printed on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Tables for people.
    Text,
    /// Exactly one line of JSON.
    Json,
}

/// What every command of this crate is told from outside its own arguments.
#[derive(Debug, Clone)]
pub struct Shell {
    /// `--cluster FILE`: a cluster that is already there.
    pub cluster: Option<PathBuf>,
    /// `--output`.
    pub output: Output,
}

/// Arguments of `meridian drill`.
#[derive(Debug, Clone, Args)]
pub struct DrillArgs {
    /// What happens to the cluster.
    #[command(subcommand)]
    pub scenario: Scenario,
}

/// What happens to the cluster.
#[derive(Debug, Clone, Subcommand)]
pub enum Scenario {
    /// A whole region is lost under load and comes back.
    RegionLoss(RegionLossArgs),
    /// A region is left in an orderly way and comes back.
    Evacuate(EvacuateArgs),
    /// The node that leads a partition is lost and comes back.
    NodeLoss(NodeLossArgs),
    /// A node is lost while transactions are under way, and comes back.
    Transactions(TransactionsArgs),
    /// A bad program overwrites and deletes half of the items under load, and the table is restored
    /// to the second before.
    Restore(RestoreArgs),
}

/// How a node is lost while transactions are under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TransactionFault {
    /// SIGKILL; started again afterwards.
    Kill,
    /// SIGSTOP; continued afterwards.
    Stop,
    /// It stops reading, writing and accepting without closing anything.
    Blackhole,
}

/// Arguments of `meridian drill transactions`.
#[derive(Debug, Clone, Args)]
pub struct TransactionsArgs {
    /// How the node is lost; each way in its turn when absent.
    #[arg(long, value_enum)]
    pub fault: Option<TransactionFault>,
    /// Everything else.
    #[command(flatten)]
    pub common: Common,
}

/// How a region is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RegionFault {
    /// SIGKILL to every node: connections are reset.
    Kill,
    /// Every node stops reading, writing and accepting without closing anything.
    Blackhole,
    /// As root, for nodes in network namespaces: their packets are dropped.
    BlackholeNet,
}

/// How a node is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NodeFault {
    /// SIGKILL; started again afterwards.
    Kill,
    /// SIGSTOP; continued afterwards.
    Stop,
}

/// Arguments of `meridian drill region-loss`.
#[derive(Debug, Clone, Args)]
pub struct RegionLossArgs {
    /// How the region is lost.
    #[arg(long, value_enum, default_value_t = RegionFault::Kill)]
    pub fault: RegionFault,
    /// The region that is lost; the first one when absent.
    #[arg(long, value_name = "REGION")]
    pub lose: Option<String>,
    /// Everything else.
    #[command(flatten)]
    pub common: Common,
}

/// Arguments of `meridian drill evacuate`.
#[derive(Debug, Clone, Args)]
pub struct EvacuateArgs {
    /// The region that is left; the first one when absent.
    #[arg(long, value_name = "REGION")]
    pub lose: Option<String>,
    /// Everything else.
    #[command(flatten)]
    pub common: Common,
}

/// Arguments of `meridian drill node-loss`.
#[derive(Debug, Clone, Args)]
pub struct NodeLossArgs {
    /// How the node is lost.
    #[arg(long, value_enum, default_value_t = NodeFault::Kill)]
    pub fault: NodeFault,
    /// Everything else.
    #[command(flatten)]
    pub common: Common,
}

/// What all drills have in common.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// How often it happens.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub trials: u32,
    /// Writes a second, and as many reads a second.
    #[arg(long, default_value = "300", value_parser = rate)]
    pub rate: f64,
    /// Clients that share the rate.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub clients: u16,
    /// Padding of each item, in bytes.
    #[arg(long, default_value_t = 100)]
    pub item_bytes: usize,
    /// Global indexes of the table; every write moves an entry of each.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub indexes: u8,
    /// Share of writes that go to keys written again and again, in hundredths.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub hot_percent: u8,
    /// Round trip between regions.
    #[arg(long, default_value = "60ms", value_parser = span)]
    pub latency: Duration,
    /// Names of the regions of the playground; three for region drills, one for node drills when
    /// absent.
    #[arg(long, value_delimiter = ',', value_name = "REGION,…")]
    pub regions: Vec<String>,
    /// Nodes in each region of the playground.
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
    /// Limit of the 99th percentile of the latency that counts as recovered.
    #[arg(long, default_value = "500ms", value_parser = span)]
    pub p99_limit: Duration,
    /// Load before the fault.
    #[arg(long, default_value = "5s", value_parser = span)]
    pub warmup: Duration,
    /// Longest random addition to the warm-up, so that faults meet timers at every phase.
    #[arg(long, default_value = "2s", value_parser = span)]
    pub phase: Duration,
    /// Load that goes on after the return.
    #[arg(long, default_value = "3s", value_parser = span)]
    pub aftermath: Duration,
    /// Longest wait for recovery before a trial is given up.
    #[arg(long, default_value = "60s", value_parser = span)]
    pub patience: Duration,
    /// The window that must be good for the load to count as recovered.
    #[arg(long, default_value = "10s", value_parser = span)]
    pub window: Duration,
    /// The file of the cluster secret, where the cluster has one.
    #[arg(long, value_name = "FILE")]
    pub cluster_secret_file: Option<PathBuf>,
    /// Shell command that starts the node NODE_ID again, where no playground does.
    #[arg(long, value_name = "COMMAND")]
    pub start_node: Option<String>,
    /// Seed of the phases and keys; random when absent, and printed.
    #[arg(long)]
    pub seed: Option<u64>,
}

/// A span of time: `60ms`, `1.5s`, `2m`, `12h`, `7d`, or `0`.
pub fn span(text: &str) -> Result<Duration, String> {
    let number = text.trim_end_matches(char::is_alphabetic);
    let seconds = match &text[number.len()..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        "" if number == "0" => 1.0,
        _ => return Err(format!("{text} is no span of time; write 60ms, 5s, 2m, 12h or 7d")),
    };
    let value: f64 = number.parse().map_err(|_| format!("{number} is not a number"))?;
    Duration::try_from_secs_f64(value * seconds).map_err(|error| error.to_string())
}

/// A rate above zero.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= 1e7 => Ok(rate),
        Ok(_) => Err("a rate is above 0 and at most 10,000,000 a second".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        drill: DrillArgs,
    }

    #[test]
    fn the_commands_of_the_documentation_parse() {
        for line in [
            "drill region-loss",
            "drill region-loss --trials 10 --rate 300 --fault blackhole --lose us-east-1",
            "drill region-loss --fault blackhole-net --latency 60ms --report out",
            "drill evacuate --trials 10",
            "drill node-loss --trials 20 --fault stop",
            "drill restore --trials 10 --items 200000 --rate 500 --partitions 6",
            "drill restore --restore-bytes-per-s-max 5000000 --pairs 5 --report out --seed 7",
        ] {
            Program::try_parse_from(line.split(' ')).unwrap();
        }
        for line in [
            "drill",
            "drill region-loss --rate 0",
            "drill region-loss --latency 60",
            "drill restore --items 0",
        ] {
            assert!(Program::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }

    #[test]
    fn defaults_are_those_of_the_documentation() {
        let program = Program::try_parse_from(["drill", "region-loss"]).unwrap();
        let Scenario::RegionLoss(args) = program.drill.scenario else { panic!("another") };
        assert_eq!(args.fault, RegionFault::Kill);
        assert_eq!((args.common.trials, args.common.rate), (3, 300.0));
        assert_eq!(args.common.latency, Duration::from_millis(60));
    }

    #[test]
    fn spans_have_units() {
        assert_eq!(span("60ms").unwrap(), Duration::from_millis(60));
        assert_eq!(span("1.5s").unwrap(), Duration::from_millis(1500));
        assert_eq!(span("2m").unwrap(), Duration::from_secs(120));
        assert_eq!(span("0").unwrap(), Duration::ZERO);
        for bad in ["60", "ms", "-1s", "1 fortnight"] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }
}

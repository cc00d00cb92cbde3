//! `meridian serve`: one node of a cluster.

use crate::cli::ConfigArgs;
use crate::output;
use crate::run::{self, Kind};
use crate::stores::Stores;
use anyhow::ensure;
use meridian_server::config::{FieldDoc, NODE_FIELDS, NodeConfig, Overrides};

/// Runs a node until it is asked to stop.
pub async fn run(args: &ConfigArgs) -> anyhow::Result<()> {
    let config = NodeConfig::load(&args.config, &overrides(args, NODE_FIELDS)?, &Stores)?;
    if args.print_config {
        output::line(config.printed().trim_end());
    }
    if args.check_config || args.print_config {
        return Ok(());
    }
    meridian_server::logging::start(config.log_format, &config.log_level);
    run::node(config, Kind::Cluster).await
}

/// What flags and environment say over a file.
pub fn overrides(args: &ConfigArgs, known: &[FieldDoc]) -> anyhow::Result<Overrides> {
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut overrides = Overrides::from_environment(variables, known);
    for assignment in &args.set {
        ensure!(overrides.add(assignment), "--set needs SETTING=VALUE; found {assignment}");
    }
    Ok(overrides)
}

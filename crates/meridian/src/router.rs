//! `meridian router`: the global endpoint.

use crate::cli::ConfigArgs;
use crate::output;
use crate::serve::overrides;
use meridian_server::config::{ROUTER_FIELDS, RouterConfig};
use meridian_server::{logging, process, router::Router};
use std::time::Duration;

/// Longest time that requests in flight are given when the router stops.
const STOP_TIME: Duration = Duration::from_secs(5);

/// Runs a router until it is asked to stop.
pub async fn run(args: &ConfigArgs) -> anyhow::Result<()> {
    let config = RouterConfig::load(&args.config, &overrides(args, ROUTER_FIELDS)?)?;
    if args.print_config {
        output::line(config.printed().trim_end());
    }
    if args.check_config || args.print_config {
        return Ok(());
    }
    logging::start(config.log_format, &config.log_level);
    let router = Router::start(config).await?;
    tracing::info!(clients = %router.local(), admin = %router.local_admin(), "router serves");
    let signal = process::asked_to_stop().await?;
    tracing::info!(signal, "router stops");
    router.stop(STOP_TIME).await;
    Ok(())
}

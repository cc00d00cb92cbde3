//! `meridian dev`: one node of one region in this process.

use crate::cli::DevArgs;
use crate::run::{self, Kind};
use crate::{archive, buckets};
use anyhow::Context;
use meridian_server::config::{EngineChoice, FailurePolicy, LogFormat, NodeConfig};
use meridian_server::credentials::Credentials;
use meridian_server::logging;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Runs the node until it is asked to stop.
pub async fn run(args: &DevArgs) -> anyhow::Result<()> {
    anyhow::ensure!(
        logging::filter_is_valid(&args.log_level),
        "--log-level {} is no level or filter",
        args.log_level
    );
    logging::start(LogFormat::Text, &args.log_level);
    let config = config(args)?;
    run::node(config, Kind::Dev).await
}

/// Reads a file of access keys.
pub fn credentials(path: &Path) -> anyhow::Result<Credentials> {
    let read = Credentials::read(path);
    read.map_err(|why| anyhow::anyhow!("--credentials {} {why}", path.display()))
}

/// What `dev` runs with.
pub fn config(args: &DevArgs) -> anyhow::Result<NodeConfig> {
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let admin = args.listen_admin.unwrap_or(free);
    let data_dir = if args.in_memory {
        PathBuf::new()
    } else {
        std::path::absolute(&args.data_dir).context("no data folder")?
    };
    Ok(NodeConfig {
        node_id: 1,
        region: args.region.clone(),
        zone: "a".to_owned(),
        listen_client: args.listen,
        listen_admin: admin,
        listen_peer: free,
        advertise_client: args.listen.into(),
        advertise_admin: admin.into(),
        advertise_peer: free.into(),
        seeds: Vec::new(),
        data_dir: data_dir.clone(),
        engine: if args.in_memory { EngineChoice::Memory } else { args.engine },
        partitions: args.partitions,
        cluster_secret_file: None,
        cluster_secret: None,
        credentials_file: args.credentials.clone(),
        credentials: args.credentials.as_deref().map(credentials).transpose()?,
        latency: Duration::ZERO,
        disk_free_bytes_min: meridian_server::config::DISK_FREE_BYTES_MIN_DEFAULT,
        region_failure_policy: FailurePolicy::Manual,
        silence: Duration::from_millis(meridian_server::config::SILENCE_MS_DEFAULT),
        archive: (!args.in_memory).then(|| archive::config_in(&data_dir)),
        restore_bytes_per_s_max: 0,
        bucket_dir: (!args.in_memory).then(|| buckets::folder_in(&data_dir)),
        buckets: std::collections::BTreeMap::new(),
        log_format: LogFormat::Text,
        log_level: args.log_level.clone(),
    })
}

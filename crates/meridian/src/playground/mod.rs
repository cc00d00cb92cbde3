//! `meridian playground`: several regions on this machine, as child processes.
//!
//! # Invariants
//!
//! - It says that it is ready only when both control groups and every partition have a leader in
//!   every region and the router answers.
//! - It outlives its nodes; its nodes never outlive it.
//! - A data folder holds one cluster, which comes back when the playground is started there again.
//!
//! `shape` plans, `child` holds one process, `supervisor` all of them.

mod child;
mod ready;
mod shape;
mod supervisor;

use crate::cli::{PlaygroundArgs, Shell};
use crate::cluster_file::ClusterFile;
use crate::dev;
use crate::output;
use anyhow::Context;
use child::Kept;
use meridian_server::admin::{AdminEdge, Guard};
use meridian_server::config::LogFormat;
use meridian_server::listener::{HttpServer, ListenLimits};
use meridian_server::metering::MetricsPage;
use meridian_server::router::Router;
use meridian_server::{logging, process};
use meridian_transport::Switch;
use serde_json::json;
use shape::{Shape, local};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use supervisor::Supervisor;
use tokio::sync::mpsc;

/// Longest time that the router gives requests in flight at the end.
const ROUTER_STOP_TIME: Duration = Duration::from_millis(500);

/// The folder of the data, removed when it is temporary.
enum Folder {
    Named(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Folder {
    fn new(named: Option<&PathBuf>) -> anyhow::Result<Self> {
        let Some(named) = named else {
            let folder = tempfile::Builder::new().prefix("meridian-playground-").tempdir();
            return Ok(Folder::Temporary(folder.context("cannot make a temporary folder")?));
        };
        std::fs::create_dir_all(named)
            .with_context(|| format!("cannot make {}", named.display()))?;
        let whole = std::path::absolute(named).context("the folder has no whole path")?;
        Ok(Folder::Named(whole))
    }

    fn path(&self) -> &std::path::Path {
        match self {
            Folder::Named(path) => path,
            Folder::Temporary(folder) => folder.path(),
        }
    }
}

/// Runs a playground until it is asked to stop.
pub async fn run(args: &PlaygroundArgs, shell: &Shell) -> anyhow::Result<()> {
    logging::start(LogFormat::Text, "info");
    let folder = Folder::new(args.data_dir.as_ref())?;
    let shape = Shape::of(args, folder.path())?;
    shape.store(folder.path())?;
    // Read here too, so that a mistake is told once and not by nine nodes.
    args.credentials.as_deref().map(dev::credentials).transpose()?;
    let credentials = args.credentials.as_ref().map(std::path::absolute).transpose()?;
    let (supervisor, ended) = Supervisor::new(
        shape,
        folder.path(),
        args.latency,
        credentials,
        args.restore_bytes_per_s_max,
    )?;
    let supervisor = Arc::new(supervisor);
    let stop = process::asked_to_stop();
    let played = tokio::select! {
        played = play(args, shell, supervisor.clone(), ended) => played,
        signal = stop => signal.map(|signal| tracing::info!(signal, "playground stops")).map_err(Into::into),
    };
    let again = async {
        // A second request: hurry.
        let _ = process::asked_to_stop().await;
    };
    supervisor.stop(again).await;
    if let Folder::Temporary(folder) = folder {
        folder.close().context("the temporary folder was not removed")?;
    }
    played
}

/// Starts everything, then watches over it for ever.
async fn play(
    args: &PlaygroundArgs,
    shell: &Shell,
    supervisor: Arc<Supervisor>,
    ended: mpsc::Receiver<(u64, Kept)>,
) -> anyhow::Result<()> {
    let shape = supervisor.shape().clone();
    ports_are_free(&shape)?;
    supervisor.start_all().await?;
    ready::found(&supervisor).await?;
    ready::wait(&supervisor).await?;
    let config = shape.router_config(&supervisor.cluster_file().with_file_name(""), args.latency);
    let router = Router::start(config).await?;
    ready::router(&router).await?;
    let control = control(&shape, supervisor.clone()).await?;
    let url = |address: SocketAddr| format!("http://{address}");
    let cluster = supervisor
        .publish(url(router.local()), url(router.local_admin()), url(control.local()))
        .await?;
    announce(shell, &supervisor, &cluster)?;
    let result = watch(&supervisor, ended).await;
    router.stop(ROUTER_STOP_TIME).await;
    result
}

/// The listener through which nodes are started again.
async fn control(shape: &Shape, supervisor: Arc<Supervisor>) -> anyhow::Result<HttpServer> {
    let listener = process::bind(free_or_any(shape.base_port + 290)).await?;
    let edge = AdminEdge::new(supervisor, Guard::new(None), MetricsPage::install(), Switch::new());
    let limits = ListenLimits::default();
    HttpServer::start(listener, Switch::new(), limits, Arc::new(edge))
        .context("no control listener")
}

/// The port if it is free, else any.
fn free_or_any(port: u16) -> SocketAddr {
    let wanted = local(port);
    if TcpListener::bind(wanted).is_ok() { wanted } else { local(0) }
}

/// Fails naming every port that is in use.
fn ports_are_free(shape: &Shape) -> anyhow::Result<()> {
    let of_nodes = shape.nodes().flat_map(|s| [s.ports.client, s.ports.admin, s.ports.peer]);
    let ports = of_nodes.chain([shape.router_port()]);
    let taken: Vec<String> = ports
        .filter(|port| TcpListener::bind(local(*port)).is_err())
        .map(|port| port.to_string())
        .collect();
    anyhow::ensure!(taken.is_empty(), "these ports are in use: {}", taken.join(", "));
    Ok(())
}

fn announce(shell: &Shell, supervisor: &Supervisor, cluster: &ClusterFile) -> anyhow::Result<()> {
    let value = serde_json::to_value(cluster)?;
    output::result(shell.output, &value, |_| {
        let mut text = format!("router  {}\n", cluster.router);
        for region in &cluster.regions {
            text.push_str(&format!("\n{}\n", region.name));
            for node in &region.nodes {
                text.push_str(&format!(
                    "  node {:<3} {}  admin {}\n",
                    node.id, node.endpoint, node.admin
                ));
            }
        }
        text + &format!("\n{}\nCtrl-C stops it.", supervisor.cluster_file().display())
    });
    Ok(())
}

/// Reports children that end, for ever.
async fn watch(
    supervisor: &Supervisor,
    mut ended: mpsc::Receiver<(u64, Kept)>,
) -> anyhow::Result<()> {
    while let Some((node, child)) = ended.recv().await {
        if supervisor.misses(node, &child).await {
            let how = child.ended().unwrap_or_default();
            let command = json!(format!(
                "meridian admin node start {node} --cluster {}",
                supervisor.cluster_file().display()
            ));
            tracing::warn!(node, pid = child.pid(), how, %command, "node ended");
        }
    }
    Ok(())
}

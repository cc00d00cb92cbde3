//! A playground of the drill's own, as a child process on free ports.
//!
//! # Invariants
//!
//! - Whatever ends the drill in an orderly way ends the playground: `stop`, or dropping it.
//! - The data folder of a playground that was started here is removed with it unless it was named.
//!
//! Tested by the drills themselves; the choice of ports below.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use rand::RngExt as _;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::cluster::Cluster;
use crate::process;

/// Longest wait for a playground to be ready.
const READY_TIMEOUT: Duration = Duration::from_secs(90);
/// Longest wait for a playground to stop, a little over its own wait for its nodes.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// Ports are looked for here: below the usual range of outgoing connections.
const BASE_PORTS: std::ops::Range<u16> = 10_000..31_000;
/// Offsets of the ports that a playground uses from its base.
const PORT_BLOCKS: [u16; 3] = [0, 100, 200];
const ROUTER_OFFSET: u16 = 90;
/// What the playground and its nodes log, in its data folder.
const LOG_FILE: &str = "playground.log";
/// Tells the program whose end is its own end, however that comes.
const PARENT_VARIABLE: &str = "MERIDIAN_PARENT_PID";
/// Ports between the first nodes of two regions.
const REGION_STRIDE: u16 = 10;

/// What to start.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Names of the regions, the router's preferred one first.
    pub regions: Vec<String>,
    /// Nodes in each region.
    pub nodes_per_region: u16,
    /// Round trip between regions, in milliseconds.
    pub latency_ms: u64,
    /// Storage engine, the program's default when absent.
    pub engine: Option<String>,
    /// Where the data goes; a temporary folder when absent.
    pub data_dir: Option<PathBuf>,
    /// Partitions of a new table, the program's default when absent.
    pub partitions: Option<u32>,
    /// Bytes a second that restores write at most on each node; 0 for no limit.
    pub restore_bytes_per_s_max: u64,
}

/// A cluster under drill: one that was started here, or one that was there.
pub struct Ground {
    /// Its file, read again when processes change.
    pub file: PathBuf,
    child: Option<Child>,
    /// Removed when dropped.
    _folder: Option<tempfile::TempDir>,
}

impl Ground {
    /// Uses the cluster of a file that is already there, or starts a playground of a shape.
    pub async fn open(existing: Option<&Path>, shape: &Shape) -> anyhow::Result<Ground> {
        match existing {
            Some(file) => Ok(Ground { file: file.to_owned(), child: None, _folder: None }),
            None => Ground::start(shape).await,
        }
    }

    /// Starts a playground and waits until it is ready.
    async fn start(shape: &Shape) -> anyhow::Result<Ground> {
        let folder = match shape.data_dir {
            Some(_) => None,
            None => Some(tempfile::Builder::new().prefix("meridian-drill-").tempdir()?),
        };
        let data_dir = match (&shape.data_dir, &folder) {
            (Some(named), _) => named.clone(),
            (None, Some(folder)) => folder.path().join("data"),
            (None, None) => anyhow::bail!("no data folder"),
        };
        std::fs::create_dir_all(&data_dir)?;
        let log = data_dir.join(LOG_FILE);
        let port = free_base_port(shape.regions.len(), shape.nodes_per_region)?;
        let mut child = command(shape, port, &data_dir, &log)?
            .spawn()
            .context("cannot start the playground")?;
        let ready = wait_ready(&mut child).await;
        let ground =
            Ground { file: data_dir.join("cluster.json"), child: Some(child), _folder: folder };
        if let Err(error) = ready {
            let tail = tail(&log);
            ground.stop().await;
            return Err(error.context(tail));
        }
        Ok(ground)
    }

    /// The end of the log of a playground that was started here.
    pub fn last_words(&self) -> Option<String> {
        self.child.as_ref()?;
        Some(tail(&self.file.with_file_name(LOG_FILE)))
    }

    /// True if the playground was started here.
    pub fn owned(&self) -> bool {
        self.child.is_some()
    }

    /// Stops the playground if it was started here.
    pub async fn stop(mut self) {
        let Some(mut child) = self.child.take() else { return };
        if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
            // An error means that it has ended already.
            let _ = process::signal(pid, process::Signal::TERM);
        }
        if tokio::time::timeout(STOP_TIMEOUT, child.wait()).await.is_err() {
            let _ = child.kill().await;
        }
    }
}

fn command(shape: &Shape, port: u16, data_dir: &Path, log: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["playground", "--output", "json"])
        .args(["--regions", &shape.regions.join(",")])
        .args(["--nodes-per-region", &shape.nodes_per_region.to_string()])
        .args(["--base-port", &port.to_string()])
        .args(["--latency", &format!("{}ms", shape.latency_ms)])
        .arg("--data-dir")
        .arg(data_dir)
        .env(PARENT_VARIABLE, std::process::id().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(log)?)
        .kill_on_drop(true);
    if let Some(engine) = &shape.engine {
        command.args(["--engine", engine]);
    }
    if let Some(partitions) = shape.partitions {
        command.args(["--partitions", &partitions.to_string()]);
    }
    if shape.restore_bytes_per_s_max > 0 {
        let limit = shape.restore_bytes_per_s_max.to_string();
        command.args(["--restore-bytes-per-s-max", &limit]);
    }
    Ok(command)
}

/// Waits for the one line that a playground prints when it is ready.
async fn wait_ready(child: &mut Child) -> anyhow::Result<()> {
    let stdout = child.stdout.take().context("the playground has no output")?;
    let mut lines = BufReader::new(stdout).lines();
    let line = tokio::time::timeout(READY_TIMEOUT, lines.next_line())
        .await
        .with_context(|| format!("the playground was not ready in {READY_TIMEOUT:?}"))??
        .context("the playground ended before it was ready")?;
    Cluster::parse(&line).context("the playground printed something else than its cluster")?;
    // Nothing more is expected, but a closed pipe must never stop the playground.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok(())
}

/// The last lines of a log, for an error message.
fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(15);
    format!("the playground's last words:\n{}", lines[from..].join("\n"))
}

/// Finds a base port with every port of a playground of that shape free.
fn free_base_port(regions: usize, nodes: u16) -> anyhow::Result<u16> {
    let regions = u16::try_from(regions).context("too many regions")?;
    anyhow::ensure!(regions <= 9 && nodes <= 10, "at most 9 regions of 10 nodes");
    let mut random = rand::rng();
    for _ in 0..200 {
        let base = random.random_range(BASE_PORTS) / 10 * 10;
        if ports(base, regions, nodes).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return Ok(base);
        }
    }
    anyhow::bail!("no block of free ports found on 127.0.0.1")
}

fn ports(base: u16, regions: u16, nodes: u16) -> impl Iterator<Item = u16> {
    let of_nodes = PORT_BLOCKS.into_iter().flat_map(move |block| {
        (0..regions).flat_map(move |region| {
            (0..nodes).map(move |node| base + block + REGION_STRIDE * region + node)
        })
    });
    of_nodes.chain(std::iter::once(base + ROUTER_OFFSET))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_of_a_playground_are_as_documented() {
        let ports: Vec<u16> = ports(8000, 3, 3).collect();
        assert_eq!(ports.len(), 28);
        for port in [8000, 8012, 8022, 8100, 8222, 8090] {
            assert!(ports.contains(&port), "{port}");
        }
    }

    #[test]
    fn a_block_with_a_taken_port_is_not_chosen() {
        let base = free_base_port(3, 3).unwrap();
        let _taken: Vec<TcpListener> = ports(base, 3, 3)
            .filter_map(|port| TcpListener::bind(("127.0.0.1", port)).ok())
            .collect();
        assert_ne!(free_base_port(3, 3).unwrap(), base);
    }

    #[test]
    fn too_large_a_playground_is_refused() {
        assert!(free_base_port(10, 3).is_err());
        assert!(free_base_port(3, 11).is_err());
    }
}

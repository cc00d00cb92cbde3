//! The children of a playground: started, watched, started again, stopped.
//!
//! # Invariants
//!
//! - `cluster.json` always names the last process of each node.
//! - After [`Supervisor::stop`] no child runs.

use super::child::Kept;
use super::shape::{Shape, Spot, local};
use crate::cluster_file::{ClusterFile, NodeEntry, RegionEntry};
use anyhow::{Context, bail};
use async_trait::async_trait;
use meridian_api::admin::{AdminBackend, AdminCall, AdminError};
use meridian_server::client::{self, AdminClient};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;

/// Longest time that a new process may take to answer `/health/live`.
const LIVE_TIME: Duration = Duration::from_secs(30);
/// Time between two looks at something that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Longest time that one look may take.
const LOOK_TIME: Duration = Duration::from_millis(500);
/// Longest time that a killed child may take to end.
const END_TIME: Duration = Duration::from_secs(1);
/// Children that have not ended so long after SIGTERM are killed.
const STOP_TIME: Duration = Duration::from_secs(10);
/// Ends of children that may wait to be reported.
const ENDS_MAX: usize = 1024;

/// The children of a playground and what is known of them.
pub(super) struct Supervisor {
    folder: PathBuf,
    program: PathBuf,
    latency: Duration,
    /// The file of the access keys of clients.
    credentials: Option<PathBuf>,
    /// How much of a node restores may take; 0 for no limit.
    restore_bytes_per_s_max: u64,
    shape: Shape,
    /// One start at a time; also guards `cluster.json`.
    inner: Mutex<Inner>,
    ends: mpsc::Sender<(u64, Kept)>,
}

struct Inner {
    children: BTreeMap<u64, Kept>,
    /// Written to `cluster.json` whenever it changes, once it is there.
    cluster: Option<ClusterFile>,
    stopping: bool,
}

impl Supervisor {
    /// Supervises `shape` with its data in `folder`; ends of children are sent to the receiver.
    pub(super) fn new(
        shape: Shape,
        folder: &Path,
        latency: Duration,
        credentials: Option<PathBuf>,
        restore_bytes_per_s_max: u64,
    ) -> anyhow::Result<(Self, mpsc::Receiver<(u64, Kept)>)> {
        let program = std::env::current_exe().context("this program's file is not known")?;
        let (ends, ended) = mpsc::channel(ENDS_MAX);
        let inner = Inner { children: BTreeMap::new(), cluster: None, stopping: false };
        let supervisor = Supervisor {
            folder: folder.to_owned(),
            program,
            latency,
            credentials,
            restore_bytes_per_s_max,
            shape,
            inner: Mutex::new(inner),
            ends,
        };
        Ok((supervisor, ended))
    }

    /// Where the cluster is described.
    pub(super) fn cluster_file(&self) -> PathBuf {
        self.folder.join("cluster.json")
    }

    fn node_folder(&self, id: u64) -> PathBuf {
        self.folder.join("nodes").join(id.to_string())
    }

    /// Where a node's log goes.
    pub(super) fn log_file(&self, id: u64) -> PathBuf {
        self.node_folder(id).join("node.log")
    }

    /// Starts every node and waits until each process answers.
    pub(super) async fn start_all(&self) -> anyhow::Result<()> {
        let spots: Vec<Spot> = self.shape.nodes().collect();
        {
            let mut inner = self.inner.lock().await;
            for spot in &spots {
                self.spawn(&mut inner, spot).await?;
            }
        }
        for spot in &spots {
            self.live(spot).await?;
        }
        Ok(())
    }

    async fn spawn(&self, inner: &mut Inner, spot: &Spot) -> anyhow::Result<u32> {
        if inner.stopping {
            bail!("the playground is ending");
        }
        let folder = self.node_folder(spot.id);
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        // All nodes have the one archive, as nodes on machines of their own would.
        let archive = crate::archive::config_in(&self.folder);
        crate::archive::make_key(&archive)?;
        let data = folder.join("data");
        let buckets = crate::buckets::folder_in(&self.folder);
        let mut config = self.shape.node_config(spot, data, archive, buckets, self.latency);
        config.credentials_file.clone_from(&self.credentials);
        config.restore_bytes_per_s_max = self.restore_bytes_per_s_max;
        let file = folder.join("node.toml");
        meridian_server::process::replace_file(&file, config.to_toml().as_bytes())
            .with_context(|| format!("cannot write {}", file.display()))?;
        let log =
            std::fs::OpenOptions::new().create(true).append(true).open(self.log_file(spot.id));
        let mut command = Command::new(&self.program);
        command.args(["serve", "--config"]).arg(file);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.context("no log file")?);
        let child = Kept::start(command).await?;
        let (kept, id, ends) = (child.clone(), spot.id, self.ends.clone());
        tokio::spawn(async move {
            kept.wait().await;
            // Nobody listens once the playground is ending.
            let _ = ends.send((id, kept)).await;
        });
        let pid = child.pid();
        inner.children.insert(spot.id, child);
        Ok(pid)
    }

    /// Waits until a node's process answers `/health/live`.
    async fn live(&self, spot: &Spot) -> anyhow::Result<()> {
        let address = local(spot.ports.admin).to_string();
        let deadline = Instant::now() + LIVE_TIME;
        while Instant::now() < deadline {
            if client::is_up(&address, "/health/live", LOOK_TIME).await {
                return Ok(());
            }
            let child = self.inner.lock().await.children.get(&spot.id).cloned();
            if let Some(how) = child.and_then(|c| c.ended()) {
                bail!(
                    "node {} ended with {how}; its log ends with:\n{}",
                    spot.id,
                    self.last_words(spot.id)
                );
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        bail!("node {} does not answer {address} after {LIVE_TIME:?}", spot.id)
    }

    /// The end of a node's log.
    pub(super) fn last_words(&self, id: u64) -> String {
        let log = std::fs::read(self.log_file(id)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }

    /// Describes the cluster in `cluster.json`.
    pub(super) async fn publish(
        &self,
        router: String,
        router_admin: String,
        control: String,
    ) -> anyhow::Result<ClusterFile> {
        let mut inner = self.inner.lock().await;
        let regions = self.shape.regions.iter().map(|name| {
            let nodes: Vec<NodeEntry> = self
                .shape
                .nodes()
                .filter(|spot| spot.region == *name)
                .map(|spot| NodeEntry {
                    id: spot.id,
                    pid: inner.children.get(&spot.id).map(Kept::pid),
                    endpoint: format!("http://{}", local(spot.ports.client)),
                    admin: format!("http://{}", local(spot.ports.admin)),
                    data_dir: self.node_folder(spot.id).join("data").display().to_string(),
                })
                .collect();
            let endpoints = nodes.iter().map(|n| n.endpoint.clone()).collect();
            RegionEntry { name: name.clone(), endpoints, nodes }
        });
        let cluster = ClusterFile {
            router,
            router_admin: Some(router_admin),
            control: Some(control),
            regions: regions.collect(),
        };
        cluster.write(&self.cluster_file())?;
        inner.cluster = Some(cluster.clone());
        Ok(cluster)
    }

    /// Starts a node that has ended, and returns when its process answers.
    async fn restart(&self, id: u64) -> Result<Value, AdminError> {
        let spot = self.shape.nodes().find(|spot| spot.id == id);
        let spot = spot.ok_or_else(|| AdminError::NotFound(format!("there is no node {id}")))?;
        let failed = |error: anyhow::Error| AdminError::Unavailable(format!("{error:#}"));
        let old = self.inner.lock().await.children.get(&id).cloned();
        if let Some(old) = old {
            // One that was killed a moment ago may still be ending.
            let _ = tokio::time::timeout(END_TIME, old.wait()).await;
        }
        let pid = {
            let mut inner = self.inner.lock().await;
            if inner.children.get(&id).is_some_and(|child| child.ended().is_none()) {
                return Err(AdminError::Refused(format!("node {id} is running")));
            }
            let pid = self.spawn(&mut inner, &spot).await.map_err(failed)?;
            if let Some(cluster) = &mut inner.cluster {
                if let Some(node) = cluster.node_mut(id) {
                    node.pid = Some(pid);
                }
                cluster.write(&self.cluster_file()).map_err(failed)?;
            }
            pid
        };
        tracing::info!(node = id, pid, "node started again");
        self.live(&spot).await.map_err(failed)?;
        Ok(json!({ "node": id, "pid": pid }))
    }

    /// Whether a child that ended is missed: not when it was started again, or when all end.
    pub(super) async fn misses(&self, id: u64, ended: &Kept) -> bool {
        let inner = self.inner.lock().await;
        !inner.stopping && inner.children.get(&id).is_some_and(|c| c.pid() == ended.pid())
    }

    /// Ends every child: SIGTERM, and SIGKILL for those that are still there after 10 s, or as
    /// soon as `hurry` is over.
    pub(super) async fn stop(&self, hurry: impl Future<Output = ()>) {
        let children: Vec<Kept> = {
            let mut inner = self.inner.lock().await;
            inner.stopping = true;
            inner.children.values().cloned().collect()
        };
        let all = |signal| children.iter().for_each(|child| child.signal(signal));
        all(Signal::TERM);
        // A stopped process takes the signal only when it goes on.
        all(Signal::CONT);
        let ended = async {
            for child in &children {
                child.wait().await;
            }
        };
        tokio::select! {
            () = ended => return,
            () = tokio::time::sleep(STOP_TIME) => {
                let left = children.iter().filter(|child| child.ended().is_none()).count();
                tracing::warn!(left, "nodes did not end in time and are killed");
            }
            () = hurry => {}
        }
        all(Signal::KILL);
        for child in &children {
            child.wait().await;
        }
    }

    /// The admin client of a node.
    pub(super) fn admin(&self, spot: &Spot, time: Duration) -> AdminClient {
        AdminClient::new(&local(spot.ports.admin).to_string(), None, time)
    }

    /// What is played with.
    pub(super) fn shape(&self) -> &Shape {
        &self.shape
    }

    async fn status(&self) -> Value {
        let inner = self.inner.lock().await;
        let nodes = self.shape.nodes().map(|spot| {
            let child = inner.children.get(&spot.id);
            json!({
                "node": spot.id,
                "region": spot.region,
                "pid": child.map(Kept::pid),
                "ended": child.and_then(Kept::ended),
            })
        });
        json!({ "processes": nodes.collect::<Vec<_>>() })
    }
}

#[async_trait]
impl AdminBackend for Supervisor {
    async fn ready(&self) -> Result<(), String> {
        if self.inner.lock().await.cluster.is_some() { Ok(()) } else { Err("starting".to_owned()) }
    }

    async fn call(&self, call: AdminCall) -> Result<Value, AdminError> {
        match call {
            AdminCall::Status => Ok(self.status().await),
            AdminCall::NodeStart { node } => self.restart(node).await,
            other => Err(AdminError::Invalid(format!("ask a node for {other:?}"))),
        }
    }
}

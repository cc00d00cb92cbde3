//! Where a drill takes place: the cluster, the table, the clock, and what lives on between trials.
//!
//! # Invariants
//!
//! - A drill that ends early leaves a cluster that it did not start as it found it, as far as it can:
//!   stopped nodes continue, black holes are undone.
//!
//! Tested by `rehearsal.rs` on a cluster in memory.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::admin::{self, Admin};
use crate::args::{Common, Shell};
use crate::client::{Client, Outcome};
use crate::cluster::Cluster;
use crate::load::{Mix, Profile, Writers, eventually};
use crate::playground::{Ground, Shape};
use crate::process;
use crate::progress::Progress;
use crate::record::{Clock, Key, Record};
use crate::rpo_rto::Past;
use crate::table;

/// Steps of the progress bar that a trial has at most.
pub const STEPS_PER_TRIAL: u64 = 8;
/// Longest wait for the regions to be Active and the router to be home.
const HOME_TIMEOUT: Duration = Duration::from_secs(60);
/// Answers in a row that prove that the router prefers the home region.
const HOME_PROOFS: u32 = 5;

/// Where a drill takes place.
pub struct Stage {
    /// The clock of everything that is measured.
    pub clock: Clock,
    /// The cluster's file and, if it was started here, its process.
    pub ground: Ground,
    /// The arguments that all drills have.
    pub common: Common,
    /// Name of the table.
    pub table: String,
    /// The seed of everything random here.
    pub seed: u64,
    /// Randomness from the seed.
    pub random: StdRng,
    /// Sequences of the clients.
    pub writers: Arc<Writers>,
    /// Every write of the trials that are over.
    pub history: Vec<Record>,
    /// What those trials leave to the next one in a region drill.
    pub past: Past,
    /// The bar.
    pub progress: Progress,
}

impl Stage {
    /// Starts a playground, or uses the cluster that is there.
    pub async fn open(
        common: &Common,
        shell: &Shell,
        regions: Vec<String>,
        pool_keys: u32,
    ) -> anyhow::Result<Stage> {
        let seed = common.seed.unwrap_or_else(|| rand::rng().random());
        let progress = Progress::new(u64::from(common.trials) * STEPS_PER_TRIAL + 1);
        progress.say(&format!("seed {seed}"));
        progress.step("starting the cluster");
        let shape = Shape {
            regions,
            nodes_per_region: common.nodes_per_region,
            latency_ms: u64::try_from(common.latency.as_millis())?,
            engine: common.engine.clone(),
            data_dir: common.data_dir.clone(),
            partitions: None,
            restore_bytes_per_s_max: 0,
        };
        let ground = Ground::open(shell.cluster.as_deref(), &shape).await?;
        Ok(Stage {
            clock: Clock::start(),
            ground,
            common: common.clone(),
            table: format!("drill-{seed:016x}"),
            seed,
            random: StdRng::seed_from_u64(seed),
            writers: Arc::new(Writers::new(common.clients + 1, pool_keys)),
            history: Vec::new(),
            past: Past::default(),
            progress,
        })
    }

    /// The cluster as its file describes it now.
    pub fn cluster(&self) -> anyhow::Result<Cluster> {
        let secret = self.common.cluster_secret_file.as_deref();
        Cluster::read_with(&self.ground.file, secret)
    }

    /// Makes the drill's table in every region.
    pub async fn prepare_table(&self, home: &str) -> anyhow::Result<()> {
        self.progress.say(&format!("table {}", self.table));
        table::prepare(&self.cluster()?, home, &self.table, self.common.indexes).await
    }

    /// The load of a drill.
    pub fn profile(&self, mix: Mix) -> Profile {
        Profile {
            table: self.table.clone(),
            rate: self.common.rate,
            clients: self.common.clients,
            item_bytes: self.common.item_bytes,
            mix,
        }
    }

    /// A warm-up that ends at a random phase.
    pub async fn warm_up(&mut self) {
        let phase = self.common.phase.mul_f64(self.random.random::<f64>());
        tokio::time::sleep(self.common.warmup + phase).await;
    }

    /// Waits until every region is Active and the router sends to the home region.
    pub async fn await_home(&self, home: &str) -> anyhow::Result<()> {
        let cluster = self.cluster()?;
        let active = eventually(HOME_TIMEOUT, async || all_active(&cluster).await);
        anyhow::ensure!(active.await, "not every region became Active within {HOME_TIMEOUT:?}");
        match &cluster.router_admin {
            Some(url) => self.await_routed(&Admin::new(url, cluster.secret.as_ref())?, home).await,
            None => self.await_near(&cluster, home).await,
        }
    }

    /// Waits until the router says so.
    async fn await_routed(&self, router: &Admin, home: &str) -> anyhow::Result<()> {
        let routed = async || router.routed_region().await.is_ok_and(|region| region == home);
        let at_home = eventually(HOME_TIMEOUT, routed).await;
        anyhow::ensure!(at_home, "the router did not return to {home} in {HOME_TIMEOUT:?}");
        Ok(())
    }

    /// Waits until answers come too fast to come from elsewhere.
    async fn await_near(&self, cluster: &Cluster, home: &str) -> anyhow::Result<()> {
        let Some(near) = self.near_limit(cluster, home) else { return Ok(()) };
        let client = Client::new(&cluster.router)?;
        let body = serde_json::json!({
            "TableName": self.table,
            "Key": { "pk": { "S": "home" } },
        });
        let mut proofs = 0;
        let at_home = eventually(HOME_TIMEOUT, async || {
            let began = self.clock.now();
            let served = matches!(client.call("GetItem", &body).await, Outcome::Ok(_));
            let took = Duration::from_nanos(self.clock.now().saturating_sub(began));
            proofs = if served && took < near { proofs + 1 } else { 0 };
            proofs >= HOME_PROOFS
        });
        anyhow::ensure!(at_home.await, "the router did not return to {home} in {HOME_TIMEOUT:?}");
        Ok(())
    }

    /// Answers faster than this can only come from the home region; absent where the delay is too
    /// small to tell, or where the router prefers another region.
    fn near_limit(&self, cluster: &Cluster, home: &str) -> Option<Duration> {
        let first = cluster.regions.first().is_some_and(|region| region.name == home);
        let tells = self.common.latency >= Duration::from_millis(20);
        (first && tells).then(|| self.common.latency.mul_f64(0.7))
    }

    /// Waits for a quiet answer of a node's health endpoint.
    pub async fn await_health(&self, node: u64, path: &str, limit: Duration) -> anyhow::Result<()> {
        let admin = Admin::of_node(&self.cluster()?, node)?;
        let well = eventually(limit, async || admin.answers(path).await).await;
        anyhow::ensure!(well, "node {node} did not answer {path} within {limit:?}");
        Ok(())
    }

    /// Starts a node again that has ended.
    pub async fn start_node(&self, node: u64) -> anyhow::Result<()> {
        let started = match &self.common.start_node {
            Some(command) => process::shell(command, node).await,
            None => {
                let words = ["admin", "node", "start", &node.to_string()];
                process::own_command(&self.ground.file, &words).await.map(|_| ())
            }
        };
        started.with_context(|| format!("cannot start node {node} again"))
    }

    /// Keys of conflicts that the cluster recorded.
    pub async fn conflicting_keys(&self) -> anyhow::Result<BTreeSet<Key>> {
        let mut texts = Vec::new();
        let cluster = self.cluster()?;
        for (_, node) in cluster.nodes() {
            match Admin::of_node(&cluster, node.id)?.conflicts(&self.table).await {
                Ok(conflicts) => admin::strings(&conflicts, &mut texts),
                Err(error) => tracing::debug!(node = node.id, %error, "no conflict log"),
            }
        }
        Ok(texts.iter().filter_map(|text| text.parse().ok()).collect())
    }

    /// Ends the drill: stops the playground, or undoes what was done to a cluster that was there.
    pub async fn close(self) {
        self.progress.end();
        if !self.ground.owned()
            && let Ok(cluster) = self.cluster()
        {
            undo(&cluster).await;
        }
        self.ground.stop().await;
    }
}

async fn undo(cluster: &Cluster) {
    for (_, node) in cluster.nodes() {
        if let Some(pid) = node.pid {
            // Processes that have ended need no undoing.
            let _ = process::signal(pid, process::Signal::CONT);
        }
        if let Ok(admin) = Admin::of_node(cluster, node.id) {
            let _ = admin.black_hole(false).await;
        }
    }
}

/// True if some node of each region says that every region is Active.
async fn all_active(cluster: &Cluster) -> bool {
    for region in &cluster.regions {
        let Ok(admins) = admin::of_region(cluster, &region.name) else { return false };
        let mut active = false;
        for admin in admins {
            if let Ok(status) = admin.status().await {
                let named = cluster.regions.iter().all(|one| {
                    let state = status.regions.iter().find(|other| other.name == one.name);
                    state.is_some_and(|state| state.state.eq_ignore_ascii_case("active"))
                });
                active |= named;
            }
            if active {
                break;
            }
        }
        if !active {
            return false;
        }
    }
    true
}

//! One node: what it is made of, how it starts and how it stops.
//!
//! # Invariants
//!
//! - Nothing is served before the log is recovered and the engine is open.
//! - A node that stops hands its leaderships over first.

use crate::control::client::ControlClient;
use crate::control::machine::ControlMachine;
use crate::hosting::Hosting;
use crate::identity::{Founder, IdentityError, IdentityFile};
use crate::items::Items;
use crate::network::PeerNetwork;
use crate::options::{DataDir, NodeOptions};
use crate::regions::Regions;
use crate::{catalog, founding, handler, partitions, planner, registrar};
use meridian_base::{GroupId, NodeId, RegionId};
use meridian_control::global::GlobalState;
use meridian_control::region::{Catalog, RegionState};
use meridian_raft::log::{LogOptions as WriterOptions, NodeLog};
use meridian_raft::machine::StateMachine;
use meridian_raft::{Group, GroupOptions, Timing, rt};
use meridian_storage::sim_disk::SimDisk;
use meridian_storage::{
    Disk, Engine, EngineKind, LogOptions, MemoryEngine, RealDisk, SegmentedLog, StorageError,
    open_engine,
};
use meridian_transport::{
    ClusterId, Identity, PeerConfig, PeerServer, Peers, Timing as PeerTiming,
};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How long handing over leaderships may take when a node stops.
const HAND_OVER_LIMIT: Duration = Duration::from_secs(3);
/// How long requests of other nodes may take to end when a node stops.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its data directory is not its own, or cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Its log or engine cannot be opened.
    #[error("the data directory cannot be used: {0}")]
    Storage(#[from] StorageError),
    /// A control group cannot be opened.
    #[error("the {group} group cannot be opened: {why}")]
    Group {
        /// Which.
        group: GroupId,
        /// Why.
        why: String,
    },
    /// It cannot listen to its peers.
    #[error("cannot listen to peers: {0}")]
    Listen(#[source] std::io::Error),
}

/// The control groups' state machines until their groups are opened.
struct Unopened {
    global: ControlMachine<GlobalState>,
    region: ControlMachine<RegionState>,
}

/// One node.
pub struct Node {
    /// What it was started with.
    pub options: NodeOptions,
    /// Its groups.
    pub hosting: Arc<Hosting>,
    /// Its peers.
    pub peers: Peers,
    /// Its item requests.
    pub items: Items,
    /// Its proposals to the control groups.
    pub control: ControlClient,
    /// The engine of all its replicas.
    pub engine: Arc<dyn Engine>,
    /// The log of all its replicas.
    pub log: NodeLog,
    /// What it knows of the regions.
    pub regions: Arc<Regions>,
    pub(crate) identity_file: IdentityFile,
    pub(crate) identity: Identity,
    pub(crate) network: Arc<PeerNetwork>,
    /// Nodes that said hello and belong to no cluster yet.
    pub(crate) callers: Mutex<std::collections::BTreeMap<u64, Founder>>,
    unopened: Mutex<Option<Unopened>>,
    stopping: watch::Sender<bool>,
    server: Mutex<Option<PeerServer>>,
}

fn log_disk(options: &NodeOptions) -> Result<Arc<dyn Disk>, StorageError> {
    Ok(match &options.data {
        DataDir::Path(dir) => Arc::new(RealDisk::open(&dir.join("log"))?),
        DataDir::Memory => Arc::new(SimDisk::new("log")),
    })
}

fn engine_of(options: &NodeOptions) -> Result<Arc<dyn Engine>, StorageError> {
    let DataDir::Path(dir) = &options.data else { return Ok(Arc::new(MemoryEngine::volatile())) };
    let dir = dir.join("engine");
    match open_engine(options.engine, &dir) {
        Err(error @ StorageError::Corrupt { .. }) => {
            let aside = set_aside(&dir, options.clock.now_ms())?;
            tracing::warn!(%error, aside = %aside.display(),
                "the engine is damaged: it is set aside and every replica is rebuilt");
            open_engine(options.engine, &dir)
        }
        opened => opened,
    }
}

fn set_aside(dir: &std::path::Path, now_ms: u64) -> Result<PathBuf, StorageError> {
    let aside = dir.with_file_name(format!("engine.damaged-{now_ms}"));
    std::fs::rename(dir, &aside).map_err(|source| StorageError::Io {
        action: "set aside",
        path: dir.to_owned(),
        source,
    })?;
    Ok(aside)
}

fn open_control<S: crate::control::machine::ControlState>(
    group: GroupId,
    engine: &Arc<dyn Engine>,
) -> Result<(ControlMachine<S>, watch::Receiver<Arc<S>>), StartError> {
    ControlMachine::open(group, Arc::clone(engine))
        .map_err(|e| StartError::Group { group, why: e.to_string() })
}

/// Stops the process: what the log holds is no longer known.
fn stop_process(reason: String) {
    tracing::error!(%reason, "the node stops at once");
    std::process::abort();
}

impl Node {
    /// Opens the data and starts the node; peers are served on `listener` from then on.
    pub async fn start(
        options: NodeOptions,
        listener: TcpListener,
    ) -> Result<Arc<Node>, StartError> {
        let identity_file = IdentityFile::open(&options.data, options.node, &options.region)?;
        let disk = log_disk(&options)?;
        let (log, found) = SegmentedLog::open(disk, LogOptions::default())?;
        let writer = WriterOptions { fatal: Arc::new(stop_process), simulated_sync: None };
        let log = NodeLog::start(log, found, writer);
        let engine = engine_of(&options)?;
        let identity = Identity::new(options.node, options.region.clone());
        let config = PeerConfig {
            identity: identity.clone(),
            secret: options.secret.clone(),
            delays: options.delays.clone(),
            switch: options.switch.clone(),
            timing: PeerTiming::default(),
        };
        let peers = Peers::new(config.clone());
        let hosting = Arc::new(Hosting::default());
        let (global, global_state) = open_control::<GlobalState>(GroupId::Global, &engine)?;
        let (region, region_state) = open_control::<RegionState>(GroupId::Region, &engine)?;
        let catalog = catalog::follow(region_state.clone());
        let control = ControlClient::new(
            options.node,
            Arc::clone(&hosting),
            peers.clone(),
            global_state.clone(),
            region_state,
            catalog.clone(),
        );
        let regions =
            Arc::new(Regions::new(options.region.clone(), Arc::clone(&hosting), global_state));
        let gate: Arc<Regions> = Arc::clone(&regions);
        let items = Items::new(options.node, Arc::clone(&hosting), peers.clone(), catalog, gate);
        let node = Arc::new(Node {
            network: Arc::new(PeerNetwork(peers.clone())),
            hosting,
            peers,
            items,
            control,
            engine,
            log,
            regions,
            identity_file,
            identity,
            callers: Mutex::default(),
            unopened: Mutex::new(Some(Unopened { global, region })),
            stopping: watch::Sender::new(false),
            server: Mutex::new(None),
            options,
        });
        node.begin(listener, config).await?;
        Ok(node)
    }

    async fn begin(
        self: &Arc<Self>,
        listener: TcpListener,
        config: PeerConfig,
    ) -> Result<(), StartError> {
        let handler = Arc::new(handler::PeerHandler(Arc::clone(self)));
        let server =
            meridian_transport::serve(listener, handler, config).map_err(StartError::Listen)?;
        *self.server.lock().expect("no holder panics") = Some(server);
        if self.options.alone && self.identity_file.founding().is_none() {
            let nodes = std::iter::once((self.id().0, self.founder())).collect();
            let founded = founding::plan(nodes, rt::random(), self.options.clock.now_ms());
            self.found(&founded)
                .await
                .map_err(|why| StartError::Group { group: GroupId::Global, why })?;
        } else {
            self.open_control_groups().await?;
        }
        rt::spawn(partitions::reconcile(Arc::clone(self)));
        rt::spawn(registrar::run(Arc::clone(self)));
        rt::spawn(planner::run(Arc::clone(self)));
        crate::regions::watch::start(self);
        Ok(())
    }

    /// Its id.
    pub fn id(&self) -> NodeId {
        self.options.node
    }

    /// The region as origin of writes, once it is known.
    pub fn region_id(&self) -> Option<RegionId> {
        self.control.region_state().region()
    }

    /// What it says of itself when a cluster is founded.
    pub fn founder(&self) -> Founder {
        Founder {
            region: self.options.region.clone(),
            zone: self.options.zone.clone(),
            addresses: self.options.addresses.clone(),
        }
    }

    /// Belongs to a cluster from now on.
    pub async fn found(&self, founding: &crate::identity::Founding) -> Result<(), String> {
        self.identity_file.found(founding)?;
        self.open_control_groups().await.map_err(|e| e.to_string())
    }

    /// Opens the control groups, once the cluster is known.
    async fn open_control_groups(&self) -> Result<(), StartError> {
        let Some(founding) = self.identity_file.founding() else { return Ok(()) };
        self.identity.set_cluster(ClusterId(founding.cluster));
        registrar::set_addresses(self, &founding);
        let Some(machines) = self.unopened.lock().expect("no holder panics").take() else {
            return Ok(());
        };
        let Unopened { global, region } = machines;
        let region_voters = founding.region_voters.get(&self.options.region).cloned();
        self.open_group(GroupId::Global, Box::new(global), Timing::GLOBAL, &founding.global_voters)
            .await?;
        let voters = region_voters.unwrap_or_default();
        self.open_group(GroupId::Region, Box::new(region), Timing::REGIONAL, &voters).await
    }

    async fn open_group(
        &self,
        group: GroupId,
        machine: Box<dyn StateMachine>,
        timing: Timing,
        voters: &[u64],
    ) -> Result<(), StartError> {
        let failed = |why: String| StartError::Group { group, why };
        // One voter alone waits for nobody.
        let timing = if voters.len() == 1 { Timing::REGIONAL } else { timing };
        let opened = Group::open(GroupOptions {
            node: self.id(),
            group,
            log: self.log.clone(),
            network: self.network.clone(),
            machine,
            timing,
        })
        .await
        .map_err(|e| failed(e.to_string()))?;
        if voters.contains(&self.id().0) && opened.is_pristine() {
            let voters: Vec<NodeId> = voters.iter().copied().map(NodeId).collect();
            opened.initialize(&voters).await.map_err(failed)?;
        }
        opened.elect_if_alone().await;
        self.hosting.add_group(opened);
        Ok(())
    }

    /// `Ok` when the node serves clients; otherwise what it waits for.
    pub fn ready(&self) -> Result<(), String> {
        let founded = self.identity_file.founding().ok_or("the node belongs to no cluster")?;
        let region = self.hosting.group(GroupId::Region).ok_or("the region group is not open")?;
        if region.leader().is_none() {
            return Err("the region group has no leader".into());
        }
        let state = self.control.region_state();
        if !state.nodes().contains_key(&self.id()) {
            return Err("the region does not know the node yet".into());
        }
        let own = founded.nodes.iter().filter(|(_, f)| f.region == self.options.region);
        if own.into_iter().any(|(id, _)| !state.nodes().contains_key(&NodeId(*id))) {
            return Err("the region does not know all its founders yet".into());
        }
        for record in state.partitions().values().filter(|p| p.replicas.holds(self.id())) {
            let hosted = self.hosting.partition(record.id);
            if hosted.is_none_or(|hosted| hosted.group.leader().is_none()) {
                return Err(format!("partition {} has no leader", record.id));
            }
        }
        Ok(())
    }

    /// Tells background loops that the node stops.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// Hands leaderships over, so that nobody has to find out that they are gone.
    pub async fn hand_over(&self) {
        let groups = self.hosting.groups();
        let leaving: Vec<_> = groups
            .iter()
            .filter(|group| group.leading().is_some() && group.status().voters.len() > 1)
            .map(|group| group.step_down(HAND_OVER_LIMIT))
            .collect();
        futures_util::future::join_all(leaving).await;
    }

    /// Stops the node.
    pub async fn stop(&self) {
        self.stopping.send_replace(true);
        self.hand_over().await;
        for group in &self.hosting.groups() {
            group.shutdown().await;
        }
        let server = self.server.lock().expect("no holder panics").take();
        if let Some(server) = server {
            server.stop(STOP_GRACE).await;
        }
        let engine = Arc::clone(&self.engine);
        if let Err(error) = rt::blocking(move || engine.persist()).await {
            tracing::warn!(%error, "the engine was not made durable; the log holds what it lacks");
        }
    }

    /// The catalog as this node knows it.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.items.catalog()
    }

    /// Which engine the node runs on.
    pub fn engine_kind(&self) -> EngineKind {
        self.options.engine
    }
}

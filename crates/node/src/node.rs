//! One node: what it is made of, how it starts and how it stops.
//!
//! # Invariants
//!
//! - Nothing is served before the log is recovered and the engine is open.
//! - A node that stops hands its leaderships over first.

use crate::archive::Archive;
use crate::control::client::ControlClient;
use crate::control::machine::ControlMachine;
use crate::hosting::Hosting;
use crate::identity::{Founder, Founding, IdentityError, IdentityFile};
use crate::items::Items;
use crate::meters::Meters;
use crate::network::PeerNetwork;
use crate::options::NodeOptions;
use crate::rebuild::{self, Rebuilds};
use crate::regions::Regions;
use crate::room::{self, Room};
use crate::stores::{self, Stores};
use crate::{
    archive, catalog, founding, handler, jobs, lost_log, old_log, partitions, planner, registrar,
};
use meridian_base::{GroupId, LogIndex, NodeId, PartitionId, RegionId};
use meridian_control::global::GlobalState;
use meridian_control::region::{Catalog, RegionState};
use meridian_raft::log::NodeLog;
use meridian_raft::machine::StateMachine;
use meridian_raft::{Group, GroupOptions, Timing, rt};
use meridian_storage::{Engine, EngineKind, StorageError};
use meridian_transport::{
    ClusterId, Identity, PeerConfig, PeerServer, Peers, Timing as PeerTiming,
};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How long handing over leaderships may take when a node stops.
const HAND_OVER_LIMIT: Duration = Duration::from_secs(3);
/// Time between two looks at whether damage was found.
const DAMAGE_LOOK: Duration = Duration::from_millis(250);
/// How long requests of other nodes may take to end when a node stops.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its data directory is not its own, or cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Its log or engine cannot be opened.
    #[error("the data directory cannot be used")]
    Storage(#[from] StorageError),
    /// Its log was lost, and it cannot be noted.
    #[error("the loss of the log cannot be noted: {0}")]
    Loss(String),
    /// A control group cannot be opened.
    #[error("the {group} group cannot be opened: {why}")]
    Group {
        /// Which.
        group: GroupId,
        /// Why.
        why: String,
    },
    /// It cannot listen to its peers.
    #[error("cannot listen to peers")]
    Listen(#[source] std::io::Error),
}

/// The control groups' state machines until their groups are opened.
struct Unopened {
    global: ControlMachine<GlobalState>,
    region: ControlMachine<RegionState>,
}

/// A control group's replica that must be rebuilt before its group can be opened.
struct Behind {
    group: GroupId,
    /// What a peer's snapshot must cover.
    upto: LogIndex,
    machine: Box<dyn StateMachine>,
    timing: Timing,
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
    /// What it knows of its free disk.
    pub room: Arc<Room>,
    pub(crate) meters: Meters,
    /// The point-in-time archive.
    pub archive: Archive,
    pub(crate) identity_file: IdentityFile,
    pub(crate) identity: Identity,
    pub(crate) network: Arc<PeerNetwork>,
    /// Nodes that said hello and belong to no cluster yet.
    pub(crate) callers: Mutex<std::collections::BTreeMap<u64, Founder>>,
    pub(crate) rebuilds: Rebuilds,
    /// Partitions whose replicas are being rebuilt.
    pub(crate) rebuilding: Mutex<BTreeSet<PartitionId>>,
    /// What a node that lost its log waits for.
    pub(crate) waits_for: Mutex<Option<String>>,
    behind: Mutex<Vec<Behind>>,
    unopened: Mutex<Option<Unopened>>,
    stopping: watch::Sender<bool>,
    server: Mutex<Option<PeerServer>>,
}

fn open_control<S: crate::control::machine::ControlState>(
    group: GroupId,
    engine: &Arc<dyn Engine>,
) -> Result<(ControlMachine<S>, watch::Receiver<Arc<S>>), StartError> {
    ControlMachine::open(group, Arc::clone(engine))
        .map_err(|e| StartError::Group { group, why: e.to_string() })
}

/// Rebuilds the control groups' replicas that wait for it, and opens them.
async fn rebuild_control(node: Arc<Node>) {
    let behind = std::mem::take(&mut *node.behind.lock().expect("no holder panics"));
    let founding = node.identity_file.founding();
    let nodes = founding.iter().flat_map(|founding| &founding.nodes);
    let others = nodes.filter(|(id, _)| **id != node.id().0);
    let (near, far): (Vec<_>, Vec<_>) =
        others.partition(|(_, founder)| founder.region == node.options.region);
    let near: Vec<NodeId> = near.into_iter().map(|(id, _)| NodeId(*id)).collect();
    let all: Vec<NodeId> =
        near.iter().copied().chain(far.into_iter().map(|(id, _)| NodeId(*id))).collect();
    for Behind { group, upto, machine, timing } in behind {
        let peers = if group == GroupId::Global { &all } else { &near };
        let opened = match rebuild::from_peers(&node, group, peers, upto, machine).await {
            Ok(machine) => node.open_group(group, machine, timing).await,
            Err(why) => Err(why),
        };
        match opened {
            Ok(opened) => node.hosting.add_group(opened),
            Err(why) => tracing::error!(%group, %why, "a control group cannot be rebuilt"),
        }
    }
}

impl Node {
    /// Opens the data and starts the node; peers are served on `listener` from then on.
    pub async fn start(
        options: NodeOptions,
        listener: TcpListener,
    ) -> Result<Arc<Node>, StartError> {
        let identity_file = IdentityFile::open(&options.data, options.node, &options.region)?;
        let Stores { log, engine } = stores::open(&options, &identity_file)?;
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
        let room = Arc::new(Room::default());
        let items = Items::new(
            options.node,
            Arc::clone(&hosting),
            peers.clone(),
            catalog,
            gate,
            Arc::clone(&room),
        );
        let node = Arc::new(Node {
            network: Arc::new(PeerNetwork(peers.clone())),
            hosting,
            peers,
            items,
            control,
            engine,
            log,
            regions,
            room,
            meters: Meters::default(),
            archive: Archive::new(options.archive.clone()),
            identity_file,
            identity,
            callers: Mutex::default(),
            rebuilds: Rebuilds::default(),
            rebuilding: Mutex::default(),
            waits_for: Mutex::default(),
            behind: Mutex::default(),
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
        } else if let Some(loss) = self.identity_file.loss() {
            self.know_cluster();
            let asking = "its neighbours are being asked".to_owned();
            *self.waits_for.lock().expect("no holder panics") = Some(asking);
            rt::spawn(lost_log::run(Arc::clone(self), loss));
        } else {
            self.open_control_groups().await?;
        }
        rt::spawn(rebuild_control(Arc::clone(self)));
        rt::spawn(partitions::reconcile(Arc::clone(self)));
        rt::spawn(registrar::run(Arc::clone(self)));
        rt::spawn(planner::run(Arc::clone(self)));
        rt::spawn(archive::clean(Arc::clone(self)));
        rt::spawn(jobs::run(Arc::clone(self)));
        rt::spawn(room::watch(Arc::clone(self)));
        rt::spawn(old_log::watch(Arc::clone(self)));
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

    /// Takes over how the cluster was founded, once that is known.
    fn know_cluster(&self) -> Option<Founding> {
        let founding = self.identity_file.founding()?;
        self.identity.set_cluster(ClusterId(founding.cluster));
        registrar::set_addresses(self, &founding);
        Some(founding)
    }

    /// Opens the control groups, once the cluster is known. Those that must be rebuilt first wait
    /// for [`rebuild_control`].
    pub(crate) async fn open_control_groups(&self) -> Result<(), StartError> {
        let Some(founding) = self.know_cluster() else { return Ok(()) };
        let Some(machines) = self.unopened.lock().expect("no holder panics").take() else {
            return Ok(());
        };
        let Unopened { global, region } = machines;
        let region_voters = founding.region_voters.get(&self.options.region).cloned();
        let global: Box<dyn StateMachine> = Box::new(global);
        let region: Box<dyn StateMachine> = Box::new(region);
        for (group, machine, timing, voters) in [
            (GroupId::Global, global, Timing::GLOBAL, founding.global_voters.clone()),
            (GroupId::Region, region, Timing::REGIONAL, region_voters.unwrap_or_default()),
        ] {
            // One voter alone waits for nobody.
            let timing = if voters.len() == 1 { Timing::REGIONAL } else { timing };
            let missing = meridian_raft::rebuild::missing_upto(&self.log, group, machine.as_ref());
            let failed = |why: String| StartError::Group { group, why };
            if let Some(upto) = missing {
                let behind = Behind { group, upto, machine, timing };
                self.behind.lock().expect("no holder panics").push(behind);
                continue;
            }
            let opened = self.open_group(group, machine, timing).await.map_err(failed)?;
            // Whoever joins, or comes back without a log, waits to be taken in.
            if !founding.joined && voters.contains(&self.id().0) && opened.is_pristine() {
                let voters: Vec<NodeId> = voters.iter().copied().map(NodeId).collect();
                opened.initialize(&voters).await.map_err(failed)?;
            }
            opened.elect_if_alone().await;
            self.hosting.add_group(opened);
        }
        Ok(())
    }

    async fn open_group(
        &self,
        group: GroupId,
        machine: Box<dyn StateMachine>,
        timing: Timing,
    ) -> Result<Group, String> {
        let log = self.log.clone();
        let network = self.network.clone();
        let options = GroupOptions { node: self.id(), group, log, network, machine, timing };
        Group::open(options).await.map_err(|e| e.to_string())
    }

    /// `Ok` when the node serves clients; otherwise what it waits for.
    pub fn ready(&self) -> Result<(), String> {
        if let Some(why) = self.waits_for.lock().expect("no holder panics").clone() {
            return Err(format!("the node's log was lost, and it waits to return: {why}"));
        }
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

    /// Returns when the engine is found to be damaged, with what is, where the region's other nodes
    /// can make up for it: the next start sets the engine aside and rebuilds every replica. A node
    /// that is alone goes on serving what it can read.
    pub async fn damaged(&self) -> String {
        loop {
            if let Some(why) = self.engine.damage()
                && stores::has_neighbours(&self.options, &self.identity_file)
            {
                return why.to_owned();
            }
            rt::sleep(DAMAGE_LOOK).await;
        }
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

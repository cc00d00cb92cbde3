//! The global endpoint: passes each request to a healthy node of one region, and moves to the next
//! region when that one is gone.
//!
//! # Invariants
//!
//! - A write that may have been received is never sent again; its outcome is unknown.
//! - A write goes to another node or region only when no byte of it was sent.
//! - The router needs no control group: its own probes are enough to leave a region.
//! - An abandoned region takes no traffic before it is restored, also after a restart of the
//!   router when it has a state file.
//!
//! `choice` decides (pure), `probe` watches, `node` holds connections, `forward` passes requests
//! on, `edge` answers clients, `admin` operators. Tested by `router/tests.rs` over sockets.

mod admin;
mod choice;
mod edge;
mod forward;
mod node;
mod probe;
mod state_file;
#[cfg(test)]
mod tests;

use crate::admin::Guard;
use crate::config::RouterConfig;
use crate::listener::{HttpServer, ListenLimits};
use crate::metering::MetricsPage;
use choice::{Choice, Move, Reason};
use meridian_transport::Switch;
use node::Node;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Where the traffic goes, as requests in flight see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Course {
    /// Position of the region that takes the traffic.
    region: usize,
    /// The region that was left because it is gone: requests in flight to it have no hope.
    gone: Option<usize>,
}

/// What the parts of a router share.
struct Shared {
    config: RouterConfig,
    nodes: Vec<Arc<Node>>,
    choice: Mutex<Choice>,
    course: watch::Sender<Course>,
    /// Changes whenever a node turns healthy.
    risen: watch::Sender<u64>,
    turn: AtomicUsize,
    begin: Instant,
}

impl Shared {
    fn new(config: RouterConfig) -> Self {
        let names = config.regions.iter().map(|r| r.name.clone());
        let mut choice = Choice::new(names, config.leave_after);
        if let Some(file) = &config.state_file {
            state_file::read(file)
                .iter()
                .for_each(|(name, restored)| choice.abandon(name, *restored));
        }
        let region = choice.current();
        let nodes = config.regions.iter().enumerate().flat_map(|(at, region)| {
            let one_way = if at == 0 { Duration::ZERO } else { config.latency / 2 };
            let node = move |address| Arc::new(Node::new(address, at, one_way));
            region.endpoints.iter().cloned().map(node)
        });
        Shared {
            nodes: nodes.collect(),
            choice: Mutex::new(choice),
            course: watch::channel(Course { region, gone: None }).0,
            risen: watch::channel(0).0,
            turn: AtomicUsize::new(0),
            begin: Instant::now(),
            config,
        }
    }

    fn choice(&self) -> MutexGuard<'_, Choice> {
        self.choice.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn since_begin(&self) -> Duration {
        self.begin.elapsed()
    }

    /// A healthy node of the region, other than those in `tried`; each in turn.
    fn pick(&self, region: usize, tried: &[&Arc<Node>]) -> Option<&Arc<Node>> {
        let usable = |node: &&Arc<Node>| {
            node.region == region
                && node.is_healthy()
                && !tried.iter().any(|t| Arc::ptr_eq(t, node))
        };
        let count = self.nodes.iter().filter(usable).count();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(count)?;
        self.nodes.iter().filter(usable).nth(turn)
    }

    /// Follows a decision.
    fn steer(&self, step: Move) {
        let name = |at: usize| self.config.regions.get(at).map_or("", |r| r.name.as_str());
        let (from, to) = (name(step.from), name(step.to));
        let gone = match step.reason {
            Reason::Silent | Reason::Recorded(choice::Status::Lost) => Some(step.from),
            Reason::Recorded(_) | Reason::Preference => None,
        };
        tracing::info!(from, to, reason = ?step.reason, "traffic moves to another region");
        metrics::counter!("meridian_router_moves_total").increment(1);
        self.course.send_replace(Course { region: step.to, gone });
        self.remember();
    }

    /// Writes the abandoned regions to the state file, if there is one.
    fn remember(&self) {
        let Some(file) = &self.config.state_file else { return };
        let abandoned = self.choice().abandoned();
        if let Err(error) = state_file::write(file, &abandoned) {
            tracing::warn!(file = %file.display(), %error, "cannot remember the abandoned regions");
        }
    }
}

/// A running router.
pub struct Router {
    shared: Arc<Shared>,
    clients: HttpServer,
    admin: HttpServer,
    /// Dropped with the router, which ends them.
    _tasks: JoinSet<()>,
}

impl Router {
    /// Binds the listeners of `config` and starts.
    ///
    /// Fails when an address cannot be bound, naming it.
    pub async fn start(config: RouterConfig) -> std::io::Result<Self> {
        let metrics = MetricsPage::install();
        let clients = crate::process::bind(config.listen).await?;
        let admin = crate::process::bind(config.listen_admin).await?;
        Self::serve(config, clients, admin, metrics)
    }

    fn serve(
        config: RouterConfig,
        clients: TcpListener,
        admin: TcpListener,
        metrics: MetricsPage,
    ) -> std::io::Result<Self> {
        let guard = Guard::new(config.cluster_secret.clone());
        let shared = Arc::new(Shared::new(config));
        let limits = ListenLimits::default();
        let edge = Arc::new(edge::RouterEdge::new(shared.clone()));
        let clients = HttpServer::start(clients, Switch::new(), limits, edge)?;
        let edge = Arc::new(admin::RouterAdmin::new(shared.clone(), guard, metrics));
        let admin = HttpServer::start(admin, Switch::new(), limits, edge)?;
        let mut tasks = JoinSet::new();
        for node in &shared.nodes {
            tasks.spawn(probe::probe(shared.clone(), node.clone()));
        }
        tasks.spawn(probe::decide(shared.clone()));
        tasks.spawn(probe::learn(shared.clone()));
        Ok(Router { shared, clients, admin, _tasks: tasks })
    }

    /// The address that clients use.
    pub fn local(&self) -> std::net::SocketAddr {
        self.clients.local()
    }

    /// The address that operators use.
    pub fn local_admin(&self) -> std::net::SocketAddr {
        self.admin.local()
    }

    /// Waits until a region takes requests.
    pub async fn ready(&self) {
        let mut risen = self.shared.risen.subscribe();
        loop {
            let region = self.shared.course.borrow().region;
            if self.shared.pick(region, &[]).is_some() {
                return;
            }
            // The sender lives as long as `self`.
            let _ = risen.changed().await;
        }
    }

    /// Stops accepting, lets requests in flight finish within `grace`, then ends.
    pub async fn stop(self, grace: Duration) {
        tokio::join!(self.clients.stop(grace), self.admin.stop(grace));
    }
}

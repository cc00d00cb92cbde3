//! Messages between replicas: late, lost, twice, out of order, cut one way or both.
//!
//! A message travels by itself: that its sender gave up, or died, does not call it back. A lost one
//! is silence; its sender waits for its own time limit.
//!
//! # Invariants
//!
//! - Only the process that runs when a message arrives sees it.
//! - What becomes of a message is decided by the network's dice alone.

use crate::bug::Bug;
use crate::dice::Dice;
use crate::lifeline::Lifeline;
use crate::plan::NetworkPlan;
use bytes::Bytes;
use meridian_base::{GroupId, NodeId};
use meridian_node::hosting::HostedPartition;
use meridian_raft::codec::{Request, Response, decode_request, encode_response};
use meridian_raft::network::{Network, NetworkFuture, SendError};
use meridian_raft::openraft::raft::AppendEntriesResponse;
use meridian_raft::rt::{self, Process};
use meridian_raft::snapshot::Chunks;
use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a snapshot's sender waits for an answer: the transport notices a silent peer.
const TRANSFER_LIMIT: Duration = Duration::from_secs(2);

/// A replica that can be reached.
#[derive(Clone)]
pub struct Endpoint {
    /// Its process.
    pub life: Arc<Lifeline>,
    /// Its partition.
    pub hosted: Arc<HostedPartition>,
}

/// What becomes of a message.
enum Fate {
    Arrives(Duration),
    Lost,
    Refused(Duration),
}

struct State {
    dice: Dice,
    plan: NetworkPlan,
    cut: BTreeSet<(NodeId, NodeId)>,
    endpoints: BTreeMap<NodeId, Endpoint>,
}

/// The network of a cluster.
pub struct Net {
    state: Mutex<State>,
    bug: Option<Bug>,
}

impl Net {
    /// A network that is calm until [`Net::behave`].
    pub fn new(seed: u64, bug: Option<Bug>) -> Arc<Net> {
        let state = State {
            dice: Dice::new(seed, 2),
            plan: NetworkPlan::CALM,
            cut: BTreeSet::new(),
            endpoints: BTreeMap::new(),
        };
        Arc::new(Net { state: Mutex::new(state), bug })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    /// Makes messages travel so from now on.
    pub fn behave(&self, plan: NetworkPlan) {
        self.state().plan = plan;
    }

    /// Cuts a link in one direction.
    pub fn cut(&self, from: NodeId, to: NodeId) {
        self.state().cut.insert((from, to));
    }

    /// Mends every link.
    pub fn mend(&self) {
        self.state().cut.clear();
    }

    /// Makes a replica reachable.
    pub fn plug(&self, node: NodeId, endpoint: Endpoint) {
        self.state().endpoints.insert(node, endpoint);
    }

    /// The replica of a node whose process lives.
    pub fn endpoint(&self, node: NodeId) -> Option<Endpoint> {
        let endpoint = self.state().endpoints.get(&node).cloned();
        endpoint.filter(|endpoint| !endpoint.life.is_dead())
    }

    /// How long a message takes between a client and a node.
    pub fn client_delay(&self) -> Duration {
        let mut state = self.state();
        let NetworkPlan { delay_ms_min, delay_ms_max, .. } = state.plan;
        Duration::from_millis(state.dice.between(delay_ms_min, delay_ms_max.min(20)))
    }

    fn fate(&self, from: NodeId, to: NodeId) -> Fate {
        let mut state = self.state();
        let State { plan, .. } = *state;
        let dice = &mut state.dice;
        let mut delay = dice.between(plan.delay_ms_min, plan.delay_ms_max);
        if dice.chance(plan.late) {
            delay += dice.below(NetworkPlan::LATE_MS_MAX);
        }
        let (lost, delay) = (dice.chance(plan.lost), Duration::from_millis(delay));
        if lost || state.cut.contains(&(from, to)) {
            return Fate::Lost;
        }
        match state.endpoints.get(&to) {
            Some(endpoint) if !endpoint.life.is_dead() => Fate::Arrives(delay),
            Some(_) | None => Fate::Refused(delay),
        }
    }

    fn twice(&self) -> bool {
        let mut state = self.state();
        let doubled = state.plan.doubled;
        state.dice.chance(doubled)
    }
}

/// The network as one process sees it.
pub struct NodeNetwork {
    /// The network.
    pub net: Arc<Net>,
    /// The node.
    pub node: NodeId,
}

/// What a node receives.
enum Parcel {
    Message(Bytes),
    Snapshot { head: Bytes, chunks: Vec<Bytes> },
}

type Told = oneshot::Sender<Result<Bytes, SendError>>;

impl NodeNetwork {
    /// Sends a parcel; the answer comes later, or never.
    fn send(&self, to: NodeId, parcel: Parcel) -> oneshot::Receiver<Result<Bytes, SendError>> {
        let (tell, told) = oneshot::channel();
        let (net, from) = (Arc::clone(&self.net), self.node);
        match net.fate(from, to) {
            Fate::Lost => {}
            Fate::Refused(delay) => {
                rt::spawn_in(Process::default(), async move {
                    rt::sleep(delay).await;
                    let _ = tell.send(Err(SendError::Unreachable(format!("node {to} is down"))));
                });
            }
            Fate::Arrives(delay) => {
                rt::spawn_in(Process::default(), carry(net, from, to, delay, parcel, tell));
            }
        }
        told
    }
}

async fn carry(
    net: Arc<Net>,
    from: NodeId,
    to: NodeId,
    delay: Duration,
    parcel: Parcel,
    tell: Told,
) {
    rt::sleep(delay).await;
    let Some(endpoint) = net.endpoint(to) else { return };
    let (group, process) = (endpoint.hosted.group.clone(), endpoint.life.process());
    let answer = match parcel {
        Parcel::Message(message) => {
            if net.twice() {
                let (group, message) = (group.clone(), message.clone());
                rt::spawn_in(process, async move { group.handle(&message).await.map(drop) });
            }
            rt::spawn_in(process, async move { group.handle(&message).await }).await
        }
        Parcel::Snapshot { head, chunks } => {
            let chunks: Chunks = Box::new(chunks.into_iter().map(Ok));
            rt::spawn_in(process, async move { group.handle_snapshot(&head, chunks).await }).await
        }
    };
    // A handler that panicked is found by its panic.
    let Ok(answer) = answer else { return };
    match net.fate(to, from) {
        Fate::Lost => {}
        Fate::Refused(delay) | Fate::Arrives(delay) => {
            rt::sleep(delay).await;
            let _ = tell.send(answer.map_err(SendError::NoAnswer));
        }
    }
}

async fn answer_of(told: oneshot::Receiver<Result<Bytes, SendError>>) -> Result<Bytes, SendError> {
    match told.await {
        Ok(answer) => answer,
        Err(_) => pending().await,
    }
}

/// True for a message that carries entries.
fn carries_entries(message: &[u8]) -> bool {
    matches!(decode_request(message), Ok(Request::Append(append)) if !append.entries.is_empty())
}

impl Network for NodeNetwork {
    fn call(
        &self,
        to: NodeId,
        _group: GroupId,
        message: Bytes,
        _limit: Duration,
    ) -> NetworkFuture<'_, Bytes> {
        let early = self.net.bug == Some(Bug::AckBeforeQuorum) && carries_entries(&message);
        let told = self.send(to, Parcel::Message(message));
        if early {
            let answer = encode_response(&Response::Append(AppendEntriesResponse::Success));
            return Box::pin(async move { Ok(Bytes::from(answer)) });
        }
        Box::pin(answer_of(told))
    }

    fn transfer(
        &self,
        to: NodeId,
        _group: GroupId,
        head: Bytes,
        chunks: Chunks,
    ) -> NetworkFuture<'_, Bytes> {
        let chunks: Result<Vec<Bytes>, _> = chunks.collect();
        let chunks = chunks.map_err(|error| SendError::NoAnswer(error.to_string()));
        let told = chunks.map(|chunks| self.send(to, Parcel::Snapshot { head, chunks }));
        Box::pin(async move {
            let answer = rt::timeout(TRANSFER_LIMIT, answer_of(told?)).await;
            answer.unwrap_or_else(|late| Err(SendError::NoAnswer(late.to_string())))
        })
    }
}

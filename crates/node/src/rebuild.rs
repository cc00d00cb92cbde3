//! Rebuilding a replica from a peer, where the engine was lost and the log no longer reaches back.
//!
//! The replica keeps its log and its vote. It asks the other nodes, one after the other, to send a
//! snapshot of what they have applied, until one sends a snapshot that reaches the log.
//!
//! # Invariants
//!
//! - A replica's Raft starts only when its state machine is at or above the log's purge point.
//! - A snapshot that nobody waits for is refused.
//!
//! Tested by `cluster_tests/damage.rs`, with damaged directories.

use crate::control::message::{ControlAnswer, ControlRequest, decode, encode};
use crate::node::Node;
use bytes::Bytes;
use meridian_base::{GroupId, LogIndex, NodeId};
use meridian_raft::machine::StateMachine;
use meridian_raft::network::Network;
use meridian_raft::snapshot::Chunks;
use meridian_raft::{rebuild, rt};
use meridian_transport::Kind;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a peer may take to send a whole snapshot.
const SEND_LIMIT: Duration = Duration::from_secs(600);
/// Pause after every peer was asked in vain.
const PAUSE: Duration = Duration::from_millis(500);

/// A snapshot that arrived whole.
struct Arrived {
    head: Bytes,
    chunks: Chunks,
}

/// The replicas that wait for a snapshot.
#[derive(Default)]
pub struct Rebuilds(Mutex<BTreeMap<GroupId, oneshot::Sender<Arrived>>>);

impl Rebuilds {
    fn await_one(&self, group: GroupId) -> oneshot::Receiver<Arrived> {
        let (sender, receiver) = oneshot::channel();
        self.0.lock().expect("no holder panics").insert(group, sender);
        receiver
    }

    /// Takes a snapshot for a replica that waits for one.
    pub fn deliver(&self, group: GroupId, head: Bytes, chunks: Chunks) -> Result<Bytes, String> {
        let waiting = self.0.lock().expect("no holder panics").remove(&group);
        let waiting = waiting.ok_or("no replica of the group here")?;
        waiting.send(Arrived { head, chunks }).map_err(|_| "nobody waits for it any more")?;
        Ok(Bytes::new())
    }
}

/// Rebuilds a state machine that lacks what lies up to `upto` from one of `peers`. Waits until one
/// of them can do it.
///
/// # Errors
///
/// The engine cannot be written, or the node stops.
pub async fn from_peers(
    node: &Node,
    group: GroupId,
    peers: &[NodeId],
    upto: LogIndex,
    mut machine: Box<dyn StateMachine>,
) -> Result<Box<dyn StateMachine>, String> {
    tracing::warn!(%group, upto = upto.0, ?peers,
        "the engine lacks what the log no longer holds: the replica is rebuilt from its peers");
    let mut stopping = node.stopping();
    loop {
        for peer in peers {
            let (back, done) = from_peer(node, group, *peer, upto, machine).await?;
            machine = back;
            if done {
                return Ok(machine);
            }
        }
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return Err("the node stops".into()),
            () = rt::sleep(PAUSE) => {}
        }
    }
}

async fn from_peer(
    node: &Node,
    group: GroupId,
    peer: NodeId,
    upto: LogIndex,
    machine: Box<dyn StateMachine>,
) -> Result<(Box<dyn StateMachine>, bool), String> {
    let arrived = match fetch(node, group, peer).await {
        Ok(arrived) => arrived,
        Err(why) => {
            tracing::debug!(%group, peer = peer.0, %why, "a peer sends no snapshot");
            return Ok((machine, false));
        }
    };
    let (machine, done) = rebuild::install(machine, upto, &arrived.head, arrived.chunks).await;
    match done {
        Ok(at) => {
            tracing::info!(%group, peer = peer.0, at = at.0, "a replica was rebuilt from a peer");
            Ok((machine, true))
        }
        Err(why @ rebuild::RebuildError::Install(_)) => Err(why.to_string()),
        Err(why @ (rebuild::RebuildError::Head | rebuild::RebuildError::TooOld { .. })) => {
            tracing::debug!(%group, peer = peer.0, %why, "a peer's snapshot is of no use");
            Ok((machine, false))
        }
    }
}

async fn fetch(node: &Node, group: GroupId, peer: NodeId) -> Result<Arrived, String> {
    let arrival = node.rebuilds.await_one(group);
    let request = ControlRequest::SendSnapshot { group: group.to_u64() };
    let message = Bytes::from(encode(&request));
    let called = node.peers.call(peer, Kind::Control, message, SEND_LIMIT).await;
    match decode(&called.map_err(|e| e.to_string())?).map_err(|e| e.to_string())? {
        ControlAnswer::Done => {}
        other => return Err(format!("an odd answer: {other:?}")),
    }
    arrival.await.map_err(|_| "the snapshot did not arrive".to_owned())
}

impl Node {
    /// Sends a snapshot of a group to a node that rebuilds its replica.
    pub(crate) async fn send_snapshot(&self, to: NodeId, group: u64) -> Result<(), String> {
        let group = GroupId::from_u64(group);
        let hosted = self.hosting.group(group).ok_or("no replica of the group here")?;
        let (head, chunks) = hosted.snapshot().await?;
        self.network.transfer(to, group, head, chunks).await.map_err(|e| e.to_string())?;
        Ok(())
    }
}

//! Founding a cluster out of the nodes that know each other, and joining one later.
//!
//! # Invariants
//!
//! - A cluster is founded by an operator, once; every founder stores the same [`Founding`].
//! - Founding is all or nothing as far as it can be: every founder is asked first, and a node that
//!   belongs to a cluster already stops it.

use crate::control::message::{ControlAnswer, ControlRequest, decode, encode};
use crate::identity::{Founder, Founding};
use bytes::Bytes;
use meridian_base::{LogIndex, NodeId};
use meridian_control::global::{Command, GlobalState};
use meridian_control::planner::{Limits, global_members};
use meridian_transport::{Kind, Peers};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a founder may take to answer.
const CALL_LIMIT: Duration = Duration::from_secs(5);
/// Most voters of a region's group.
const REGION_VOTERS_MAX: usize = 5;

/// What a node says of itself.
pub struct Heard {
    node: u64,
    founder: Founder,
    founding: Option<Box<Founding>>,
    callers: BTreeMap<u64, Founder>,
}

/// Asks a node who it is.
pub async fn hello(
    peers: &Peers,
    addr: &str,
    node: NodeId,
    founder: &Founder,
) -> Result<Heard, String> {
    let request = ControlRequest::Hello { node: node.0, founder: founder.clone() };
    let message = Bytes::from(encode(&request));
    let answer = peers.call_addr(addr, Kind::Control, message, CALL_LIMIT).await;
    let answer = answer.map_err(|e| format!("{addr}: {e}"))?;
    match decode(&answer) {
        Ok(ControlAnswer::Hello { node, founder, founding, callers }) => {
            Ok(Heard { node, founder, founding, callers })
        }
        Ok(_) | Err(_) => Err(format!("{addr}: not a node of this program")),
    }
}

/// Asks who they are: the seeds, those who called this node or one of those asked, and so on; this
/// node is among the result. So a few seeds that all nodes have in common are enough.
///
/// # Errors
///
/// Names every node that does not answer, that belongs to a cluster, or that has a taken id.
pub async fn gather(
    peers: &Peers,
    seeds: &[String],
    callers: &BTreeMap<u64, Founder>,
    node: NodeId,
    own: &Founder,
) -> Result<BTreeMap<u64, Founder>, String> {
    let mut nodes = BTreeMap::from([(node.0, own.clone())]);
    let mut asked = BTreeSet::from([own.addresses.peer.clone()]);
    let called = callers.values().map(|caller| caller.addresses.peer.clone());
    let mut to_ask: Vec<String> = seeds.iter().cloned().chain(called).collect();
    let mut problems = Vec::new();
    while let Some(addr) = to_ask.pop() {
        if !asked.insert(addr.clone()) {
            continue;
        }
        match hello(peers, &addr, node, own).await {
            Ok(heard) => {
                let founders = heard.callers.values();
                to_ask.extend(founders.map(|founder| founder.addresses.peer.clone()));
                problems.extend(enter(&mut nodes, &addr, heard));
            }
            Err(problem) => problems.push(problem),
        }
    }
    problems.sort();
    if problems.is_empty() { Ok(nodes) } else { Err(problems.join("; ")) }
}

/// Adds who answered; the problem where it cannot be a founder.
fn enter(nodes: &mut BTreeMap<u64, Founder>, addr: &str, heard: Heard) -> Option<String> {
    let Heard { node: id, founder, founding, .. } = heard;
    if let Some(founding) = founding {
        return Some(format!("{addr}: node {id} belongs to cluster {:016x}", founding.cluster));
    }
    match nodes.get(&id) {
        Some(known) if known.addresses.peer != founder.addresses.peer => {
            Some(format!("{addr}: node id {id} is taken"))
        }
        Some(_) => None,
        None => {
            nodes.insert(id, founder);
            None
        }
    }
}

/// Decides how a cluster of these nodes begins.
pub fn plan(nodes: BTreeMap<u64, Founder>, cluster: u64, at_ms: u64) -> Founding {
    let mut regions: Vec<String> = Vec::new();
    let mut region_voters: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (id, founder) in &nodes {
        if !regions.contains(&founder.region) {
            regions.push(founder.region.clone());
        }
        let voters = region_voters.entry(founder.region.clone()).or_default();
        if voters.len() < REGION_VOTERS_MAX {
            voters.push(*id);
        }
    }
    // Four voters stand no more losses than three.
    for voters in region_voters.values_mut().filter(|v| v.len() == 4) {
        voters.pop();
    }
    let global_voters = first_global_voters(&nodes, &regions, cluster, at_ms);
    Founding { cluster, regions, nodes, global_voters, region_voters, at_ms, joined: false }
}

fn first_global_voters(
    nodes: &BTreeMap<u64, Founder>,
    regions: &[String],
    cluster: u64,
    at_ms: u64,
) -> Vec<u64> {
    let mut state = GlobalState::new();
    let found = init_command(cluster, regions, at_ms);
    let upserts = nodes.iter().map(|(id, founder)| upsert_command(NodeId(*id), founder));
    for (index, command) in (1..).zip(std::iter::once(found).chain(upserts)) {
        let done = state.apply(LogIndex(index), &command);
        debug_assert!(done.is_ok(), "a fresh state takes its founders: {done:?}");
    }
    let silent = nodes.keys().map(|id| (NodeId(*id), 0)).collect();
    let members = global_members(&state, &BTreeSet::new(), &silent, &Limits::default());
    members.voters.iter().map(|n| n.0).collect()
}

/// The first command of the global group.
pub fn init_command(cluster: u64, regions: &[String], at_ms: u64) -> Command {
    Command::InitCluster { cluster: format!("{cluster:016x}"), regions: regions.to_vec(), at_ms }
}

/// Tells the global group of a node.
pub fn upsert_command(node: NodeId, founder: &Founder) -> Command {
    Command::UpsertNode {
        node,
        region: founder.region.clone(),
        zone: founder.zone.clone(),
        addresses: founder.addresses.clone(),
    }
}

/// Sends a founding to every founder but this one.
///
/// # Errors
///
/// Names every node that did not take it. Those that did belong to the cluster; the same founding
/// may be sent again.
pub async fn spread(peers: &Peers, founding: &Founding, own: NodeId) -> Result<(), String> {
    let message = Bytes::from(encode(&ControlRequest::Found(Box::new(founding.clone()))));
    let mut problems = Vec::new();
    for (id, founder) in founding.nodes.iter().filter(|(id, _)| **id != own.0) {
        let addr = &founder.addresses.peer;
        let answer = peers.call_addr(addr, Kind::Control, message.clone(), CALL_LIMIT).await;
        let taken = answer.map_err(|e| e.to_string()).and_then(|bytes| match decode(&bytes) {
            Ok(ControlAnswer::Done) => Ok(()),
            Ok(_) | Err(_) => Err("an odd answer".to_owned()),
        });
        if let Err(why) = taken {
            problems.push(format!("node {id} at {addr}: {why}"));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
}

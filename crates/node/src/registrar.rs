//! Keeps the control groups true about this node, and this node's address book true about the
//! others.

use crate::founding;
use crate::identity::Founding;
use crate::node::Node;
use meridian_base::{GroupId, NodeId};
use meridian_control::region::Command as RegionCommand;
use meridian_raft::rt;
use meridian_transport::PeerAddress;
use std::sync::Arc;
use std::time::Duration;

/// Between two looks while something is missing.
const HURRY: Duration = Duration::from_millis(50);
/// Between two looks otherwise.
const REST: Duration = Duration::from_secs(2);

/// Runs until the node stops.
pub async fn run(node: Arc<Node>) {
    let mut stopping = node.stopping();
    let mut global = node.control.watch_global();
    loop {
        global.borrow_and_update();
        let complete = look(&node).await;
        let pause = rt::sleep(if complete { REST } else { HURRY });
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = pause => {}
            changed = global.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
    }
}

/// Notes where the nodes of a founding are.
pub fn set_addresses(node: &Node, founding: &Founding) {
    for (id, founder) in &founding.nodes {
        let addr = founder.addresses.peer.clone();
        node.peers.set_address(NodeId(*id), PeerAddress { addr, region: founder.region.clone() });
    }
}

fn follow_addresses(node: &Node) {
    for (id, known) in node.control.global_state().nodes() {
        if known.state.is_removed() {
            node.peers.remove_address(*id);
            continue;
        }
        let address =
            PeerAddress { addr: known.addresses.peer.clone(), region: known.region.clone() };
        node.peers.set_address(*id, address);
    }
}

/// Does what is missing; true when nothing was.
async fn look(node: &Node) -> bool {
    let Some(founded) = node.identity_file.founding() else {
        call_seeds(node).await;
        return true;
    };
    follow_addresses(node);
    let in_cluster = register_globally(node, &founded).await;
    let in_region = register_in_region(node).await;
    in_cluster && in_region
}

/// A node without a cluster tells its seeds that it is there, for `admin node add`.
async fn call_seeds(node: &Node) {
    for seed in node.options.seeds.iter().filter(|s| **s != node.options.addresses.peer) {
        if founding::hello(&node.peers, seed, node.id(), &node.founder()).await.is_ok() {
            return;
        }
    }
}

async fn register_globally(node: &Node, founded: &Founding) -> bool {
    let state = node.control.global_state();
    let leads = node.hosting.group(GroupId::Global).is_some_and(|g| g.leading().is_some());
    if state.cluster().is_none() {
        if leads {
            let command = founding::init_command(founded.cluster, &founded.regions, founded.at_ms);
            let _ = node.control.global(&command).await;
        }
        return false;
    }
    if leads && !founded.joined && !register_founders(node, founded).await {
        return false;
    }
    let own = node.founder();
    match state.nodes().get(&node.id()) {
        Some(known) if known.addresses == own.addresses && known.zone == own.zone => true,
        Some(known) if known.state.is_removed() => true,
        // Founders are registered by the leader, later nodes by the operator: until then this
        // node's replica is not a member of the group and sees nothing.
        None => false,
        Some(_) => {
            let done = node.control.global(&founding::upsert_command(node.id(), &own)).await;
            if let Ok(Err(refusal)) = &done {
                tracing::warn!(%refusal, "the cluster does not take this node");
            }
            matches!(done, Ok(Ok(_)))
        }
    }
}

/// The leader registers those who founded the cluster; true when all are there.
async fn register_founders(node: &Node, founded: &Founding) -> bool {
    let state = node.control.global_state();
    let missing = founded.nodes.iter().filter(|(id, _)| !state.nodes().contains_key(&NodeId(**id)));
    let mut complete = true;
    for (id, founder) in missing {
        let command = founding::upsert_command(NodeId(*id), founder);
        complete &= matches!(node.control.global(&command).await, Ok(Ok(_)));
    }
    complete
}

async fn register_in_region(node: &Node) -> bool {
    let global = node.control.global_state();
    let Some(region) = global.regions().get(&node.options.region) else { return false };
    if !global.nodes().contains_key(&node.id()) {
        return false;
    }
    let state = node.control.region_state();
    if state.region().is_none() {
        let leads = node.hosting.group(GroupId::Region).is_some_and(|g| g.leading().is_some());
        if leads {
            let name = node.options.region.clone();
            let command = RegionCommand::InitRegion { region: region.id, name };
            let _ = node.control.region(&command).await;
        }
        return false;
    }
    let leads = node.hosting.group(GroupId::Region).is_some_and(|g| g.leading().is_some());
    if leads && !register_neighbours(node).await {
        return false;
    }
    let own = node.founder();
    match node.control.region_state().nodes().get(&node.id()) {
        Some(known) if known.addresses == own.addresses && known.zone == own.zone => true,
        Some(known) if known.state.is_removed() => true,
        None => false,
        Some(_) => {
            let command = RegionCommand::JoinNode {
                node: node.id(),
                zone: own.zone,
                addresses: own.addresses,
            };
            matches!(node.control.region(&command).await, Ok(Ok(_)))
        }
    }
}

/// The leader registers the nodes that the cluster counts to its region; true when all are there.
async fn register_neighbours(node: &Node) -> bool {
    let (global, state) = (node.control.global_state(), node.control.region_state());
    let of_region = global.nodes().iter().filter(|(_, known)| known.region == node.options.region);
    let missing = of_region
        .filter(|(id, known)| !known.state.is_removed() && !state.nodes().contains_key(id));
    let mut complete = true;
    for (id, known) in missing {
        let command = RegionCommand::JoinNode {
            node: *id,
            zone: known.zone.clone(),
            addresses: known.addresses.clone(),
        };
        complete &= matches!(node.control.region(&command).await, Ok(Ok(_)));
    }
    complete
}

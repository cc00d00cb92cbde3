//! Carries out what the planner says, on the leaders of the control groups.
//!
//! # Invariants
//!
//! - Only the leader of a control group plans for it. Steps are idempotent: a leader that lost its
//!   place meanwhile does no harm.

use crate::control::message::{
    ControlAnswer, ControlRequest, GroupChange, GroupStep, Observation, decode, encode,
};
use crate::node::Node;
use bytes::Bytes;
use futures_util::future::join_all;
use meridian_base::{GroupId, NodeId, PartitionId};
use meridian_control::planner::{
    Limits, Observed, Step, View, global_members, member_step, plan, region_members,
};
use meridian_control::region::{Command as RegionCommand, RegionState, TableRecord};
use meridian_control::table::TableStatus;
use meridian_raft::{GroupStatus, rt};
use meridian_transport::Kind;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Between two plans while tables are being made or taken away.
const HURRY: Duration = Duration::from_millis(50);
/// Between two plans otherwise.
const REST: Duration = Duration::from_secs(1);
/// How long a node may take to say what it leads.
const OBSERVE_LIMIT: Duration = Duration::from_millis(500);
/// How long a step may take.
const STEP_LIMIT: Duration = Duration::from_secs(10);
/// Entries by which a member that is caught up may lag.
const CAUGHT_UP_ENTRIES: u64 = 256;

/// Runs until the node stops.
pub async fn run(node: Arc<Node>) {
    let mut stopping = node.stopping();
    let mut state = node.control.watch_region();
    loop {
        plan_region(&node).await;
        plan_global(&node).await;
        let pause = if is_pending(&node.control.region_state()) { HURRY } else { REST };
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = rt::sleep(pause) => {}
            changed = state.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
    }
}

fn is_pending(state: &RegionState) -> bool {
    let is_going =
        |table: &TableRecord| table.status == TableStatus::Deleting && !state.is_held(table.id);
    state.tables().values().any(|table| table.is_settling() || is_going(table))
}

fn leads(node: &Node, group: GroupId) -> Option<meridian_raft::Group> {
    node.hosting.group(group).filter(|g| g.leading().is_some())
}

/// How long each known node was silent, ms; nodes never heard of are missing.
pub fn silent_ms(node: &Node) -> BTreeMap<NodeId, u64> {
    let links = node.peers.links();
    let heard = links.into_iter().filter_map(|(id, link)| {
        Some((id, u64::try_from(link.silent?.as_millis()).unwrap_or(u64::MAX)))
    });
    heard.chain([(node.id(), 0)]).collect()
}

/// What this node says of a group that it leads; nothing while a change of members may still be
/// undone by another leader.
fn observe(group: GroupId, status: &GroupStatus) -> Option<Observation> {
    let term = status.leading.filter(|_| status.members_settled)?;
    let last = status.last.map_or(0, |index| index.0);
    let close = |index: &u64| index.saturating_add(CAUGHT_UP_ENTRIES) >= last;
    Some(Observation {
        group: group.to_u64(),
        term,
        configs: status.configs.iter().map(|c| c.iter().map(|n| n.0).collect()).collect(),
        learners: status.learners.iter().map(|n| n.0).collect(),
        caught_up: status
            .matched
            .iter()
            .filter(|(_, index)| close(&index.0))
            .map(|(node, _)| node.0)
            .collect(),
        applied: status.applied.map_or(0, |index| index.0),
    })
}

/// What this node says of the groups that it leads.
pub fn observed_here(node: &Node) -> ControlAnswer {
    let groups = node.hosting.groups();
    let led = groups.iter().filter_map(|group| observe(group.id(), &group.status()));
    let silent = silent_ms(node).into_iter().map(|(id, ms)| (id.0, ms)).collect();
    let (groups, short_of_room) = (led.collect(), node.room.is_short());
    ControlAnswer::Observed { groups, silent_ms: silent, short_of_room }
}

fn to_observed(leader: NodeId, said: Observation) -> Observed {
    let mut caught_up: BTreeSet<NodeId> = said.caught_up.into_iter().map(NodeId).collect();
    caught_up.insert(leader);
    Observed {
        leader,
        configs: said.configs.into_iter().map(|c| c.into_iter().map(NodeId).collect()).collect(),
        learners: said.learners.into_iter().map(NodeId).collect(),
        caught_up,
    }
}

/// What the nodes of a region say.
#[derive(Debug, Default)]
pub struct Seen {
    /// Of each group its leader's report, and the term in which it was given.
    pub groups: BTreeMap<GroupId, (u64, Observed)>,
    /// Nodes that are short of disk.
    pub short_of_room: BTreeSet<NodeId>,
}

/// Asks every node of the region what it leads.
pub async fn observe_region(node: &Node) -> Seen {
    let state = node.control.region_state();
    let members = state.nodes().iter().filter(|(_, known)| !known.state.is_removed());
    let asked = members.map(|(id, _)| async move { (*id, ask(node, *id).await) });
    let mut seen = Seen::default();
    for (leader, answer) in join_all(asked).await {
        let Some(ControlAnswer::Observed { groups, short_of_room, .. }) = answer else { continue };
        if short_of_room {
            seen.short_of_room.insert(leader);
        }
        for observation in groups {
            let group = GroupId::from_u64(observation.group);
            let term = observation.term;
            // Two nodes may both believe that they lead: the later term is right.
            if seen.groups.get(&group).is_none_or(|(known, _)| *known < term) {
                seen.groups.insert(group, (term, to_observed(leader, observation)));
            }
        }
    }
    seen
}

/// What a node says of itself; none when it does not say so in time.
pub async fn ask(node: &Node, other: NodeId) -> Option<ControlAnswer> {
    if other == node.id() {
        return Some(observed_here(node));
    }
    let message = Bytes::from(encode(&ControlRequest::Observe));
    let called = node.peers.call(other, Kind::Control, message, OBSERVE_LIMIT).await;
    called.ok().and_then(|bytes| decode(&bytes).ok())
}

async fn plan_region(node: &Arc<Node>) {
    if leads(node, GroupId::Region).is_none() {
        return;
    }
    let state = node.control.region_state();
    if state.region().is_none() {
        return;
    }
    let Seen { groups: observed, short_of_room } = observe_region(node).await;
    let mut groups: BTreeMap<PartitionId, Observed> = BTreeMap::new();
    let mut own = None;
    for (group, (_, said)) in observed {
        match group {
            GroupId::Partition(id) => drop(groups.insert(id, said)),
            GroupId::Region => own = Some(said),
            GroupId::Global => {}
        }
    }
    let limits = Limits::default();
    let silent_ms = silent_ms(node);
    let view = View { state: &state, silent_ms: silent_ms.clone(), short_of_room, groups, limits };
    let mut steps = plan(&view);
    // Nodes close and remove what the catalog no longer names.
    let deleting = state.tables().values().filter(|t| t.status == TableStatus::Deleting);
    let going = deleting.filter(|table| !state.is_held(table.id));
    steps.extend(going.map(|t| Step::Propose(RegionCommand::TableGone { table: t.id })));
    if let Some(said) = own.filter(|said| all_known(said, |id| state.nodes().contains_key(&id))) {
        let desired = region_members(&state, &said.voters(), &silent_ms, &view.limits);
        let votes = |id| state.nodes().get(&id).is_none_or(|known| known.state.loss().is_none());
        let live = |id: NodeId| votes(id) && is_live(&silent_ms, id, &view.limits);
        steps.extend(member_step(GroupId::Region, &desired, &said, live));
    }
    let leaders = leaders_of(&view);
    join_all(steps.into_iter().map(|step| carry_out(node, step, &leaders))).await;
}

/// True when every member has registered. Founders are members before they have: the group must not
/// lose them for that. A node that was removed stays in the directory.
fn all_known(said: &Observed, knows: impl Fn(NodeId) -> bool) -> bool {
    said.configs.iter().flatten().chain(&said.learners).all(|id| knows(*id))
}

fn is_live(silent_ms: &BTreeMap<NodeId, u64>, id: NodeId, limits: &Limits) -> bool {
    silent_ms.get(&id).is_some_and(|ms| *ms <= limits.live_ms_max)
}

fn leaders_of(view: &View<'_>) -> BTreeMap<GroupId, NodeId> {
    view.groups.iter().map(|(id, said)| (GroupId::Partition(*id), said.leader)).collect()
}

async fn plan_global(node: &Arc<Node>) {
    let Some(group) = leads(node, GroupId::Global) else { return };
    let Some(said) = observe(GroupId::Global, &group.status()) else { return };
    let said = to_observed(node.id(), said);
    let (state, silent_ms) = (node.control.global_state(), silent_ms(node));
    if !all_known(&said, |id| state.nodes().contains_key(&id)) {
        return;
    }
    let limits = Limits::default();
    let desired = global_members(&state, &said.voters(), &silent_ms, &limits);
    let votes = |id| state.nodes().get(&id).is_none_or(|known| known.state.loss().is_none());
    let live = |id: NodeId| votes(id) && is_live(&silent_ms, id, &limits);
    if let Some(step) = member_step(GroupId::Global, &desired, &said, live) {
        carry_out(node, step, &BTreeMap::from([(GroupId::Global, node.id())])).await;
    }
}

async fn carry_out(node: &Node, step: Step, leaders: &BTreeMap<GroupId, NodeId>) {
    let (group, change) = match step {
        Step::Propose(command) => {
            if let Ok(Err(refusal)) = node.control.region(&command).await {
                tracing::debug!(%refusal, ?command, "a planned command was refused");
            }
            return;
        }
        Step::AddLearner { group, node } => (group, GroupChange::AddLearner(node.0)),
        Step::ChangeVoters { group, voters, retain } => {
            (group, GroupChange::ChangeVoters(voters.iter().map(|n| n.0).collect(), retain))
        }
        Step::RemoveLearner { group, node } => (group, GroupChange::RemoveLearner(node.0)),
        Step::TransferLeader { group, from: _, to } => (group, GroupChange::Transfer(to.0)),
    };
    tracing::info!(%group, ?change, "a group changes");
    let leader = leaders.get(&group).copied().unwrap_or(node.id());
    let step = GroupStep { group: group.to_u64(), change };
    let done = if leader == node.id() {
        rt::timeout(STEP_LIMIT, node.step_here(step))
            .await
            .map_err(|e| e.to_string())
            .and_then(|done| done)
    } else {
        let message = Bytes::from(encode(&ControlRequest::Step(step)));
        let called = node.peers.call(leader, Kind::Control, message, STEP_LIMIT).await;
        called.map_err(|e| e.to_string()).and_then(|b| decode(&b).map_err(|e| e.to_string()))
    };
    match done {
        Ok(ControlAnswer::Done) => {}
        Ok(other) => tracing::debug!(%group, ?other, "a step was not carried out"),
        Err(why) => tracing::debug!(%group, %why, "a step was not carried out"),
    }
}

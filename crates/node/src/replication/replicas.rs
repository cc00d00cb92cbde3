//! Makes, fills and takes away this region's replicas of global tables, on the region's leader.
//!
//! # Invariants
//!
//! - Nothing is made or deleted on a global state that was not confirmed as current.

use crate::backend::TableOrigin;
use crate::node::Node;
use crate::regions::message::{RegionsAnswer, RegionsRequest};
use meridian_base::{GroupId, LogIndex, TableId};
use meridian_control::global::GlobalState;
use meridian_control::planner::{ReplicaStep, replica_steps};
use meridian_control::region::Command;
use meridian_control::table::{ReplicaStatus, TableStatus};
use meridian_geo::ReceivedClosed;
use meridian_raft::rt;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long confirming the global state may take.
const CONFIRM_LIMIT: Duration = Duration::from_secs(2);

/// Takes the next steps; true when there were any.
pub async fn step(node: &Node) -> bool {
    let (global, state) = (node.control.global_state(), node.control.region_state());
    if state.region().is_none() || global.cluster().is_none() {
        return false;
    }
    let filled = filled(node, &global).await;
    let now_ms = node.options.clock.now_ms();
    let mut steps = replica_steps(&global, &state, &filled, now_ms);
    if steps.iter().any(needs_confirmation) {
        if !node.confirm_global().await {
            return false;
        }
        let (global, state) = (node.control.global_state(), node.control.region_state());
        steps = replica_steps(&global, &state, &filled, now_ms);
    }
    let any = !steps.is_empty();
    for step in steps {
        carry_out(node, step).await;
    }
    any
}

fn needs_confirmation(step: &ReplicaStep) -> bool {
    match step {
        ReplicaStep::Create { .. } => true,
        ReplicaStep::Region(command) => {
            matches!(command, Command::DeleteTable { .. } | Command::SetGlobal { global: None, .. })
        }
        ReplicaStep::Global(_) => false,
    }
}

async fn carry_out(node: &Node, step: ReplicaStep) {
    match step {
        ReplicaStep::Create { name, table, definition, global } => {
            tracing::info!(table = name, "a replica of a global table is made here");
            match node.make_table(&name, definition, TableOrigin::Replica(table, global)).await {
                Ok(Ok(_)) => {}
                Ok(Err(refusal)) => tracing::debug!(table = name, %refusal, "it was not made"),
                Err(error) => tracing::debug!(table = name, %error, "it was not made"),
            }
        }
        ReplicaStep::Region(command) => {
            if let Ok(Err(refusal)) = node.control.region(&command).await {
                tracing::debug!(%refusal, ?command, "a step of a global table was refused");
            }
        }
        ReplicaStep::Global(command) => {
            if let Ok(Err(refusal)) = node.control.global(&command).await {
                tracing::debug!(%refusal, ?command, "a step of a global table was refused");
            }
        }
    }
}

/// The replicas here that hold all that the other regions held when they were added: those of which
/// every source region has announced a closed version over the whole table.
async fn filled(node: &Node, global: &GlobalState) -> BTreeSet<TableId> {
    let own = node.regions.own();
    let state = node.control.region_state();
    let is_ready = |table: TableId| {
        state.table_by_id(table).is_some_and(|local| local.status == TableStatus::Active)
    };
    let creating: Vec<_> = global
        .tables_of(own)
        .filter(|(_, table, replica)| {
            replica.status == ReplicaStatus::Creating && is_ready(table.table)
        })
        .collect();
    if creating.is_empty() {
        return BTreeSet::new();
    }
    let standing = node.standing_of(own).await;
    let is_filled = |table: &meridian_control::global::GlobalTable| {
        let heard = standing.received_of(table.table);
        let heard = ReceivedClosed::new(&heard);
        let mut sources = table.replicas.iter().filter_map(|(name, replica)| {
            let region = global.regions().get(name)?;
            let is_source = name != own
                && replica.status == ReplicaStatus::Active
                && region.status.takes_traffic();
            is_source.then_some(region.id.number)
        });
        sources.all(|number| heard.closed(number, &[], None).is_some())
    };
    creating.iter().filter(|(_, table, _)| is_filled(table)).map(|(_, t, _)| t.table).collect()
}

impl Node {
    /// Waits until this node shows the global state as of now; false when that is not to be had.
    pub(crate) async fn confirm_global(&self) -> bool {
        let Some(group) = self.hosting.group(GroupId::Global) else { return false };
        let Some(leader) = group.leader() else { return false };
        let index = match self.ask_regions(leader, &RegionsRequest::GlobalIndex).await {
            Ok(RegionsAnswer::Index(index)) => LogIndex(index),
            Ok(_) | Err(_) => return false,
        };
        let mut state = self.control.watch_global();
        let shown = state.wait_for(|state| state.applied() >= index);
        matches!(rt::timeout(CONFIRM_LIMIT, shown).await, Ok(Ok(_)))
    }
}

//! Opens and closes this node's partition replicas as the catalog says.
//!
//! # Invariants
//!
//! - A replica is closed and its data removed only when the catalog, which never goes back, says
//!   that it is not here any more.
//! - A replica that must be rebuilt from a peer holds nothing else back.

use crate::barrier::Barrier;
use crate::hosting::{HostedPartition, Told};
use crate::node::Node;
use crate::partition_machine::{PartitionMachine, SharedReplica};
use crate::pipeline::{self, PipelineOptions, TableSettings};
use crate::rebuild;
use meridian_base::{GroupId, LogIndex, NodeId, PartitionId};
use meridian_control::region::{Catalog, PartitionRecord, TableRecord};
use meridian_control::table::TableStatus;
use meridian_partition::{Evaluator, PartitionReplica, PartitionSpec};
use meridian_raft::machine::StateMachine;
use meridian_raft::{Group, GroupOptions, Timing, rt};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How long the first leader of a new partition has to start its group before any voter does.
const START_PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks when a replica could not be opened.
const RETRY: Duration = Duration::from_secs(1);

/// Runs until the node stops.
pub async fn reconcile(node: Arc<Node>) {
    let mut state = node.control.watch_region();
    let mut stopping = node.stopping();
    loop {
        state.mark_unchanged();
        let complete = look(&node).await;
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            changed = state.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            () = rt::sleep(RETRY), if !complete => {}
        }
    }
}

/// Opens what is missing and closes what is no longer here; true when nothing failed.
async fn look(node: &Arc<Node>) -> bool {
    let state = node.control.region_state();
    let catalog = Catalog::of(&state);
    if catalog.region().is_none() {
        return true;
    }
    let mut complete = true;
    let mut wanted: BTreeSet<PartitionId> = BTreeSet::new();
    for record in catalog.partitions().filter(|p| p.replicas.holds(node.id())) {
        let Some(table) = catalog.table_by_id(record.table) else { continue };
        if table.status == TableStatus::Deleting && !state.is_held(table.id) {
            continue;
        }
        wanted.insert(record.id);
        if node.hosting.partition(record.id).is_some() {
            continue;
        }
        if node.rebuilding.lock().expect("no holder panics").contains(&record.id) {
            complete = false;
            continue;
        }
        if let Err(why) = open(node, record, table).await {
            tracing::warn!(partition = record.id.0, %why, "a replica cannot be opened yet");
            complete = false;
        }
    }
    for hosted in node.hosting.partitions() {
        if !wanted.contains(&hosted.spec.partition) {
            close(node, &hosted).await;
        }
    }
    complete
}

async fn open(
    node: &Arc<Node>,
    record: &PartitionRecord,
    table: &TableRecord,
) -> Result<(), String> {
    let region = node.region_id().ok_or("the region has no id yet")?;
    let spec = PartitionSpec {
        table: record.table,
        partition: record.id,
        region,
        range: record.range.clone(),
        schema: table.definition.key.clone(),
        local: table.definition.local_indexes.clone(),
    };
    let engine = Arc::clone(&node.engine);
    if !node.log.knows(GroupId::Partition(record.id).to_u64()) {
        clear(&engine, &spec).await?;
    }
    let opening = (Arc::clone(&engine), spec.clone());
    let replica = rt::blocking(move || PartitionReplica::open_or_empty(opening.0, opening.1)).await;
    let replica = replica.map_err(|e| e.to_string())?;
    let replica = SharedReplica::new(replica);
    let closed = Closed { record: record.clone(), table: table.clone(), spec, replica };
    let group = GroupId::Partition(record.id);
    let machine: Box<dyn StateMachine> = Box::new(PartitionMachine::new(closed.replica.clone()));
    let missing = meridian_raft::rebuild::missing_upto(&node.log, group, machine.as_ref());
    let Some(upto) = missing else { return serve(node, closed, machine).await };
    node.rebuilding.lock().expect("no holder panics").insert(record.id);
    rt::spawn(rebuild_and_serve(Arc::clone(node), closed, upto, machine));
    Ok(())
}

/// A replica whose group is not open yet.
struct Closed {
    record: PartitionRecord,
    table: TableRecord,
    spec: PartitionSpec,
    replica: SharedReplica,
}

async fn rebuild_and_serve(
    node: Arc<Node>,
    closed: Closed,
    upto: LogIndex,
    machine: Box<dyn StateMachine>,
) {
    let id = closed.record.id;
    let peers: Vec<NodeId> =
        closed.record.replicas.nodes().filter(|peer| *peer != node.id()).collect();
    let group = GroupId::Partition(id);
    let served = match rebuild::from_peers(&node, group, &peers, upto, machine).await {
        Ok(machine) => serve(&node, closed, machine).await,
        Err(why) => Err(why),
    };
    node.rebuilding.lock().expect("no holder panics").remove(&id);
    if let Err(why) = served {
        tracing::warn!(partition = id.0, %why, "a replica cannot be rebuilt yet");
    }
}

async fn serve(
    node: &Arc<Node>,
    closed: Closed,
    machine: Box<dyn StateMachine>,
) -> Result<(), String> {
    let Closed { record, table, spec, replica } = closed;
    let group = Group::open(GroupOptions {
        node: node.id(),
        group: GroupId::Partition(record.id),
        log: node.log.clone(),
        network: node.network.clone(),
        machine,
        timing: Timing::REGIONAL,
    })
    .await
    .map_err(|e| e.to_string())?;
    let barrier = Barrier::start(group.clone());
    let engine = Arc::clone(&node.engine);
    let mut evaluator = Evaluator::new(Arc::clone(&engine), spec.clone());
    let settings = TableSettings::of(&table);
    settings.clone().apply_to(&mut evaluator);
    let queue = pipeline::start(PipelineOptions {
        group: group.clone(),
        evaluator,
        engine: Arc::clone(&engine),
        clock: Arc::clone(&node.options.clock),
        region: spec.region,
        barrier: barrier.clone(),
        #[cfg(feature = "planted-bugs")]
        answers_at_once: false,
    });
    let settings = Told::new(settings);
    let hosted =
        HostedPartition { spec, group: group.clone(), engine, replica, barrier, queue, settings };
    let hosted = Arc::new(hosted);
    node.hosting.add_partition(Arc::clone(&hosted));
    crate::replication::start(node, &hosted);
    crate::indexes::start(node, &hosted);
    crate::expiry::start(node, &hosted);
    crate::streams::start(node, &hosted);
    crate::archive::start(node, &hosted);
    crate::transact::start_recovery(node, &hosted);
    if table.status == TableStatus::Creating && group.is_pristine() {
        rt::spawn(found(group, record, node.id()));
    } else {
        group.elect_if_alone().await;
    }
    Ok(())
}

/// A replica without a log is a new one: what the engine holds under its keys was left by a table
/// that is gone, or by a replica whose log was dropped.
async fn clear(
    engine: &Arc<dyn meridian_storage::Engine>,
    spec: &PartitionSpec,
) -> Result<(), String> {
    let (engine, spec) = (Arc::clone(engine), spec.clone());
    let cleared = rt::blocking(move || PartitionReplica::for_install(engine, spec).destroy()).await;
    cleared.map_err(|e| e.to_string())
}

/// Starts a new partition's group: the first leader at once, any other voter if nobody else did.
async fn found(group: Group, record: PartitionRecord, node: NodeId) {
    if record.first_leader != Some(node) {
        rt::sleep(START_PATIENCE).await;
        if !group.is_pristine() || group.leader().is_some() {
            return;
        }
    }
    if let Err(why) = group.initialize(&record.replicas.voters).await {
        tracing::warn!(partition = record.id.0, %why, "a new partition cannot be started");
    }
}

async fn close(node: &Node, hosted: &HostedPartition) {
    let partition = hosted.spec.partition;
    node.hosting.take_partition(partition);
    if let Err(why) = hosted.group.remove().await {
        tracing::warn!(partition = partition.0, %why, "a closed replica's log is not dropped");
        return;
    }
    let (engine, spec) = (Arc::clone(&hosted.engine), hosted.spec.clone());
    let gone = rt::blocking(move || PartitionReplica::for_install(engine, spec).destroy()).await;
    match gone {
        Ok(()) => tracing::info!(partition = partition.0, "a replica was removed from this node"),
        Err(why) => tracing::warn!(partition = partition.0, %why, "a closed replica's data stays"),
    }
}

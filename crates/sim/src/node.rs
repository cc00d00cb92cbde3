//! One node: what survives its processes, and how a process is put together from the real parts.
//!
//! # Invariants
//!
//! - A process is opened exactly as `meridian-node` opens a partition replica, but for the disk,
//!   the network, the clock and the recorder.

use crate::bug::Bug;
use crate::clock::SimClock;
use crate::cluster::NODES;
use crate::dice::Dice;
use crate::disk::{LyingDisk, sync_duration};
use crate::engine::SimEngine;
use crate::lifeline::Lifeline;
use crate::machine::RecordedMachine;
use crate::network::{Endpoint, Net, NodeNetwork};
use crate::recorder::Recorder;
use crate::requests;
use meridian_base::{Clock, GroupId, NodeId, PartitionId, RegionId, TableId};
use meridian_model::{KeyKind, KeyRange, KeySchema};
use meridian_node::barrier::Barrier;
use meridian_node::hosting::{HostedPartition, Told};
use meridian_node::partition_machine::SharedReplica;
use meridian_node::pipeline::{self, PipelineOptions};
use meridian_partition::{Evaluator, PartitionReplica, PartitionSpec};
use meridian_raft::log::{LogOptions, NodeLog};
use meridian_raft::machine::StateMachine;
use meridian_raft::rebuild::{self, RebuildError};
use meridian_raft::{Group, GroupOptions, Timing, rt};
use meridian_storage::sim_disk::SimDisk;
use meridian_storage::{Disk, Engine, LogOptions as SegmentOptions, SegmentedLog};
use std::sync::Arc;
use std::time::Duration;

const PARTITION: PartitionId = PartitionId(GroupId::FIRST_PARTITION);

/// Small segments, so that a run fills and removes many.
const SEGMENTS: SegmentOptions =
    SegmentOptions { segment_bytes: 16 * 1024, preallocate_bytes: 2 * 1024, create: true };
/// Segments of a disk that lies: a lie about a whole segment is found as damage, which is not what
/// is to be shown.
const ONE_SEGMENT: SegmentOptions = SegmentOptions { segment_bytes: 64 * 1024 * 1024, ..SEGMENTS };

/// The partition of all simulations.
pub fn spec() -> PartitionSpec {
    PartitionSpec {
        table: TableId(1),
        partition: PARTITION,
        region: RegionId::new(1),
        range: KeyRange::full(),
        schema: KeySchema::simple("p", KeyKind::S),
        local: vec![requests::index()],
    }
}

/// What a process is made from.
pub struct Parts {
    /// The node.
    pub node: NodeId,
    /// The process.
    pub life: Arc<Lifeline>,
    /// The log's disk.
    pub disk: SimDisk,
    /// The engine.
    pub engine: Arc<SimEngine>,
    /// The wall clock.
    pub clock: Arc<SimClock>,
    /// The network.
    pub net: Arc<Net>,
    /// Where it is recorded.
    pub recorder: Arc<Recorder>,
    /// For the recorder's own choices.
    pub dice: Dice,
    /// The planted bug.
    pub bug: Option<Bug>,
}

/// Between two questions for a peer's snapshot.
const REBUILD_PAUSE: Duration = Duration::from_millis(50);

fn broken(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl Parts {
    /// Opens log, engine, group and pipeline.
    ///
    /// # Errors
    ///
    /// Why the process does not serve.
    pub async fn open(self) -> Result<Endpoint, String> {
        let log = self.log()?;
        let engine: Arc<dyn Engine> = self.engine;
        if !log.knows(GroupId::Partition(PARTITION).to_u64()) {
            PartitionReplica::for_install(Arc::clone(&engine), spec()).destroy().map_err(broken)?;
        }
        let replica = PartitionReplica::open_or_empty(Arc::clone(&engine), spec());
        let replica = replica.map_err(broken)?;
        let replica = SharedReplica::new(replica);
        let recorder = Arc::clone(&self.recorder);
        let machine =
            RecordedMachine::new(replica.clone(), self.node, recorder, self.dice, self.bug);
        let peers = Peers { net: Arc::clone(&self.net), node: self.node, recorder: self.recorder };
        let machine = peers.rebuilt(&log, Box::new(machine)).await?;
        let group = Group::open(GroupOptions {
            node: self.node,
            group: GroupId::Partition(PARTITION),
            log,
            network: Arc::new(NodeNetwork { net: self.net, node: self.node }),
            machine,
            timing: Timing::REGIONAL,
        })
        .await
        .map_err(broken)?;
        let barrier = Barrier::start(group.clone());
        let clock: Arc<dyn Clock> = self.clock;
        let queue = pipeline::start(PipelineOptions {
            group: group.clone(),
            evaluator: Evaluator::new(Arc::clone(&engine), spec()),
            engine: Arc::clone(&engine),
            clock,
            region: spec().region,
            barrier: barrier.clone(),
            answers_at_once: self.bug == Some(Bug::AnswersAtOnce),
        });
        let hosted = HostedPartition {
            spec: spec(),
            group,
            engine,
            replica,
            barrier,
            queue,
            settings: Told::default(),
        };
        Ok(Endpoint { life: self.life, hosted: Arc::new(hosted) })
    }

    fn log(&self) -> Result<NodeLog, String> {
        let lies = self.bug == Some(Bug::AckBeforeFsync);
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let disk = if lies { Arc::new(LyingDisk(disk)) } else { disk };
        let segments = if lies { ONE_SEGMENT } else { SEGMENTS };
        let (log, recovered) = SegmentedLog::open(disk, segments).map_err(broken)?;
        let life = Arc::clone(&self.life);
        let options = LogOptions {
            fatal: Arc::new(move |_| life.die()),
            simulated_sync: Some(sync_duration),
        };
        Ok(NodeLog::start(log, recovered, options))
    }
}

/// The other nodes, as a replica that must be rebuilt sees them.
struct Peers {
    net: Arc<Net>,
    node: NodeId,
    recorder: Arc<Recorder>,
}

impl Peers {
    /// The state machine as it is, or rebuilt from a peer where the log does not reach back; waits
    /// for one that can do it. The network's faults do not touch the transfer: it only has to come.
    async fn rebuilt(
        &self,
        log: &NodeLog,
        mut machine: Box<dyn StateMachine>,
    ) -> Result<Box<dyn StateMachine>, String> {
        let group = GroupId::Partition(PARTITION);
        let missing = rebuild::missing_upto(log, group, machine.as_ref());
        let Some(upto) = missing else { return Ok(machine) };
        loop {
            let others = NODES.into_iter().filter(|node| *node != self.node);
            for endpoint in others.filter_map(|node| self.net.endpoint(node)) {
                let Ok((head, chunks)) = endpoint.hosted.group.snapshot().await else { continue };
                let (back, done) = rebuild::install(machine, upto, &head, chunks).await;
                machine = back;
                match done {
                    Ok(_) => {
                        self.recorder.lock().counts.rebuilds += 1;
                        return Ok(machine);
                    }
                    Err(RebuildError::TooOld { .. }) => {}
                    Err(why @ (RebuildError::Head | RebuildError::Install(_))) => {
                        return Err(broken(why));
                    }
                }
            }
            rt::sleep(REBUILD_PAUSE).await;
        }
    }
}

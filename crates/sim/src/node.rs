//! One node: what survives its processes, and how a process is put together from the real parts.
//!
//! # Invariants
//!
//! - A process is opened exactly as `meridian-node` opens a partition replica, but for the disk,
//!   the network, the clock and the recorder.

use crate::bug::Bug;
use crate::clock::SimClock;
use crate::dice::Dice;
use crate::disk::{LyingDisk, sync_duration};
use crate::engine::SimEngine;
use crate::lifeline::Lifeline;
use crate::machine::RecordedMachine;
use crate::network::{Endpoint, Net, NodeNetwork};
use crate::recorder::Recorder;
use meridian_base::{Clock, GroupId, NodeId, PartitionId, RegionId, TableId};
use meridian_model::{KeyKind, KeyRange, KeySchema};
use meridian_node::barrier::Barrier;
use meridian_node::hosting::HostedPartition;
use meridian_node::partition_machine::SharedReplica;
use meridian_node::pipeline::{self, PipelineOptions};
use meridian_partition::{Evaluator, PartitionError, PartitionReplica, PartitionSpec};
use meridian_raft::log::{LogOptions, NodeLog};
use meridian_raft::{Group, GroupOptions, OpenError, Timing};
use meridian_storage::sim_disk::SimDisk;
use meridian_storage::{Disk, Engine, LogOptions as SegmentOptions, SegmentedLog};
use std::sync::Arc;

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

/// Why a process does not serve.
pub enum NotOpen {
    /// The replica needs a peer's snapshot before its Raft can start.
    Behind,
    /// Anything else: a violation.
    Broken(String),
}

fn broken(error: impl std::fmt::Display) -> NotOpen {
    NotOpen::Broken(error.to_string())
}

impl Parts {
    /// Opens log, engine, group and pipeline.
    pub async fn open(self) -> Result<Endpoint, NotOpen> {
        let log = self.log()?;
        let engine: Arc<dyn Engine> = self.engine;
        if !log.knows(GroupId::Partition(PARTITION).to_u64()) {
            PartitionReplica::for_install(Arc::clone(&engine), spec()).destroy().map_err(broken)?;
        }
        let replica = match PartitionReplica::open(Arc::clone(&engine), spec()) {
            Ok(replica) => replica,
            Err(PartitionError::Installing(_)) => {
                PartitionReplica::for_install(Arc::clone(&engine), spec())
            }
            Err(error) => return Err(broken(error)),
        };
        let replica = SharedReplica::new(replica);
        let machine =
            RecordedMachine::new(replica.clone(), self.node, self.recorder, self.dice, self.bug);
        let group = Group::open(GroupOptions {
            node: self.node,
            group: GroupId::Partition(PARTITION),
            log,
            network: Arc::new(NodeNetwork { net: self.net, node: self.node }),
            machine: Box::new(machine),
            timing: Timing::REGIONAL,
        })
        .await
        .map_err(|error| match error {
            OpenError::Behind { .. } => NotOpen::Behind,
            OpenError::Unreadable(_) | OpenError::Raft(_) => broken(error),
        })?;
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
        let hosted = HostedPartition { spec: spec(), group, engine, replica, barrier, queue };
        Ok(Endpoint { life: self.life, hosted: Arc::new(hosted) })
    }

    fn log(&self) -> Result<NodeLog, NotOpen> {
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

//! Three nodes: starts, crashes and restarts of their processes.
//!
//! # Invariants
//!
//! - A node has at most one process; the next one sees only what the crash of the last one left.

use crate::bug::Bug;
use crate::clock::SimClock;
use crate::dice::Dice;
use crate::engine::SimEngine;
use crate::lifeline::Lifeline;
use crate::network::{Endpoint, Net};
use crate::node::Parts;
use crate::plan::Plan;
use crate::recorder::Recorder;
use meridian_base::NodeId;
use meridian_raft::rt::{self, Process};
use meridian_storage::sim_disk::SimDisk;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// The nodes of every simulation.
pub const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// The machine goes on: what was written is there.
    Kill,
    /// The machine loses power: of what was not synced, some is lost.
    PowerLoss,
}

struct Node {
    disk: SimDisk,
    engine: Arc<SimEngine>,
    clock: Arc<SimClock>,
    life: Arc<Lifeline>,
    lives: u64,
    /// False from a crash until the next start.
    started: bool,
    /// True when the next start finds the engine damaged, and sets it aside.
    engine_lost: bool,
}

/// The cluster; shared by the tasks of the world.
pub struct Cluster {
    nodes: Mutex<BTreeMap<NodeId, Node>>,
    dice: Mutex<Dice>,
    /// The network.
    pub net: Arc<Net>,
    /// The record.
    pub recorder: Arc<Recorder>,
    seed: u64,
    bug: Option<Bug>,
}

fn process(node: NodeId, life: u64) -> Process {
    Process(node.0 * 1_000_000 + life)
}

impl Cluster {
    /// Three nodes that are down and have nothing.
    pub fn new(seed: u64, plan: &Plan, bug: Option<Bug>) -> Arc<Cluster> {
        let mut dice = Dice::new(seed, 3);
        let off = i64::try_from(plan.clock_off_ms_max).unwrap_or(0);
        let nodes = NODES.map(|node| {
            let life = Arc::new(Lifeline::new(process(node, 0)));
            let offset = i64::try_from(dice.below(2 * plan.clock_off_ms_max + 1)).unwrap_or(0);
            let made = Node {
                disk: SimDisk::new(format!("node-{node}")),
                engine: Arc::new(SimEngine::new(Arc::clone(&life))),
                clock: Arc::new(SimClock::new(offset - off)),
                life,
                lives: 0,
                started: false,
                engine_lost: false,
            };
            (node, made)
        });
        Arc::new(Cluster {
            nodes: Mutex::new(nodes.into_iter().collect()),
            dice: Mutex::new(dice),
            net: Net::new(seed, bug),
            recorder: Arc::default(),
            seed,
            bug,
        })
    }

    fn nodes(&self) -> MutexGuard<'_, BTreeMap<NodeId, Node>> {
        self.nodes.lock().expect("no holder panics")
    }

    fn dice(&self) -> MutexGuard<'_, Dice> {
        self.dice.lock().expect("no holder panics")
    }

    /// Starts a node that is down; one that runs goes on.
    pub fn start(self: &Arc<Self>, id: NodeId) {
        self.bury(id);
        let mut nodes = self.nodes();
        let Some(node) = nodes.get_mut(&id).filter(|node| !node.started) else { return };
        node.lives += 1;
        node.started = true;
        let life = Arc::new(Lifeline::new(process(id, node.lives)));
        let mut dice = self.dice();
        node.engine = Arc::new(if std::mem::take(&mut node.engine_lost) {
            SimEngine::new(Arc::clone(&life))
        } else {
            node.engine.crash(Arc::clone(&life), |written| {
                usize::try_from(dice.below(written as u64 + 1)).unwrap_or(0)
            })
        });
        node.life = Arc::clone(&life);
        let parts = Parts {
            node: id,
            life: Arc::clone(&life),
            disk: node.disk.clone(),
            engine: Arc::clone(&node.engine),
            clock: Arc::clone(&node.clock),
            net: Arc::clone(&self.net),
            recorder: Arc::clone(&self.recorder),
            dice: Dice::new(self.seed, process(id, node.lives).0),
            bug: self.bug,
        };
        let cluster = Arc::clone(self);
        rt::spawn_in(life.process(), async move { cluster.opened(id, parts.open().await) });
    }

    fn opened(&self, id: NodeId, opened: Result<Endpoint, String>) {
        match opened {
            Ok(endpoint) => self.net.plug(id, endpoint),
            Err(why) => {
                let life = self.life(id).filter(|life| !life.is_dead());
                match life {
                    // What the program does too: without a sync there is no start.
                    Some(life) if self.disk(id).is_some_and(|disk| disk.fails_syncs()) => {
                        life.die()
                    }
                    Some(_) => {
                        let what = format!("node {id} does not start: {why}");
                        self.recorder.violation("restart", what);
                    }
                    None => {}
                }
            }
        }
    }

    /// Ends a node's process.
    pub fn crash(&self, id: NodeId, how: Crash) {
        let life = self.nodes().get(&id).map(|node| Arc::clone(&node.life));
        let Some(life) = life else { return };
        life.die();
        self.settle(id, how);
    }

    /// Ends a node's process and damages its engine, so that the next one starts without it.
    pub fn lose_engine(&self, id: NodeId) {
        self.crash(id, Crash::PowerLoss);
        if let Some(node) = self.nodes().get_mut(&id) {
            node.engine_lost = true;
        }
    }

    /// Does what a crash does to a node whose process ended by itself.
    pub fn bury(&self, id: NodeId) {
        let ended = self.nodes().get(&id).is_some_and(|node| node.started && node.life.is_dead());
        if ended {
            let how = if self.dice().chance(500) { Crash::Kill } else { Crash::PowerLoss };
            self.settle(id, how);
        }
    }

    fn settle(&self, id: NodeId, how: Crash) {
        let mut nodes = self.nodes();
        let Some(node) = nodes.get_mut(&id).filter(|node| node.started) else { return };
        node.started = false;
        node.disk.set_fail_syncs(false);
        let mut dice = self.dice();
        // The log notices most losses of single sectors that it was told are durable; what a lying
        // disk loses unnoticed is a tail.
        let by_sector = dice.chance(500) && self.bug != Some(Bug::AckBeforeFsync);
        let keep = |unsynced: usize| match dice.below(3) {
            0 => 0,
            1 => unsynced,
            _ => usize::try_from(dice.below(unsynced as u64 + 1)).unwrap_or(0),
        };
        node.disk = match how {
            Crash::Kill => node.disk.kill(),
            Crash::PowerLoss if by_sector => node.disk.crash_by_sector(keep),
            Crash::PowerLoss => node.disk.crash(keep),
        };
        let mut record = self.recorder.lock();
        record.counts.crashes += 1;
        record.counts.power_losses += u64::from(how == Crash::PowerLoss);
    }

    /// Nodes whose process serves.
    pub fn serving(&self) -> Vec<NodeId> {
        NODES.into_iter().filter(|id| self.net.endpoint(*id).is_some()).collect()
    }

    /// The node that leads as far as the nodes themselves know; the one with the highest term.
    pub fn leader(&self) -> Option<NodeId> {
        let leading = NODES.into_iter().filter_map(|id| {
            let term = self.net.endpoint(id)?.hosted.group.leading()?;
            Some((term, id))
        });
        leading.max().map(|(_, id)| id)
    }

    /// A node's process, for faults.
    pub fn life(&self, id: NodeId) -> Option<Arc<Lifeline>> {
        self.nodes().get(&id).filter(|node| node.started).map(|node| Arc::clone(&node.life))
    }

    /// A node's disk, for faults.
    pub fn disk(&self, id: NodeId) -> Option<SimDisk> {
        self.nodes().get(&id).map(|node| node.disk.clone())
    }

    /// A node's clock, for faults.
    pub fn clock(&self, id: NodeId) -> Option<Arc<SimClock>> {
        self.nodes().get(&id).map(|node| Arc::clone(&node.clock))
    }
}

//! What goes wrong: one fault at a time, chosen by the seed; several may last at once.

use crate::cluster::{Cluster, Crash, NODES};
use crate::dice::Dice;
use crate::plan::{NetworkPlan, Plan};
use meridian_base::NodeId;
use meridian_raft::rt;
use std::sync::Arc;
use std::time::Duration;

/// Throws faults at a cluster.
pub struct Faults {
    cluster: Arc<Cluster>,
    plan: Plan,
    dice: Dice,
    /// The one node that may lose its engine: what two lose may be gone.
    victim: NodeId,
}

impl Faults {
    /// Faults of a seed.
    pub fn new(cluster: Arc<Cluster>, plan: Plan, seed: u64) -> Faults {
        let mut dice = Dice::new(seed, 4);
        let victim = dice.pick(&NODES).unwrap_or(NODES[0]);
        Faults { cluster, plan, dice, victim }
    }

    /// Throws faults for as long as the plan says, and brings dead nodes back now and then.
    pub async fn run(&mut self) {
        let end = rt::now() + self.plan.faults;
        self.cluster.net.behave(self.plan.network);
        while rt::now() < end {
            let pause = self.dice.below(self.plan.between_faults_ms_max);
            rt::sleep(Duration::from_millis(pause)).await;
            self.one();
            for node in NODES {
                if self.dice.chance(400) {
                    self.cluster.start(node);
                } else {
                    self.cluster.bury(node);
                }
            }
        }
    }

    /// Ends every fault and starts what is down.
    pub fn heal(&mut self) {
        self.cluster.net.behave(NetworkPlan::CALM);
        self.cluster.net.mend();
        for node in NODES {
            if let Some(life) = self.cluster.life(node) {
                rt::resume(life.process());
                life.put_out();
            }
            if let Some(disk) = self.cluster.disk(node) {
                disk.set_fail_syncs(false);
            }
            self.cluster.start(node);
        }
    }

    fn target(&mut self) -> NodeId {
        let leader = self.cluster.leader().filter(|_| self.dice.chance(600));
        leader.or_else(|| self.dice.pick(&NODES)).unwrap_or(NODES[0])
    }

    fn one(&mut self) {
        let target = self.target();
        match self.dice.below(100) {
            0..14 => self.crash(target),
            14..20 => NODES.into_iter().for_each(|node| self.crash(node)),
            20..24 => NODES.into_iter().filter(|n| *n != target).for_each(|n| self.crash(n)),
            24..38 => self.isolate(target),
            38..46 => self.isolate_one_way(target),
            46..52 => self.cut_one(target),
            52..64 => self.cluster.net.mend(),
            64..72 => self.pause(target),
            72..80 => self.release(target),
            80..86 => self.hand_over(target),
            86..90 => self.jump(target),
            90..94 => self.fail_syncs(target),
            94..96 => self.burn(target),
            96..98 => self.cluster.lose_engine(self.victim),
            _ => self.elect(target),
        }
    }

    fn crash(&mut self, node: NodeId) {
        let how = if self.dice.chance(300) { Crash::Kill } else { Crash::PowerLoss };
        self.cluster.crash(node, how);
    }

    fn others(node: NodeId) -> impl Iterator<Item = NodeId> {
        NODES.into_iter().filter(move |other| *other != node)
    }

    fn cut(&mut self, from: NodeId, to: NodeId) {
        self.cluster.net.cut(from, to);
        self.cluster.recorder.lock().counts.cuts += 1;
    }

    fn isolate(&mut self, node: NodeId) {
        for other in Faults::others(node) {
            self.cut(node, other);
            self.cut(other, node);
        }
    }

    fn isolate_one_way(&mut self, node: NodeId) {
        let outwards = self.dice.chance(500);
        for other in Faults::others(node) {
            if outwards { self.cut(node, other) } else { self.cut(other, node) }
        }
    }

    fn cut_one(&mut self, node: NodeId) {
        let other: Vec<NodeId> = Faults::others(node).collect();
        let Some(other) = self.dice.pick(&other) else { return };
        self.cut(node, other);
        if self.dice.chance(500) {
            self.cut(other, node);
        }
    }

    /// Stops a process for a while, as SIGSTOP does.
    fn pause(&mut self, node: NodeId) {
        let Some(life) = self.cluster.life(node) else { return };
        let length = Duration::from_millis(self.dice.between(50, 2500));
        self.cluster.recorder.lock().counts.pauses += 1;
        rt::pause(life.process());
        rt::spawn(async move {
            rt::sleep(length).await;
            rt::resume(life.process());
        });
    }

    /// Makes a replica's engine durable and lets its log go, so that others need a snapshot.
    fn release(&mut self, node: NodeId) {
        let Some(endpoint) = self.cluster.net.endpoint(node) else { return };
        self.cluster.recorder.lock().counts.releases += 1;
        let group = endpoint.hosted.group.clone();
        rt::spawn_in(endpoint.life.process(), async move {
            if let Some(upto) = group.status().applied {
                // Refused by a replica that stops meanwhile.
                let _ = group.release(upto).await;
            }
        });
    }

    fn hand_over(&mut self, node: NodeId) {
        let Some(endpoint) = self.cluster.net.endpoint(node) else { return };
        self.cluster.recorder.lock().counts.handovers += 1;
        let group = endpoint.hosted.group.clone();
        rt::spawn_in(endpoint.life.process(), async move {
            group.step_down(Duration::from_secs(1)).await;
        });
    }

    fn elect(&mut self, node: NodeId) {
        let Some(endpoint) = self.cluster.net.endpoint(node) else { return };
        let group = endpoint.hosted.group.clone();
        rt::spawn_in(endpoint.life.process(), async move {
            // Refused by a replica that stops meanwhile.
            let _ = group.elect().await;
        });
    }

    fn jump(&mut self, node: NodeId) {
        let off = self.plan.clock_off_ms_max;
        let offset = i64::try_from(self.dice.below(2 * off + 1)).unwrap_or(0);
        if let Some(clock) = self.cluster.clock(node) {
            clock.jump(offset - i64::try_from(off).unwrap_or(0));
        }
    }

    /// The next sync fails: the process must stop.
    fn fail_syncs(&mut self, node: NodeId) {
        if self.cluster.life(node).is_some()
            && let Some(disk) = self.cluster.disk(node)
        {
            disk.set_fail_syncs(true);
        }
    }

    /// The process ends in the middle of something it does to its engine.
    fn burn(&mut self, node: NodeId) {
        if let Some(life) = self.cluster.life(node) {
            life.light_fuse(u32::try_from(self.dice.below(40)).unwrap_or(0));
        }
    }
}

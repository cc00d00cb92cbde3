//! What one partition does for the other regions while its replica here leads: its feeds, its closed
//! versions, its freeze.
//!
//! # Invariants
//!
//! - Feeds run only while the replica leads, one for each region that has the table.
//! - A partition is frozen while its region drains, and takes writes again only when the region is
//!   Active.

use super::feed::Feed;
use super::housekeeping;
use crate::hosting::HostedPartition;
use crate::node::Node;
use crate::pipeline::Order;
use crate::regions::Target;
use crate::task::Task;
use meridian_control::global::RegionStatus;
use meridian_partition::Closed;
use meridian_raft::rt;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Between two closed versions of a partition that takes no writes.
const CLOSE_EVERY: Duration = Duration::from_millis(200);
/// The same when it took none for [`IDLE_AFTER`].
const CLOSE_EVERY_IDLE: Duration = Duration::from_millis(500);
const IDLE_AFTER: Duration = Duration::from_secs(5);
/// Before an order that failed is given again.
const AGAIN: Duration = Duration::from_millis(20);
/// Between two looks while nothing happens: readers that are to be dropped wait for one.
const REST: Duration = Duration::from_secs(5);

struct Source {
    node: Arc<Node>,
    hosted: Arc<HostedPartition>,
    /// The term in which the feeds were started.
    term: Option<u64>,
    feeds: BTreeMap<u16, Task>,
    closed: watch::Sender<Option<Closed>>,
    closer: Option<Task>,
    cleaner: housekeeping::Cleaner,
}

/// Runs until the replica is closed or the node stops.
pub fn start(node: Arc<Node>, hosted: Arc<HostedPartition>) {
    let source = Source {
        cleaner: housekeeping::Cleaner::new(Arc::clone(&node), Arc::clone(&hosted)),
        node,
        hosted,
        term: None,
        feeds: BTreeMap::new(),
        closed: watch::Sender::new(None),
        closer: None,
    };
    rt::spawn(source.run());
}

impl Source {
    async fn run(mut self) {
        let mut leadership = self.hosted.group.watch();
        let mut global = self.node.control.watch_global();
        let mut stopping = self.node.stopping();
        loop {
            global.borrow_and_update();
            self.follow_leadership().await;
            self.adjust();
            let settled = self.follow_status().await;
            if self.term.is_some() {
                self.cleaner.clean().await;
            }
            let pause = if settled { REST } else { AGAIN };
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => return,
                changed = leadership.changed() => if changed.is_err() { return },
                changed = global.changed() => if changed.is_err() { return },
                () = rt::sleep(pause), if self.term.is_some() => {}
            }
        }
    }

    /// Ends feeds when the leadership ends; waits, when one begins, until this replica shows all
    /// that was acknowledged before.
    async fn follow_leadership(&mut self) {
        let partition = self.hosted.spec.partition;
        loop {
            let leading = self.hosted.group.leading();
            if leading == self.term {
                return;
            }
            self.feeds.clear();
            self.closer = None;
            self.term = None;
            self.node.regions.exchange.forget(partition);
            let Some(term) = leading else { return };
            if self.hosted.close().await.is_ok() && self.hosted.group.leading() == Some(term) {
                self.term = leading;
                self.node.regions.exchange.begin(partition, term);
                return;
            }
            rt::sleep(AGAIN).await;
        }
    }

    /// Starts and ends feeds.
    fn adjust(&mut self) {
        let targets = if self.term.is_some() {
            self.node.regions.targets(self.hosted.spec.table)
        } else {
            Vec::new()
        };
        self.feeds.retain(|number, _| targets.iter().any(|target| target.number == *number));
        for target in targets {
            if !self.feeds.contains_key(&target.number) {
                self.feeds.insert(target.number, self.feed(target));
            }
        }
        match (&self.closer, self.feeds.is_empty()) {
            (None, false) => {
                let closing = close(Arc::clone(&self.hosted), self.closed.clone());
                self.closer = Some(Task::start(closing));
            }
            (Some(_), true) => self.closer = None,
            (None, true) | (Some(_), false) => {}
        }
    }

    fn feed(&self, target: Target) -> Task {
        let feed = Feed {
            node: Arc::clone(&self.node),
            hosted: Arc::clone(&self.hosted),
            target,
            closed: self.closed.subscribe(),
        };
        Task::start(feed.run())
    }

    /// Freezes or thaws the partition as the region's status says; true when nothing is left to do.
    async fn follow_status(&self) -> bool {
        if self.term.is_none() {
            return true;
        }
        let global = self.node.control.global_state();
        let Some(own) = global.regions().get(self.node.regions.own()) else { return true };
        let frozen = self.hosted.replica.marks().freeze;
        let order = match (&own.status, frozen) {
            (RegionStatus::Draining { target }, frozen) => {
                let Some(target) = global.regions().get(target) else { return true };
                // What has no replica there stays where it is.
                let targets = self.node.regions.targets(self.hosted.spec.table);
                let moves = targets.iter().any(|known| known.number == target.id.number);
                let is_new = frozen.is_none_or(|freeze| freeze.epoch < own.epoch);
                (moves && is_new).then_some(Order::Freeze { epoch: own.epoch, target: target.id })
            }
            (RegionStatus::Active, Some(_)) => Some(Order::Thaw { epoch: own.epoch }),
            (RegionStatus::Active, None)
            | (RegionStatus::Evacuated | RegionStatus::Lost | RegionStatus::Recovering, _) => None,
        };
        let Some(order) = order else { return true };
        // A freeze that waits for transactions changes nothing yet.
        self.hosted.order(order).await.is_ok_and(|changed| changed)
    }
}

/// Closes versions of a partition that takes no writes; those that it takes close themselves.
async fn close(hosted: Arc<HostedPartition>, told: watch::Sender<Option<Closed>>) {
    let mut own = None;
    let mut busy_at = rt::now();
    loop {
        let pause = if busy_at.elapsed() < IDLE_AFTER { CLOSE_EVERY } else { CLOSE_EVERY_IDLE };
        rt::sleep(pause).await;
        let Ok(closed) = hosted.close().await else { continue };
        if own.replace(closed.position) != Some(closed.position) {
            busy_at = rt::now();
        }
        told.send_replace(Some(closed));
    }
}

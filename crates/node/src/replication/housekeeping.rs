//! Throws away what no region needs any more: change records, tombstones, readers of regions that
//! have left the table.
//!
//! # Invariants
//!
//! - A reader is dropped only on a global state that was confirmed as current.
//! - Each round is bounded.

use crate::hosting::HostedPartition;
use crate::node::Node;
use crate::pipeline::Order;
use meridian_base::{Hlc, Version};
use meridian_geo::{ReceivedClosed, TombstoneRule};
use meridian_partition::{Marks, PartitionSpec, Reader, findings};
use meridian_raft::rt;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Between two rounds.
const EVERY: Duration = Duration::from_secs(5);
/// Tombstones looked at in a round.
const TOMBSTONES_MAX: usize = 512;

/// Cleans one partition.
pub struct Cleaner {
    node: Arc<Node>,
    hosted: Arc<HostedPartition>,
    next: rt::Instant,
    /// The last tombstone that was looked at.
    after: Option<Vec<u8>>,
}

impl Cleaner {
    /// A cleaner of a partition.
    pub fn new(node: Arc<Node>, hosted: Arc<HostedPartition>) -> Self {
        Cleaner { node, hosted, next: rt::now() + EVERY, after: None }
    }

    /// Does a round, if it is time for one. Only the leader succeeds.
    pub async fn clean(&mut self) {
        if rt::now() < self.next {
            return;
        }
        self.next = rt::now() + EVERY;
        let (header, marks) = self.hosted.replica.state();
        self.drop_readers(&marks).await;
        let read = marks.slowest().unwrap_or(header.position);
        if read > header.trimmed {
            let _ = self.hosted.order(Order::Trim(read)).await;
        }
        if let Err(error) = self.drop_tombstones(&marks).await {
            tracing::warn!(partition = %self.hosted.spec.partition, %error, "tombstones stay");
        }
    }

    async fn drop_readers(&self, marks: &Marks) {
        let wanted = || -> BTreeSet<u16> {
            let targets = self.node.regions.targets(self.hosted.spec.table);
            targets.into_iter().map(|target| target.number).collect()
        };
        let of = |reader: &Reader| match reader {
            Reader::Region(number) | Reader::Copy(number) => Some(*number),
            Reader::Stream | Reader::Index(_) | Reader::Archive | Reader::Backup => None,
        };
        let gone = |wanted: &BTreeSet<u16>, number: u16| !wanted.contains(&number);
        let heard = marks.received.keys().map(|(region, _)| region.number);
        let known: BTreeSet<u16> = marks.cursors.keys().filter_map(of).chain(heard).collect();
        let before = wanted();
        if !known.iter().any(|number| gone(&before, *number)) {
            return;
        }
        if !self.node.confirm_global().await {
            return;
        }
        let wanted = wanted();
        for number in known.into_iter().filter(|number| gone(&wanted, *number)) {
            for order in [
                Order::DropReader(Reader::Copy(number)),
                Order::DropReader(Reader::Region(number)),
                Order::ForgetRegion(number),
            ] {
                let _ = self.hosted.order(order).await;
            }
        }
    }

    async fn drop_tombstones(&mut self, marks: &Marks) -> Result<(), String> {
        let spec = &self.hosted.spec;
        let view = self.hosted.engine.view().map_err(|e| e.to_string())?;
        let after = self.after.take();
        let found = findings::tombstones(view.as_ref(), spec, after.as_deref(), TOMBSTONES_MAX);
        let found = found.map_err(|e| e.to_string())?;
        drop(view);
        if found.len() == TOMBSTONES_MAX {
            self.after = found.last().map(|(key, _)| key.clone());
        }
        let others: Vec<u16> =
            self.node.regions.targets(spec.table).iter().map(|target| target.number).collect();
        if others.is_empty() && marks.is_global() {
            // The cluster's state is not known yet, or the readers are still to be dropped.
            return Ok(());
        }
        let received = ReceivedClosed::new(marks.received.values());
        let range = (spec.range.start.as_slice(), spec.range.end.as_deref());
        let stable = self.node.stable(spec);
        let rule = TombstoneRule::new(spec.region.number, stable, &others, &received, range);
        let may_go = |version: Version| {
            let origin = version.region.number;
            let is_replica = others.contains(&origin);
            let heard = received.stable(origin, range.0, range.1);
            // A replica region that announced nothing yet holds all of its own back.
            rule.may_go(version, is_replica.then(|| heard.unwrap_or(Hlc(0))))
        };
        let going: Vec<(Vec<u8>, Version)> = found
            .into_iter()
            .filter(|(_, stone)| may_go(stone.version))
            .map(|(key, stone)| (key, stone.version))
            .collect();
        if !going.is_empty() {
            let _ = self.hosted.order(Order::DropTombstones(going)).await;
        }
        Ok(())
    }
}

impl Node {
    /// The version up to which every replica region has everything of a partition that sends from
    /// here, and below which none is sent anything again.
    pub(crate) fn stable(&self, spec: &PartitionSpec) -> Hlc {
        let progress = self.regions.exchange.progress_of(spec.partition);
        let targets = self.regions.targets(spec.table);
        let reached = |number: u16| progress.get(&number).map_or(Hlc(0), |p| p.saved_closed);
        targets.iter().map(|target| reached(target.number)).min().unwrap_or(Hlc(u64::MAX))
    }
}

//! Time to live: the leader of a partition takes expired items away.
//!
//! # Invariants
//!
//! - Only a replica that leads looks, and only while the table has an attribute for it.
//! - Of the regions of a global table the one that wrote an item last takes it away; the others do
//!   when it has not for [`FOREIGN_GRACE_S`].
//!
//! Tested by `cluster_tests/expiry.rs`; the decisions by `meridian_partition`.

use crate::hosting::HostedPartition;
use crate::node::Node;
use crate::pipeline::Order;
use meridian_partition::evaluator::{Due, due_items, unscheduled};
use meridian_partition::{layout, record};
use meridian_raft::rt;
use std::sync::Arc;
use std::time::Duration;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(2);
/// Items taken away at a time; as long as there are more, the next look follows at once.
const DUE_MAX: usize = 256;
/// Items looked at in one step of a sweep.
const SWEEP_MAX: usize = 512;
/// Between two steps of a sweep.
const SWEEP_PAUSE: Duration = Duration::from_millis(50);
/// How long the region that wrote an item last has before any other takes it away.
const FOREIGN_GRACE_S: u64 = 60;

/// Runs until the replica is closed or the node stops.
pub fn start(node: &Arc<Node>, hosted: &Arc<HostedPartition>) {
    let (node, hosted) = (Arc::clone(node), Arc::clone(hosted));
    rt::spawn(Expiry { node, hosted, swept: None, sweep: None }.run());
}

struct Expiry {
    node: Arc<Node>,
    hosted: Arc<HostedPartition>,
    /// The term and the attribute for which all items were looked at, or are being.
    swept: Option<(u64, String)>,
    /// Where the sweep goes on; none when it is done.
    sweep: Option<Option<Vec<u8>>>,
}

impl Expiry {
    async fn run(mut self) {
        let mut leadership = self.hosted.group.watch();
        let mut state = self.node.control.watch_region();
        let mut stopping = self.node.stopping();
        loop {
            let pause = match (self.hosted.group.leading(), self.attribute()) {
                (Some(term), Some(attribute)) => Some(self.look(term, &attribute).await),
                _ => None,
            };
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => return,
                changed = leadership.changed() => if changed.is_err() { return },
                changed = state.changed() => if changed.is_err() { return },
                () = rt::sleep(pause.unwrap_or(EVERY)), if pause.is_some() => {}
            }
        }
    }

    fn attribute(&self) -> Option<String> {
        let state = self.node.control.region_state();
        state.table_by_id(self.hosted.spec.table)?.definition.ttl.clone()
    }

    /// Takes away what is due, and goes on with the sweep; tells when to look again.
    async fn look(&mut self, term: u64, attribute: &str) -> Duration {
        let done = match self.begin(term, attribute).await {
            Ok(()) => self.step(attribute).await,
            Err(why) => Err(why),
        };
        match done {
            Ok(pause) => pause,
            Err(why) => {
                let partition = self.hosted.spec.partition;
                tracing::debug!(%partition, %why, "expired items are looked at again");
                EVERY
            }
        }
    }

    /// Begins a sweep, once a term and attribute. It must not pass over an item that was written
    /// without saying when it expires: so the pipeline knows the attribute, and what it had decided
    /// before is applied.
    async fn begin(&mut self, term: u64, attribute: &str) -> Result<(), String> {
        let wanted = (term, attribute.to_owned());
        if self.swept.as_ref() == Some(&wanted) {
            return Ok(());
        }
        let mut settings = self.hosted.settings.subscribe();
        let told = settings.wait_for(|told| told.ttl.as_deref() == Some(attribute));
        let told = rt::timeout(EVERY, told).await;
        told.map_err(|_| "the pipeline is not told yet")?.map_err(|e| e.to_string())?;
        self.hosted.order(Order::Schedule(Vec::new())).await.map_err(|e| e.to_string())?;
        self.swept = Some(wanted);
        self.sweep = Some(None);
        Ok(())
    }

    async fn step(&mut self, attribute: &str) -> Result<Duration, String> {
        let mut pause = EVERY;
        if let Some(after) = self.sweep.clone() {
            let (hosted, attribute) = (Arc::clone(&self.hosted), attribute.to_owned());
            let looked = rt::blocking(move || {
                let view = hosted.engine.view().map_err(|e| e.to_string())?;
                let after = after.as_deref();
                unscheduled(view.as_ref(), &hosted.spec, &attribute, after, SWEEP_MAX)
                    .map_err(|e| e.to_string())
            });
            let (found, next) = looked.await?;
            if !found.is_empty() {
                self.hosted.order(Order::Schedule(found)).await.map_err(|e| e.to_string())?;
            }
            pause = if next.is_some() { SWEEP_PAUSE } else { pause };
            self.sweep = next.map(Some);
        }
        let due = self.due()?;
        if due.len() >= DUE_MAX {
            pause = SWEEP_PAUSE;
        }
        let mine: Vec<Due> = due.into_iter().filter(|due| self.is_ours(due)).collect();
        if !mine.is_empty() {
            self.hosted.order(Order::Expire(mine)).await.map_err(|e| e.to_string())?;
        }
        Ok(pause)
    }

    fn now_s(&self) -> u64 {
        self.node.options.clock.now_ms() / 1000
    }

    fn due(&self) -> Result<Vec<Due>, String> {
        let view = self.hosted.engine.view().map_err(|e| e.to_string())?;
        due_items(view.as_ref(), self.hosted.spec.partition, self.now_s(), DUE_MAX)
            .map_err(|e| e.to_string())
    }

    /// Whether this region is the one to take an item away.
    fn is_ours(&self, (due, key): &Due) -> bool {
        let spec = &self.hosted.spec;
        if self.node.regions.targets(spec.table).is_empty()
            || due.saturating_add(FOREIGN_GRACE_S) <= self.now_s()
        {
            return true;
        }
        let stored = self.hosted.engine.get(&layout::item_key(spec.table, key));
        let Ok(Some(bytes)) = stored else { return true };
        record::decode_item_record(&bytes)
            .is_ok_and(|state| state.version.region.number == spec.region.number)
    }
}

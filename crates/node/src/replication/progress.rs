//! What this node knows of the streams between regions: how far its own partitions got towards the
//! others, and what it received from theirs.
//!
//! # Invariants
//!
//! - A lane's closed version grows only when every batch before the one that announced it is
//!   committed here: a batch is taken when it is the next of its chain, or the first of one.
//!
//! Tested below.

use super::Parcel;
use meridian_base::{Hlc, PartitionId, Position, Received, RegionId, TableId};
use meridian_geo::Receiver;
use meridian_raft::rt;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};

/// Batches that are committed at a time, on behalf of all other regions.
const RECEIVING_MAX: usize = 64;
/// A lane that was silent for longer may bring what was stranded.
const SILENCE_MIN: Duration = Duration::from_millis(1500);
/// A change that is younger on arrival was not stranded, ms.
const LATE_MS_MIN: u64 = 500;
/// The same on a lane that this node sees for the first time, ms.
const LATE_UNKNOWN_MS_MIN: u64 = 2000;
/// Between two durable notes of a lane that brought changes, and of one that only announced.
const STORE_BUSY: Duration = Duration::from_secs(1);
const STORE_IDLE: Duration = Duration::from_secs(5);

/// How far a partition got towards a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Everything up to here is committed there.
    pub acked: Position,
    /// The closed version that is known there.
    pub closed: Hlc,
    /// The closed version below which nothing is ever sent there again.
    pub saved_closed: Hlc,
}

/// An origin partition, as its announcements name it.
pub type LaneId = (TableId, RegionId, PartitionId);

/// What came from one origin partition through this node.
#[derive(Debug)]
struct Lane {
    chain: u64,
    /// The number of the batch that is taken next; none when the chain broke.
    next: Option<u64>,
    receiver: Receiver,
    received: Received,
    heard: rt::Instant,
    /// Changes committed before this are late.
    late_before_ms: u64,
    stored: Hlc,
    stored_at: Option<rt::Instant>,
    has_brought: bool,
}

/// What this node heard of an origin partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The table.
    pub table: TableId,
    /// The announcement that holds.
    pub received: Received,
    /// How long ago it was heard.
    pub silent: Duration,
}

/// Both ends of this node's streams.
pub struct Exchange {
    progress: Mutex<BTreeMap<(PartitionId, u16), Progress>>,
    lanes: Mutex<BTreeMap<LaneId, Lane>>,
    /// The term in which a partition that leads here has applied all that was before it.
    begun: Mutex<BTreeMap<PartitionId, u64>>,
    paused: Mutex<BTreeMap<(Option<TableId>, u16), rt::Instant>>,
    arrived: Notify,
    /// Bounds what is committed at a time.
    pub room: Semaphore,
}

impl Default for Exchange {
    fn default() -> Self {
        Exchange {
            progress: Mutex::default(),
            lanes: Mutex::default(),
            begun: Mutex::default(),
            paused: Mutex::default(),
            arrived: Notify::new(),
            room: Semaphore::new(RECEIVING_MAX),
        }
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder panics")
}

impl Exchange {
    /// Notes how far a partition got.
    pub fn note(&self, partition: PartitionId, region: u16, progress: Progress) {
        held(&self.progress).insert((partition, region), progress);
    }

    /// How far a partition got towards a region; none when it does not send from here.
    pub fn progress(&self, partition: PartitionId, region: u16) -> Option<Progress> {
        held(&self.progress).get(&(partition, region)).copied()
    }

    /// How far a partition got towards all regions.
    pub fn progress_of(&self, partition: PartitionId) -> BTreeMap<u16, Progress> {
        let all = held(&self.progress);
        let own = all.range((partition, 0)..=(partition, u16::MAX));
        own.map(|((_, region), progress)| (*region, *progress)).collect()
    }

    /// Notes that a partition leads here and shows all that was acknowledged before this term.
    pub fn begin(&self, partition: PartitionId, term: u64) {
        held(&self.begun).insert(partition, term);
    }

    /// The term in which it does; none while it does not lead here.
    pub fn begun(&self, partition: PartitionId) -> Option<u64> {
        held(&self.begun).get(&partition).copied()
    }

    /// Forgets a partition that sends no more from here.
    pub fn forget(&self, partition: PartitionId) {
        held(&self.begun).remove(&partition);
        held(&self.progress).retain(|(known, _), _| *known != partition);
    }

    /// Sends nothing of a table, or of all, to a region for some time; then it goes on.
    pub fn pause(&self, table: Option<TableId>, region: u16, time: Duration) {
        held(&self.paused).insert((table, region), rt::now() + time);
    }

    /// Until when nothing of a table is sent to a region.
    pub fn paused_until(&self, table: TableId, region: u16) -> Option<rt::Instant> {
        let mut paused = held(&self.paused);
        let now = rt::now();
        paused.retain(|_, until| *until > now);
        let of = |table| paused.get(&(table, region)).copied();
        of(Some(table)).max(of(None))
    }

    /// Takes a batch in its turn; waits for those before it as long as `patience`.
    ///
    /// # Errors
    ///
    /// The batch follows one that never came: its sender has to go back.
    pub async fn arrive(
        self: &Arc<Self>,
        parcel: &Parcel,
        now_ms: u64,
        patience: Duration,
    ) -> Result<Arrival, String> {
        let deadline = rt::now() + patience;
        loop {
            let news = self.arrived.notified();
            if let Some(arrival) = self.place(parcel, now_ms) {
                self.arrived.notify_waiters();
                return Ok(arrival);
            }
            let left = deadline.saturating_duration_since(rt::now());
            if rt::timeout(left, news).await.is_err() {
                return Err("the batch before this one did not come".into());
            }
        }
    }

    /// Takes a batch if its turn has come.
    fn place(self: &Arc<Self>, parcel: &Parcel, now_ms: u64) -> Option<Arrival> {
        let batch = &parcel.batch;
        let id = (batch.table, batch.region, batch.partition);
        let mut lanes = held(&self.lanes);
        let is_next = |lane: &Lane| lane.chain == parcel.chain && lane.next == Some(parcel.number);
        if parcel.number != 0 && !lanes.get(&id).is_some_and(is_next) {
            return None;
        }
        let is_known = lanes.contains_key(&id);
        let lane = lanes.entry(id).or_insert_with(|| Lane::new(parcel, now_ms));
        if is_known && lane.heard.elapsed() >= SILENCE_MIN {
            lane.late_before_ms = now_ms;
        }
        if parcel.number == 0 {
            lane.chain = parcel.chain;
            lane.receiver = Receiver::default();
        }
        lane.next = Some(parcel.number + 1);
        lane.heard = rt::now();
        lane.has_brought |= !batch.changes.is_empty();
        lane.receiver.arrived(batch.upto, batch.closed, [PartitionId(parcel.number)]);
        lane.received.start.clone_from(&batch.start);
        lane.received.end.clone_from(&batch.end);
        let is_late = |commit_ms: u64| {
            commit_ms < lane.late_before_ms && commit_ms.saturating_add(LATE_MS_MIN) < now_ms
        };
        let late = batch.changes.iter().any(|change| is_late(change.commit_ms));
        Some(Arrival {
            exchange: Arc::clone(self),
            lane: id,
            chain: parcel.chain,
            number: parcel.number,
            upto: batch.upto,
            stable: batch.stable,
            late,
            open: true,
        })
    }

    /// What was heard of every origin partition through this node.
    pub fn heard(&self) -> Vec<Heard> {
        let lanes = held(&self.lanes);
        let heard = |((table, ..), lane): (&LaneId, &Lane)| Heard {
            table: *table,
            received: lane.received.clone(),
            silent: lane.heard.elapsed(),
        };
        lanes.iter().map(heard).collect()
    }

    /// The announcements that are to be noted durably now.
    pub fn to_store(&self) -> Vec<(TableId, Received)> {
        let mut due = Vec::new();
        for ((table, ..), lane) in held(&self.lanes).iter_mut() {
            let pause = if lane.has_brought { STORE_BUSY } else { STORE_IDLE };
            let rested = lane.stored_at.is_none_or(|at| at.elapsed() >= pause);
            if lane.received.closed > lane.stored && rested {
                (lane.stored, lane.stored_at) = (lane.received.closed, Some(rt::now()));
                lane.has_brought = false;
                due.push((*table, lane.received.clone()));
            }
        }
        due
    }

    /// Forgets lanes.
    pub fn keep(&self, is_wanted: impl Fn(&Heard) -> bool) {
        held(&self.lanes).retain(|(table, ..), lane| {
            let (table, received) = (*table, lane.received.clone());
            is_wanted(&Heard { table, received, silent: lane.heard.elapsed() })
        });
    }
}

impl Lane {
    fn new(parcel: &Parcel, now_ms: u64) -> Self {
        let batch = &parcel.batch;
        Lane {
            chain: parcel.chain,
            next: Some(0),
            receiver: Receiver::default(),
            received: Received {
                region: batch.region,
                partition: batch.partition,
                start: batch.start.clone(),
                end: batch.end.clone(),
                closed: Hlc(0),
                stable: Hlc(0),
            },
            heard: rt::now(),
            late_before_ms: now_ms.saturating_sub(LATE_UNKNOWN_MS_MIN),
            stored: Hlc(0),
            stored_at: None,
            has_brought: false,
        }
    }
}

/// A batch that is being committed. Dropped unfinished, it breaks its chain.
pub struct Arrival {
    exchange: Arc<Exchange>,
    lane: LaneId,
    chain: u64,
    number: u64,
    upto: Position,
    stable: Hlc,
    /// True when the changes were committed long before they came.
    pub late: bool,
    open: bool,
}

impl Arrival {
    /// Notes that the batch is committed; gives the closed version that holds now.
    pub fn committed(mut self) -> Hlc {
        self.open = false;
        let mut lanes = held(&self.exchange.lanes);
        let Some(lane) = lanes.get_mut(&self.lane) else { return Hlc(0) };
        if lane.chain == self.chain && lane.next.is_some() {
            lane.receiver.committed(self.upto, PartitionId(self.number));
            if let Some(closed) = lane.receiver.receipt().and_then(|receipt| receipt.closed) {
                lane.received.closed = lane.received.closed.max(closed);
                lane.received.stable = lane.received.stable.max(self.stable);
            }
        }
        lane.received.closed
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        if let Some(lane) = held(&self.exchange.lanes).get_mut(&self.lane)
            && lane.chain == self.chain
        {
            lane.next = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Receipt;
    use super::*;
    use meridian_base::{Incarnation, NodeId};
    use meridian_geo::{Ack, ReplicationBatch};

    fn parcel(chain: u64, number: u64, upto: u64, closed: Option<u64>) -> Parcel {
        let batch = ReplicationBatch {
            table: TableId(1),
            region: RegionId::new(2),
            partition: PartitionId(16),
            incarnation: Incarnation(1),
            start: Vec::new(),
            end: None,
            after: Position(upto),
            upto: Position(upto),
            changes: Vec::new(),
            closed: closed.map(Hlc),
            stable: Hlc(0),
            late: false,
            sent_ms: 0,
        };
        Parcel { chain, number, batch }
    }

    async fn arrive(exchange: &Arc<Exchange>, parcel: Parcel) -> Result<Arrival, String> {
        exchange.arrive(&parcel, 10_000, Duration::ZERO).await
    }

    #[test]
    fn a_parcel_round_trips() {
        let sent = parcel(7, 3, 9, Some(90));
        assert_eq!(Parcel::decode(&sent.encode()), Ok(sent));
        assert!(parcel(7, 0, 0, None).is_copy());
        for better in [None, Some(NodeId(5))] {
            let (table, partition) = (TableId(1), PartitionId(16));
            let ack = Ack { table, partition, upto: Position(9), closed: Hlc(90) };
            let told = Receipt { ack, better };
            assert_eq!(Receipt::decode(&told.encode()), Ok(told));
        }
    }

    #[tokio::test]
    async fn a_closed_version_waits_for_the_batches_before_it() {
        let exchange = Arc::new(Exchange::default());
        let first = arrive(&exchange, parcel(7, 0, 7, None)).await.unwrap();
        let second = arrive(&exchange, parcel(7, 1, 7, Some(90))).await.unwrap();
        assert_eq!(second.committed(), Hlc(0));
        assert_eq!(first.committed(), Hlc(90));
    }

    #[tokio::test]
    async fn a_batch_waits_for_the_one_before_it() {
        let exchange = Arc::new(Exchange::default());
        let late = parcel(7, 1, 9, Some(90));
        let second = exchange.arrive(&late, 10_000, Duration::from_secs(10));
        let first = async { arrive(&exchange, parcel(7, 0, 7, None)).await.unwrap().committed() };
        let (second, _) = futures_util::future::join(second, first).await;
        assert_eq!(second.unwrap().committed(), Hlc(90));
    }

    #[tokio::test]
    async fn a_batch_after_one_that_failed_is_sent_back() {
        let exchange = Arc::new(Exchange::default());
        assert!(arrive(&exchange, parcel(7, 1, 9, Some(90))).await.is_err());
        let first = arrive(&exchange, parcel(7, 0, 7, None)).await.unwrap();
        let second = arrive(&exchange, parcel(7, 1, 8, Some(80))).await.unwrap();
        drop(first);
        assert_eq!(second.committed(), Hlc(0));
        assert!(arrive(&exchange, parcel(7, 2, 9, Some(90))).await.is_err());
        let again = arrive(&exchange, parcel(8, 0, 7, Some(70))).await.unwrap();
        assert_eq!(again.committed(), Hlc(70));
        assert_eq!(exchange.heard()[0].received.closed, Hlc(70));
        assert_eq!(exchange.to_store().len(), 1);
        assert_eq!(exchange.to_store().len(), 0);
    }

    #[tokio::test]
    async fn a_pause_holds_for_its_table_and_ends_by_itself() {
        let exchange = Exchange::default();
        exchange.pause(Some(TableId(1)), 2, Duration::from_secs(60));
        exchange.pause(None, 3, Duration::ZERO);
        assert!(exchange.paused_until(TableId(1), 2).is_some());
        assert!(exchange.paused_until(TableId(2), 2).is_none());
        assert!(exchange.paused_until(TableId(1), 3).is_none());
    }
}

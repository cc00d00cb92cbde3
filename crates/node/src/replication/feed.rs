//! Sends one partition's changes to one other region, while this replica leads.
//!
//! # Invariants
//!
//! - What is sent is applied here, which is to say that a quorum has it.
//! - The stored cursor never passes what was acknowledged.
//! - A node of the target region is kept as long as it answers.

use super::progress::Progress;
use super::{Parcel, Receipt, copy};
use crate::hosting::HostedPartition;
use crate::node::Node;
use crate::pause::Pause;
use crate::pipeline::Order;
use crate::regions::Target;
use bytes::Bytes;
use futures_util::stream::{FuturesOrdered, FuturesUnordered};
use futures_util::{FutureExt, StreamExt};
use meridian_base::{Change, Hlc, NodeId, Position};
use meridian_geo::{ReplicationBatch, Sender, SenderLimits};
use meridian_partition::{Closed, ReadLimits, Reader, outgoing, read_changes};
use meridian_raft::rt;
use meridian_transport::Kind;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How much of the change log one batch covers.
const READ: ReadLimits = ReadLimits { records: 512, bytes: 256 * 1024 };
/// How long a batch may take: longer than a partition of the target region is without a leader.
const CALL_LIMIT: Duration = Duration::from_secs(6);
/// Pauses after a failure: the first, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(250);
/// Between two stored cursors. A new leader sends again what was acknowledged since.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// Least time between two batches: under a steady flow one carries several changes, and costs the
/// other region one commit instead of several.
const PACE: Duration = Duration::from_millis(20);

/// What a feed is made of.
pub struct Feed {
    /// The node.
    pub node: Arc<Node>,
    /// The partition that it sends.
    pub hosted: Arc<HostedPartition>,
    /// The region that it sends to.
    pub target: Target,
    /// The partition's newest closed version that needed no write.
    pub closed: watch::Receiver<Option<Closed>>,
}

/// Which node of the target region is asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Route {
    last: Option<NodeId>,
    failures: usize,
}

impl Route {
    /// Turns to another node.
    pub fn fail(&mut self) {
        self.last = None;
        self.failures += 1;
    }
}

/// Sends a batch to a node.
pub async fn call(node: &Node, to: NodeId, payload: Bytes) -> Result<Receipt, String> {
    let answer = node.peers.call(to, Kind::Replicate, payload, CALL_LIMIT).await;
    let answer = answer.map_err(|e| format!("node {to}: {e}"))?;
    Receipt::decode(&answer).map_err(|e| format!("node {to}: {e}"))
}

impl Feed {
    /// Runs until it is dropped.
    pub async fn run(self) {
        let mut pause = Pause::new(PAUSE_MIN, PAUSE_MAX);
        loop {
            let began = rt::now();
            let Err(why) = self.attempt().await;
            tracing::debug!(partition = %self.hosted.spec.partition, region = self.target.name,
                %why, "changes are sent again");
            if began.elapsed() > PAUSE_MAX * 4 {
                pause.reset();
            }
            pause.wait().await;
        }
    }

    async fn attempt(&self) -> Result<std::convert::Infallible, String> {
        let cursor = self.reader().await?;
        let is_new = self.hosted.cursor(Reader::Copy(self.target.number)).is_some();
        if is_new {
            copy::copy(self).await?;
            let done = Order::DropReader(Reader::Copy(self.target.number));
            self.hosted.order(done).await.map_err(|e| e.to_string())?;
            tracing::info!(partition = %self.hosted.spec.partition, region = self.target.name,
                "a partition is copied to another region");
        }
        match Stream::new(self, cursor).run().await {
            Broken::Other(why) => Err(why),
            Broken::Gap(first) => {
                // Never trimmed before it was read; but if it was, everything is copied again.
                let again = Order::DropReader(Reader::Region(self.target.number));
                self.hosted.order(again).await.map_err(|e| e.to_string())?;
                Err(format!("the change log after {cursor} begins only at {first}"))
            }
        }
    }

    /// Makes sure that the region reads the change log; gives its cursor.
    async fn reader(&self) -> Result<Position, String> {
        let region = Reader::Region(self.target.number);
        if let Some(cursor) = self.hosted.cursor(region) {
            return Ok(cursor);
        }
        for reader in [Reader::Copy(self.target.number), region] {
            self.hosted.order(Order::StartReader(reader)).await.map_err(|e| e.to_string())?;
        }
        self.hosted.cursor(region).ok_or_else(|| "the reader is not started yet".to_owned())
    }

    /// The node to send to: the one that worked last, or the next one that is connected.
    pub fn route(&self, route: &mut Route) -> Option<NodeId> {
        let connected = |id: &NodeId| self.node.peers.link(*id).connected;
        if let Some(last) = route.last.filter(connected) {
            return Some(last);
        }
        let global = self.node.control.global_state();
        let nodes: Vec<NodeId> =
            global.nodes_of(&self.target.name).map(|(id, _)| id).filter(connected).collect();
        let spread = usize::try_from(self.hosted.spec.partition.0).unwrap_or(0);
        let at = spread.wrapping_add(route.failures).checked_rem(nodes.len())?;
        route.last = nodes.get(at).copied();
        route.last
    }

    /// Waits as long as an operator wants nothing to be sent.
    pub async fn wait_while_paused(&self) {
        let exchange = &self.node.regions.exchange;
        while let Some(until) = exchange.paused_until(self.hosted.spec.table, self.target.number) {
            rt::sleep_until(until).await;
        }
    }

    /// A batch of this partition.
    pub fn batch(
        &self,
        (after, upto): (Position, Position),
        changes: Vec<Change>,
        closed: Option<Hlc>,
        stable: Hlc,
    ) -> ReplicationBatch {
        let spec = &self.hosted.spec;
        ReplicationBatch {
            table: spec.table,
            region: spec.region,
            partition: spec.partition,
            incarnation: self.hosted.replica.header().incarnation,
            start: spec.range.start.clone(),
            end: spec.range.end.clone(),
            after,
            upto,
            changes,
            closed,
            stable,
            late: false,
            sent_ms: self.node.options.clock.now_ms(),
        }
    }
}

type Sent<'f> = Pin<Box<dyn Future<Output = Result<Receipt, String>> + Send + 'f>>;
type Saved<'f> = Pin<Box<dyn Future<Output = Option<Position>> + Send + 'f>>;

/// Why a stream ended.
enum Broken {
    /// Changes that were not sent are gone; the log begins there.
    Gap(Position),
    Other(String),
}

impl From<String> for Broken {
    fn from(why: String) -> Self {
        Broken::Other(why)
    }
}

/// Why a stream goes on.
enum Woken {
    Answered(Result<Receipt, String>),
    Saved(Option<Position>),
    Committed,
    Closed,
    Timer,
}

/// A feed that follows the change log.
struct Stream<'f> {
    feed: &'f Feed,
    sender: Sender,
    route: Route,
    chain: u64,
    next: u64,
    /// True until the first answer of a chain: one batch finds out whether the region is there.
    is_probing: bool,
    in_flight: FuturesOrdered<Sent<'f>>,
    saving: FuturesUnordered<Saved<'f>>,
    save_at: rt::Instant,
    /// Not before this is anything sent.
    send_at: rt::Instant,
    position: watch::Receiver<Position>,
    closed: watch::Receiver<Option<Closed>>,
}

impl<'f> Stream<'f> {
    fn new(feed: &'f Feed, cursor: Position) -> Self {
        Stream {
            feed,
            sender: Sender::new(cursor, SenderLimits::default()),
            route: Route::default(),
            chain: rt::random(),
            next: 0,
            is_probing: true,
            in_flight: FuturesOrdered::new(),
            saving: FuturesUnordered::new(),
            save_at: rt::now(),
            send_at: rt::now(),
            position: feed.hosted.position(),
            closed: feed.closed.clone(),
        }
    }

    async fn run(mut self) -> Broken {
        loop {
            if let Err(broken) = self.step().await {
                return broken;
            }
        }
    }

    async fn step(&mut self) -> Result<(), Broken> {
        self.feed.wait_while_paused().await;
        self.fill()?;
        self.save();
        self.publish();
        match self.woken().await? {
            Woken::Answered(answer) => self.answered(answer).await,
            Woken::Saved(Some(position)) => self.sender.saved(position),
            Woken::Saved(None) | Woken::Committed | Woken::Timer => {}
            Woken::Closed => {
                let closed = *self.closed.borrow_and_update();
                if let Some(Closed { version, position }) = closed {
                    self.sender.close(version, position);
                }
            }
        }
        // What has arrived meanwhile needs no round of its own.
        while let Some(Some(answer)) = self.in_flight.next().now_or_never() {
            self.answered(answer).await;
        }
        Ok(())
    }

    async fn woken(&mut self) -> Result<Woken, String> {
        let gone = |_| "the replica is closed".to_owned();
        let saves = self.sender.unsaved().is_some() && self.saving.is_empty();
        let paces = rt::now() < self.send_at;
        Ok(tokio::select! {
            biased;
            Some(answer) = self.in_flight.next() => Woken::Answered(answer),
            Some(saved) = self.saving.next() => Woken::Saved(saved),
            changed = self.position.changed() => changed.map(|()| Woken::Committed).map_err(gone)?,
            changed = self.closed.changed() => changed.map(|()| Woken::Closed).map_err(gone)?,
            () = rt::sleep_until(self.save_at), if saves => Woken::Timer,
            () = rt::sleep_until(self.send_at), if paces => Woken::Timer,
        })
    }

    async fn answered(&mut self, answer: Result<Receipt, String>) {
        match answer {
            Ok(Receipt { ack, better }) => {
                self.is_probing = false;
                self.sender.acked(ack.upto, ack.closed);
                let moves = better.is_some_and(|node| self.route.last != Some(node));
                if moves && self.in_flight.is_empty() {
                    self.route.last = better;
                    self.begin_chain();
                }
            }
            Err(why) => {
                tracing::debug!(partition = %self.feed.hosted.spec.partition,
                    region = self.feed.target.name, %why, "a batch is sent again");
                self.in_flight.clear();
                self.sender.rewind();
                self.route.fail();
                self.begin_chain();
                let pause = PAUSE_MIN * u32::try_from(self.route.failures.min(12)).unwrap_or(12);
                rt::sleep(pause).await;
            }
        }
    }

    fn begin_chain(&mut self) {
        (self.chain, self.next, self.is_probing) = (rt::random(), 0, true);
    }

    /// Reads and sends as much as the window takes.
    fn fill(&mut self) -> Result<(), Broken> {
        let partition = self.feed.hosted.spec.partition;
        let end = *self.position.borrow_and_update();
        if rt::now() < self.send_at {
            return Ok(());
        }
        loop {
            if self.is_probing && !self.in_flight.is_empty() {
                return Ok(());
            }
            let Some(after) = self.sender.reads_after() else { return Ok(()) };
            if after >= end {
                break;
            }
            self.route()?;
            let engine = self.feed.hosted.engine.as_ref();
            let page = read_changes(engine, partition, after, READ).map_err(|e| e.to_string())?;
            let Some(first) = page.records.first() else { break };
            if first.position != after.next() {
                return Err(Broken::Gap(first.position));
            }
            let (upto, is_behind) = (page.upto, page.records.len() >= READ.records);
            let changes = outgoing(page.records, is_behind);
            // Versions grow in the order of the log: nothing at or below the last one follows.
            let Some(newest) = changes.last().map(|change| change.version.hlc) else {
                self.sender.skipped(upto);
                continue;
            };
            self.sender.close(newest, upto);
            self.send(after, upto, changes)?;
        }
        if self.sender.has_news()
            && let Some(sent) = self.sender.reads_after()
        {
            self.send(sent, sent, Vec::new())?;
        }
        Ok(())
    }

    fn route(&mut self) -> Result<NodeId, String> {
        let to = self.feed.route(&mut self.route);
        to.ok_or_else(|| format!("no node of {} is connected", self.feed.target.name))
    }

    fn send(
        &mut self,
        after: Position,
        upto: Position,
        changes: Vec<Change>,
    ) -> Result<(), String> {
        let (feed, to) = (self.feed, self.route()?);
        let closed = self.sender.closed_with(upto);
        let stable = feed.node.stable(&feed.hosted.spec);
        let batch = feed.batch((after, upto), changes, closed, stable);
        let payload = Parcel { chain: self.chain, number: self.next, batch }.encode();
        self.next += 1;
        self.send_at = rt::now() + PACE;
        self.sender.sent(upto, payload.len(), closed);
        self.in_flight.push_back(Box::pin(call(&feed.node, to, payload)));
        Ok(())
    }

    /// Begins to store the cursor, when it is time.
    fn save(&mut self) {
        if rt::now() < self.save_at || !self.saving.is_empty() {
            return;
        }
        let Some(position) = self.sender.unsaved() else { return };
        self.save_at = rt::now() + SAVE_EVERY;
        let (hosted, reader) = (&self.feed.hosted, Reader::Region(self.feed.target.number));
        self.saving.push(Box::pin(async move {
            hosted.order(Order::Cursor(reader, position)).await.ok().map(|_| position)
        }));
    }

    fn publish(&self) {
        let progress = Progress {
            acked: self.sender.acked_position(),
            closed: self.sender.acked_closed(),
            saved_closed: self.sender.saved_closed(),
        };
        let partition = self.feed.hosted.spec.partition;
        self.feed.node.regions.exchange.note(partition, self.feed.target.number, progress);
    }
}

//! The groups of which this node holds a replica.
//!
//! # Invariants
//!
//! - A group is here once, and only between its opening and its closing.

use crate::barrier::Barrier;
use crate::partition_machine::SharedReplica;
use crate::pipeline::{Order, Refused, TableSettings, Work};
use meridian_base::{GroupId, PartitionId, Position};
use meridian_model::Key;
use meridian_partition::read::Stamped;
use meridian_partition::transact::{LeftBehind, Transact, TransactAnswer};
use meridian_partition::{
    Closed, ClosedCommits, Feed, Get, GetOutcome, Page, PageRequest, PartitionError, PartitionSpec,
    Reader, Replicated, Write, WriteOutcome, read,
};
use meridian_raft::Group;
use meridian_storage::Engine;
use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};
use tokio::sync::{mpsc, oneshot, watch};

/// A replica of a partition, with its pipeline.
pub struct HostedPartition {
    /// What the partition is.
    pub spec: PartitionSpec,
    /// Its group.
    pub group: Group,
    /// Its engine.
    pub engine: Arc<dyn Engine>,
    /// Header and marks as applied here.
    pub replica: SharedReplica,
    /// The group's read rounds.
    pub barrier: Barrier,
    /// The pipeline's queue.
    pub queue: mpsc::Sender<Work>,
    /// The settings that stand in the queue, or that the pipeline has taken from it.
    pub settings: Told,
}

/// What a pipeline was told.
pub type Told = watch::Sender<TableSettings>;

fn broken(error: &PartitionError) -> Refused {
    Refused::Broken(error.to_string())
}

impl HostedPartition {
    async fn ask<T>(
        &self,
        make: impl FnOnce(oneshot::Sender<Result<T, Refused>>) -> Work,
    ) -> Result<T, Refused> {
        let (reply, answer) = oneshot::channel();
        if self.queue.send(make(reply)).await.is_err() {
            return Err(Refused::NotLeader { hint: None });
        }
        // A pipeline that is gone may have proposed: the outcome is not known.
        answer.await.unwrap_or(Err(Refused::Unknown))
    }

    /// Tells the pipeline which settings writes are evaluated with from now on.
    pub async fn tell(&self, settings: &TableSettings) {
        // A pipeline that is gone needs nothing.
        let _ = self.queue.send(Work::Settings(settings.clone())).await;
        self.settings.send_replace(settings.clone());
    }

    /// Writes one item, if this replica leads.
    pub async fn write(&self, write: Write) -> Result<WriteOutcome, Refused> {
        self.ask(|reply| Work::Write(Box::new(write), reply)).await
    }

    /// Merges changes of another region, if this replica leads.
    pub async fn replicate(
        &self,
        changes: Vec<meridian_base::Change>,
        late: bool,
    ) -> Result<Vec<Replicated>, Refused> {
        self.ask(|reply| Work::Replicated(changes, late, reply)).await
    }

    /// Takes a step of a transaction, if this replica leads.
    pub async fn transact(&self, step: Transact) -> Result<TransactAnswer, Refused> {
        self.ask(|reply| Work::Transact(Box::new(step), reply)).await
    }

    /// What transactions have left behind since before a time, ms, if this replica leads.
    pub async fn left_behind(&self, before_ms: u64) -> Result<LeftBehind, Refused> {
        self.ask(|reply| Work::LeftBehind(before_ms, reply)).await
    }

    /// Reads items for a transaction, if this replica leads, each with a stamp.
    pub async fn stamped(&self, keys: &[Key]) -> Result<Vec<Stamped>, Refused> {
        self.strong().await?;
        let term = self.group.leading().unwrap_or(0);
        let engine = Arc::clone(&self.engine);
        let (last_delete, view) =
            self.replica.look(move |replica| (replica.last_delete(), engine.view())).await;
        let view = view.map_err(|e| Refused::Broken(e.to_string()))?;
        keys.iter()
            .map(|key| {
                Stamped::read(view.as_ref(), &self.spec, key, (term, last_delete))
                    .map_err(|e| broken(&e))
            })
            .collect()
    }

    /// Takes entries of an index, if this replica leads.
    pub async fn feed(&self, feed: Feed) -> Result<(), Refused> {
        self.ask(|reply| Work::Feed(feed, reply)).await
    }

    /// Takes a decision that no client asks for, if this replica leads; tells whether it changed
    /// anything.
    pub async fn order(&self, order: Order) -> Result<bool, Refused> {
        self.ask(|reply| Work::Order(order, reply)).await
    }

    /// How far a reader of the change log is done with it; none where it does not read.
    pub fn cursor(&self, reader: Reader) -> Option<Position> {
        self.replica.marks().cursors.get(&reader).copied()
    }

    /// Makes sure that a reader reads the change log, if this replica leads; gives its cursor.
    pub async fn start_reading(&self, reader: Reader) -> Result<Position, Refused> {
        if let Some(cursor) = self.cursor(reader) {
            return Ok(cursor);
        }
        self.order(Order::StartReader(reader)).await?;
        self.cursor(reader).ok_or(Refused::Retry)
    }

    /// Closes a version, if this replica leads.
    pub async fn close(&self) -> Result<Closed, Refused> {
        self.ask(Work::Close).await
    }

    /// Closes a commit time, if this replica leads.
    pub async fn close_commits(&self) -> Result<ClosedCommits, Refused> {
        self.ask(Work::CloseCommits).await
    }

    /// Waits until a strong read may look at the engine.
    async fn strong(&self) -> Result<(), Refused> {
        self.barrier.pass().await?;
        let freeze = self.replica.marks().freeze;
        freeze.map_or(Ok(()), |freeze| Err(Refused::Held(freeze)))
    }

    /// Reads one item: the newest, if this replica leads, or what is applied here.
    pub async fn get(&self, get: &Get, strong: bool) -> Result<GetOutcome, Refused> {
        if strong {
            self.strong().await?;
        }
        read::get(self.engine.as_ref(), &self.spec, get).map_err(|e| broken(&e))
    }

    /// Reads a page.
    pub async fn page(&self, request: &PageRequest, strong: bool) -> Result<Page, Refused> {
        if strong {
            self.strong().await?;
        }
        let view = self.engine.view().map_err(|e| Refused::Broken(e.to_string()))?;
        read::page(view.as_ref(), &self.spec, request).map_err(|e| broken(&e))
    }

    /// Follows the end of the change log.
    pub fn position(&self) -> watch::Receiver<Position> {
        self.replica.position()
    }
}

/// All groups of a node.
#[derive(Default)]
pub struct Hosting {
    groups: RwLock<BTreeMap<GroupId, Group>>,
    partitions: RwLock<BTreeMap<PartitionId, Arc<HostedPartition>>>,
}

impl Hosting {
    /// The replica of a group.
    pub fn group(&self, id: GroupId) -> Option<Group> {
        self.groups.read().expect("no holder panics").get(&id).cloned()
    }

    /// All replicas.
    pub fn groups(&self) -> Vec<Group> {
        self.groups.read().expect("no holder panics").values().cloned().collect()
    }

    /// The replica of a partition.
    pub fn partition(&self, id: PartitionId) -> Option<Arc<HostedPartition>> {
        self.partitions.read().expect("no holder panics").get(&id).cloned()
    }

    /// All replicas of partitions.
    pub fn partitions(&self) -> Vec<Arc<HostedPartition>> {
        self.partitions.read().expect("no holder panics").values().cloned().collect()
    }

    /// Adds a group.
    pub fn add_group(&self, group: Group) {
        self.groups.write().expect("no holder panics").insert(group.id(), group);
    }

    /// Adds a partition and its group.
    pub fn add_partition(&self, partition: Arc<HostedPartition>) {
        let id = partition.spec.partition;
        self.add_group(partition.group.clone());
        self.partitions.write().expect("no holder panics").insert(id, partition);
    }

    /// Takes a partition and its group out; they go on until they are shut down.
    pub fn take_partition(&self, id: PartitionId) -> Option<Arc<HostedPartition>> {
        self.groups.write().expect("no holder panics").remove(&GroupId::Partition(id));
        self.partitions.write().expect("no holder panics").remove(&id)
    }
}

//! Brings item requests to the replica that can answer them, on this node or another.
//!
//! # Invariants
//!
//! - A write is tried again only when it surely was not applied: never sent, refused before it
//!   entered a log, or fenced. Everything else that went wrong is `Unknown`.
//! - A request ends within [`REQUEST_LIMIT`].
//! - An eventually consistent read shows what was written through the same node before, unless the
//!   replica here stays behind.
//! - No request waits for a control group: the catalog is a local replica.

pub mod message;
mod pages;
mod serve;
mod written;

use crate::hosting::{HostedPartition, Hosting};
use crate::meters::bucket::Buckets;
use crate::pipeline::Refused;
use crate::room::Room;
use crate::transact::Tokens;
use bytes::Bytes;
use meridian_base::{NodeId, PartitionId, Position, TableId};
use meridian_control::region::{Catalog, PartitionRecord};
use meridian_partition::{Feed, Get};
use meridian_raft::rt;
use meridian_transport::{CallError, Kind, Peers};
use message::{Answered, Destination, ItemAnswer, ItemRequest, decode_answer, encode_request};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

pub use serve::RegionGate;

/// How long a request may look for a leader. Longer than an election, shorter than the time after
/// which the AWS SDKs give up.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// How long one node may take to answer.
const CALL_LIMIT: Duration = Duration::from_secs(2);
/// First pause before asking again; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(5);
/// Longest pause before asking again.
const PAUSE_MAX: Duration = Duration::from_millis(80);

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ItemError {
    /// Nobody could serve it in time; it was surely not applied.
    #[error("no replica could serve the request")]
    Unavailable,
    /// It may have been applied.
    #[error("the outcome is unknown")]
    Unknown,
    /// The table is gone.
    #[error("no such table")]
    NoTable,
    /// The leader is short of disk; it was surely not applied.
    #[error("the leader is short of disk")]
    NoRoom,
    /// A replica is broken.
    #[error("{0}")]
    Broken(String),
}

/// Item requests of a node.
pub struct Items {
    node: NodeId,
    hosting: Arc<Hosting>,
    peers: Peers,
    catalog: watch::Receiver<Arc<Catalog>>,
    hints: Mutex<BTreeMap<PartitionId, NodeId>>,
    /// How far the leaders of partitions were when they answered writes that went through this node.
    written: Mutex<BTreeMap<PartitionId, Position>>,
    gate: Arc<dyn RegionGate>,
    room: Arc<Room>,
    tokens: Tokens,
    buckets: Buckets,
}

/// What an attempt gave.
enum Attempt {
    Answered(ItemAnswer),
    /// Surely not applied; with who leads, where the refusing replica knew.
    Again(Option<NodeId>),
    /// Surely not applied, and the partition map has moved on.
    Moved,
    Failed(ItemError),
}

impl Items {
    /// Item requests over these groups and peers.
    pub fn new(
        node: NodeId,
        hosting: Arc<Hosting>,
        peers: Peers,
        catalog: watch::Receiver<Arc<Catalog>>,
        gate: Arc<dyn RegionGate>,
        room: Arc<Room>,
    ) -> Self {
        let (tokens, buckets) = (Tokens::default(), Buckets::default());
        let (hints, written) = (Mutex::default(), Mutex::default());
        Items { node, hosting, peers, catalog, hints, written, gate, room, tokens, buckets }
    }

    /// The catalog as this node knows it.
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.borrow())
    }

    /// Sends a request about one key to the leader of its partition.
    pub async fn at_key(
        &self,
        table: TableId,
        key: &[u8],
        request: &ItemRequest,
    ) -> Result<ItemAnswer, ItemError> {
        let find = |catalog: &Catalog| catalog.partition_at(table, key).cloned();
        self.to_leader(table, find, request).await
    }

    /// Sends a request to the leader of a partition.
    pub async fn at_partition(
        &self,
        table: TableId,
        partition: PartitionId,
        request: &ItemRequest,
    ) -> Result<ItemAnswer, ItemError> {
        let find = |catalog: &Catalog| catalog.partition(partition).cloned();
        self.to_leader(table, find, request).await
    }

    /// Brings entries of an index to the leader of a partition of it.
    pub async fn feed(
        &self,
        index: TableId,
        partition: PartitionId,
        feed: Feed,
    ) -> Result<(), ItemError> {
        match self.at_partition(index, partition, &ItemRequest::Feed(feed)).await? {
            ItemAnswer::Fed => Ok(()),
            other => Err(other.unexpected()),
        }
    }

    /// Sends a request to the leader of the partition that `find` names.
    async fn to_leader(
        &self,
        table: TableId,
        find: impl Fn(&Catalog) -> Option<Arc<PartitionRecord>>,
        request: &ItemRequest,
    ) -> Result<ItemAnswer, ItemError> {
        let deadline = rt::now() + REQUEST_LIMIT;
        let mut pause = PAUSE_MIN;
        let mut attempts = 0;
        loop {
            let catalog = self.catalog();
            let Some(partition) = find(&catalog) else {
                return Err(if catalog.table_by_id(table).is_some() {
                    ItemError::Unavailable
                } else {
                    ItemError::NoTable
                });
            };
            let target = self.leader_of(&partition, attempts);
            match self.attempt(target, &partition, request).await {
                Attempt::Answered(answer) => return Ok(answer),
                Attempt::Failed(error) => return Err(error),
                Attempt::Again(hint) => {
                    let news = self.learn(partition.id, target, hint);
                    if !news || attempts % 4 == 3 {
                        rt::sleep(pause).await;
                        pause = (pause * 2).min(PAUSE_MAX);
                    }
                }
                Attempt::Moved => {
                    rt::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
            attempts += 1;
            if rt::now() >= deadline {
                return Err(ItemError::Unavailable);
            }
        }
    }

    /// Who probably leads; with each failed attempt another replica is asked.
    fn leader_of(&self, partition: &PartitionRecord, attempts: usize) -> NodeId {
        if let Some(hosted) = self.hosting.partition(partition.id) {
            if hosted.group.leading().is_some() {
                return self.node;
            }
            if let Some(leader) = hosted.group.leader().filter(|l| *l != self.node && attempts < 4)
            {
                return leader;
            }
        }
        let hint = self.hints.lock().expect("no holder panics").get(&partition.id).copied();
        if let Some(leader) = hint {
            return leader;
        }
        let voters = &partition.replicas.voters;
        let first = partition.first_leader.and_then(|l| voters.iter().position(|v| *v == l));
        let at = first.unwrap_or(0) + attempts;
        voters.get(at % voters.len().max(1)).copied().unwrap_or(self.node)
    }

    /// Remembers who leads; true when that is somebody who was not just asked.
    fn learn(&self, partition: PartitionId, asked: NodeId, hint: Option<NodeId>) -> bool {
        let mut hints = self.hints.lock().expect("no holder panics");
        match hint.filter(|leader| *leader != asked) {
            Some(leader) => {
                hints.insert(partition, leader);
                true
            }
            None => {
                hints.remove(&partition);
                false
            }
        }
    }

    async fn attempt(
        &self,
        target: NodeId,
        partition: &PartitionRecord,
        request: &ItemRequest,
    ) -> Attempt {
        if target != self.node {
            return self.attempt_remote(target, partition.id, request).await;
        }
        let Some(hosted) = self.hosting.partition(partition.id) else {
            return Attempt::Again(None);
        };
        attempt_of(self.serve_here(&hosted, request.clone()).await)
    }

    async fn attempt_remote(
        &self,
        target: NodeId,
        partition: PartitionId,
        request: &ItemRequest,
    ) -> Attempt {
        let message = Bytes::from(encode_request(Destination::Partition(partition), request));
        match self.peers.call(target, Kind::Item, message, CALL_LIMIT).await {
            Ok(bytes) => match decode_answer(&bytes) {
                Ok(Answered { position, answer }) => {
                    if !request.reads() {
                        self.note_written(partition, position);
                    }
                    attempt_of(answer)
                }
                Err(_) if request.reads() => Attempt::Again(None),
                Err(_) => Attempt::Failed(ItemError::Unknown),
            },
            Err(CallError::NotSent) => Attempt::Again(None),
            Err(CallError::Unknown) if request.reads() => Attempt::Again(None),
            Err(CallError::Unknown) => Attempt::Failed(ItemError::Unknown),
            Err(CallError::Refused(_)) => Attempt::Again(None),
        }
    }

    /// Reads from any replica, this node's first.
    pub async fn read_anywhere(
        &self,
        table: TableId,
        key: &[u8],
        get: &Get,
    ) -> Result<ItemAnswer, ItemError> {
        let catalog = self.catalog();
        let Some(partition) = catalog.partition_at(table, key) else {
            return Err(ItemError::NoTable);
        };
        let request = ItemRequest::Get(get.clone(), false);
        self.anywhere(partition, &request).await
    }

    async fn anywhere(
        &self,
        partition: &PartitionRecord,
        request: &ItemRequest,
    ) -> Result<ItemAnswer, ItemError> {
        let deadline = rt::now() + REQUEST_LIMIT;
        let here = partition.replicas.voters.iter().position(|node| *node == self.node);
        let mut at = here.unwrap_or(0);
        if here.is_some() {
            self.catch_up(partition.id).await;
        }
        loop {
            let Some(target) =
                partition.replicas.voters.get(at % partition.replicas.voters.len().max(1))
            else {
                return Err(ItemError::Unavailable);
            };
            match self.attempt(*target, partition, request).await {
                Attempt::Answered(answer) => return Ok(answer),
                Attempt::Failed(error @ ItemError::NoTable) => return Err(error),
                Attempt::Failed(_) | Attempt::Again(_) | Attempt::Moved => {}
            }
            if rt::now() >= deadline {
                return Err(ItemError::Unavailable);
            }
            at += 1;
            if at % partition.replicas.voters.len().max(1) == 0 {
                rt::sleep(PAUSE_MIN).await;
            }
        }
    }
}

fn attempt_of(answer: Result<ItemAnswer, Refused>) -> Attempt {
    match answer {
        Ok(answer) => Attempt::Answered(answer),
        Err(Refused::NotLeader { hint }) => Attempt::Again(hint),
        Err(Refused::Retry | Refused::Held(_)) => Attempt::Again(None),
        Err(Refused::Elsewhere) => Attempt::Moved,
        Err(Refused::NoRoom) => Attempt::Failed(ItemError::NoRoom),
        Err(Refused::Unknown) => Attempt::Failed(ItemError::Unknown),
        Err(Refused::Broken(why)) => Attempt::Failed(ItemError::Broken(why)),
    }
}

/// Runs a request on a replica of this node.
async fn on_replica(hosted: &HostedPartition, request: ItemRequest) -> Result<ItemAnswer, Refused> {
    match request {
        ItemRequest::Write(write) => hosted.write(*write).await.map(ItemAnswer::Write),
        ItemRequest::Get(get, strong) => hosted.get(&get, strong).await.map(ItemAnswer::Get),
        ItemRequest::Page(page, strong) => hosted.page(&page, strong).await.map(ItemAnswer::Page),
        ItemRequest::Replicate(changes, late) => {
            hosted.replicate(changes, late).await.map(ItemAnswer::Replicate)
        }
        ItemRequest::Feed(feed) => hosted.feed(feed).await.map(|()| ItemAnswer::Fed),
        ItemRequest::Transact(step) => hosted.transact(*step).await.map(ItemAnswer::Transact),
        ItemRequest::Stamped(keys) => hosted.stamped(&keys).await.map(ItemAnswer::Stamped),
        ItemRequest::Changes(after, limit) => {
            hosted.changes(after, limit).await.map(ItemAnswer::Changes)
        }
        // Answered before it comes here.
        ItemRequest::Token(_) | ItemRequest::Lease(_) => Err(Refused::Retry),
    }
}

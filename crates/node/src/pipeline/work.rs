//! What a pipeline is asked to do, and how it says no.

use meridian_base::{Change, NodeId, Position, Received, RegionId, TableId, Version};
use meridian_control::region::TableRecord;
use meridian_control::table::IndexStatus;
use meridian_model::GlobalIndex;
use meridian_partition::header::{Freeze, Reader};
use meridian_partition::transact::{LeftBehind, Transact, TransactAnswer};
use meridian_partition::{
    Closed, ClosedCommits, Due, Evaluator, Feed, Replicated, Write, WriteOutcome,
};
use tokio::sync::oneshot;

/// Why a partition did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nothing was done: another replica leads, perhaps this one.
    #[error("not the leader")]
    NotLeader {
        /// Who leads, where it is known.
        hint: Option<NodeId>,
    },
    /// Nothing was done, and nothing will be: ask again.
    #[error("not applied; ask again")]
    Retry,
    /// The partition is frozen: the request belongs to another region.
    #[error("frozen for an evacuation")]
    Held(Freeze),
    /// The key is not in the partition's range.
    #[error("the key is in another partition")]
    Elsewhere,
    /// The leader is short of disk, and nobody else can lead: nothing was done.
    #[error("short of disk")]
    NoRoom,
    /// The write may be applied, now or later, or never.
    #[error("the outcome is unknown")]
    Unknown,
    /// The replica cannot serve: its engine failed, is damaged, or the disk is full.
    #[error("the replica cannot serve: {0}")]
    Broken(String),
}

/// What evaluating a write must know of its table and can change while it is open.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableSettings {
    /// The global indexes that it has or is getting, by the tables that keep their entries.
    pub indexes: Vec<(TableId, GlobalIndex)>,
    /// The attribute that says when an item expires.
    pub ttl: Option<String>,
}

impl TableSettings {
    /// Those of a table.
    pub fn of(table: &TableRecord) -> Self {
        let staying = table.indexes.iter().filter(|index| index.status != IndexStatus::Deleting);
        TableSettings {
            indexes: staying.map(|one| (one.id, one.definition.index.clone())).collect(),
            ttl: table.definition.ttl.clone(),
        }
    }

    /// Tells an evaluator.
    pub fn apply_to(self, evaluator: &mut Evaluator) {
        evaluator.set_global_indexes(self.indexes);
        evaluator.set_ttl(self.ttl);
    }
}

/// Where an answer goes.
pub type Reply<T> = oneshot::Sender<Result<T, Refused>>;

/// A decision that no client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Starts a change-log reader at the end of the log.
    StartReader(Reader),
    /// Moves a reader's cursor.
    Cursor(Reader, Position),
    /// Removes a reader.
    DropReader(Reader),
    /// Notes what an origin partition announced.
    Received(Received),
    /// Forgets what the partitions of a region announced.
    ForgetRegion(u16),
    /// Takes no more writes.
    Freeze {
        /// The evacuation's epoch.
        epoch: u64,
        /// Where writes go.
        target: RegionId,
    },
    /// Takes writes again.
    Thaw {
        /// The evacuation's epoch.
        epoch: u64,
    },
    /// Removes change records that every reader has read.
    Trim(Position),
    /// Takes away items that are due, as far as they say so.
    Expire(Vec<Due>),
    /// Keeps when these items expire.
    Schedule(Vec<Due>),
    /// Removes tombstones that are still the ones named.
    DropTombstones(Vec<(Vec<u8>, Version)>),
}

/// One request in a pipeline's queue.
pub enum Work {
    /// A client's write.
    Write(Box<Write>, Reply<WriteOutcome>),
    /// Changes of another region; `true` when its region was lost and sends late.
    Replicated(Vec<Change>, bool, Reply<Vec<Replicated>>),
    /// A step of a transaction.
    Transact(Box<Transact>, Reply<TransactAnswer>),
    /// What transactions have left behind since before a time, ms.
    LeftBehind(u64, Reply<LeftBehind>),
    /// Entries of a global index, for a partition of it.
    Feed(Feed, Reply<()>),
    /// Settings of the table have changed. Nobody waits, and every replica takes it.
    Settings(TableSettings),
    /// A decision that no client asks for; answers whether it changed anything.
    Order(Order, Reply<bool>),
    /// A closed version to announce.
    Close(Reply<Closed>),
    /// A closed commit time.
    CloseCommits(Reply<ClosedCommits>),
}

impl Work {
    /// True when nobody waits for the answer any more.
    pub(super) fn is_abandoned(&self) -> bool {
        match self {
            Work::Write(_, reply) => reply.is_closed(),
            Work::Replicated(_, _, reply) => reply.is_closed(),
            Work::Transact(_, reply) => reply.is_closed(),
            Work::LeftBehind(_, reply) => reply.is_closed(),
            Work::Feed(_, reply) => reply.is_closed(),
            Work::Settings(_) => false,
            Work::Order(_, reply) => reply.is_closed(),
            Work::Close(reply) => reply.is_closed(),
            Work::CloseCommits(reply) => reply.is_closed(),
        }
    }

    /// Answers with a refusal.
    pub(super) fn refuse(self, refused: Refused) {
        match self {
            Work::Write(_, reply) => drop(reply.send(Err(refused))),
            Work::Replicated(_, _, reply) => drop(reply.send(Err(refused))),
            Work::Transact(_, reply) => drop(reply.send(Err(refused))),
            Work::LeftBehind(_, reply) => drop(reply.send(Err(refused))),
            Work::Feed(_, reply) => drop(reply.send(Err(refused))),
            Work::Settings(_) => {}
            Work::Order(_, reply) => drop(reply.send(Err(refused))),
            Work::Close(reply) => drop(reply.send(Err(refused))),
            Work::CloseCommits(reply) => drop(reply.send(Err(refused))),
        }
    }
}

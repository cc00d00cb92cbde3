//! A partition as its Raft group runs it.
//!
//! # Invariants
//!
//! - Followers of the change log are told of a position only after the batch that holds it landed.

use bytes::Bytes;
use meridian_base::Position;
use meridian_partition::header::Marks;
use meridian_partition::replica::Payload;
use meridian_partition::{Entry, Header, LogPosition, PartitionError, PartitionReplica};
use meridian_raft::machine::{Applied, Committed, Content, MachineError, StateMachine};
use meridian_raft::rt;
use meridian_raft::snapshot::Chunks;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use tokio::sync::watch;

/// A partition's replica, shared between its state machine and whoever reads its header and marks.
#[derive(Clone)]
pub struct SharedReplica {
    replica: Arc<Mutex<PartitionReplica>>,
    shown: Arc<Mutex<Shown>>,
    position: Arc<watch::Sender<Position>>,
}

/// What was applied last, beside the replica: the engine may keep that one waiting.
struct Shown {
    header: Header,
    marks: Arc<Marks>,
}

impl Shown {
    fn of(replica: &PartitionReplica) -> Self {
        Shown { header: *replica.header(), marks: Arc::clone(replica.marks()) }
    }
}

impl SharedReplica {
    /// Shares a replica.
    pub fn new(replica: PartitionReplica) -> Self {
        let position = watch::Sender::new(replica.header().position);
        let shown = Arc::new(Mutex::new(Shown::of(&replica)));
        SharedReplica {
            replica: Arc::new(Mutex::new(replica)),
            shown,
            position: Arc::new(position),
        }
    }

    /// The replica; held as long as it applies, which the engine may draw out.
    pub fn lock(&self) -> MutexGuard<'_, PartitionReplica> {
        self.replica.lock().expect("a panic while applying stops the process")
    }

    /// Looks at the replica: at once, or on a thread that may wait while it applies.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&PartitionReplica) -> T + Send + 'static,
    ) -> T {
        match self.replica.try_lock() {
            Ok(replica) => return look(&replica),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Poisoned(_)) => panic!("a panic while applying stops the process"),
        }
        let shared = self.clone();
        rt::blocking(move || look(&shared.lock())).await
    }

    /// The header as of the entries applied last.
    pub fn header(&self) -> Header {
        self.shown().header
    }

    /// The marks as of the entries applied last.
    pub fn marks(&self) -> Arc<Marks> {
        Arc::clone(&self.shown().marks)
    }

    /// Both, of one moment.
    pub fn state(&self) -> (Header, Arc<Marks>) {
        let shown = self.shown();
        (shown.header, Arc::clone(&shown.marks))
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().expect("no holder panics")
    }

    /// Follows the end of the change log.
    pub fn position(&self) -> watch::Receiver<Position> {
        self.position.subscribe()
    }

    /// Shows what a replica holds now, which landed before.
    fn show(&self, shown: Shown) {
        let position = shown.header.position;
        *self.shown() = shown;
        self.position.send_if_modified(|told| {
            let news = *told != position;
            *told = position;
            news
        });
    }
}

/// The state machine of a partition group.
pub struct PartitionMachine {
    shared: SharedReplica,
}

impl PartitionMachine {
    /// Drives a shared replica.
    pub fn new(shared: SharedReplica) -> Self {
        PartitionMachine { shared }
    }
}

fn stopped(error: PartitionError) -> MachineError {
    MachineError(error.to_string())
}

fn entry(committed: &Committed) -> Entry<'_> {
    let payload = match &committed.content {
        Content::Blank => Payload::Blank,
        Content::Command(bytes) => Payload::Command(bytes),
        Content::Members(bytes) => Payload::Membership(bytes),
    };
    Entry { at: LogPosition { term: committed.term, index: committed.index }, payload }
}

impl StateMachine for PartitionMachine {
    fn applied(&self) -> Applied {
        let replica = self.shared.lock();
        Applied {
            at: replica.applied().map(|at| (at.term, at.index)),
            members: replica.membership().unwrap_or_default().to_vec(),
        }
    }

    fn apply(&mut self, entries: &[Committed]) -> Result<Vec<Vec<u8>>, MachineError> {
        let entries: Vec<Entry<'_>> = entries.iter().map(entry).collect();
        let (outcomes, shown) = {
            let mut replica = self.shared.lock();
            let outcomes = replica.apply(&entries).map_err(stopped)?;
            (outcomes, Shown::of(&replica))
        };
        self.shared.show(shown);
        Ok(outcomes.into_iter().map(|outcome| vec![outcome.to_u8()]).collect())
    }

    fn persist(&self) -> Box<dyn FnOnce() -> Result<(), MachineError> + Send> {
        let engine = Arc::clone(self.shared.lock().engine());
        Box::new(move || engine.persist().map_err(|e| MachineError(e.to_string())))
    }

    fn chunks(&self) -> Result<Chunks, MachineError> {
        let mut reader = self.shared.lock().snapshot().map_err(stopped)?;
        let next = move || reader.next_chunk().transpose();
        let chunks = std::iter::from_fn(next);
        Ok(Box::new(chunks.map(|chunk| chunk.map(Bytes::from).map_err(io::Error::other))))
    }

    fn install(&mut self, chunks: Chunks, _applied: &Applied) -> Result<(), MachineError> {
        let shown = {
            let mut replica = self.shared.lock();
            replica.install_begin().map_err(stopped)?;
            for chunk in chunks {
                let chunk = chunk.map_err(|e| MachineError(e.to_string()))?;
                replica.install_chunk(&chunk).map_err(stopped)?;
            }
            replica.install_end().map_err(stopped)?;
            Shown::of(&replica)
        };
        self.shared.show(shown);
        Ok(())
    }
}

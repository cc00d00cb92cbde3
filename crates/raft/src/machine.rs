//! State machines as groups run them, and the adapter that openraft drives.
//!
//! # Invariants
//!
//! - The applied position is stored in the batch of the entries that it covers.
//! - A snapshot covers exactly the applied position that its head names.
//!
//! Tested by the group tests and every simulation seed.

use crate::codec::{get_stored_membership, put_stored_membership};
use crate::rt;
use crate::snapshot::{Chunks, GroupSnapshot, SnapshotData};
use crate::types::{Answer, Config, LogId, Payload, SnapshotMeta, StoredMembership, log_id};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use meridian_base::LogIndex;
use meridian_base::codec::Reader;
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

/// Entries applied in one batch.
const APPLY_ENTRIES_MAX: usize = 256;

/// An entry that a quorum has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Its log index.
    pub index: LogIndex,
    /// Its term.
    pub term: u64,
    /// What it holds.
    pub content: Content,
}

/// What a committed entry holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Nothing: a new leader's first entry.
    Blank,
    /// What was proposed.
    Command(Bytes),
    /// The group's members from here on, in this crate's encoding.
    Members(Vec<u8>),
}

/// How far a state machine is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// Term and log index of the last applied entry.
    pub at: Option<(u64, LogIndex)>,
    /// The last [`Content::Members`] applied; empty before the first.
    pub members: Vec<u8>,
}

impl Applied {
    /// Notes that an entry was applied.
    pub fn advance(&mut self, entry: &Committed) {
        self.at = Some((entry.term, entry.index));
        if let Content::Members(members) = &entry.content {
            self.members = members.clone();
        }
    }

    fn decode(&self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let at = self.at.map(|(term, index)| log_id(term, index.0));
        if self.members.is_empty() {
            return Ok((at, StoredMembership::default()));
        }
        let members = get_stored_membership(&mut Reader::new(&self.members));
        Ok((at, members.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?))
    }

    pub(crate) fn of(meta: &SnapshotMeta) -> Applied {
        let at = meta.last_log_id.map(|id| (id.committed_leader_id().term, LogIndex(id.index)));
        Applied { at, members: encode_members(&meta.last_membership) }
    }
}

fn encode_members(stored: &StoredMembership) -> Vec<u8> {
    let mut members = Vec::new();
    put_stored_membership(&mut members, stored);
    members
}

/// Why a state machine stopped: its engine failed or is damaged. The text names what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MachineError(pub String);

/// What a group replicates.
///
/// Applying cannot be refused: an error means that the engine failed or is damaged, and stops the
/// replica. It runs on a thread that may wait, because engines make writers wait: the threads that
/// serve heartbeats must not.
pub trait StateMachine: Send + 'static {
    /// How far it is.
    fn applied(&self) -> Applied;

    /// Applies entries in order and answers each. Entry and position are stored together.
    fn apply(&mut self, entries: &[Committed]) -> Result<Vec<Vec<u8>>, MachineError>;

    /// Returns a function that makes everything applied so far durable; it may block.
    fn persist(&self) -> Box<dyn FnOnce() -> Result<(), MachineError> + Send>;

    /// Opens a view of this moment and streams it.
    fn chunks(&self) -> Result<Chunks, MachineError>;

    /// Replaces everything by a peer's snapshot that covers `applied`.
    fn install(&mut self, chunks: Chunks, applied: &Applied) -> Result<(), MachineError>;
}

/// The adapter: one per replica, shared with its snapshot builder.
#[derive(Clone)]
pub struct Machine {
    inner: Arc<Mutex<Box<dyn StateMachine>>>,
}

fn io_error(error: MachineError) -> io::Error {
    io::Error::other(error)
}

impl Machine {
    /// Wraps a state machine.
    pub fn new(inner: Box<dyn StateMachine>) -> Self {
        Machine { inner: Arc::new(Mutex::new(inner)) }
    }

    fn lock(&self) -> MutexGuard<'_, Box<dyn StateMachine>> {
        self.inner.lock().expect("a panic while applying stops the process")
    }

    /// What was applied, and the membership at that point.
    pub fn position(&self) -> io::Result<(Option<LogId>, StoredMembership)> {
        self.lock().applied().decode()
    }

    fn apply_batch(&self, batch: Vec<EntryResponder<Config>>) -> io::Result<()> {
        let mut entries = Vec::with_capacity(batch.len());
        let mut responders = Vec::with_capacity(batch.len());
        for (entry, responder) in batch {
            let content = match entry.payload {
                EntryPayload::Blank => Content::Blank,
                EntryPayload::Normal(Payload(bytes)) => Content::Command(bytes),
                EntryPayload::Membership(m) => {
                    let stored = StoredMembership::new(Some(entry.log_id), m);
                    Content::Members(encode_members(&stored))
                }
            };
            let term = entry.log_id.committed_leader_id().term;
            entries.push(Committed { index: LogIndex(entry.log_id.index), term, content });
            responders.push(responder);
        }
        let answers = self.lock().apply(&entries).map_err(io_error)?;
        debug_assert_eq!(answers.len(), responders.len());
        for (answer, responder) in answers.into_iter().zip(responders) {
            if let Some(responder) = responder {
                responder.send(Answer(answer));
            }
        }
        Ok(())
    }

    fn current(&self) -> io::Result<Option<GroupSnapshot>> {
        let machine = self.lock();
        let (last_log_id, last_membership) = machine.applied().decode()?;
        if last_log_id.is_none() {
            return Ok(None);
        }
        let chunks = machine.chunks().map_err(io_error)?;
        let meta = SnapshotMeta { last_log_id, last_membership };
        Ok(Some(GroupSnapshot { meta, snapshot: SnapshotData::new(chunks) }))
    }
}

impl RaftStateMachine<Config> for Machine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Machine;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        self.position()
    }

    async fn apply<S>(&mut self, entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Config>, io::Error>> + Unpin + OptionalSend,
    {
        let mut batches = entries.ready_chunks(APPLY_ENTRIES_MAX);
        while let Some(batch) = batches.next().await {
            let batch = batch.into_iter().collect::<Result<_, _>>()?;
            let machine = self.clone();
            rt::blocking(move || machine.apply_batch(batch)).await?;
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Machine {
        self.clone()
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotData,
    ) -> Result<(), io::Error> {
        let applied = Applied::of(meta);
        let machine = self.clone();
        rt::blocking(move || {
            let chunks = snapshot.take();
            let mut inner = machine.lock();
            inner.install(chunks, &applied)?;
            inner.persist()()
        })
        .await
        .map_err(io_error)
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<GroupSnapshot>, io::Error> {
        self.current()
    }
}

impl RaftSnapshotBuilder<Config> for Machine {
    type SnapshotData = SnapshotData;

    /// Makes the engine durable; the snapshot itself is a view that streams when it is asked for.
    async fn build_snapshot(&mut self) -> Result<GroupSnapshot, io::Error> {
        let machine = self.clone();
        let snapshot = rt::blocking(move || {
            let snapshot = machine.current()?;
            // Not locked meanwhile: entries are applied while it persists.
            let persist = machine.lock().persist();
            persist().map_err(io_error)?;
            Ok::<_, io::Error>(snapshot)
        });
        let snapshot = snapshot.await?;
        snapshot.ok_or_else(|| io::Error::other("nothing was applied that a snapshot could cover"))
    }
}

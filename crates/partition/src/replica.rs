//! One member's copy of a partition: the engine's keys of it, its header, and applying.
//!
//! # Invariants
//!
//! - `applied` grows by exactly one log index per entry, in the batch that holds its effects.
//! - A command that the fence refuses changes nothing but `applied`.
//! - An unfinished install or removal is noticed at the next open.
//!
//! Tested by `replica/tests.rs` (fence, equal bytes, installs cut short) and by every simulation.

mod apply;
mod install;
#[cfg(test)]
mod tests;

use crate::header::{Header, LogPosition, Marks};
use crate::layout::{self, PartitionSpec};
use crate::{PartitionError, SnapshotReader};
pub(crate) use apply::TRIM_MAX;
use install::Installing;
use meridian_base::Position;
use meridian_storage::{Control, Engine, View};
use std::sync::Arc;
use xxhash_rust::xxh64::Xxh64;

/// One committed log entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its log id.
    pub at: LogPosition,
    /// Its content.
    pub payload: Payload<'a>,
}

/// The content of a log entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload<'a> {
    /// Nothing: a new leader's first entry.
    Blank,
    /// An encoded [`crate::Command`].
    Command(&'a [u8]),
    /// The group's new membership, in the caller's encoding, with its log id inside.
    Membership(&'a [u8]),
}

/// What applying an entry did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApplyOutcome {
    /// Not a command.
    Blank,
    /// The batch, or the `Begin`, was applied.
    Accepted,
    /// It was not the successor of the last accepted one: nothing changed. Its clients are retried.
    Fenced,
}

impl ApplyOutcome {
    /// The sent form.
    pub fn to_u8(self) -> u8 {
        match self {
            ApplyOutcome::Blank => 0,
            ApplyOutcome::Accepted => 1,
            ApplyOutcome::Fenced => 2,
        }
    }

    /// Reads the sent form.
    pub fn from_u8(raw: u8) -> Option<Self> {
        match raw {
            0 => Some(ApplyOutcome::Blank),
            1 => Some(ApplyOutcome::Accepted),
            2 => Some(ApplyOutcome::Fenced),
            _ => None,
        }
    }
}

/// One member's copy of a partition.
pub struct PartitionReplica {
    engine: Arc<dyn Engine>,
    spec: PartitionSpec,
    header: Header,
    marks: Arc<Marks>,
    membership: Option<Vec<u8>>,
    /// The position of the last delete that was applied; that of the last change, when opened.
    last_delete: Position,
    installing: Option<Installing>,
}

impl PartitionReplica {
    /// Opens the copy that the engine holds; an empty one when it holds none. A partition without
    /// header is new: items in its range are of an earlier partition of the table (a replica region
    /// that was removed and added again keeps its table id) and are removed.
    ///
    /// # Errors
    ///
    /// [`PartitionError::Installing`] when an install or a removal was cut short: open with
    /// [`PartitionReplica::for_install`] and install a snapshot, or destroy it.
    pub fn open(engine: Arc<dyn Engine>, spec: PartitionSpec) -> Result<Self, PartitionError> {
        if engine.get(&layout::installing_key(spec.partition))?.is_some() {
            return Err(PartitionError::Installing(spec.partition));
        }
        let known = engine.get(&layout::header_key(spec.partition))?.is_some();
        let mut replica = PartitionReplica::for_install(engine, spec);
        if known {
            replica.reload()?;
        } else if replica.holds_anything()? {
            replica.remove_all()?;
        }
        Ok(replica)
    }

    /// As [`PartitionReplica::open`]; a copy whose install or removal was cut short is emptied, so
    /// that the log, or a peer where the log does not reach back, can fill it again.
    pub fn open_or_empty(
        engine: Arc<dyn Engine>,
        spec: PartitionSpec,
    ) -> Result<Self, PartitionError> {
        match PartitionReplica::open(Arc::clone(&engine), spec.clone()) {
            Err(PartitionError::Installing(_)) => {
                PartitionReplica::for_install(Arc::clone(&engine), spec.clone()).destroy()?;
                PartitionReplica::open(engine, spec)
            }
            opened => opened,
        }
    }

    /// A copy that reads nothing of what the engine holds: to install a snapshot, or to destroy.
    pub fn for_install(engine: Arc<dyn Engine>, spec: PartitionSpec) -> Self {
        PartitionReplica {
            engine,
            spec,
            header: Header::default(),
            marks: Arc::default(),
            membership: None,
            last_delete: Position(0),
            installing: None,
        }
    }

    fn reload(&mut self) -> Result<(), PartitionError> {
        let engine = self.engine.as_ref();
        self.header = Header::load(engine, &self.spec)?;
        self.last_delete = self.header.position;
        self.marks = Arc::new(Marks::load(engine, &self.spec)?);
        self.membership = engine.get(&layout::membership_key(self.spec.partition))?;
        Ok(())
    }

    /// What the partition is.
    pub fn spec(&self) -> &PartitionSpec {
        &self.spec
    }

    /// The engine that holds it.
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    /// The last log entry applied; none before the first.
    pub fn applied(&self) -> Option<LogPosition> {
        self.header.applied
    }

    /// The membership applied last, in the caller's encoding.
    pub fn membership(&self) -> Option<&[u8]> {
        self.membership.as_deref()
    }

    /// The header as of the last entry applied.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The marks as of the last entry applied.
    pub fn marks(&self) -> &Arc<Marks> {
        &self.marks
    }

    /// At least the position of the last delete: an item that is not there now was not there at any
    /// time since this value was the same.
    pub fn last_delete(&self) -> Position {
        self.last_delete
    }

    /// Returns when everything applied so far is on disk.
    pub fn persist(&self) -> Result<(), PartitionError> {
        Ok(self.engine.persist()?)
    }

    /// Opens a snapshot of this moment.
    pub fn snapshot(&self) -> Result<SnapshotReader, PartitionError> {
        SnapshotReader::open(self.engine.view()?, &self.spec)
    }

    /// A hash of the items, the tombstones and the header: equal on replicas at one log index.
    pub fn state_hash(&self) -> Result<u64, PartitionError> {
        state_hash(self.engine.view()?.as_ref(), &self.spec)
    }
}

/// Hashes a partition's items, tombstones, entries of local indexes, transactions, expiries, marks and
/// header in a view.
pub fn state_hash(view: &dyn View, spec: &PartitionSpec) -> Result<u64, PartitionError> {
    let mut hasher = Xxh64::new(0);
    let own = [
        layout::decisions(spec.partition),
        layout::intents(spec.partition),
        layout::expiries(spec.partition, None),
    ];
    for range in layout::table_ranges(spec).into_iter().chain(own) {
        view.scan(range, &mut |key, value| {
            for part in [key, value] {
                hasher.update(&(part.len() as u64).to_be_bytes());
                hasher.update(part);
            }
            Control::Continue(())
        })?;
    }
    for key in [layout::marks_key(spec.partition), layout::header_key(spec.partition)] {
        hasher.update(&view.get(&key)?.unwrap_or_default());
    }
    Ok(hasher.digest())
}

//! Turns requests into decisions: the leader's half of a partition.
//!
//! Requests are evaluated one after the other against the engine and, before it, the overlay of
//! decided but unapplied mutations. The decisions of one drain are sealed into one command.
//!
//! # Invariants
//!
//! - Versions stamped here grow strictly, and exceed the clock, the item's stored version, every
//!   version applied here, the `Begin` floor and every closed version announced.
//! - An answer names the last decision that it depends on; it may leave only when that decision is
//!   applied (and, if it writes nothing, leadership was confirmed after the request arrived).
//! - A closed version is never above an own write that is not applied, nor above both the clock
//!   and every version applied: a successor's floor can exceed it.
//! - Commit times never fall within a partition, whoever leads, but for the writes of transactions
//!   over several partitions, which have one time for all; those of one item never fall. None is given
//!   out at or below one that was closed.
//!
//! Tested by `evaluator/tests.rs`, against a naive model, with applied and dropped decisions.

mod expiry;
mod notes;
mod overlay;
mod replicated;
mod stored;
#[cfg(test)]
mod tests;
mod transact;
mod write;

pub use expiry::{Due, due_items, due_s, unscheduled};
pub use replicated::{Outcome as ReplicatedOutcome, Replicated};

use crate::PartitionError;
use crate::command::{Batch, Command, ItemMutation, Mutation};
use crate::header::{Freeze, Header, Marks};
use crate::layout::{self, PartitionSpec};
use crate::record::ItemState;
use meridian_base::{Hlc, Incarnation, Position, Sequence, TableId, Version};
use meridian_model::{GlobalIndex, SecondaryIndex};
use meridian_storage::{Control, Engine};
use overlay::Overlay;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use stored::Ceiling;
use transact::Transactions;

/// What evaluating a request gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evaluated<T> {
    /// A decision to write: answered when the sequence is applied and accepted. When it is fenced,
    /// the request is evaluated again by the next incarnation.
    Write {
        /// The answer.
        outcome: T,
        /// The sequence that carries the decision.
        sequence: Sequence,
    },
    /// Nothing to write: a read. Answered when leadership was confirmed at or after the arrival
    /// and, if there is one, that sequence is applied and accepted.
    Answer {
        /// The answer.
        outcome: T,
        /// The last decision that the answer depends on.
        after: Option<Sequence>,
    },
    /// The partition is frozen: the request belongs to the target region.
    Held(Freeze),
    /// The key is not in this partition's range: the sender's partition map is stale.
    Elsewhere,
    /// A transaction holds what it is about, or the partition waits for transactions to end: nothing
    /// was decided of it that may not be decided again. Ask again.
    Busy,
}

/// A sealed drain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Its sequence.
    pub sequence: Sequence,
    /// The encoded [`Command::Batch`], to be proposed.
    pub command: Vec<u8>,
}

/// A closed version: no write of this partition at or below it is missing from the change log
/// up to the position, and none will follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// The version, W.
    pub version: Hlc,
    /// A receiver that has everything up to here may be told W.
    pub position: Position,
}

/// A closed commit time: what was committed at or before it is applied, and stands in the change log
/// up to the position; nothing more will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClosedCommits {
    /// The time, ms since the epoch.
    pub commit_ms: u64,
    /// The position of the last change of that time or before.
    pub position: Position,
}

/// The evaluator of one partition. Belongs to the pipeline task of the leader.
pub struct Evaluator {
    engine: Arc<dyn Engine>,
    spec: PartitionSpec,
    /// The table's global indexes, by the tables that keep their entries.
    global: Vec<(TableId, GlobalIndex)>,
    /// The attribute that says when an item expires, where time to live is on.
    ttl: Option<String>,
    incarnation: Incarnation,
    /// The sequence of the open drain.
    sequence: Sequence,
    /// At least every version stamped, applied or promised.
    last: Hlc,
    /// At least every version applied; at most what a successor reads in the header.
    last_applied: Hlc,
    /// The position that the last evaluated item mutation will have.
    position: Position,
    /// That of the last write of this region.
    own_position: Position,
    marks: Marks,
    /// At least every commit time given out; more than every one promised to be over.
    commit_ms: u64,
    /// That of the last sealed drain.
    sealed: Position,
    parked: BTreeSet<(Version, Vec<u8>)>,
    overlay: Overlay,
    ceiling: Ceiling,
    transactions: Transactions,
    open: Vec<Mutation>,
    open_bytes: usize,
    open_first: Option<(Hlc, Position)>,
    /// The earliest commit time of a transaction's write in the open drain, ms.
    open_transacted_ms: Option<u64>,
    in_flight: VecDeque<Flight>,
}

/// A sealed drain that is not applied yet.
struct Flight {
    sequence: Sequence,
    /// Version and position of its first write of this region.
    first: Option<(Hlc, Position)>,
    last: Hlc,
    /// The earliest commit time in it, ms.
    earliest_ms: u64,
    /// The last position of the drain before it.
    before: Position,
}

impl Evaluator {
    /// An evaluator that has no incarnation yet: [`Evaluator::reset`] comes before all else.
    pub fn new(engine: Arc<dyn Engine>, spec: PartitionSpec) -> Self {
        Evaluator {
            engine,
            global: Vec::new(),
            ttl: None,
            spec,
            incarnation: Incarnation(0),
            sequence: Sequence(1),
            last: Hlc(0),
            last_applied: Hlc(0),
            position: Position(0),
            own_position: Position(0),
            marks: Marks::default(),
            commit_ms: 0,
            sealed: Position(0),
            parked: BTreeSet::new(),
            overlay: Overlay::default(),
            ceiling: Ceiling::default(),
            transactions: Transactions::default(),
            open: Vec::new(),
            open_bytes: 0,
            open_first: None,
            open_transacted_ms: None,
            in_flight: VecDeque::new(),
        }
    }

    /// What the partition is.
    pub fn spec(&self) -> &PartitionSpec {
        &self.spec
    }

    /// Sets the global indexes whose keys writes are checked against and of which they tell the cost.
    pub fn set_global_indexes(&mut self, global: Vec<(TableId, GlobalIndex)>) {
        self.global = global;
    }

    /// Sets the attribute that says when an item expires; none turns time to live off.
    pub fn set_ttl(&mut self, attribute: Option<String>) {
        self.ttl = attribute;
    }

    /// Whether the change log gets old images: whoever moves index entries needs them.
    fn keeps_old(&self) -> bool {
        !self.spec.local.is_empty() || self.marks.needs_old_images()
    }

    /// Whether a write must know the whole item before and after.
    fn needs_items(&self) -> bool {
        !self.spec.local.is_empty() || !self.global.is_empty() || self.ttl.is_some()
    }

    /// The table's indexes, local ones first.
    fn indexes(&self) -> impl Iterator<Item = &dyn SecondaryIndex> {
        let local = self.spec.local.iter().map(|index| index as &dyn SecondaryIndex);
        local.chain(self.global.iter().map(|(_, index)| index as &dyn SecondaryIndex))
    }

    /// Starts over for an incarnation whose `Begin` with this floor was applied and accepted. All
    /// decisions that were not applied are forgotten.
    ///
    /// # Errors
    ///
    /// [`PartitionError::Incarnation`] when the engine is not at that incarnation: a later one has
    /// begun, and this pipeline has lost.
    pub fn reset(&mut self, incarnation: Incarnation, floor: Hlc) -> Result<(), PartitionError> {
        let header = Header::load(self.engine.as_ref(), &self.spec)?;
        if header.incarnation != incarnation {
            let (asked, stored) = (incarnation.0, header.incarnation.0);
            return Err(PartitionError::Incarnation { asked, stored });
        }
        self.incarnation = incarnation;
        self.sequence = Sequence(header.sequence.0.saturating_add(1));
        self.last = header.last.max(floor);
        self.last_applied = header.last;
        self.position = header.position;
        self.own_position = header.position;
        self.marks = Marks::load(self.engine.as_ref(), &self.spec)?;
        self.commit_ms = header.committed_ms;
        self.sealed = header.position;
        self.parked = self.load_parked()?;
        self.overlay = Overlay::default();
        self.ceiling = Ceiling::default();
        self.transactions = self.load_transactions()?;
        self.open.clear();
        self.open_bytes = 0;
        self.open_first = None;
        self.open_transacted_ms = None;
        self.in_flight.clear();
        Ok(())
    }

    /// How many mutations the open drain holds.
    pub fn open_len(&self) -> usize {
        self.open.len()
    }

    /// About how many bytes the open drain's command will have.
    pub fn open_bytes(&self) -> usize {
        self.open_bytes
    }

    /// The sequence that the open drain will have.
    pub fn open_sequence(&self) -> Sequence {
        self.sequence
    }

    /// The newest decision that is not applied: what an answer about the state as decided, such as
    /// "the reader reads already", depends on. None when all is applied.
    pub fn pending(&self) -> Option<Sequence> {
        if !self.open.is_empty() {
            return Some(self.sequence);
        }
        self.in_flight.back().map(|flight| flight.sequence)
    }

    /// The freeze, as of the last request evaluated.
    pub fn freeze(&self) -> Option<Freeze> {
        self.marks.freeze
    }

    /// The marks, as of the last request evaluated.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// Closes the open drain, with a commit time that is not before the last one; none when it
    /// decided nothing.
    pub fn seal(&mut self, now_ms: u64) -> Option<Sealed> {
        if self.open.is_empty() {
            return None;
        }
        let commit_ms = self.commit_now(now_ms);
        let transacted_ms = self.open_transacted_ms.take();
        let earliest_ms = transacted_ms.map_or(commit_ms, |ms| ms.min(commit_ms));
        let sequence = self.sequence;
        let mutations = std::mem::take(&mut self.open);
        self.open_bytes = 0;
        let first = self.open_first.take();
        let (last, before) = (self.last, self.sealed);
        self.sealed = self.position;
        self.in_flight.push_back(Flight { sequence, first, last, earliest_ms, before });
        self.sequence = Sequence(sequence.0.saturating_add(1));
        let batch = Batch { incarnation: self.incarnation, sequence, commit_ms, mutations };
        Some(Sealed { sequence, command: Command::Batch(batch).encode() })
    }

    /// Notes that a sequence, and with it all before, was applied and accepted.
    pub fn applied(&mut self, sequence: Sequence) {
        while self.in_flight.front().is_some_and(|flight| flight.sequence <= sequence)
            && let Some(flight) = self.in_flight.pop_front()
        {
            self.last_applied = self.last_applied.max(flight.last);
        }
        self.overlay.applied(sequence);
        self.transactions.applied(sequence);
    }

    /// Promises that no write at or below the version given will follow.
    ///
    /// The promise holds against the partition's next leader only if this node is still its leader
    /// after `now_ms` was read: confirm leadership before announcing it.
    pub fn close(&mut self, now_ms: u64) -> Closed {
        let open = self.open_first;
        let first = self.in_flight.iter().find_map(|flight| flight.first).or(open);
        let safe = self.last_applied.max(Hlc::from_ms(now_ms));
        match first {
            Some((version, position)) => Closed {
                version: Hlc(version.0.saturating_sub(1)).min(safe),
                position: Position(position.0.saturating_sub(1)),
            },
            None => {
                self.last = self.last.max(safe);
                Closed { version: safe, position: self.own_position }
            }
        }
    }

    /// A commit time for what is decided now: not before any that was given out, behind every one
    /// that was closed.
    fn commit_now(&mut self, now_ms: u64) -> u64 {
        self.commit_ms = self.commit_ms.max(now_ms);
        self.commit_ms
    }

    /// Promises that nothing will be committed at or before a time: `at_ms`, or one before what is
    /// under way or held by a transaction. `at_ms` lies so far back that no leader's clock, now or later, shows it. As with
    /// [`Evaluator::close`], confirm leadership before relying on the promise.
    pub fn close_commits(&mut self, at_ms: u64) -> ClosedCommits {
        self.commit_ms = self.commit_ms.max(at_ms.saturating_add(1));
        let under_way = self.in_flight.iter().map(|flight| flight.earliest_ms);
        let under_way = under_way.chain(self.open_transacted_ms);
        let under_way = under_way.chain(self.transactions.held_since_ms()).min();
        ClosedCommits {
            commit_ms: under_way.map_or(at_ms, |ms| at_ms.min(ms.saturating_sub(1))),
            position: self.in_flight.front().map_or(self.sealed, |first| first.before),
        }
    }

    /// Adds an item mutation to the open drain and to the overlay.
    pub(crate) fn decide(&mut self, item: ItemMutation) -> Sequence {
        self.position = self.position.next();
        self.last = self.last.max(item.version.hlc);
        if item.origin.is_none() {
            self.own_position = self.position;
            self.open_first.get_or_insert((item.version.hlc, self.position));
        }
        if let Some(ms) = item.transacted_ms {
            self.open_transacted_ms =
                Some(self.open_transacted_ms.map_or(ms, |least| least.min(ms)));
        }
        let state = ItemState {
            version: item.version,
            base: item.base.clone(),
            image: item.image.clone(),
            bytes: item.bytes,
        };
        self.ceiling.raise(&item.key);
        self.overlay.put(item.key.clone(), self.sequence, state);
        let images =
            item.image.as_ref().map_or(0, Vec::len) + item.old.as_ref().map_or(0, Vec::len);
        self.push(Mutation::Item(item), images)
    }

    fn push(&mut self, mutation: Mutation, bytes: usize) -> Sequence {
        self.open_bytes = self.open_bytes.saturating_add(bytes).saturating_add(64);
        self.open.push(mutation);
        self.sequence
    }

    /// The version of a write over `stored`.
    fn stamp(&self, stored: Option<&ItemState>, now_ms: u64) -> Version {
        let floor = stored.map_or(self.last, |state| self.last.max(state.version.hlc));
        Version { hlc: Hlc::next(floor, now_ms), region: self.spec.region }
    }

    fn load_parked(&self) -> Result<BTreeSet<(Version, Vec<u8>)>, PartitionError> {
        let (mut parked, mut damage) = (BTreeSet::new(), None);
        self.engine.scan(layout::parked(self.spec.partition), &mut |_, value| {
            match crate::record::ParkedChange::decode(value) {
                Ok(found) => {
                    parked.insert((found.change.version, found.change.key));
                    Control::Continue(())
                }
                Err(source) => {
                    damage = Some(source);
                    Control::Break(())
                }
            }
        })?;
        match damage {
            Some(source) => Err(PartitionError::Corrupt { what: "parked change", source }),
            None => Ok(parked),
        }
    }
}

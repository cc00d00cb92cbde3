//! The partition's state machine with a recorder around it, and the fence by term only.
//!
//! # Invariants
//!
//! - The recorder sees entries as they were committed; the planted bug changes only what the
//!   replica is given.

use crate::bug::Bug;
use crate::dice::Dice;
use crate::recorder::Recorder;
use bytes::Bytes;
use meridian_base::{LogIndex, NodeId, Sequence};
use meridian_node::partition_machine::{PartitionMachine, SharedReplica};
use meridian_partition::{ApplyOutcome, Command};
use meridian_raft::machine::{Applied, Committed, Content, MachineError, StateMachine};
use meridian_raft::snapshot::Chunks;
use std::sync::Arc;

/// A partition's state machine that tells what it applies.
pub struct RecordedMachine {
    inner: PartitionMachine,
    replica: SharedReplica,
    node: NodeId,
    recorder: Arc<Recorder>,
    dice: Dice,
    bug: Option<Bug>,
}

impl RecordedMachine {
    /// Records what a replica applies.
    pub fn new(
        replica: SharedReplica,
        node: NodeId,
        recorder: Arc<Recorder>,
        dice: Dice,
        bug: Option<Bug>,
    ) -> Self {
        let inner = PartitionMachine::new(replica.clone());
        RecordedMachine { inner, replica, node, recorder, dice, bug }
    }

    /// Applies entries in one engine batch and records them.
    fn apply_some(&mut self, entries: &[Committed]) -> Result<Vec<Vec<u8>>, MachineError> {
        let answers = match self.bug {
            Some(Bug::FenceByTerm) => self.inner.apply(&self.without_sequence(entries))?,
            Some(Bug::AckBeforeQuorum | Bug::AckBeforeFsync | Bug::AnswersAtOnce) | None => {
                self.inner.apply(entries)?
            }
        };
        let outcome = |answer: &Vec<u8>| answer.first().copied().and_then(ApplyOutcome::from_u8);
        let outcomes: Option<Vec<ApplyOutcome>> = answers.iter().map(outcome).collect();
        let outcomes = outcomes.ok_or_else(|| MachineError("an answer that is none".into()))?;
        self.recorder.applied(self.node, entries, &outcomes);
        self.record_state()?;
        Ok(answers)
    }

    fn record_state(&self) -> Result<(), MachineError> {
        let replica = self.replica.lock();
        let hash = replica.state_hash().map_err(|e| MachineError(e.to_string()))?;
        if let Some(at) = replica.applied() {
            self.recorder.state(self.node, at.index, hash);
        }
        Ok(())
    }

    /// Gives every batch of the current incarnation the sequence that the fence asks for.
    fn without_sequence(&self, entries: &[Committed]) -> Vec<Committed> {
        let header = *self.replica.lock().header();
        let (incarnation, mut next) = (header.incarnation, header.sequence.0 + 1);
        let mut patched = entries.to_vec();
        for entry in &mut patched {
            if let Content::Command(bytes) = &entry.content
                && let Ok(Command::Batch(mut batch)) = Command::decode(bytes)
                && batch.incarnation == incarnation
            {
                batch.sequence = Sequence(next);
                next += 1;
                entry.content = Content::Command(Bytes::from(Command::Batch(batch).encode()));
            }
        }
        patched
    }
}

impl StateMachine for RecordedMachine {
    fn applied(&self) -> Applied {
        self.inner.applied()
    }

    fn apply(&mut self, entries: &[Committed]) -> Result<Vec<Vec<u8>>, MachineError> {
        let mut answers = Vec::with_capacity(entries.len());
        let mut rest = entries;
        while !rest.is_empty() {
            // Sometimes one by one, so that the replicas' states are compared at many positions.
            let one = self.bug == Some(Bug::FenceByTerm) || self.dice.chance(500);
            let count = if one { 1 } else { 1 + self.dice.place(rest.len()) };
            let (now, later) = rest.split_at(count);
            answers.append(&mut self.apply_some(now)?);
            rest = later;
        }
        Ok(answers)
    }

    fn persist(&self) -> Box<dyn FnOnce() -> Result<(), MachineError> + Send> {
        self.inner.persist()
    }

    fn chunks(&self) -> Result<Chunks, MachineError> {
        self.inner.chunks()
    }

    fn install(&mut self, chunks: Chunks, applied: &Applied) -> Result<(), MachineError> {
        self.inner.install(chunks, applied)?;
        let at = self.inner.applied().at.map(|(_, index)| index);
        if at != applied.at.map(|(_, index)| index) {
            let (told, found) = (applied.at, at.map(|LogIndex(index)| index));
            let detail = format!("a snapshot of {told:?} left node {} at {found:?}", self.node);
            self.recorder.violation("replicas-agree", detail);
        }
        self.recorder.lock().counts.installs += 1;
        self.record_state()
    }
}

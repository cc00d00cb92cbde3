//! Changes of other regions: apply if newer, record what is concurrent.
//!
//! # Invariants
//!
//! - Delivering a change again, or in another order, leads to the same item.
//! - A change that overwrites or loses to a concurrent one is in the conflict log; delivering it
//!   again adds nothing.
//! - A change from the future is committed before it is acknowledged, and applied when due.
//!
//! Tested by `evaluator/tests/replicated.rs`.

use super::{Evaluated, Evaluator};
use crate::PartitionError;
use crate::command::{ItemMutation, Mutation};
use crate::layout;
use crate::record::{
    ConflictRecord, ItemState, ParkedChange, StrandedOutcome, StrandedRecord, item_of,
};
use meridian_base::codec::DecodeError;
use meridian_base::limits::CLOCK_AHEAD_MS_MAX;
use meridian_base::merge::{Merge, MergeOutcome, joined_base, merge};
use meridian_base::{Cause, Change, Sequence};
use meridian_model::item_bytes;

/// Parked changes of a partition above which more are not taken, so that the sender waits.
pub const PARKED_MAX: usize = 10_000;
/// Parked changes that one [`Evaluator::unpark`] evaluates.
const UNPARK_MAX: usize = 256;

/// What became of a replicated change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replicated {
    /// Whether it was stored.
    pub outcome: Outcome,
    /// True when it met a concurrent write.
    pub conflict: bool,
    /// For a change that was sent late: what became of it.
    pub stranded: Option<StrandedOutcome>,
}

/// Whether a replicated change was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is the item's newest write.
    Applied,
    /// A newer write is here.
    Stale,
    /// It was here already.
    Same,
    /// Another write with its version and other bytes is, or was, here: an alarm.
    Diverged,
    /// Its version is too far in the future: it waits.
    Parked,
    /// Its version is too far in the future and too many wait: it must be sent again later.
    Refused,
}

impl Evaluator {
    /// Evaluates a change of another region. `late` marks changes that a lost region sends on its
    /// return. It may be acknowledged when the sequence given is applied and accepted.
    pub fn replicated(
        &mut self,
        change: Change,
        late: bool,
        now_ms: u64,
    ) -> Result<Evaluated<Replicated>, PartitionError> {
        if !self.spec.range.contains(&change.key) {
            return Ok(Evaluated::Elsewhere);
        }
        if self.transactions.holds(&change.key) {
            return Ok(Evaluated::Busy);
        }
        let bytes = self.check(&change)?;
        if change.version.hlc.ms() > now_ms.saturating_add(CLOCK_AHEAD_MS_MAX) {
            return Ok(self.park(change, late));
        }
        self.merge_in(change, bytes, late, now_ms)
    }

    /// Evaluates parked changes that are due; gives the sequence when there were any.
    pub fn unpark(&mut self, now_ms: u64) -> Result<Option<Sequence>, PartitionError> {
        let due = now_ms.saturating_add(CLOCK_AHEAD_MS_MAX);
        let ready: Vec<_> = self
            .parked
            .iter()
            .take_while(|(version, _)| version.hlc.ms() <= due)
            .take(UNPARK_MAX)
            .cloned()
            .collect();
        let mut sequence = None;
        for (version, key) in ready {
            let at = layout::parked_key(self.spec.partition, version, &key);
            // Not in the engine: its parking is still in flight, and it comes up again.
            let Some(bytes) = self.engine.get(&at)? else { continue };
            if self.transactions.holds(&key) {
                continue;
            }
            let parked =
                ParkedChange::decode(&bytes).map_err(PartitionError::corrupt("parked change"))?;
            let bytes = self.check(&parked.change)?;
            self.merge_in(parked.change, bytes, parked.late, now_ms)?;
            self.parked.remove(&(version, key.clone()));
            sequence = Some(self.push(Mutation::Unpark { version, key }, 64));
        }
        Ok(sequence)
    }

    /// How many changes wait for their time.
    pub fn parked_len(&self) -> usize {
        self.parked.len()
    }

    /// The size of the change's item, bytes; refuses an image that is not an item with the change's
    /// key.
    fn check(&self, change: &Change) -> Result<u64, PartitionError> {
        let Some(image) = &change.image else { return Ok(0) };
        let item = item_of(image).map_err(PartitionError::Change)?;
        let key = self.spec.schema.key_of_item(&item).map(|key| key.encode().into_bytes());
        if key.is_ok_and(|key| key == change.key) {
            Ok(item_bytes(&item) as u64)
        } else {
            Err(PartitionError::Change(DecodeError::Unknown("key")))
        }
    }

    fn park(&mut self, change: Change, late: bool) -> Evaluated<Replicated> {
        let told = |outcome| Replicated { outcome, conflict: false, stranded: None };
        if self.parked.len() >= PARKED_MAX {
            return Evaluated::Answer { outcome: told(Outcome::Refused), after: None };
        }
        // A change that is delivered again is written again: that its first parking is applied is
        // not known here, and the same key is overwritten with the same bytes.
        self.parked.insert((change.version, change.key.clone()));
        let bytes = change.image.as_ref().map_or(0, Vec::len);
        let sequence = self.push(Mutation::Park(ParkedChange { change, late }), bytes);
        Evaluated::Write { outcome: told(Outcome::Parked), sequence }
    }

    fn merge_in(
        &mut self,
        change: Change,
        item_bytes: u64,
        late: bool,
        now_ms: u64,
    ) -> Result<Evaluated<Replicated>, PartitionError> {
        self.find_ceiling()?;
        let (stored, after) = self.current_or_grave(&change.key)?;
        let side = stored.as_ref().map(ItemState::side);
        let verdict = merge(side, change.side());
        let base = joined_base(side, change.side());
        let stranded = late.then(|| stranded_outcome(verdict));
        let mut sequence = None;
        if let Some(stored) = &stored
            && (verdict.conflict || matches!(verdict.outcome, MergeOutcome::Diverged { .. }))
        {
            let record = conflict_record(&change, stored, verdict, now_ms);
            sequence = Some(self.push(Mutation::Conflict(record), 64));
        }
        if let Some(outcome @ (StrandedOutcome::Merged | StrandedOutcome::Overwritten)) = stranded {
            let stays = if verdict.outcome.applies() { None } else { stored.as_ref() };
            let record = StrandedRecord {
                key: change.key.clone(),
                version: change.version,
                origin: change.origin,
                deleted: change.image.is_none(),
                outcome,
                kept: stays.map_or(change.version, |state| state.version),
                found_ms: now_ms,
            };
            sequence = Some(self.push(Mutation::Stranded(record), 64));
        }
        if verdict.outcome.applies() {
            let expiry = self.replicated_expiry(&change, stored.as_ref())?;
            self.move_expiry(&change.key, expiry);
            let item = self.replicated_mutation(change, item_bytes, stored, base);
            sequence = Some(self.decide(item));
        } else if let Some(mut state) = stored
            && state.base != base
        {
            state.base = base;
            let bytes = state.image.as_ref().map_or(0, Vec::len);
            self.overlay.put(change.key.clone(), self.sequence, state.clone());
            sequence = Some(self.push(Mutation::Rebase { key: change.key, state }, bytes));
        }
        let outcome =
            Replicated { outcome: outcome_of(verdict), conflict: verdict.conflict, stranded };
        Ok(match sequence {
            Some(sequence) => Evaluated::Write { outcome, sequence },
            None => Evaluated::Answer { outcome, after },
        })
    }

    fn replicated_mutation(
        &self,
        change: Change,
        item_bytes: u64,
        stored: Option<ItemState>,
        base: meridian_base::VersionVector,
    ) -> ItemMutation {
        let buried = stored.as_ref().is_some_and(ItemState::is_grave);
        let old = stored.filter(|state| !state.is_grave());
        ItemMutation {
            key: change.key,
            image: change.image,
            bytes: item_bytes,
            old_bytes: old.as_ref().map(|state| state.bytes),
            old: old.and_then(|state| state.image).filter(|_| self.keeps_old()),
            buried,
            version: change.version,
            base,
            origin: Some(change.origin),
            cause: Cause::Replicated,
            transacted_ms: None,
        }
    }
}

fn outcome_of(verdict: Merge) -> Outcome {
    match verdict.outcome {
        MergeOutcome::Apply => Outcome::Applied,
        MergeOutcome::Stale => Outcome::Stale,
        MergeOutcome::Same => Outcome::Same,
        MergeOutcome::Diverged { apply: _ } => Outcome::Diverged,
    }
}

fn stranded_outcome(verdict: Merge) -> StrandedOutcome {
    match verdict.outcome {
        MergeOutcome::Apply | MergeOutcome::Diverged { apply: true } => StrandedOutcome::Merged,
        MergeOutcome::Stale if verdict.conflict => StrandedOutcome::Overwritten,
        MergeOutcome::Diverged { apply: false } => StrandedOutcome::Overwritten,
        // The stored write was made over this one: this one had arrived before.
        MergeOutcome::Stale | MergeOutcome::Same => StrandedOutcome::Present,
    }
}

fn conflict_record(
    change: &Change,
    stored: &ItemState,
    verdict: Merge,
    found_ms: u64,
) -> ConflictRecord {
    let incoming = (change.version, change.image.is_none());
    let here = (stored.version, stored.image.is_none());
    let (kept, lost) = if verdict.outcome.applies() { (incoming, here) } else { (here, incoming) };
    ConflictRecord {
        key: change.key.clone(),
        kept: kept.0,
        lost: lost.0,
        kept_deleted: kept.1,
        lost_deleted: lost.1,
        diverged: matches!(verdict.outcome, MergeOutcome::Diverged { .. }),
        found_ms,
    }
}

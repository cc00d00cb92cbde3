//! Evaluates the steps of transactions.
//!
//! # Invariants
//!
//! - The intents here are those that were decided, applied or not; so are the decisions.
//! - A write, an expiry and a replicated change stay away from an item with an intent.
//!
//! Tested by `transact/tests.rs`.

use super::write::Evaluation;
use super::{Evaluated, Evaluator};
use crate::PartitionError;
use crate::command::{ItemMutation, Mutation};
use crate::layout;
use crate::record::{ItemState, item_of};
use crate::request::{Action, Done, Write, WriteOutcome};
use crate::transact::{
    Blame, COMMIT_MS_MAX, Decision, Head, Intended, Intent, LeftBehind, Place, Token, Transact,
    TransactAnswer, TransactId, Unfinished,
};
use meridian_base::{Cause, Sequence};
use meridian_storage::Control;
use std::collections::{BTreeMap, VecDeque};

/// What an action does to the item of an encoded key.
type KeyedEvaluation = (Vec<u8>, Evaluation);

/// What is known of transactions, the applied and the decided.
#[derive(Default)]
pub(super) struct Transactions {
    intents: BTreeMap<Vec<u8>, Intent>,
    /// Decisions that are not applied yet; none where one was forgotten.
    recent: BTreeMap<TransactId, (Sequence, Option<Decision>)>,
    order: VecDeque<(Sequence, TransactId)>,
    /// Committed transactions that are not resolved everywhere, as far as is known here.
    unfinished: BTreeMap<TransactId, Decision>,
    /// Until then new transactions are turned away: the partition waits to be frozen.
    pub(super) refused_until_ms: u64,
}

impl Transactions {
    pub(super) fn holds(&self, key: &[u8]) -> bool {
        self.intents.contains_key(key)
    }

    /// Since when something is held whose commit time is not known yet, ms.
    pub(super) fn held_since_ms(&self) -> Option<u64> {
        self.intents.values().map(|intent| intent.held_ms).min()
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.intents.is_empty()
    }

    pub(super) fn applied(&mut self, upto: Sequence) {
        while self.order.front().is_some_and(|(sequence, _)| *sequence <= upto)
            && let Some((_, id)) = self.order.pop_front()
        {
            if self.recent.get(&id).is_some_and(|(sequence, _)| *sequence <= upto) {
                self.recent.remove(&id);
            }
        }
    }
}

impl Evaluator {
    /// The intents that the engine holds.
    pub(super) fn load_transactions(&self) -> Result<Transactions, PartitionError> {
        let (mut transactions, mut damage) = (Transactions::default(), None);
        self.engine.scan(layout::intents(self.spec.partition), &mut |key, value| {
            match Intent::decode(value) {
                Ok(intent) => {
                    transactions.intents.insert(layout::encoded_of(key).to_vec(), intent);
                    Control::Continue(())
                }
                Err(source) => {
                    damage = Some(source);
                    Control::Break(())
                }
            }
        })?;
        if let Some(source) = damage {
            return Err(PartitionError::Corrupt { what: "intent", source });
        }
        self.engine.scan(layout::decisions(self.spec.partition), &mut |key, value| match (
            layout::decided_of(key),
            Decision::decode(value),
        ) {
            (Some(id), Ok(decision)) => {
                if !decision.places.is_empty() {
                    transactions.unfinished.insert(id, decision);
                }
                Control::Continue(())
            }
            (None, Ok(_)) => Control::Continue(()),
            (_, Err(source)) => {
                damage = Some(source);
                Control::Break(())
            }
        })?;
        match damage {
            Some(source) => Err(PartitionError::Corrupt { what: "decision", source }),
            None => Ok(transactions),
        }
    }

    /// Takes a step of a transaction.
    pub fn transact(
        &mut self,
        step: Transact,
        now_ms: u64,
    ) -> Result<Evaluated<TransactAnswer>, PartitionError> {
        match step {
            Transact::Single(head, token, writes) => self.single(head, token, &writes, now_ms),
            Transact::Prepare(head, writes) => self.prepare(head, &writes, now_ms),
            Transact::Commit(head, token, places, held_ms) => {
                self.commit(head, token, places, now_ms.max(held_ms))
            }
            Transact::Abort(head) => self.abort(head, now_ms),
            Transact::Resolve(id, committed_ms) => self.resolve(id, committed_ms, now_ms),
            Transact::Finish(id) => self.finish(id),
            Transact::Forget(ids) => self.forget(&ids, now_ms),
        }
    }

    /// What was left behind: transactions that hold items here, and such that were committed here and
    /// are not resolved everywhere, since before a time, ms.
    pub fn left_behind(&self, before_ms: u64) -> LeftBehind {
        let old = self.transactions.intents.values().filter(|one| one.head.began_ms < before_ms);
        let held: BTreeMap<TransactId, Head> =
            old.map(|intent| (intent.head.id, intent.head)).collect();
        let old = self.transactions.unfinished.iter().filter(|(_, one)| one.at_ms < before_ms);
        let unfinished = old.map(|(id, decision)| {
            let (id, at_ms, places) = (*id, decision.at_ms, decision.places.clone());
            Unfinished { id, at_ms, places }
        });
        let unfinished = unfinished.collect();
        LeftBehind { held: held.into_values().collect(), unfinished }
    }

    fn answered(&self, outcome: TransactAnswer) -> Evaluated<TransactAnswer> {
        Evaluated::Answer { outcome, after: self.pending() }
    }

    /// How a transaction was decided here.
    fn decision(&self, id: TransactId) -> Result<Option<Decision>, PartitionError> {
        if let Some((_, decision)) = self.transactions.recent.get(&id) {
            return Ok(decision.clone());
        }
        let bytes = self.engine.get(&layout::decision_key(self.spec.partition, id))?;
        let decision = bytes.map(|bytes| Decision::decode(&bytes)).transpose();
        decision.map_err(PartitionError::corrupt("decision"))
    }

    /// What a token committed before.
    fn committed_by(&self, token: &Token) -> Result<Option<TransactAnswer>, PartitionError> {
        let recent = self.transactions.recent.iter().find(|(_, (_, decision))| {
            let known = decision.as_ref().and_then(|decision| decision.token.as_ref());
            known.is_some_and(|known| known.token == token.token)
        });
        let id = match recent {
            Some((id, _)) => Some(*id),
            None => {
                let stored =
                    self.engine.get(&layout::token_key(self.spec.partition, &token.token))?;
                let id = stored.and_then(|bytes| bytes.try_into().ok());
                id.map(|bytes| TransactId(u128::from_be_bytes(bytes)))
            }
        };
        let Some(id) = id else { return Ok(None) };
        let Some(decision) = self.decision(id)? else { return Ok(None) };
        let same = decision.token.as_ref().is_some_and(|known| known == token);
        Ok(Some(if same {
            TransactAnswer::DoneBefore(decision.places.is_empty())
        } else {
            TransactAnswer::OtherParameters
        }))
    }

    fn decide_transaction(&mut self, id: TransactId, decision: Decision) -> Sequence {
        let sequence = self.push(Mutation::Decision { id, decision: decision.clone() }, 128);
        if decision.places.is_empty() {
            self.transactions.unfinished.remove(&id);
        } else {
            self.transactions.unfinished.insert(id, decision.clone());
        }
        self.transactions.recent.insert(id, (sequence, Some(decision)));
        self.transactions.order.push_back((sequence, id));
        sequence
    }

    /// Evaluates all actions; none when one of them is to blame.
    fn evaluate_all(
        &self,
        writes: &[Write],
    ) -> Result<Result<Vec<KeyedEvaluation>, TransactAnswer>, PartitionError> {
        let (mut evaluated, mut blames) = (Vec::with_capacity(writes.len()), Vec::new());
        for write in writes {
            let key = write.key.encode().into_bytes();
            let blame = if self.transactions.holds(&key) {
                Some(Blame::Conflict)
            } else {
                match self.evaluate(write, &key)? {
                    Ok(evaluation) => {
                        evaluated.push((key, evaluation));
                        None
                    }
                    Err(WriteOutcome::ConditionFailed { old, .. }) => {
                        Some(Blame::ConditionFailed(old))
                    }
                    Err(WriteOutcome::Refused(refusal)) => Some(Blame::Refused(refusal)),
                    Err(WriteOutcome::Conflict | WriteOutcome::Done(_)) => Some(Blame::Conflict),
                }
            };
            blames.push(blame);
        }
        if blames.iter().any(Option::is_some) {
            return Ok(Err(TransactAnswer::Blamed(blames)));
        }
        Ok(Ok(evaluated))
    }

    /// Where a transaction cannot be served here now.
    fn turned_away(&self, writes: &[Write], now_ms: u64) -> Option<Evaluated<TransactAnswer>> {
        let here = |write: &Write| self.spec.range.contains(write.key.encode().as_bytes());
        if !writes.iter().all(here) {
            return Some(Evaluated::Elsewhere);
        }
        match self.marks.freeze {
            Some(freeze) => Some(Evaluated::Held(freeze)),
            None => (now_ms < self.transactions.refused_until_ms).then_some(Evaluated::Busy),
        }
    }

    fn single(
        &mut self,
        head: Head,
        token: Option<Token>,
        writes: &[Write],
        now_ms: u64,
    ) -> Result<Evaluated<TransactAnswer>, PartitionError> {
        if let Some(token) = &token
            && let Some(before) = self.committed_by(token)?
        {
            return Ok(self.answered(before));
        }
        if let Some(turned_away) = self.turned_away(writes, now_ms) {
            return Ok(turned_away);
        }
        let evaluated = match self.evaluate_all(writes)? {
            Ok(evaluated) => evaluated,
            Err(blamed) => return Ok(self.answered(blamed)),
        };
        let mut done: Vec<Done> = Vec::with_capacity(evaluated.len());
        for ((key, evaluation), write) in evaluated.into_iter().zip(writes) {
            match write.action {
                Action::Check => done.push(evaluation.done),
                _ => done.push(self.carry_out(key, evaluation, now_ms).0),
            }
        }
        // Kept for its token; without one there is nothing that could ask.
        let mut sequence = (!self.open.is_empty()).then_some(self.sequence);
        if token.is_some() {
            let decision = Decision { committed: true, at_ms: now_ms, token, places: Vec::new() };
            sequence = Some(self.decide_transaction(head.id, decision));
        }
        let outcome = TransactAnswer::Done(done);
        Ok(match sequence {
            Some(sequence) => Evaluated::Write { outcome, sequence },
            None => self.answered(outcome),
        })
    }

    fn prepare(
        &mut self,
        head: Head,
        writes: &[Write],
        now_ms: u64,
    ) -> Result<Evaluated<TransactAnswer>, PartitionError> {
        if let Some(turned_away) = self.turned_away(writes, now_ms) {
            return Ok(turned_away);
        }
        let evaluated = match self.evaluate_all(writes)? {
            Ok(evaluated) => evaluated,
            Err(blamed) => return Ok(self.answered(blamed)),
        };
        let held_ms = self.commit_now(now_ms);
        let (mut done, mut sequence) = (Vec::with_capacity(evaluated.len()), self.sequence);
        for ((key, evaluation), write) in evaluated.into_iter().zip(writes) {
            let intended = match write.action {
                Action::Check => Intended::Same,
                _ => Intended::Becomes(evaluation.becomes()),
            };
            let bytes = match &intended {
                Intended::Becomes(Some((image, _))) => image.len(),
                Intended::Becomes(None) | Intended::Same => 0,
            };
            let intent = Intent { head, intended, held_ms };
            self.transactions.intents.insert(key.clone(), intent.clone());
            sequence = self.push(Mutation::Intent { key, intent: Some(intent) }, bytes);
            done.push(evaluation.done);
        }
        Ok(Evaluated::Write { outcome: TransactAnswer::Held(done, held_ms), sequence })
    }

    fn commit(
        &mut self,
        head: Head,
        token: Option<Token>,
        places: Vec<Place>,
        at_ms: u64,
    ) -> Result<Evaluated<TransactAnswer>, PartitionError> {
        if let Some(decision) = self.decision(head.id)? {
            let answer = if decision.committed {
                TransactAnswer::Committed(decision.at_ms)
            } else {
                TransactAnswer::Aborted
            };
            return Ok(self.answered(answer));
        }
        if let Some(token) = &token
            && let Some(before) = self.committed_by(token)?
        {
            return Ok(self.answered(before));
        }
        // Whoever asked before, and was told that it is aborted, may have been forgotten by then.
        if head.began_ms.saturating_add(COMMIT_MS_MAX) < at_ms {
            return Ok(self.answered(TransactAnswer::Aborted));
        }
        let decision = Decision { committed: true, at_ms, token, places };
        let sequence = self.decide_transaction(head.id, decision);
        Ok(Evaluated::Write { outcome: TransactAnswer::Committed(at_ms), sequence })
    }

    fn abort(
        &mut self,
        head: Head,
        now_ms: u64,
    ) -> Result<Evaluated<TransactAnswer>, PartitionError> {
        match self.decision(head.id)? {
            Some(decision) if decision.committed => {
                Ok(self.answered(TransactAnswer::Committed(decision.at_ms)))
            }
            Some(_) => Ok(self.answered(TransactAnswer::Aborted)),
            None => {
                let (token, places) = (None, Vec::new());
                let decision = Decision { committed: false, at_ms: now_ms, token, places };
                let sequence = self.decide_transaction(head.id, decision);
                Ok(Evaluated::Write { outcome: TransactAnswer::Aborted, sequence })
            }
        }
    }

    fn resolve(
        &mut self,
        id: TransactId,
        committed_ms: Option<u64>,
        now_ms: u64,
    ) -> Result<Evaluated<TransactAnswer>, PartitionError> {
        let held = self.transactions.intents.iter().filter(|(_, intent)| intent.head.id == id);
        let held: Vec<(Vec<u8>, Intent)> =
            held.map(|(key, intent)| (key.clone(), intent.clone())).collect();
        if held.is_empty() {
            return Ok(self.answered(TransactAnswer::Noted));
        }
        for (key, intent) in held {
            self.transactions.intents.remove(&key);
            if let Intended::Becomes(becomes) = intent.intended
                && let Some(committed_ms) = committed_ms
            {
                self.commit_now(committed_ms);
                self.become_intended(&key, becomes, committed_ms, now_ms)?;
            }
            self.push(Mutation::Intent { key, intent: None }, 0);
        }
        let sequence = self.sequence;
        Ok(Evaluated::Write { outcome: TransactAnswer::Noted, sequence })
    }

    /// Writes what a transaction intended. The item is as it was when that was evaluated.
    fn become_intended(
        &mut self,
        key: &[u8],
        becomes: Option<(Vec<u8>, u64)>,
        committed_ms: u64,
        now_ms: u64,
    ) -> Result<(), PartitionError> {
        let (state, _) = self.current(key)?;
        let had = state.as_ref().filter(|state| state.image.is_some());
        let old = had.and_then(|state| state.image.clone());
        let (image, bytes) = becomes.map_or((None, 0), |(image, bytes)| (Some(image), bytes));
        if old == image && (image.is_none() || !self.marks.is_global()) {
            return Ok(());
        }
        if self.needs_items() {
            let read = |image: &Option<Vec<u8>>| {
                let item = image.as_deref().map(item_of).transpose();
                item.map_err(PartitionError::corrupt("item"))
            };
            let (before, after) = (read(&old)?, read(&image)?);
            let expiry = self.expiry_move(before.as_ref(), after.as_ref());
            self.move_expiry(key, expiry);
        }
        let version = self.stamp(state.as_ref(), now_ms);
        self.decide(ItemMutation {
            key: key.to_vec(),
            image,
            bytes,
            old_bytes: had.map(|state| state.bytes),
            old: old.filter(|_| self.keeps_old()),
            buried: state.as_ref().is_some_and(ItemState::is_grave),
            version,
            base: state.as_ref().map(ItemState::seen).unwrap_or_default(),
            origin: None,
            cause: Cause::Write,
            transacted_ms: Some(committed_ms),
        });
        Ok(())
    }

    fn finish(&mut self, id: TransactId) -> Result<Evaluated<TransactAnswer>, PartitionError> {
        match self.decision(id)? {
            Some(decision) if !decision.places.is_empty() => {
                let decision = Decision { places: Vec::new(), ..decision };
                let sequence = self.decide_transaction(id, decision);
                Ok(Evaluated::Write { outcome: TransactAnswer::Noted, sequence })
            }
            Some(_) | None => Ok(self.answered(TransactAnswer::Noted)),
        }
    }

    fn forget(
        &mut self,
        ids: &[TransactId],
        now_ms: u64,
    ) -> Result<Evaluated<TransactAnswer>, PartitionError> {
        let mut sequence = None;
        for id in ids {
            let Some(decision) = self.decision(*id)?.filter(|known| known.is_old(now_ms)) else {
                continue;
            };
            let token = decision.token.map(|token| token.token);
            let forgotten = self.push(Mutation::Forget { id: *id, token }, 64);
            self.transactions.recent.insert(*id, (forgotten, None));
            self.transactions.order.push_back((forgotten, *id));
            sequence = Some(forgotten);
        }
        let outcome = TransactAnswer::Noted;
        Ok(match sequence {
            Some(sequence) => Evaluated::Write { outcome, sequence },
            None => self.answered(outcome),
        })
    }
}

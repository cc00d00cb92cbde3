//! Transactions: this node as coordinator of those that its clients send.
//!
//! What each partition does is `meridian_partition::transact`. Here the actions are brought to their
//! partitions, the home is told to commit, and everybody is told to resolve. What a coordinator
//! leaves behind is finished by [`recovery`].
//!
//! # Invariants
//!
//! - A transaction is answered as done only when every partition has resolved it: who reads after the
//!   answer sees all of it.
//! - One that is answered as not done never is done later.
//!
//! Tested by `cluster_tests/transact.rs`.

mod read;
mod recovery;
mod tokens;

pub use recovery::start_recovery;
pub use tokens::{TokenAnswer, TokenPhase, TokenUse, Tokens};

use crate::items::ItemError;
use crate::items::message::{ItemAnswer, ItemRequest};
use crate::node::Node;
use futures_util::future::join_all;
use meridian_api::backend::BackendError;
use meridian_api::transact::{CancelReason, TransactToken, TransactWrite, TransactWriteOutcome};
use meridian_model::{AttributeValue, partition_prefix};
use meridian_partition::transact::{
    Blame, Head, Place, Token, Transact, TransactAnswer, TransactId,
};
use meridian_partition::{Done, Write};
use meridian_raft::rt;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a transaction may take in all.
const LIMIT: Duration = Duration::from_secs(5);
/// How long its items may be looked for and held before it is given up.
const PREPARE_LIMIT: Duration = Duration::from_secs(3);
/// How long letting items go may hold an answer back; recovery does what is left.
const LET_GO_LIMIT: Duration = Duration::from_millis(500);
/// Before a step is sent again.
const AGAIN: Duration = Duration::from_millis(20);

/// The actions of a transaction on one partition, with their numbers in the request.
type Parts = BTreeMap<Place, Vec<(usize, Write)>>;

fn unavailable() -> BackendError {
    BackendError::Unavailable { maybe_applied: false }
}

impl Node {
    /// Does all of some writes, or none.
    pub(crate) async fn coordinate(
        &self,
        writes: Vec<TransactWrite>,
        token: Option<TransactToken>,
    ) -> Result<TransactWriteOutcome, BackendError> {
        let Some(token) = token else { return self.run_transaction(writes, None).await };
        let token = Token { token: token.token, fingerprint: token.fingerprint };
        let Some(keeper) = writes.first().and_then(|one| self.keeper_of(one, &token)) else {
            return Err(unavailable());
        };
        match self.note_token(keeper, &token, TokenPhase::Begins).await? {
            TokenAnswer::Free => {}
            TokenAnswer::UnderWay => return Ok(TransactWriteOutcome::InProgress),
            TokenAnswer::OtherParameters => return Ok(TransactWriteOutcome::OtherParameters),
        }
        let outcome = self.run_transaction(writes, Some(token.clone())).await;
        let phase = match &outcome {
            Ok(TransactWriteOutcome::Cancelled(_))
            | Err(BackendError::Unavailable { maybe_applied: false } | BackendError::NoRoom) => {
                TokenPhase::Failed
            }
            Ok(_) | Err(_) => TokenPhase::Done,
        };
        // What is not noted ages by itself.
        let _ = rt::timeout(LET_GO_LIMIT, self.note_token(keeper, &token, phase)).await;
        outcome
    }

    /// The partition whose leader remembers a token.
    fn keeper_of(&self, first: &TransactWrite, token: &Token) -> Option<Place> {
        let key = partition_prefix(&AttributeValue::S(token.token.clone()));
        self.place_of(first.table.id, &key)
    }

    fn place_of(&self, table: meridian_base::TableId, key: &[u8]) -> Option<Place> {
        let partition = self.catalog().partition_at(table, key)?.id;
        Some(Place { table, partition })
    }

    async fn note_token(
        &self,
        keeper: Place,
        token: &Token,
        phase: TokenPhase,
    ) -> Result<TokenAnswer, BackendError> {
        let request = ItemRequest::Token(TokenUse { token: token.clone(), phase });
        let answer = self.items.at_partition(keeper.table, keeper.partition, &request).await;
        match answer.map_err(crate::backend::item_error)? {
            ItemAnswer::Token(answer) => Ok(answer),
            _ => Err(BackendError::Internal),
        }
    }

    async fn run_transaction(
        &self,
        writes: Vec<TransactWrite>,
        token: Option<Token>,
    ) -> Result<TransactWriteOutcome, BackendError> {
        let count = writes.len();
        let (mut parts, mut home) = (Parts::new(), None);
        for (number, one) in writes.into_iter().enumerate() {
            let key = one.write.key.encode().into_bytes();
            let place = self.place_of(one.table.id, &key).ok_or(BackendError::ResourceNotFound)?;
            home.get_or_insert(place);
            parts.entry(place).or_default().push((number, one.write));
        }
        let home = home.ok_or(BackendError::Internal)?;
        let random = (u128::from(rt::random()) << 64) | u128::from(rt::random());
        let began_ms = self.options.clock.now_ms();
        let head = Head { id: TransactId(random), home, began_ms };
        let transaction = Transaction { node: self, head, count, deadline: rt::now() + LIMIT };
        if parts.len() == 1 {
            return transaction.single(parts, token).await;
        }
        transaction.in_two_phases(parts, token).await
    }

    /// Sends a step to a partition.
    async fn transact_at(&self, place: Place, step: Transact) -> Result<TransactAnswer, ItemError> {
        let request = ItemRequest::Transact(Box::new(step));
        match self.items.at_partition(place.table, place.partition, &request).await? {
            ItemAnswer::Transact(answer) => Ok(answer),
            other => Err(other.unexpected()),
        }
    }
}

/// A transaction that this node coordinates.
struct Transaction<'n> {
    node: &'n Node,
    head: Head,
    /// How many actions it has.
    count: usize,
    deadline: rt::Instant,
}

impl Transaction<'_> {
    /// All actions are on one partition.
    async fn single(
        self,
        parts: Parts,
        token: Option<Token>,
    ) -> Result<TransactWriteOutcome, BackendError> {
        let (place, actions) = parts.into_iter().next().ok_or(BackendError::Internal)?;
        let writes = actions.into_iter().map(|(_, write)| write).collect();
        let step = Transact::Single(self.head, token, writes);
        let answer = self.node.transact_at(place, step).await;
        match answer.map_err(crate::backend::item_error)? {
            TransactAnswer::Done(done) => Ok(TransactWriteOutcome::Done(done)),
            TransactAnswer::Blamed(blames) => {
                Ok(TransactWriteOutcome::Cancelled(blames.into_iter().map(reason).collect()))
            }
            answer => done_before(&answer).ok_or(BackendError::Internal),
        }
    }

    async fn in_two_phases(
        self,
        parts: Parts,
        token: Option<Token>,
    ) -> Result<TransactWriteOutcome, BackendError> {
        let places: Vec<Place> = parts.keys().copied().collect();
        let (done, held_ms) = match self.prepare(parts).await {
            Ok(held) => held,
            Err(outcome) => {
                self.let_go(&places).await;
                return outcome;
            }
        };
        let committed_ms = match self.commit(token, &places, held_ms).await? {
            TransactAnswer::Committed(at_ms) => at_ms,
            TransactAnswer::Aborted => {
                self.let_go(&places).await;
                return Err(unavailable());
            }
            answer => {
                self.let_go(&places).await;
                return done_before(&answer).ok_or(BackendError::Internal);
            }
        };
        let resolved = places.iter().map(|place| self.insist_on_resolving(*place, committed_ms));
        let resolved = join_all(resolved).await;
        if !resolved.into_iter().all(|done| done) {
            return Err(BackendError::Timeout);
        }
        let finish = Transact::Finish(self.head.id);
        // Recovery does it otherwise.
        let _ = rt::timeout(LET_GO_LIMIT, self.node.transact_at(self.head.home, finish)).await;
        Ok(TransactWriteOutcome::Done(done))
    }

    /// Has every partition hold its items: what each action does, and since when the last one holds
    /// them, ms since the epoch. Or tells why not.
    async fn prepare(
        &self,
        parts: Parts,
    ) -> Result<(Vec<Done>, u64), Result<TransactWriteOutcome, BackendError>> {
        let asked = parts.into_iter().map(|(place, actions)| async move {
            let (numbers, writes): (Vec<usize>, Vec<Write>) = actions.into_iter().unzip();
            let step = Transact::Prepare(self.head, writes);
            let answer = rt::timeout(PREPARE_LIMIT, self.node.transact_at(place, step)).await;
            (numbers, answer.unwrap_or(Err(ItemError::Unavailable)))
        });
        let mut done: Vec<Done> = vec![Done::default(); self.count];
        let mut reasons: Vec<Option<CancelReason>> = vec![None; self.count];
        let (mut failed, mut last_ms) = (None, 0);
        for (numbers, answer) in join_all(asked).await {
            match answer {
                Ok(TransactAnswer::Held(list, held_ms)) => {
                    last_ms = held_ms.max(last_ms);
                    for (number, one) in numbers.into_iter().zip(list) {
                        done[number] = one;
                    }
                }
                Ok(TransactAnswer::Blamed(blames)) => {
                    for (number, blame) in numbers.into_iter().zip(blames) {
                        reasons[number] = reason(blame);
                    }
                }
                Ok(_) => failed = Some(BackendError::Internal),
                // Nothing is committed: whatever is held is let go, here or by recovery.
                Err(ItemError::NoTable) => failed = Some(BackendError::ResourceNotFound),
                Err(ItemError::NoRoom) => failed = Some(BackendError::NoRoom),
                Err(_) => failed = Some(unavailable()),
            }
        }
        if reasons.iter().any(Option::is_some) {
            return Err(Ok(TransactWriteOutcome::Cancelled(reasons)));
        }
        failed.map_or(Ok((done, last_ms)), |error| Err(Err(error)))
    }

    /// Has the home commit; asks until it says what it is.
    async fn commit(
        &self,
        token: Option<Token>,
        places: &[Place],
        held_ms: u64,
    ) -> Result<TransactAnswer, BackendError> {
        loop {
            let step = Transact::Commit(self.head, token.clone(), places.to_vec(), held_ms);
            match self.node.transact_at(self.head.home, step).await {
                Ok(answer) => return Ok(answer),
                Err(_) if rt::now() < self.deadline => rt::sleep(AGAIN).await,
                Err(_) => return Err(BackendError::Timeout),
            }
        }
    }

    /// Has a partition do what it holds; false when it does not in time.
    async fn insist_on_resolving(&self, place: Place, committed_ms: u64) -> bool {
        loop {
            let step = Transact::Resolve(self.head.id, Some(committed_ms));
            match self.node.transact_at(place, step).await {
                // A table that is gone needs nothing.
                Ok(_) | Err(ItemError::NoTable) => return true,
                Err(_) if rt::now() < self.deadline => rt::sleep(AGAIN).await,
                Err(_) => return false,
            }
        }
    }

    /// Lets go of what is held: this coordinator will not commit.
    async fn let_go(&self, places: &[Place]) {
        let steps = places
            .iter()
            .map(|place| self.node.transact_at(*place, Transact::Resolve(self.head.id, None)));
        let _ = rt::timeout(LET_GO_LIMIT, join_all(steps)).await;
    }
}

fn reason(blame: Option<Blame>) -> Option<CancelReason> {
    blame.map(|blame| match blame {
        Blame::ConditionFailed(old) => CancelReason::ConditionFailed(old),
        Blame::Refused(refusal) => CancelReason::Refused(refusal),
        Blame::Conflict => CancelReason::Conflict,
    })
}

/// What a token that was committed before means for its client.
fn done_before(answer: &TransactAnswer) -> Option<TransactWriteOutcome> {
    match answer {
        TransactAnswer::DoneBefore(true) => Some(TransactWriteOutcome::DoneBefore),
        TransactAnswer::DoneBefore(false) => Some(TransactWriteOutcome::InProgress),
        TransactAnswer::OtherParameters => Some(TransactWriteOutcome::OtherParameters),
        TransactAnswer::Done(_)
        | TransactAnswer::Held(..)
        | TransactAnswer::Blamed(_)
        | TransactAnswer::Committed(_)
        | TransactAnswer::Aborted
        | TransactAnswer::Noted => None,
    }
}

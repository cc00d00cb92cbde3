//! Transactions over several items: what a partition is asked, and what it keeps of them.
//!
//! Two phases. *Prepare* evaluates the actions on a partition's items and keeps the result as
//! intents, which hold the items. *Decide* records at one partition, the transaction's home, that it
//! is committed or aborted: this one record is the truth. *Resolve* turns intents into writes or drops
//! them. Whoever finds an old intent asks the home, which aborts what it has not heard of; whoever
//! leads the home sees to it that a committed transaction is resolved everywhere. So any node finishes
//! what a coordinator left behind. Actions that are all on one partition are done in one command.
//!
//! # Invariants
//!
//! - An item has at most one intent; while it has one, nothing else writes it.
//! - A decision never changes. A commit is refused once the transaction may have been forgotten.
//! - A token commits once.
//! - All writes of a transaction have one commit time, wherever they are. It is not before the time
//!   of any earlier write of their items, and no partition has closed it before.
//!
//! Tested by `transact/tests.rs`.

pub(crate) mod codec;
#[cfg(test)]
mod tests;

use crate::record::Image;
use crate::request::{Done, Refusal, Write};
use meridian_base::{PartitionId, TableId};
use meridian_model::Item;

/// How long after its beginning a transaction can be committed, ms. Longer than any request lives.
pub const COMMIT_MS_MAX: u64 = 30_000;
/// How long a decision is kept, ms: as long as its token counts (AWS: 10 minutes), and longer than a
/// commit can come late.
pub const KEPT_MS: u64 = 600_000;

/// The number of a transaction; unlike every other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactId(pub u128);

/// A partition of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The table.
    pub table: TableId,
    /// The partition.
    pub partition: PartitionId,
}

/// A transaction, as every message about it names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its number.
    pub id: TransactId,
    /// Where it is decided.
    pub home: Place,
    /// When it began, ms since the epoch by its coordinator's clock.
    pub began_ms: u64,
}

/// A client's token, with what makes two requests the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The token.
    pub token: String,
    /// A hash of all parameters but the token.
    pub fingerprint: u64,
}

/// What a partition is asked about a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transact {
    /// Do all of these, or none: they are all there are.
    Single(Head, Option<Token>, Vec<Write>),
    /// Hold these items for the transaction.
    Prepare(Head, Vec<Write>),
    /// Commit it; with the places where it was prepared, and the latest time at which one of them
    /// held its items, ms since the epoch.
    Commit(Head, Option<Token>, Vec<Place>, u64),
    /// Abort it, unless it is committed.
    Abort(Head),
    /// Do what was prepared here, as of the time when it was committed, ms since the epoch; none lets
    /// it go.
    Resolve(TransactId, Option<u64>),
    /// Every place has done what was prepared there.
    Finish(TransactId),
    /// Forget these decisions, as far as they are old and finished.
    Forget(Vec<TransactId>),
}

/// Why an action keeps a transaction from being done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blame {
    /// Its item does not satisfy its condition; with the item, where it was asked for and exists.
    ConditionFailed(Option<Item>),
    /// It is the caller's mistake.
    Refused(Refusal),
    /// Another transaction holds its item.
    Conflict,
}

/// The answer to a [`Transact`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransactAnswer {
    /// The actions are done: what each does.
    Done(Vec<Done>),
    /// The actions are held: what each does, and since when, ms since the epoch.
    Held(Vec<Done>, u64),
    /// Nothing was done or held: what each action is to blame for.
    Blamed(Vec<Option<Blame>>),
    /// The transaction is committed, as of this time, ms since the epoch.
    Committed(u64),
    /// It is aborted.
    Aborted,
    /// The token was committed before by a request with these parameters; `true` when every place has
    /// done it.
    DoneBefore(bool),
    /// The token was committed before by a request with other parameters.
    OtherParameters,
    /// Done; there is nothing to say.
    Noted,
}

/// What an item becomes when the transaction commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intended {
    /// Nothing: only its condition counted.
    Same,
    /// The encoded item and its size; `None` deletes it.
    Becomes(Option<(Image, u64)>),
}

/// An item that a transaction holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The transaction.
    pub head: Head,
    /// What becomes of the item.
    pub intended: Intended,
    /// Since when, ms since the epoch. The transaction is committed then or later, and until that is
    /// known, no time from then on is closed here.
    pub held_ms: u64,
}

/// How a transaction was decided, as its home keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Committed, or else aborted.
    pub committed: bool,
    /// When, ms since the epoch: of one that is committed, the commit time of all of its writes.
    pub at_ms: u64,
    /// The client's token, of one that is committed.
    pub token: Option<Token>,
    /// Where intents may still wait for it; empty when it is finished.
    pub places: Vec<Place>,
}

impl Decision {
    /// True when it may be forgotten.
    pub fn is_old(&self, now_ms: u64) -> bool {
        self.places.is_empty() && self.at_ms.saturating_add(KEPT_MS) < now_ms
    }
}

/// What somebody has to finish.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeftBehind {
    /// Transactions that hold items here.
    pub held: Vec<Head>,
    /// Transactions that were committed here and are perhaps not resolved everywhere.
    pub unfinished: Vec<Unfinished>,
}

/// A committed transaction that is perhaps not resolved everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The transaction.
    pub id: TransactId,
    /// When it was committed, ms since the epoch.
    pub at_ms: u64,
    /// Where it may hold items.
    pub places: Vec<Place>,
}

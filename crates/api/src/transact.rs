//! Transactions as the API and whatever stores the data speak of them.

use std::sync::Arc;

use meridian_control::region::TableRecord;
use meridian_model::Item;
use meridian_partition::{Done, GetOutcome, Refusal, Write};

use crate::backend::Exceeded;

/// One action of a transaction that writes.
#[derive(Debug, Clone)]
pub struct TransactWrite {
    /// The table.
    pub table: Arc<TableRecord>,
    /// What to do, under which condition. `returns.old_on_failure` asks for the item of a condition
    /// that fails.
    pub write: Write,
}

/// `ClientRequestToken`, with what makes two requests the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactToken {
    /// The token.
    pub token: String,
    /// A hash of all parameters but the token.
    pub fingerprint: u64,
}

/// Why an action kept a transaction from being done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CancelReason {
    /// Its item does not satisfy its condition; with the item, where it was asked for and exists.
    ConditionFailed(Option<Item>),
    /// It is the caller's mistake, which only evaluation finds.
    Refused(Refusal),
    /// Another transaction holds its item.
    Conflict,
    /// A limit of throughput is reached.
    Exceeded(Arc<Exceeded>),
}

/// The answer to a transaction that writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransactWriteOutcome {
    /// All actions were done; with what each did, in the order of the request.
    Done(Vec<Done>),
    /// They were done before, by a request with the same token.
    DoneBefore,
    /// None was done; with a reason for each action that is to blame, in the order of the request.
    Cancelled(Vec<Option<CancelReason>>),
    /// A request with the same token had other parameters.
    OtherParameters,
    /// A request with the same token is under way.
    InProgress,
}

/// The answer to a transaction that reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransactGetOutcome {
    /// The items, all of one moment, in the order of the request.
    Items(Vec<GetOutcome>),
    /// There was no such moment; with a reason for each item that is to blame.
    Cancelled(Vec<Option<CancelReason>>),
}

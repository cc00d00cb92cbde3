//! What the operations over transactions share: how they are told to be cancelled, and what they cost.
//!
//! Tested by `transact_write.txt` and `transact_get.txt`.

use std::sync::Arc;

use meridian_control::region::TableRecord;
use meridian_model::key::partition_hash;
use meridian_model::{AttributeValue, Key};
use meridian_partition::{Done, Refusal};
use meridian_wire::error::CancellationReason;
use meridian_wire::{ApiError, Fields};

use crate::backend::{Backend, BackendError};
use crate::capacity::Consumed;
use crate::errors::{WriteFault, backend as backend_error, exceeded_text, invalid};
use crate::transact::{CancelReason, TransactToken, TransactWrite, TransactWriteOutcome};

/// How much more a transaction costs than the same requests without (AWS: two underlying reads or
/// writes of every item).
const COST: f64 = 2.0;

/// Takes `ClientRequestToken`; what makes two requests the same is all of `member`.
pub fn take_token(fields: &mut Fields, member: &str) -> Option<TransactToken> {
    let token = fields.take_text("ClientRequestToken")?;
    let stated = AttributeValue::S(format!("{:?}", fields.get(member)));
    Some(TransactToken { token, fingerprint: partition_hash(&stated) })
}

/// Takes the members of a transaction; of those with a fault in their keys the first one cancels it.
pub fn first_refused<T>(
    members: impl Iterator<Item = Result<T, WriteFault>>,
) -> Result<Vec<T>, ApiError> {
    refused(members, 1)
}

/// Takes the members of a transaction; each one with a fault in its keys is told to cancel it.
pub fn all_refused<T>(
    members: impl Iterator<Item = Result<T, WriteFault>>,
) -> Result<Vec<T>, ApiError> {
    refused(members, usize::MAX)
}

fn refused<T>(
    members: impl Iterator<Item = Result<T, WriteFault>>,
    told_max: usize,
) -> Result<Vec<T>, ApiError> {
    let (mut taken, mut reasons, mut told) = (Vec::new(), Vec::new(), 0);
    for member in members {
        let text = match member {
            Ok(member) => {
                taken.push(member);
                None
            }
            Err(WriteFault::Key(text)) => {
                told += 1;
                (told <= told_max).then_some(text)
            }
            Err(WriteFault::Request(error)) => return Err(error),
        };
        let code = if text.is_some() { "ValidationError" } else { "None" };
        reasons.push(CancellationReason { code, message: text, item: None });
    }
    if told == 0 { Ok(taken) } else { Err(ApiError::TransactionCanceled(reasons)) }
}

/// Refuses two actions on one item.
pub fn check_distinct<'a>(
    items: impl Iterator<Item = (&'a Arc<TableRecord>, &'a Key)>,
) -> Result<(), ApiError> {
    let mut seen: Vec<(u64, Vec<u8>)> =
        items.map(|(table, key)| (table.id.0, key.encode().into_bytes())).collect();
    seen.sort_unstable();
    if seen.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(invalid("Transaction request cannot include multiple operations on one item"));
    }
    Ok(())
}

/// What a transaction did, or that it was done before.
pub enum Written {
    /// What each action did.
    Now(Vec<Done>),
    /// A request with the same token did it.
    Before,
}

/// Does all of some writes; `inserts` tells of each whether its condition is that there is no item.
pub async fn write(
    backend: &dyn Backend,
    writes: Vec<TransactWrite>,
    inserts: &[bool],
    token: Option<TransactToken>,
) -> Result<Written, ApiError> {
    match backend.transact_write(writes, token).await.map_err(failed)? {
        TransactWriteOutcome::Done(done) => Ok(Written::Now(done)),
        TransactWriteOutcome::DoneBefore => Ok(Written::Before),
        TransactWriteOutcome::Cancelled(reasons) => {
            Err(empty_key(&reasons).unwrap_or_else(|| cancelled(reasons, inserts)))
        }
        TransactWriteOutcome::OtherParameters => Err(ApiError::IdempotentParameterMismatch(
            "The request uses the same client token as a previous, but non-identical request. Do \
             not reuse a client token with different requests, unless the requests are identical"
                .to_owned(),
        )),
        TransactWriteOutcome::InProgress => Err(ApiError::TransactionInProgress(
            "The transaction with the given request token is already in progress.".to_owned(),
        )),
    }
}

/// Says that an update empties the key of an index, which refuses the whole request, as an empty key
/// that is put does.
fn empty_key(reasons: &[Option<CancelReason>]) -> Option<ApiError> {
    reasons.iter().flatten().find_map(|reason| match reason {
        CancelReason::Refused(refusal @ Refusal::IndexKeyEmpty(_)) => {
            Some(invalid(refusal.to_string()))
        }
        _ => None,
    })
}

/// Words a transaction that was not answered.
pub fn failed(error: BackendError) -> ApiError {
    backend_error(error)
}

/// Tells that a transaction is cancelled, with a reason for each action.
pub fn cancelled(reasons: Vec<Option<CancelReason>>, inserts: &[bool]) -> ApiError {
    let inserts = inserts.iter().copied().chain(std::iter::repeat(false));
    let told = |(reason, inserts): (Option<CancelReason>, bool)| {
        let of = |code, message: &str| (code, Some(message.to_owned()));
        let ((code, message), item) = match reason {
            None => (("None", None), None),
            Some(CancelReason::ConditionFailed(item)) if inserts => {
                (of("DuplicateItem", "Duplicate primary key exists in table"), item)
            }
            Some(CancelReason::ConditionFailed(item)) => {
                (of("ConditionalCheckFailed", "The conditional request failed"), item)
            }
            Some(CancelReason::Refused(refusal)) => {
                (of("ValidationError", &refusal.to_string()), None)
            }
            Some(CancelReason::Conflict) => {
                (of("TransactionConflict", "Transaction is ongoing for the item"), None)
            }
            Some(CancelReason::Exceeded(limit)) => {
                let code = if limit.on_demand {
                    "ThrottlingError"
                } else {
                    "ProvisionedThroughputExceeded"
                };
                (of(code, exceeded_text(&limit)), None)
            }
        };
        CancellationReason { code, message, item }
    };
    ApiError::TransactionCanceled(reasons.into_iter().zip(inserts).map(told).collect())
}

/// Adds up costs by table, in the order of the tables' first use.
pub fn costs<'a>(
    parts: impl Iterator<Item = (&'a TableRecord, Consumed)>,
) -> Vec<(String, Consumed)> {
    let mut sums: Vec<(String, Consumed)> = Vec::new();
    for (table, mut consumed) in parts {
        consumed.scale(COST);
        match sums.iter_mut().find(|(name, _)| *name == table.name) {
            Some((_, sum)) => sum.add(consumed),
            None => sums.push((table.name.clone(), consumed)),
        }
    }
    sums
}

//! Transactions that read: items of one moment, without writing anything.
//!
//! Every item is read twice. If none has changed between its two readings, and no transaction held
//! any, then all were so at the moment between the two rounds.
//!
//! # Invariants
//!
//! - All first readings end before any second one begins.
//!
//! Tested by `cluster_tests/transact.rs`.

use crate::items::message::{ItemAnswer, ItemRequest};
use crate::node::Node;
use futures_util::future::join_all;
use meridian_api::backend::BackendError;
use meridian_api::transact::{CancelReason, TransactGetOutcome};
use meridian_base::TableId;
use meridian_model::Key;
use meridian_partition::read::Stamped;
use meridian_partition::transact::Place;
use meridian_raft::rt;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often both rounds are made at most.
const ATTEMPTS_MAX: u32 = 8;
/// Before the next attempt; grows with each.
const PAUSE: Duration = Duration::from_millis(5);

/// The keys on one partition, with their numbers in the request.
type Parts = BTreeMap<Place, Vec<(usize, Key)>>;

impl Node {
    /// Reads items as they were at one moment.
    pub(crate) async fn read_together(
        &self,
        reads: Vec<(TableId, Key)>,
    ) -> Result<TransactGetOutcome, BackendError> {
        let count = reads.len();
        let mut parts = Parts::new();
        for (number, (table, key)) in reads.into_iter().enumerate() {
            let encoded = key.encode().into_bytes();
            let place = self.place_of(table, &encoded).ok_or(BackendError::ResourceNotFound)?;
            parts.entry(place).or_default().push((number, key));
        }
        let mut conflicts = Vec::new();
        for attempt in 1..=ATTEMPTS_MAX {
            let first = self.round(&parts, count).await?;
            // One partition is read in one view.
            let second = match parts.len() {
                1 => first.clone(),
                _ => self.round(&parts, count).await?,
            };
            conflicts = changed(&first, &second);
            if conflicts.iter().all(Option::is_none) {
                let items = second.into_iter().map(|one| one.found).collect();
                return Ok(TransactGetOutcome::Items(items));
            }
            rt::sleep(PAUSE * attempt).await;
        }
        Ok(TransactGetOutcome::Cancelled(conflicts))
    }

    async fn round(&self, parts: &Parts, count: usize) -> Result<Vec<Stamped>, BackendError> {
        let asked = parts.iter().map(|(place, keys)| async move {
            let wanted = keys.iter().map(|(_, key)| key.clone()).collect();
            let request = ItemRequest::Stamped(wanted);
            let answer = self.items.at_partition(place.table, place.partition, &request).await;
            (keys, answer)
        });
        let mut found: Vec<Option<Stamped>> = vec![None; count];
        for (keys, answer) in join_all(asked).await {
            let ItemAnswer::Stamped(list) = answer.map_err(crate::backend::item_error)? else {
                return Err(BackendError::Internal);
            };
            for ((number, _), stamped) in keys.iter().zip(list) {
                found[*number] = Some(stamped);
            }
        }
        found.into_iter().map(|one| one.ok_or(BackendError::Internal)).collect()
    }
}

/// Which items were held, or changed between two rounds.
fn changed(first: &[Stamped], second: &[Stamped]) -> Vec<Option<CancelReason>> {
    let of = |(one, two): (&Stamped, &Stamped)| {
        let is_in_conflict = one.held || two.held || one.stamp != two.stamp;
        is_in_conflict.then_some(CancelReason::Conflict)
    };
    first.iter().zip(second).map(of).collect()
}

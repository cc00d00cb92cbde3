//! Compares the clocks of a region's nodes.
//!
//! # Invariants
//!
//! - A node whose clock is apart from that of most of its region's nodes leads nothing: the versions
//!   that it stamps would win over, or lose to, writes that were made later.
//!
//! Tested below; the hand-over itself by stopping a node.

use super::message::{RegionsAnswer, RegionsRequest};
use crate::node::Node;
use crate::pipeline::CLOCK_APART_MS_MAX;
use futures_util::future::join_all;
use meridian_raft::rt;
use std::sync::Arc;
use std::time::Duration;

/// Between two comparisons.
const EVERY: Duration = Duration::from_secs(5);
/// Slower answers say too little of the time at which they were given.
const ROUND_TRIP_MAX: Duration = Duration::from_millis(100);

/// By how much this node's clock is ahead of the middle one of its region, ms; none when too few
/// others answered to tell whose is wrong.
fn ahead_ms(mut others_ahead_ms: Vec<i64>) -> Option<i64> {
    if others_ahead_ms.len() < 2 {
        return None;
    }
    others_ahead_ms.push(0);
    others_ahead_ms.sort_unstable();
    others_ahead_ms.get(others_ahead_ms.len() / 2).map(|middle| middle.saturating_neg())
}

async fn compare(node: &Node) -> Option<i64> {
    let state = node.control.region_state();
    let others =
        state.nodes().iter().filter(|(id, known)| **id != node.id() && !known.state.is_removed());
    let asked = others.map(|(id, _)| async move {
        let (before_ms, began) = (node.options.clock.now_ms(), rt::now());
        let answer = node.ask_regions(*id, &RegionsRequest::Clock).await;
        let took = began.elapsed();
        let Ok(RegionsAnswer::Clock(theirs_ms)) = answer else { return None };
        let half_ms = u64::try_from(took.as_millis() / 2).unwrap_or(0);
        let own = i64::try_from(before_ms.saturating_add(half_ms)).ok()?;
        let theirs = i64::try_from(theirs_ms).ok()?;
        (took <= ROUND_TRIP_MAX).then_some(theirs.saturating_sub(own))
    });
    ahead_ms(join_all(asked).await.into_iter().flatten().collect())
}

/// Runs until the node stops.
pub async fn watch(node: Arc<Node>) {
    loop {
        rt::sleep(EVERY).await;
        let Some(ahead_ms) = compare(&node).await else { continue };
        if ahead_ms.unsigned_abs() > CLOCK_APART_MS_MAX {
            tracing::warn!(
                ahead_ms,
                "this node's clock is apart from its region's: it leads nothing"
            );
            node.hand_over().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_clock_is_right() {
        assert_eq!(ahead_ms(vec![500]), None);
        assert_eq!(ahead_ms(vec![-400, -380]), Some(380));
        assert_eq!(ahead_ms(vec![900, 5]), Some(-5));
        assert_eq!(ahead_ms(vec![300, 300, 310, 0]), Some(-300));
    }
}

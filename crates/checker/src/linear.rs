//! Linearizability of one key, by just-in-time search (Wing and Gong; Lowe, "Testing for
//! linearizability", 2017).
//!
//! The search walks through the calls and returns in time order and keeps every *configuration*
//! that can explain what was seen so far: the content of the key and which of the open calls have
//! already taken effect. Calls take effect only when some call must return, as few as are needed.
//!
//! What keeps it fast is that drills write each value once. A content that will not come back
//! pins its readers: it may be overwritten only when all of them are served. A write that somebody
//! reads must take effect before its first reader returns; an unknown write that nobody reads may
//! be left out.
//!
//! # Invariants
//!
//! - Every shortcut keeps an explanation if there is one: a violation is never a false alarm.
//! - Configurations never outgrow the budget: beyond it the verdict is [`Verdict::Undecided`].
//!
//! Tested by `linear/tests.rs`: known histories and generated ones.

mod plan;
mod search;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use crate::history::{Operation, Reply, State};

/// Steps that [`check_keys`] spends on one key before it gives up.
pub const SEARCH_STEPS_MAX: u64 = 5_000_000;

/// Where a history cannot be explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Violation {
    /// Position in the history of the call with the earliest return that no order explains
    /// together with everything seen before it.
    pub operation: usize,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no order explains the answer of call {}", self.operation)
    }
}

/// The answer to "could one register have answered so?".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Yes: there is an order.
    Linearizable,
    /// No.
    Violated(Violation),
    /// The budget ended before the answer.
    Undecided,
}

/// Checks the history of one key that held `initial` before it.
///
/// `steps_max` bounds the work.
pub fn check_register(initial: State, history: &[Operation], steps_max: u64) -> Verdict {
    match decide(initial, history, steps_max) {
        Decision::Explained => Verdict::Linearizable,
        Decision::OutOfBudget => Verdict::Undecided,
        Decision::Unexplained => Verdict::Violated(first_violation(initial, history, steps_max)),
    }
}

/// Checks many keys, each with what it held at first; the keys that do not pass are returned.
pub fn check_keys<K: Ord + Clone>(
    histories: &BTreeMap<K, (State, Vec<Operation>)>,
) -> BTreeMap<K, Verdict> {
    histories
        .iter()
        .map(|(key, (initial, history))| {
            (key.clone(), check_register(*initial, history, SEARCH_STEPS_MAX))
        })
        .filter(|(_, verdict)| *verdict != Verdict::Linearizable)
        .collect()
}

enum Decision {
    Explained,
    Unexplained,
    OutOfBudget,
}

fn decide(initial: State, history: &[Operation], steps_max: u64) -> Decision {
    match plan::Plan::new(initial, history) {
        Ok(plan) => search::Search::new(&plan, steps_max).run(initial),
        Err(plan::SelfContradiction) => Decision::Unexplained,
    }
}

/// Finds the earliest return that makes the history inexplicable. The search itself looks ahead,
/// so it fails early; what a person wants to see is the call that gave it away.
fn first_violation(initial: State, history: &[Operation], steps_max: u64) -> Violation {
    let mut returns: Vec<usize> =
        (0..history.len()).filter(|one| history[*one].reply != Reply::Unknown).collect();
    returns.sort_unstable_by_key(|one| (history[*one].completed, *one));
    let explained = |count: &usize| {
        let end = history[returns[*count]].completed;
        match decide(initial, &seen_until(history, end), steps_max) {
            Decision::Explained | Decision::OutOfBudget => true,
            Decision::Unexplained => false,
        }
    };
    let counts: Vec<usize> = (0..returns.len()).collect();
    let first = counts.partition_point(explained).min(returns.len().saturating_sub(1));
    Violation { operation: returns.get(first).copied().unwrap_or(0) }
}

/// The history as it stood at a time: calls still open then are unknown.
fn seen_until(history: &[Operation], end: u64) -> Vec<Operation> {
    history
        .iter()
        .filter(|one| one.invoked <= end)
        .map(|one| match one.reply {
            Reply::Unknown => *one,
            Reply::Got(_) | Reply::Done | Reply::Refused(_) | Reply::Failed => {
                let open = one.completed > end;
                Operation { reply: if open { Reply::Unknown } else { one.reply }, ..*one }
            }
        })
        .collect()
}

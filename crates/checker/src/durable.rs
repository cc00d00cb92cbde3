//! Durability: what was acknowledged is visible, or superseded.

use crate::history::{Operation, Reply, State};

/// What became of the acknowledged writes of one key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Durability {
    /// Positions in the history of acknowledged writes that are neither visible nor superseded by
    /// a write that can have come after them.
    pub lost: Vec<usize>,
    /// The key holds something that no call of the history can have written.
    pub foreign: bool,
}

/// Checks the acknowledged writes of one key against what the key holds in the end.
///
/// The write that is visible was ordered somewhere in its interval; every write that had begun
/// before that interval ended may lie before it and counts as superseded. A write that began only
/// after the visible one was acknowledged cannot, and is lost. Weaker than linearizability, but
/// linear in time and free of false alarms.
///
/// `initial` is what the key held before the history.
pub fn check_durable(initial: State, history: &[Operation], finally: State) -> Durability {
    let latest = history
        .iter()
        .filter(|operation| operation.written() == Some(finally))
        .map(|operation| match operation.reply {
            Reply::Unknown => u64::MAX,
            Reply::Got(_) | Reply::Done | Reply::Refused(_) | Reply::Failed => operation.completed,
        })
        .max();
    let lost = history
        .iter()
        .enumerate()
        .filter(|(_, operation)| operation.acknowledged_write())
        .filter(|(_, operation)| latest.is_none_or(|end| operation.invoked > end))
        .map(|(position, _)| position)
        .collect();
    Durability { lost, foreign: latest.is_none() && finally != initial }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Call, Value};

    fn put(value: u64, invoked: u64, completed: u64, reply: Reply) -> Operation {
        Operation { client: 0, call: Call::Put(Some(Value(value))), reply, invoked, completed }
    }

    fn check(history: &[Operation], finally: Option<u64>) -> Durability {
        check_durable(None, history, finally.map(Value))
    }

    #[test]
    fn the_last_write_visible_is_durable() {
        let history = [put(1, 0, 1, Reply::Done), put(2, 2, 3, Reply::Done)];
        assert_eq!(check(&history, Some(2)), Durability::default());
    }

    #[test]
    fn an_older_value_visible_loses_the_newer_write() {
        let history = [put(1, 0, 1, Reply::Done), put(2, 2, 3, Reply::Done)];
        assert_eq!(check(&history, Some(1)).lost, vec![1]);
    }

    #[test]
    fn an_absent_key_loses_every_acknowledged_write() {
        let history =
            [put(1, 0, 1, Reply::Done), put(2, 2, 3, Reply::Unknown), put(3, 4, 5, Reply::Failed)];
        assert_eq!(check(&history, None).lost, vec![0]);
    }

    #[test]
    fn either_of_two_overlapping_writes_may_win() {
        let history = [put(1, 0, 10, Reply::Done), put(2, 2, 3, Reply::Done)];
        assert_eq!(check(&history, Some(1)), Durability::default());
        assert_eq!(check(&history, Some(2)), Durability::default());
    }

    #[test]
    fn an_unknown_write_may_win_late() {
        let history = [put(1, 0, 1, Reply::Unknown), put(2, 5, 6, Reply::Done)];
        assert_eq!(check(&history, Some(1)), Durability::default());
    }

    #[test]
    fn a_refuted_write_that_is_visible_is_foreign_and_loses_the_rest() {
        let history = [put(1, 0, 1, Reply::Done), put(2, 5, 6, Reply::Failed)];
        let verdict = check(&history, Some(2));
        assert!(verdict.foreign);
        assert_eq!(verdict.lost, vec![0]);
    }

    #[test]
    fn the_initial_value_is_not_foreign() {
        let verdict = check_durable(Some(Value(9)), &[], Some(Value(9)));
        assert_eq!(verdict, Durability::default());
    }
}

//! Calls of one session that wait for an answer.
//!
//! # Invariants
//!
//! - A call is either waiting to be sent or sent; the change happens once, under the lock, before
//!   its bytes go to the connection. So a call taken out unsent is never sent.
//! - After the session has ended nothing waits here.
//!
//! Tested beside the code and by `tests/calls.rs`.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::CallError;
use crate::poison::lock;

type Answer = Result<Bytes, CallError>;

struct Waiting {
    answer: oneshot::Sender<Answer>,
    sent: bool,
}

#[derive(Default)]
struct Table {
    waiting: BTreeMap<u64, Waiting>,
    last_id: u64,
    ended: bool,
}

/// The calls of one session that wait for an answer.
#[derive(Default)]
pub(crate) struct Pending(Mutex<Table>);

impl Pending {
    /// A new call and where its answer will come; `None` when the session has ended.
    pub(crate) fn open(&self) -> Option<(u64, oneshot::Receiver<Answer>)> {
        let (answer, receiver) = oneshot::channel();
        let mut table = lock(&self.0);
        if table.ended {
            return None;
        }
        table.last_id += 1;
        let id = table.last_id;
        table.waiting.insert(id, Waiting { answer, sent: false });
        Some((id, receiver))
    }

    /// Gives a call up. Tells how it ended, or `None` if its answer is there already.
    pub(crate) fn give_up(&self, id: u64) -> Option<CallError> {
        let waiting = lock(&self.0).waiting.remove(&id)?;
        Some(if waiting.sent { CallError::Unknown } else { CallError::NotSent })
    }

    /// Marks calls as sent; `keep` is told which of them somebody still waits for.
    pub(crate) fn mark_sent(&self, ids: impl Iterator<Item = u64>, mut keep: impl FnMut(bool)) {
        let mut table = lock(&self.0);
        for id in ids {
            let waiting = table.waiting.get_mut(&id);
            keep(waiting.is_some());
            if let Some(waiting) = waiting {
                waiting.sent = true;
            }
        }
    }

    /// Hands out answers; those that nobody waits for are dropped.
    pub(crate) fn answer(&self, answers: impl Iterator<Item = (u64, Answer)>) {
        let mut table = lock(&self.0);
        for (id, answer) in answers {
            if let Some(waiting) = table.waiting.remove(&id) {
                // The caller may have gone between its deadline and giving up.
                let _ = waiting.answer.send(answer);
            }
        }
    }

    /// Ends the session: every call is told, and no more are taken.
    pub(crate) fn end(&self) {
        let waiting = {
            let mut table = lock(&self.0);
            table.ended = true;
            std::mem::take(&mut table.waiting)
        };
        for call in waiting.into_values() {
            let error = if call.sent { CallError::Unknown } else { CallError::NotSent };
            let _ = call.answer.send(Err(error));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_end_as_not_sent_before_and_unknown_after_they_are_sent() {
        let pending = Pending::default();
        let (queued, _a) = pending.open().unwrap();
        let (sent, _b) = pending.open().unwrap();
        let mut kept = Vec::new();
        pending.mark_sent([sent, 99].into_iter(), |keep| kept.push(keep));
        assert_eq!(kept, [true, false]);
        assert_eq!(pending.give_up(queued), Some(CallError::NotSent));
        assert_eq!(pending.give_up(sent), Some(CallError::Unknown));
        assert_eq!(pending.give_up(sent), None);
    }

    #[test]
    fn the_end_of_a_session_tells_every_call() {
        let pending = Pending::default();
        let (_, mut queued) = pending.open().unwrap();
        let (id, mut sent) = pending.open().unwrap();
        pending.mark_sent([id].into_iter(), |_| {});
        pending.end();
        assert_eq!(queued.try_recv().unwrap(), Err(CallError::NotSent));
        assert_eq!(sent.try_recv().unwrap(), Err(CallError::Unknown));
        assert!(pending.open().is_none());
    }
}

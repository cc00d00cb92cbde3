//! Answers that wait: for a command's acceptance, or for a confirmed leadership.

use super::work::{Refused, Reply};
use crate::barrier::Barrier;
use meridian_base::{Incarnation, Sequence};
use tokio::sync::watch;

/// The last decision that was applied and accepted; incarnation 0 while none counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Settled {
    pub(super) incarnation: Incarnation,
    pub(super) sequence: Sequence,
}

type Answer = Box<dyn FnOnce(Option<Refused>) + Send>;

/// The answers that a command carries.
#[derive(Default)]
pub(super) struct Answers(Vec<Answer>);

impl Answers {
    pub(super) fn add<T: Send + 'static>(&mut self, reply: Reply<T>, outcome: T) {
        self.0.push(Box::new(move |refused| {
            let _ = reply.send(refused.map_or(Ok(outcome), Err));
        }));
    }

    /// Answers all: with their outcomes, or with the reason why the command was not accepted.
    pub(super) fn send(self, refused: Option<Refused>) {
        for answer in self.0 {
            answer(refused.clone());
        }
    }
}

/// Answers once leadership was confirmed and the decision depended on, if any, is applied.
pub(super) async fn settle_later<T>(
    barrier: Barrier,
    mut settled: watch::Receiver<Settled>,
    after: Option<Settled>,
    outcome: T,
    reply: Reply<T>,
) {
    if let Err(refused) = barrier.pass().await {
        let _ = reply.send(Err(refused));
        return;
    }
    let Some(after) = after else {
        let _ = reply.send(Ok(outcome));
        return;
    };
    let reached = settled
        .wait_for(|now| now.incarnation != after.incarnation || now.sequence >= after.sequence);
    let applied = reached.await.is_ok_and(|now| now.incarnation == after.incarnation);
    let _ = reply.send(if applied { Ok(outcome) } else { Err(Refused::Retry) });
}

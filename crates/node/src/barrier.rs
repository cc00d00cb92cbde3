//! One ReadIndex round for all strong reads that wait.
//!
//! # Invariants
//!
//! - A round begins after every request that it answers has arrived: the leadership that it
//!   confirms is one at or after their arrival.

use crate::pipeline::Refused;
use meridian_raft::{Group, ProposeError, rt};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Reads that may wait for a round.
const WAITING_MAX: usize = 16_384;
/// How long a round may take; openraft itself never gives up while a quorum is away.
const ROUND_LIMIT: Duration = Duration::from_secs(2);

type Waiter = oneshot::Sender<Result<(), Refused>>;

/// A handle to a group's read rounds.
#[derive(Clone)]
pub struct Barrier {
    queue: mpsc::Sender<Waiter>,
}

impl Barrier {
    /// Starts the rounds of a group; they end when every handle is gone.
    pub fn start(group: Group) -> Barrier {
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        rt::spawn(rounds(group, waiting));
        Barrier { queue }
    }

    /// Returns when this replica leads and has applied everything acknowledged before the call.
    pub async fn pass(&self) -> Result<(), Refused> {
        let (tell, told) = oneshot::channel();
        if self.queue.send(tell).await.is_err() {
            return Err(Refused::NotLeader { hint: None });
        }
        told.await.unwrap_or(Err(Refused::NotLeader { hint: None }))
    }
}

async fn rounds(group: Group, mut waiting: mpsc::Receiver<Waiter>) {
    let mut round: Vec<Waiter> = Vec::new();
    while let Some(first) = waiting.recv().await {
        round.push(first);
        while let Ok(waiter) = waiting.try_recv() {
            round.push(waiter);
        }
        let outcome = match rt::timeout(ROUND_LIMIT, group.read_barrier()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(ProposeError::NotLeader { hint })) => Err(Refused::NotLeader { hint }),
            Ok(Err(_)) | Err(_) => Err(Refused::NotLeader { hint: None }),
        };
        for waiter in round.drain(..) {
            let _ = waiter.send(outcome.clone());
        }
    }
}

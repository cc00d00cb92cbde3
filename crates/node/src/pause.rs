//! The pauses between attempts at something that fails: each twice as long as the one before, up to a
//! longest.

use meridian_raft::rt;
use std::time::Duration;

/// How long to pause.
pub struct Pause {
    next: Duration,
    shortest: Duration,
    longest: Duration,
}

impl Pause {
    /// Begins with the shortest.
    pub fn new(shortest: Duration, longest: Duration) -> Self {
        Pause { next: shortest, shortest, longest }
    }

    /// Pauses; the next time longer.
    pub async fn wait(&mut self) {
        rt::sleep(self.next).await;
        self.next = (self.next * 2).min(self.longest);
    }

    /// Begins again with the shortest, after something went well.
    pub fn reset(&mut self) {
        self.next = self.shortest;
    }
}

//! Wall clocks: virtual time with an offset per node.

use meridian_base::Clock;
use meridian_raft::rt;
use std::sync::atomic::{AtomicI64, Ordering};

/// Wall-clock time at which every simulation begins, ms since the epoch.
const BEGIN_MS: u64 = 1_750_000_000_000;

/// A node's clock; it outlives the node's processes.
pub struct SimClock {
    started: rt::Instant,
    offset_ms: AtomicI64,
}

impl SimClock {
    /// A clock that is off by so much.
    pub fn new(offset_ms: i64) -> SimClock {
        SimClock { started: rt::now(), offset_ms: AtomicI64::new(offset_ms) }
    }

    /// Makes it jump to another offset.
    pub fn jump(&self, offset_ms: i64) {
        self.offset_ms.store(offset_ms, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now_ms(&self) -> u64 {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        BEGIN_MS
            .saturating_add(elapsed)
            .saturating_add_signed(self.offset_ms.load(Ordering::Relaxed))
    }
}

//! What clients saw, per key, on one clock.

use meridian_checker::{Operation, State};
use meridian_raft::rt;

/// The histories of all keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Histories {
    /// Calls by key, in the order in which they ended.
    pub keys: Vec<Vec<Operation>>,
    /// What each key held in the end.
    pub finally: Vec<Option<State>>,
    last: u64,
}

impl Histories {
    /// Histories of so many keys.
    pub fn of(keys: u32) -> Histories {
        let keys = usize::try_from(keys).unwrap_or(0);
        Histories { keys: vec![Vec::new(); keys], finally: vec![None; keys], last: 0 }
    }

    /// The next moment: virtual time in nanoseconds, made strictly growing, so that the order of
    /// events within one tick of the virtual clock is known too.
    pub fn tick(&mut self, started: rt::Instant) -> u64 {
        let now = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.last = now.max(self.last + 1);
        self.last
    }

    /// Adds a call that ended.
    pub fn add(&mut self, key: u32, operation: Operation) {
        if let Some(calls) = usize::try_from(key).ok().and_then(|key| self.keys.get_mut(key)) {
            calls.push(operation);
        }
    }
}

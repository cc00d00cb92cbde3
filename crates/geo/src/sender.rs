//! How far one partition's changes got towards one region.
//!
//! The replicator asks what to read next, tells what it sent and what was acknowledged. The acked
//! position becomes the reader's cursor in the partition group; a new leader starts from there.
//!
//! # Invariants
//!
//! - `saved <= acked <= sent`; positions are sent in order, each at least once.
//! - A closed version goes out only with or after the position that it closes.
//! - In flight are at most the limits, and always at least one batch.
//!
//! Tested by `sender/tests.rs`.

#[cfg(test)]
mod tests;

use meridian_base::{Hlc, Position};
use std::collections::VecDeque;

/// Closed versions that wait for their position. When more come, the second newest goes.
const CLOSED_MAX: usize = 64;

/// How much may be sent and not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderLimits {
    /// Batches.
    pub batches: usize,
    /// Bytes.
    pub bytes: usize,
}

impl Default for SenderLimits {
    /// Enough for 60 ms round trips at 100 MB/s.
    fn default() -> Self {
        SenderLimits { batches: 64, bytes: 8 * 1024 * 1024 }
    }
}

#[derive(Debug, Clone, Copy)]
struct Flight {
    /// The position that the batch names.
    told: Position,
    /// The position that its acknowledgement settles: pages without own changes count too.
    covers: Position,
    bytes: usize,
}

/// The window of one partition towards one region.
#[derive(Debug, Clone)]
pub struct Sender {
    limits: SenderLimits,
    saved: Position,
    acked: Position,
    sent: Position,
    in_flight: VecDeque<Flight>,
    in_flight_bytes: usize,
    closing: VecDeque<(Position, Hlc)>,
    closed_sent: Hlc,
    closed_acked: Hlc,
    /// Acknowledged closed versions whose position is not stored as cursor yet.
    settled: VecDeque<(Position, Hlc)>,
    closed_saved: Hlc,
}

impl Sender {
    /// Starts after the cursor that the partition group holds.
    pub fn new(cursor: Position, limits: SenderLimits) -> Self {
        Sender {
            limits,
            saved: cursor,
            acked: cursor,
            sent: cursor,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            closing: VecDeque::new(),
            closed_sent: Hlc(0),
            closed_acked: Hlc(0),
            settled: VecDeque::new(),
            closed_saved: Hlc(0),
        }
    }

    /// The position after which to read; none while the window is full.
    pub fn reads_after(&self) -> Option<Position> {
        let full = self.in_flight.len() >= self.limits.batches
            || self.in_flight_bytes >= self.limits.bytes;
        (!full || self.in_flight.is_empty()).then_some(self.sent)
    }

    /// Notes a closed version of the partition, to be announced with the position given.
    pub fn close(&mut self, version: Hlc, position: Position) {
        if self.closing.back().is_some_and(|(_, newest)| *newest >= version) {
            return;
        }
        // The oldest are announced first; between them any may be left out.
        if self.closing.len() >= CLOSED_MAX {
            self.closing.pop_back();
        }
        self.closing.push_back((position, version));
    }

    /// The closed version that a batch up to `upto` may announce, if it is news.
    pub fn closed_with(&self, upto: Position) -> Option<Hlc> {
        let reached = self.closing.iter().take_while(|(position, _)| *position <= upto);
        reached.map(|(_, version)| *version).max().filter(|version| *version > self.closed_sent)
    }

    /// True when a batch without changes is worth sending: it announces something.
    pub fn has_news(&self) -> bool {
        self.closed_with(self.sent).is_some()
    }

    /// Notes a batch that was sent, with what it announced.
    pub fn sent(&mut self, upto: Position, bytes: usize, closed: Option<Hlc>) {
        self.sent = self.sent.max(upto);
        self.in_flight.push_back(Flight { told: upto, covers: self.sent, bytes });
        self.in_flight_bytes = self.in_flight_bytes.saturating_add(bytes);
        if let Some(closed) = closed {
            self.closed_sent = self.closed_sent.max(closed);
        }
    }

    /// Notes positions up to `upto` that hold nothing for the region.
    pub fn skipped(&mut self, upto: Position) {
        self.sent = self.sent.max(upto);
        match self.in_flight.back_mut() {
            Some(flight) => flight.covers = self.sent,
            None => self.acked = self.sent,
        }
    }

    /// Notes an acknowledgement; true when the acked position moved.
    pub fn acked(&mut self, upto: Position, closed: Hlc) -> bool {
        let before = self.acked;
        while self.in_flight.front().is_some_and(|flight| flight.told <= upto)
            && let Some(flight) = self.in_flight.pop_front()
        {
            self.in_flight_bytes = self.in_flight_bytes.saturating_sub(flight.bytes);
            self.acked = self.acked.max(flight.covers);
        }
        self.closed_acked = self.closed_acked.max(closed.min(self.closed_sent));
        while self.closing.front().is_some_and(|(_, version)| *version <= self.closed_acked) {
            self.closing.pop_front();
        }
        self.settle();
        self.acked > before
    }

    /// Forgets what is in flight: the stream broke, and everything unacknowledged is sent again.
    pub fn rewind(&mut self) {
        self.in_flight.clear();
        self.in_flight_bytes = 0;
        self.sent = self.acked;
        self.closed_sent = self.closed_acked;
    }

    /// The cursor to store in the partition group, when it moved since it was stored.
    pub fn unsaved(&self) -> Option<Position> {
        (self.acked > self.saved).then_some(self.acked)
    }

    /// Notes that a cursor was stored.
    pub fn saved(&mut self, position: Position) {
        self.saved = self.saved.max(position);
        self.take_settled();
    }

    /// Remembers which closed version the acked position stands for.
    fn settle(&mut self) {
        // Both grow, so a full queue may let go of any but the newest.
        if self.settled.len() >= CLOSED_MAX
            || self.settled.back().is_some_and(|b| b.0 == self.acked)
        {
            self.settled.pop_back();
        }
        self.settled.push_back((self.acked, self.closed_acked));
        self.take_settled();
    }

    fn take_settled(&mut self) {
        while let Some((position, closed)) = self.settled.front().copied()
            && position <= self.saved
        {
            self.closed_saved = self.closed_saved.max(closed);
            self.settled.pop_front();
        }
    }

    /// The last position that the region has committed.
    pub fn acked_position(&self) -> Position {
        self.acked
    }

    /// The newest closed version that the region has stored.
    pub fn acked_closed(&self) -> Hlc {
        self.closed_acked
    }

    /// The newest closed version that the region has stored and below which nothing is ever sent
    /// again: the stored cursor, from which a new leader would start, has passed it.
    pub fn saved_closed(&self) -> Hlc {
        self.closed_saved
    }

    /// How far the region is behind, ms: the age of the newest closed version it has stored.
    pub fn lag_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.closed_acked.ms())
    }
}

/// The version up to which every one of a partition's target regions has everything, and below
/// which none is sent anything again: what it announces as stable. A receiver that dropped a
/// tombstone at or below it cannot be sent the item that it deleted. Without targets there is nothing to wait for.
pub fn stable<'a>(senders: impl IntoIterator<Item = &'a Sender>) -> Hlc {
    senders.into_iter().map(Sender::saved_closed).min().unwrap_or(Hlc(u64::MAX))
}

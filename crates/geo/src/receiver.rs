//! The receiver's order: a batch is acknowledged when every target partition has committed its
//! part of it, and every batch before it is.

use meridian_base::{Hlc, PartitionId, Position};
use std::collections::{BTreeSet, VecDeque};

/// The batches of one origin partition that are being committed here.
#[derive(Debug, Clone, Default)]
pub struct Receiver {
    waiting: VecDeque<Arrived>,
}

#[derive(Debug, Clone)]
struct Arrived {
    upto: Position,
    closed: Option<Hlc>,
    open: BTreeSet<PartitionId>,
}

/// What may be told to the origin, and stored as received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Everything up to here is committed.
    pub upto: Position,
    /// The closed version that holds now, if a batch announced one.
    pub closed: Option<Hlc>,
}

impl Receiver {
    /// Notes a batch and the target partitions that its changes went to.
    pub fn arrived(
        &mut self,
        upto: Position,
        closed: Option<Hlc>,
        targets: impl IntoIterator<Item = PartitionId>,
    ) {
        self.waiting.push_back(Arrived { upto, closed, open: targets.into_iter().collect() });
    }

    /// Notes that a target partition committed its part of the batch up to `upto`.
    pub fn committed(&mut self, upto: Position, target: PartitionId) {
        if let Some(batch) =
            self.waiting.iter_mut().find(|b| b.upto == upto && b.open.contains(&target))
        {
            batch.open.remove(&target);
        }
    }

    /// Takes the batches at the front that are committed everywhere; none when there are none.
    pub fn receipt(&mut self) -> Option<Receipt> {
        let mut receipt: Option<Receipt> = None;
        while self.waiting.front().is_some_and(|batch| batch.open.is_empty())
            && let Some(batch) = self.waiting.pop_front()
        {
            let before = receipt.and_then(|r| r.closed);
            receipt = Some(Receipt { upto: batch.upto, closed: batch.closed.max(before) });
        }
        receipt
    }

    /// Batches not taken yet.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_come_in_order_and_whole() {
        let (left, right) = (PartitionId(16), PartitionId(17));
        let mut receiver = Receiver::default();
        receiver.arrived(Position(5), Some(Hlc(50)), [left, right]);
        receiver.arrived(Position(9), None, [left]);
        receiver.arrived(Position(9), Some(Hlc(90)), []);
        receiver.committed(Position(9), left);
        receiver.committed(Position(5), left);
        assert_eq!(receiver.receipt(), None);
        receiver.committed(Position(5), right);
        assert_eq!(receiver.receipt(), Some(Receipt { upto: Position(9), closed: Some(Hlc(90)) }));
        assert!(receiver.is_empty());
    }
}

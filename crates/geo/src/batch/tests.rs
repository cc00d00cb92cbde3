use super::*;
use meridian_base::{Cause, Origin, Version};
use proptest::prelude::*;

fn batch(n: u64, changes: usize) -> ReplicationBatch {
    let region = RegionId { number: 2, incarnation: 1 };
    let change = |i: u64| Change {
        key: i.to_be_bytes().to_vec(),
        image: i.is_multiple_of(2).then(|| vec![7; 3]),
        version: Version { hlc: Hlc(i), region },
        base: [Version { hlc: Hlc(i), region: RegionId::new(1) }].into_iter().collect(),
        origin: Origin {
            region,
            partition: PartitionId(16),
            incarnation: Incarnation(3),
            position: Position(i),
        },
        cause: Cause::Write,
        commit_ms: i,
    };
    ReplicationBatch {
        table: TableId(n),
        region,
        partition: PartitionId(16),
        incarnation: Incarnation(3),
        start: vec![0x40],
        end: n.is_multiple_of(2).then(|| vec![0x80]),
        after: Position(n),
        upto: Position(n + 5),
        changes: (0..changes as u64).map(|i| change(n + i)).collect(),
        closed: n.is_multiple_of(3).then_some(Hlc(n)),
        stable: Hlc(n / 2),
        late: n % 2 == 1,
        sent_ms: n,
    }
}

proptest! {
    #[test]
    fn batches_and_acks_round_trip(n in 0..u64::MAX / 2, changes in 0usize..4) {
        let batch = batch(n, changes);
        prop_assert_eq!(ReplicationBatch::decode(&batch.encode()), Ok(batch));
        let ack = Ack {
            table: TableId(n),
            partition: PartitionId(n),
            upto: Position(n),
            closed: Hlc(n),
        };
        prop_assert_eq!(Ack::decode(&ack.encode()), Ok(ack));
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>, at: prop::sample::Index, flip in 1u8..) {
        let _ = (ReplicationBatch::decode(&bytes), Ack::decode(&bytes));
        let mut damaged = batch(6, 2).encode();
        let at = at.index(damaged.len());
        damaged[at] ^= flip;
        let _ = ReplicationBatch::decode(&damaged);
        let _ = ReplicationBatch::decode(&damaged[..at]);
    }
}

#[test]
fn the_first_format_is_still_read() {
    let sample = include_bytes!("../../samples/batch.v1.bin");
    assert_eq!(ReplicationBatch::decode(sample), Ok(batch(6, 2)));
    assert_eq!(batch(6, 2).encode(), sample);
}

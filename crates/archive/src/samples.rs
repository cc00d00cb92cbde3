//! The first formats stay readable: one committed object of each kind.

use crate::{
    ArchivedChange, ArchivedItem, ArchivedPartition, BaseChunk, BaseEnd, DataKey, LogSegment,
    MasterKey, TableMeta, Watermark, open, seal,
};
use meridian_base::{Cause, Hlc, PartitionId, Position, RegionId, Version};

const PARTITION: PartitionId = PartitionId(16);

fn version(n: u64) -> Version {
    Version { hlc: Hlc(n << 16), region: RegionId { number: 3, incarnation: 1 } }
}

fn segment() -> LogSegment {
    let change = |position, image: Option<&[u8]>, cause| ArchivedChange {
        position: Position(position),
        commit_ms: 1_700_000_000_000 + position,
        key: b"key".to_vec(),
        image: image.map(<[u8]>::to_vec),
        version: version(position),
        cause,
    };
    LogSegment {
        partition: PARTITION,
        first: Position(300),
        last: Position(302),
        changes: vec![
            change(300, Some(b"image"), Cause::Write),
            change(301, Some(b"other"), Cause::Replicated),
            change(302, None, Cause::Ttl),
        ],
    }
}

fn chunk() -> BaseChunk {
    let item = |key: &[u8], n| ArchivedItem {
        key: key.to_vec(),
        image: b"image".to_vec(),
        version: version(n),
    };
    let items = vec![item(b"a", 1), item(b"b", 2)];
    BaseChunk { partition: PARTITION, position: Position(299), number: 1, items }
}

fn end() -> BaseEnd {
    let position = Position(299);
    let commit_ms = 1_700_000_000_000;
    BaseEnd {
        partition: PARTITION,
        position,
        commit_ms,
        closed_ms: commit_ms + 90,
        chunks: 2,
        items: 4,
        bytes: 24,
    }
}

fn watermark() -> Watermark {
    Watermark { partition: PARTITION, position: Position(302), commit_ms: 1_700_000_000_500 }
}

fn meta() -> TableMeta {
    let partition = |n, start: &[u8], end: Option<&[u8]>| ArchivedPartition {
        partition: PartitionId(n),
        start: start.to_vec(),
        end: end.map(<[u8]>::to_vec),
    };
    TableMeta {
        at_ms: 1_700_000_000_000,
        name: "orders".to_owned(),
        definition: b"{}".to_vec(),
        partitions: vec![partition(16, b"", Some(&[0x80])), partition(17, &[0x80], None)],
        own: Vec::new(),
    }
}

#[test]
fn plain_objects_are_still_read_and_written() {
    let sample = include_bytes!("../samples/segment.v1.bin");
    assert_eq!(LogSegment::decode("s", sample), Ok(segment()));
    assert_eq!(segment().encode(), sample);
    let sample = include_bytes!("../samples/chunk.v1.bin");
    assert_eq!(BaseChunk::decode("s", sample), Ok(chunk()));
    assert_eq!(chunk().encode(), sample);
    let sample = include_bytes!("../samples/end.v1.bin");
    assert_eq!(BaseEnd::decode("s", sample), Ok(end()));
    assert_eq!(end().encode(), sample);
    let sample = include_bytes!("../samples/watermark.v1.bin");
    assert_eq!(Watermark::decode("s", sample), Ok(watermark()));
    assert_eq!(watermark().encode(), sample);
    let sample = include_bytes!("../samples/meta.v1.bin");
    assert_eq!(TableMeta::decode("s", sample), Ok(meta()));
    assert_eq!(meta().encode(), sample);
}

#[test]
fn sealed_objects_and_wrapped_keys_are_still_read() {
    let master = MasterKey::new([1; 32]);
    let sample = include_bytes!("../samples/key.v1.bin");
    let key = master.unwrap("keys/0000000007", sample).unwrap();
    assert_eq!(master.wrap(&DataKey::new(7, [2; 32]), [3; 12]), sample);
    let sample = include_bytes!("../samples/sealed.v1.bin");
    let plain = open(|number| (number == 7).then_some(&key), "c/r/tables/9/p16/log/x", sample);
    assert_eq!(plain, Ok(segment().encode()));
    // Another version of the compressor may pack differently; the envelope stays.
    let sealed = seal(&key, "c/r/tables/9/p16/log/x", [4; 12], &segment().encode());
    assert_eq!(sealed[..21], sample[..21]);
}

use super::*;
use meridian_base::Hlc;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn chunk(number: u32, items: BTreeMap<Vec<u8>, Vec<u8>>) -> BaseChunk {
    let item = |(n, (key, image))| {
        let version = Version { hlc: Hlc(n), ..Version::default() };
        ArchivedItem { key, image, version }
    };
    let items = (7u64..).zip(items).map(item).collect();
    BaseChunk { partition: PartitionId(16), position: Position(40), number, items }
}

#[test]
fn keys_out_of_order_are_named() {
    let items = [(vec![1], vec![9]), (vec![2], vec![9])];
    for broken in [vec![3], vec![2]] {
        let mut chunk = chunk(0, items.clone().into());
        chunk.items[0].key = broken;
        let error = BaseChunk::decode("b", &chunk.encode()).unwrap_err();
        assert!(matches!(&error, ArchiveError::Damaged { offset: 22, .. }), "{error}");
        assert!(error.to_string().ends_with("the key of item 1 is not above the one before"));
    }
}

#[test]
fn one_kind_is_not_read_as_another() {
    let chunk = chunk(0, BTreeMap::new());
    let error = BaseEnd::decode("b", &chunk.encode()).unwrap_err();
    let what = "it is not the kind of object that its name says";
    assert_eq!(error.to_string(), format!("object b is damaged at byte 0: {what}"));
    let mut newer = chunk.encode();
    newer[1] = 2;
    let error = BaseChunk::decode("b", &newer).unwrap_err();
    assert_eq!(error.to_string(), "object b is damaged at byte 1: its format is unknown");
}

proptest! {
    #[test]
    fn bases_round_trip(number: u32, items: BTreeMap<Vec<u8>, Vec<u8>>, n: [u64; 5]) {
        let chunk = chunk(number, items);
        prop_assert_eq!(BaseChunk::decode("b", &chunk.encode()), Ok(chunk.clone()));
        let end = BaseEnd {
            partition: PartitionId(n[0]),
            position: Position(n[1]),
            commit_ms: n[2],
            closed_ms: n[4],
            chunks: number,
            items: n[3],
            bytes: chunk.items.iter().map(ArchivedItem::bytes).sum(),
        };
        prop_assert_eq!(BaseEnd::decode("b", &end.encode()), Ok(end));
        prop_assert!(BaseEnd::decode("b", &[&end.encode()[..], &[0]].concat()).is_err());
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
        for kind in [Kind::Chunk, Kind::End] {
            let framed = [kind.start(), bytes.clone()].concat();
            let _ = (BaseChunk::decode("b", &framed), BaseEnd::decode("b", &framed));
        }
        let _ = (BaseChunk::decode("b", &bytes), BaseEnd::decode("b", &bytes));
    }
}

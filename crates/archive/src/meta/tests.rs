use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn watermarks_and_tables_round_trip(
        n: [u64; 3],
        name: String,
        definition: Vec<u8>,
        partitions: Vec<(u64, Vec<u8>, Option<Vec<u8>>)>,
        own: Vec<u8>,
    ) {
        let (partition, position) = (PartitionId(n[0]), Position(n[1]));
        let watermark = Watermark { partition, position, commit_ms: n[2] };
        prop_assert_eq!(Watermark::decode("w", &watermark.encode()), Ok(watermark));
        let partitions = partitions
            .into_iter()
            .map(|(n, start, end)| ArchivedPartition { partition: PartitionId(n), start, end })
            .collect();
        let meta = TableMeta { at_ms: n[2], name, definition, partitions, own };
        prop_assert_eq!(TableMeta::decode("m", &meta.encode()), Ok(meta.clone()));
        let cut = meta.encode().len() - 1;
        prop_assert!(TableMeta::decode("m", &meta.encode()[..cut]).is_err());
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
        for kind in [Kind::Watermark, Kind::Meta] {
            let framed = [kind.start(), bytes.clone()].concat();
            let _ = (Watermark::decode("w", &framed), TableMeta::decode("m", &framed));
        }
        let _ = (Watermark::decode("w", &bytes), TableMeta::decode("m", &bytes));
    }
}

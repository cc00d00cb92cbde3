//! Tests of reading: what an export wrote, CSV, compression, and bytes that are neither.

use super::*;
use crate::data::DataFile;
use flate2::write::GzEncoder;
use meridian_model::{AttributeValue, Item, KeyKind, Number};
use proptest::prelude::*;
use std::io::Write as _;

fn read(format: &Format, compression: Compression, bytes: &[u8], at_a_time: usize) -> Vec<Row> {
    let attributes = [KeyAttribute::new("pk", KeyKind::S), KeyAttribute::new("n", KeyKind::N)];
    let mut reader = ObjectReader::new(format, compression, &attributes);
    let mut rows: Vec<Row> =
        bytes.chunks(at_a_time.max(1)).flat_map(|part| reader.push(part)).collect();
    rows.extend(reader.finish());
    assert!(rows.iter().enumerate().all(|(at, row)| row.index == at as u64), "{rows:?}");
    rows
}

/// The rows as text: items as DynamoDB JSON, errors with their kind.
fn shown(format: &Format, compression: Compression, bytes: &[u8]) -> Vec<String> {
    let show = |row: Row| match row.item {
        Ok(item) => {
            let mut out = Vec::new();
            meridian_wire::write_item(&mut out, &item);
            String::from_utf8(out).unwrap()
        }
        Err(error) => format!("{}: {error}", if error.ends_object() { "end" } else { "skip" }),
    };
    read(format, compression, bytes, 7).into_iter().map(show).collect()
}

fn json(text: &str) -> Vec<String> {
    shown(&Format::DynamoDbJson, Compression::None, text.as_bytes())
}

fn csv(delimiter: u8, header: Option<&[&str]>, text: &str) -> Vec<String> {
    let header = header.map(|names| names.iter().map(|&name| name.to_owned()).collect());
    let format = Format::Csv(CsvOptions { delimiter, header });
    shown(&format, Compression::None, text.as_bytes())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).unwrap()
}

#[test]
fn lines_are_items() {
    assert_eq!(
        json("{\"Item\":{\"pk\":{\"S\":\"a\"}}}\n\n {\"Item\":{\"pk\":{\"S\":\"b\"}}} "),
        [r#"{"pk":{"S":"a"}}"#, r#"{"pk":{"S":"b"}}"#]
    );
    assert!(json("").is_empty());
}

#[test]
fn a_line_that_is_no_item_is_passed_over_and_one_that_is_no_json_ends_the_object() {
    let text = "{\"Item\":{\"pk\":{\"S\":\"a\"}}}\n{\"Key\":1}\n{\"Item\":{\"pk\":{\"N\":\"x\"}}}\n\
                {\"Item\":3}\nnot json\n{\"Item\":{\"pk\":{\"S\":\"b\"}}}\n";
    let shown = json(text);
    assert_eq!(shown.len(), 5, "{shown:?}");
    assert_eq!(shown[0], r#"{"pk":{"S":"a"}}"#);
    assert_eq!(shown[1], "skip: The line has no member Item");
    assert!(shown[2].starts_with("skip: ") && shown[3].starts_with("skip: "), "{shown:?}");
    assert_eq!(shown[4], "end: The line is not JSON");
    let two = json("{\"Item\":{}} {\"Item\":{}}");
    assert_eq!(two, ["end: The line is not JSON"]);
}

#[test]
fn a_line_is_bounded() {
    let mut text = b"{\"Item\":{}}\n".to_vec();
    text.resize(text.len() + ROW_BYTES_MAX + 1, b' ');
    let rows = read(&Format::DynamoDbJson, Compression::None, &text, 1 << 20);
    assert_eq!(rows.len(), 2);
    assert!(rows[1].item.as_ref().is_err_and(RowError::ends_object));
}

#[test]
fn columns_become_texts_but_for_keys() {
    let text = "\u{feff}pk,n,v,empty\r\na,1.50,2,\n\"b,\"\"x\"\"\n\",2,\"\",e\n\nc,3,é,";
    assert_eq!(
        csv(b',', None, text),
        [
            r#"{"n":{"N":"1.5"},"pk":{"S":"a"},"v":{"S":"2"}}"#,
            r#"{"empty":{"S":"e"},"n":{"N":"2"},"pk":{"S":"b,\"x\"\n"}}"#,
            r#"{"n":{"N":"3"},"pk":{"S":"c"},"v":{"S":"é"}}"#,
        ]
    );
}

#[test]
fn a_stated_header_makes_the_first_line_data() {
    for delimiter in [b';', b':', b'|', b'\t', b' '] {
        let text = format!("pk{0}v", char::from(delimiter));
        let header: &[&str] = &["pk", "v"];
        assert_eq!(csv(delimiter, Some(header), &text), [r#"{"pk":{"S":"pk"},"v":{"S":"v"}}"#]);
        assert!(csv(delimiter, None, &text).is_empty());
    }
}

#[test]
fn rows_that_do_not_fit_are_passed_over_and_a_bad_header_ends_the_object() {
    let fits = r#"{"n":{"N":"1"},"pk":{"S":"a"}}"#;
    assert_eq!(
        csv(b',', None, "pk,n\na\na,1,2\na,x\na,1\n"),
        [
            "skip: The row has 1 fields, and the header 2 columns",
            "skip: The row has 3 fields, and the header 2 columns",
            "skip: The key n is no number: The parameter cannot be converted to a numeric value: x",
            fits
        ]
    );
    assert_eq!(csv(b',', None, "pk,pk\na,b"), ["end: The header names a column twice"]);
    assert_eq!(csv(b',', None, "pk,\na,b"), ["end: The header has a column without a name"]);
    let wide = vec!["x"; 257].join(",");
    assert_eq!(csv(b',', Some(&["pk"]), &wide), ["end: A row has more than 255 columns"]);
}

#[test]
fn compression_is_undone() {
    let line = "{\"Item\":{\"pk\":{\"S\":\"a\"}}}\n".repeat(3);
    let plain = line.as_bytes();
    let twice = [gzip(plain), gzip(plain)].concat();
    let frames = [zstd(plain), zstd(plain)].concat();
    let format = Format::DynamoDbJson;
    for (compression, bytes, rows) in [
        (Compression::Gzip, gzip(plain), 3),
        (Compression::Gzip, twice, 6),
        (Compression::Zstd, zstd(plain), 3),
        (Compression::Zstd, frames, 6),
        (Compression::Gzip, Vec::new(), 0),
        (Compression::Zstd, Vec::new(), 0),
        (Compression::Gzip, gzip(b""), 0),
    ] {
        for at_a_time in [1, 5, 100_000] {
            let found = read(&format, compression, &bytes, at_a_time);
            assert_eq!(found.len(), rows, "{compression:?} {at_a_time}");
            assert!(found.iter().all(|row| row.item.is_ok()));
        }
    }
}

#[test]
fn what_is_not_compressed_so_or_ends_too_early_is_one_error() {
    let plain = "{\"Item\":{\"pk\":{\"S\":\"a\"}}}\n".repeat(100);
    let (gz, zst) = (gzip(plain.as_bytes()), zstd(plain.as_bytes()));
    let cases: [(Compression, &[u8]); 6] = [
        (Compression::Gzip, plain.as_bytes()),
        (Compression::Zstd, plain.as_bytes()),
        (Compression::Gzip, &gz[..gz.len() - 1]),
        (Compression::Zstd, &zst[..zst.len() - 1]),
        (Compression::Gzip, &zst),
        (Compression::None, &gz),
    ];
    for (compression, bytes) in cases {
        let rows = read(&Format::DynamoDbJson, compression, bytes, 16);
        let bad = rows.iter().filter(|row| row.item.is_err()).count();
        assert_eq!(bad, 1, "{compression:?}: {rows:?}");
        assert!(rows.last().unwrap().item.as_ref().is_err_and(RowError::ends_object));
    }
}

#[test]
fn plain_bytes_are_counted() {
    let plain = b"{\"Item\":{}}\n";
    let mut reader = ObjectReader::new(&Format::DynamoDbJson, Compression::Gzip, &[]);
    reader.push(&gzip(plain));
    reader.finish();
    assert_eq!(reader.plain_bytes(), plain.len() as u64);
    assert!(reader.is_over());
}

fn value() -> impl Strategy<Value = AttributeValue> {
    let number = || (-1_000_000i64..1_000_000).prop_map(|n| Number::parse(&n.to_string()).unwrap());
    let bytes = || prop::collection::vec(any::<u8>(), 1..8);
    let leaf = prop_oneof![
        any::<String>().prop_map(AttributeValue::S),
        number().prop_map(AttributeValue::N),
        bytes().prop_map(AttributeValue::B),
        any::<bool>().prop_map(AttributeValue::Bool),
        Just(AttributeValue::Null),
        prop::collection::btree_set(any::<String>(), 1..4).prop_map(AttributeValue::Ss),
        prop::collection::btree_set(number(), 1..4).prop_map(AttributeValue::Ns),
        prop::collection::btree_set(bytes(), 1..4).prop_map(AttributeValue::Bs),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(AttributeValue::L),
            prop::collection::btree_map("[a-z]{1,4}", inner, 0..4).prop_map(AttributeValue::M),
        ]
    })
}

fn items() -> impl Strategy<Value = Vec<Item>> {
    prop::collection::vec(prop::collection::btree_map("[a-z]{1,6}", value(), 0..5), 0..6)
}

proptest! {
    #[test]
    fn what_an_export_writes_is_read_back_equal(items in items(), at_a_time in 1usize..200) {
        let mut file = DataFile::default();
        items.iter().for_each(|item| file.add_item(item));
        let bytes = file.finish().bytes;
        let rows = read(&Format::DynamoDbJson, Compression::Gzip, &bytes, at_a_time);
        let read: Vec<Item> = rows.into_iter().map(|row| row.item.unwrap()).collect();
        prop_assert_eq!(read, items);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        at_a_time in 1usize..50,
    ) {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            for format in [Format::DynamoDbJson, Format::Csv(CsvOptions::default())] {
                let rows = read(&format, compression, &bytes, at_a_time);
                let ends = rows.iter().filter(|r| r.item.as_ref().is_err_and(RowError::ends_object));
                prop_assert!(ends.count() <= 1);
            }
        }
    }
}

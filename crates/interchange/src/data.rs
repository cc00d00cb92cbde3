//! The data files of an export: JSON lines, compressed with gzip.
//!
//! A full export has `{"Item":{…}}` for each item. An incremental one has, for each key that was
//! written in its time, `{"Metadata":{"WriteTimestampMicros":{"N":"…"}},"Keys":{…},"OldImage":{…},
//! "NewImage":{…}}`; an image is left out where there was no item, and the old one where the export
//! shows new ones only.
//!
//! # Invariants
//!
//! - The bytes follow from the lines alone: no time stands in the header.
//!
//! Tested below; what it writes is read back in `source/tests.rs`.

use crate::checksum::{checksum, etag};
use flate2::Compression;
use flate2::write::GzEncoder;
use meridian_model::Item;
use meridian_wire::json::{Object, string};
use meridian_wire::write_item;
use std::io::Write as _;

/// At so many bytes of lines a file is complete, and the next one is begun.
pub const FINISHED_PLAIN_BYTES: u64 = 64 * 1024 * 1024;

/// What was written to a key in the time of an incremental export.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// When it was last written, μs since the epoch.
    pub written_micros: u64,
    /// The key.
    pub keys: &'a Item,
    /// The item before; none where there was none, or old images are not shown.
    pub old: Option<&'a Item>,
    /// The item after; none where it was deleted.
    pub new: Option<&'a Item>,
}

/// A data file that is being written.
pub struct DataFile {
    gzip: GzEncoder<Vec<u8>>,
    line: Vec<u8>,
    plain_bytes: u64,
    items: u64,
}

/// A data file that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Its content.
    pub bytes: Vec<u8>,
    /// Its lines.
    pub items: u64,
    /// `md5Checksum`.
    pub md5: String,
    /// `etag`.
    pub etag: String,
}

impl Default for DataFile {
    fn default() -> Self {
        let gzip = GzEncoder::new(Vec::new(), Compression::fast());
        DataFile { gzip, line: Vec::new(), plain_bytes: 0, items: 0 }
    }
}

impl DataFile {
    /// Adds a line of a full export.
    pub fn add_item(&mut self, item: &Item) {
        let mut line = std::mem::take(&mut self.line);
        let mut object = Object::open(&mut line);
        write_item(object.key("Item"), item);
        object.close();
        self.end_line(line);
    }

    /// Adds a line of an incremental export.
    pub fn add_change(&mut self, change: Change<'_>) {
        let mut line = std::mem::take(&mut self.line);
        let mut object = Object::open(&mut line);
        let mut metadata = Object::open(object.key("Metadata"));
        let mut written = Object::open(metadata.key("WriteTimestampMicros"));
        string(written.key("N"), &change.written_micros.to_string());
        written.close();
        metadata.close();
        write_item(object.key("Keys"), change.keys);
        if let Some(old) = change.old {
            write_item(object.key("OldImage"), old);
        }
        if let Some(new) = change.new {
            write_item(object.key("NewImage"), new);
        }
        object.close();
        self.end_line(line);
    }

    fn end_line(&mut self, mut line: Vec<u8>) {
        line.push(b'\n');
        self.gzip.write_all(&line).expect("a Vec takes any bytes");
        self.plain_bytes += line.len() as u64;
        self.items += 1;
        line.clear();
        self.line = line;
    }

    /// True when it is large enough.
    pub fn is_full(&self) -> bool {
        self.plain_bytes >= FINISHED_PLAIN_BYTES
    }

    /// Ends the file.
    pub fn finish(self) -> Finished {
        let bytes = self.gzip.finish().expect("a Vec takes any bytes");
        let (md5, etag) = (checksum(&bytes), etag(&bytes));
        Finished { bytes, items: self.items, md5, etag }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use meridian_model::AttributeValue;
    use std::io::Read as _;

    fn item(name: &str, value: &str) -> Item {
        Item::from([(name.to_owned(), AttributeValue::S(value.to_owned()))])
    }

    fn lines(file: DataFile) -> (u64, String) {
        let finished = file.finish();
        let mut text = String::new();
        GzDecoder::new(finished.bytes.as_slice()).read_to_string(&mut text).unwrap();
        (finished.items, text)
    }

    #[test]
    fn a_full_export_has_a_line_an_item() {
        let mut file = DataFile::default();
        file.add_item(&item("pk", "a\nb"));
        file.add_item(&item("pk", "é"));
        let expected = "{\"Item\":{\"pk\":{\"S\":\"a\\nb\"}}}\n{\"Item\":{\"pk\":{\"S\":\"é\"}}}\n";
        assert_eq!(lines(file), (2, expected.to_owned()));
        assert_eq!(lines(DataFile::default()), (0, String::new()));
    }

    #[test]
    fn an_incremental_export_leaves_out_what_was_not_there() {
        let (key, old, new) = (item("pk", "k"), item("v", "1"), item("v", "2"));
        let change = |old, new| Change { written_micros: 7, keys: &key, old, new };
        let mut file = DataFile::default();
        file.add_change(change(None, Some(&new)));
        file.add_change(change(Some(&old), Some(&new)));
        file.add_change(change(Some(&old), None));
        let start = r#"{"Metadata":{"WriteTimestampMicros":{"N":"7"}},"Keys":{"pk":{"S":"k"}}"#;
        let (old, new) = (r#""OldImage":{"v":{"S":"1"}}"#, r#""NewImage":{"v":{"S":"2"}}"#);
        let expected = format!("{start},{new}}}\n{start},{old},{new}}}\n{start},{old}}}\n");
        assert_eq!(lines(file), (3, expected));
    }

    #[test]
    fn the_same_lines_are_the_same_bytes() {
        let write = || {
            let mut file = DataFile::default();
            (0..100).for_each(|n| file.add_item(&item("pk", &n.to_string())));
            file.finish()
        };
        assert_eq!(write(), write());
    }
}

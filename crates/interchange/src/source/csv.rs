//! CSV: a row an item, with the names of the attributes in a header.

use super::{CsvOptions, ROW_BYTES_MAX, RowResult, too_long};
use crate::rows::RowError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use meridian_model::{AttributeValue, Item, KeyAttribute, KeyKind, Number};
use std::collections::{BTreeMap, BTreeSet};

/// Most columns of an object (AWS: 255 in a header).
const COLUMNS_MAX: usize = 255;
/// The mark that some programs put before UTF-8.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// The rows of one object.
pub struct CsvRows {
    reader: Reader,
    header: Option<Vec<String>>,
    kinds: BTreeMap<String, KeyKind>,
    /// The fields of a row that is being read, one after the other, and where each ends.
    fields: Vec<u8>,
    ends: Vec<usize>,
    filled: usize,
    ended: usize,
}

impl CsvRows {
    /// Begins an object of a table with these attribute definitions.
    pub fn new(options: &CsvOptions, attributes: &[KeyAttribute]) -> Self {
        let kinds = attributes.iter().map(|one| (one.name.clone(), one.kind)).collect();
        CsvRows {
            reader: ReaderBuilder::new().delimiter(options.delimiter).build(),
            header: options.header.clone(),
            kinds,
            fields: vec![0; 1024],
            // One more than allowed, so that a row with too many is noticed.
            ends: vec![0; COLUMNS_MAX + 1],
            filled: 0,
            ended: 0,
        }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, plain: &[u8], found: &mut dyn FnMut(RowResult)) {
        if !plain.is_empty() {
            self.run(plain, found);
        }
    }

    /// Takes the last row, which need not end.
    pub fn finish(&mut self, found: &mut dyn FnMut(RowResult)) {
        self.run(&[], found);
    }

    /// No bytes are the end of the object.
    fn run(&mut self, mut input: &[u8], found: &mut dyn FnMut(RowResult)) {
        loop {
            let fields = self.fields.get_mut(self.filled..).unwrap_or_default();
            let ends = self.ends.get_mut(self.ended..).unwrap_or_default();
            let (result, read, written, ended) = self.reader.read_record(input, fields, ends);
            input = input.get(read..).unwrap_or_default();
            self.filled += written;
            self.ended += ended;
            match result {
                ReadRecordResult::InputEmpty => return,
                ReadRecordResult::OutputFull if self.fields.len() >= ROW_BYTES_MAX => {
                    return found(Err(too_long()));
                }
                ReadRecordResult::OutputFull => self.fields.resize(2 * self.fields.len(), 0),
                ReadRecordResult::OutputEndsFull => {
                    let what = format!("A row has more than {COLUMNS_MAX} columns");
                    return found(Err(RowError::Malformed(what)));
                }
                ReadRecordResult::Record => {
                    if let Some(row) = self.end_row() {
                        found(row);
                    }
                }
                ReadRecordResult::End => return,
            }
        }
    }

    /// Makes a row of what was read; none of a header.
    fn end_row(&mut self) -> Option<RowResult> {
        let (filled, ended) = (std::mem::take(&mut self.filled), std::mem::take(&mut self.ended));
        let text = self.fields.get(..filled).unwrap_or_default();
        let Ok(text) = std::str::from_utf8(text) else {
            return Some(Err(RowError::Malformed("The row is not UTF-8".to_owned())));
        };
        let ends = self.ends.get(..ended).unwrap_or_default();
        let starts = std::iter::once(&0).chain(ends);
        let fields: Option<Vec<&str>> =
            starts.zip(ends).map(|(start, end)| text.get(*start..*end)).collect();
        let Some(fields) = fields else {
            return Some(Err(RowError::Malformed("The row is not UTF-8".to_owned())));
        };
        match &self.header {
            Some(header) => Some(item(header, &self.kinds, &fields)),
            None => match header(&fields) {
                Ok(header) => {
                    self.header = Some(header);
                    None
                }
                Err(error) => Some(Err(error)),
            },
        }
    }
}

fn header(fields: &[&str]) -> Result<Vec<String>, RowError> {
    let mut names: Vec<String> = fields.iter().map(|&name| name.to_owned()).collect();
    if let Some(first) = names.first_mut()
        && let Some(rest) = first.strip_prefix(BYTE_ORDER_MARK)
    {
        *first = rest.to_owned();
    }
    let wrong = |what: &str| Err(RowError::Malformed(format!("The header {what}")));
    if names.iter().any(String::is_empty) {
        return wrong("has a column without a name");
    }
    if names.iter().collect::<BTreeSet<_>>().len() < names.len() {
        return wrong("names a column twice");
    }
    if names.len() > COLUMNS_MAX {
        return wrong(&format!("has more than {COLUMNS_MAX} columns"));
    }
    Ok(names)
}

fn item(header: &[String], kinds: &BTreeMap<String, KeyKind>, fields: &[&str]) -> RowResult {
    if fields.len() != header.len() {
        let (columns, fields) = (header.len(), fields.len());
        let what = format!("The row has {fields} fields, and the header {columns} columns");
        return Err(RowError::Invalid(what));
    }
    let mut item = Item::new();
    for (name, text) in header.iter().zip(fields).filter(|(_, text)| !text.is_empty()) {
        item.insert(name.clone(), value(name, kinds.get(name), text)?);
    }
    Ok(item)
}

fn value(name: &str, kind: Option<&KeyKind>, text: &str) -> Result<AttributeValue, RowError> {
    match kind {
        None | Some(KeyKind::S) => Ok(AttributeValue::S(text.to_owned())),
        Some(KeyKind::N) => match Number::parse(text.trim()) {
            Ok(number) => Ok(AttributeValue::N(number)),
            Err(error) => Err(RowError::Invalid(format!("The key {name} is no number: {error}"))),
        },
        Some(KeyKind::B) => match STANDARD.decode(text) {
            Ok(bytes) => Ok(AttributeValue::B(bytes)),
            Err(_) => Err(RowError::Invalid(format!("The key {name} is not in base64"))),
        },
    }
}

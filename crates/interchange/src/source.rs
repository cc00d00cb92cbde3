//! Reads the objects of an import: DynamoDB JSON and CSV, plain or compressed.
//!
//! DynamoDB JSON is a line an item, `{"Item":{…}}`, as exports write it. CSV has a header, or the
//! request states one; the attributes that are keys, of the table or an index, have the types of
//! their definitions, and all others are texts. An empty field is no attribute.
//!
//! # Invariants
//!
//! - Rows come in the object's order, numbered from 0; after one that ends the object none follow.
//! - What is held is at most one row of [`ROW_BYTES_MAX`] and what one piece of the object gives.
//!
//! Tested by `source/tests.rs`.

mod csv;
mod json;
#[cfg(test)]
mod tests;

use crate::decode::{Decoder, PIECE_BYTES};
use crate::rows::{Row, RowError};
use csv::CsvRows;
use json::JsonRows;
use meridian_model::KeyAttribute;

/// Longest row, bytes: an item of 400 KB with every character escaped, and some more.
pub const ROW_BYTES_MAX: usize = 4 * 1024 * 1024;

/// `InputCompressionType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// NONE
    None,
    /// GZIP
    Gzip,
    /// ZSTD
    Zstd,
}

/// `InputFormatOptions` of CSV.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvOptions {
    /// What stands between fields.
    pub delimiter: u8,
    /// The header of every object; without it each object's first line is one.
    pub header: Option<Vec<String>>,
}

impl Default for CsvOptions {
    fn default() -> Self {
        CsvOptions { delimiter: b',', header: None }
    }
}

/// `InputFormat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// DYNAMODB_JSON
    DynamoDbJson,
    /// CSV
    Csv(CsvOptions),
}

/// One object being read.
pub struct ObjectReader {
    /// None when nothing more is read.
    decoder: Option<Decoder>,
    rows: Rows,
    next: u64,
    plain_bytes: u64,
}

enum Rows {
    Json(JsonRows),
    Csv(Box<CsvRows>),
}

impl Rows {
    fn push(&mut self, plain: &[u8], found: &mut dyn FnMut(RowResult)) {
        match self {
            Rows::Json(rows) => rows.push(plain, found),
            Rows::Csv(rows) => rows.push(plain, found),
        }
    }

    fn finish(&mut self, found: &mut dyn FnMut(RowResult)) {
        match self {
            Rows::Json(rows) => rows.finish(found),
            Rows::Csv(rows) => rows.finish(found),
        }
    }
}

/// What a row is.
type RowResult = Result<meridian_model::Item, RowError>;

/// Says that a row is longer than any may be.
fn too_long() -> RowError {
    RowError::Malformed(format!("A row is longer than {ROW_BYTES_MAX} bytes"))
}

impl ObjectReader {
    /// Begins an object; `attributes` are the attribute definitions of the table.
    pub fn new(format: &Format, compression: Compression, attributes: &[KeyAttribute]) -> Self {
        let rows = match format {
            Format::DynamoDbJson => Rows::Json(JsonRows::default()),
            Format::Csv(options) => Rows::Csv(Box::new(CsvRows::new(options, attributes))),
        };
        ObjectReader { decoder: Some(Decoder::new(compression)), rows, next: 0, plain_bytes: 0 }
    }

    /// Bytes that were read so far, without their compression.
    pub fn plain_bytes(&self) -> u64 {
        self.plain_bytes
    }

    /// True when nothing more of the object is read.
    pub fn is_over(&self) -> bool {
        self.decoder.is_none()
    }

    /// Reads on; gives the rows that end in these bytes.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Row> {
        let mut rows = Vec::new();
        for piece in bytes.chunks(PIECE_BYTES) {
            let Some(decoder) = &mut self.decoder else { break };
            match decoder.push(piece) {
                Ok(plain) => self.take(&plain, &mut rows),
                Err(error) => self.fail(RowError::Malformed(error.to_string()), &mut rows),
            }
        }
        rows
    }

    /// Ends the object.
    pub fn finish(&mut self) -> Vec<Row> {
        let mut rows = Vec::new();
        let Some(decoder) = self.decoder.take() else { return rows };
        match decoder.finish() {
            Ok(plain) => {
                self.decoder = Some(Decoder::Plain);
                self.take(&plain, &mut rows);
                if self.decoder.take().is_some() {
                    let mut next = self.next;
                    self.rows.finish(&mut |item| number(item, &mut next, &mut rows));
                    self.next = next;
                }
            }
            Err(error) => self.fail(RowError::Malformed(error.to_string()), &mut rows),
        }
        rows
    }

    fn take(&mut self, plain: &[u8], rows: &mut Vec<Row>) {
        self.plain_bytes += plain.len() as u64;
        let (mut next, before) = (self.next, rows.len());
        self.rows.push(plain, &mut |item| number(item, &mut next, rows));
        self.next = next;
        let ends = |row: &Row| row.item.as_ref().is_err_and(RowError::ends_object);
        if let Some(at) = rows.iter().skip(before).position(ends) {
            rows.truncate(before + at + 1);
            self.decoder = None;
        }
    }

    fn fail(&mut self, error: RowError, rows: &mut Vec<Row>) {
        number(Err(error), &mut self.next, rows);
        self.decoder = None;
    }
}

fn number(item: RowResult, next: &mut u64, rows: &mut Vec<Row>) {
    rows.push(Row { index: *next, item });
    *next += 1;
}

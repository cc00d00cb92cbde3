//! DynamoDB JSON: a line an item.

use super::{ROW_BYTES_MAX, RowResult, too_long};
use crate::rows::RowError;
use meridian_model::Item;
use meridian_wire::json::{Malformed, Reader};
use meridian_wire::shape::{Place, ReadError};
use meridian_wire::value::read_item;
use meridian_wire::{Checked, Wording};

/// The lines of one object.
#[derive(Default)]
pub struct JsonRows {
    /// The beginning of a line whose end did not come yet.
    line: Vec<u8>,
}

impl JsonRows {
    /// Takes the next bytes.
    pub fn push(&mut self, plain: &[u8], found: &mut dyn FnMut(RowResult)) {
        let mut rest = plain;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (head, tail) = rest.split_at(end);
            self.line.extend_from_slice(head);
            self.end_line(found);
            rest = tail.get(1..).unwrap_or_default();
        }
        self.line.extend_from_slice(rest);
        if self.line.len() > ROW_BYTES_MAX {
            self.line.clear();
            found(Err(too_long()));
        }
    }

    /// Takes the last line, which need not end.
    pub fn finish(&mut self, found: &mut dyn FnMut(RowResult)) {
        self.end_line(found);
    }

    fn end_line(&mut self, found: &mut dyn FnMut(RowResult)) {
        if self.line.len() > ROW_BYTES_MAX {
            found(Err(too_long()));
        } else if !self.line.trim_ascii().is_empty() {
            found(item(&self.line));
        }
        self.line.clear();
    }
}

fn item(line: &[u8]) -> RowResult {
    let read = read(line).map_err(|error| match error {
        ReadError::Malformed => RowError::Malformed("The line is not JSON".to_owned()),
        ReadError::Type(text) => RowError::Invalid(text),
    })?;
    let item = read.ok_or_else(|| RowError::Invalid("The line has no member Item".to_owned()))?;
    item.into_value().map_err(|fault| RowError::Invalid(fault.text(Wording::Current)))
}

fn read(line: &[u8]) -> Result<Option<Checked<Item>>, ReadError> {
    let mut reader = Reader::new(line)?;
    let (mut first, mut item) = (true, None);
    reader.enter_object()?;
    while let Some(key) = reader.next_key(&mut first)? {
        if key == "Item" {
            item = Some(read_item(&mut reader, Place::Field)?);
        } else {
            reader.skip()?;
        }
    }
    reader.end().map_err(|Malformed| ReadError::Malformed)?;
    Ok(item)
}

//! Reads attribute values from JSON in one pass.
//!
//! A wrong JSON type stops at once: that is a SerializationException. A wrong value is noted and
//! reading goes on, for two reasons: a wrong type further on takes precedence, and so do the
//! constraints of the request.
//!
//! # Invariants
//!
//! - Recursion is bounded: below `NESTING_LEVELS_MAX` the rest is skipped without recursing.
//! - A value that carries a fault is never used: the operation answers with the fault.
//!
//! Tested by `value/tests.rs`.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use meridian_base::limits::NESTING_LEVELS_MAX;
use meridian_model::{AttributeValue, Item, Number};

use super::fault::ValueFault;
use crate::json::{Kind, Malformed, Reader};
use crate::shape::{Checked, Place, ReadError, TypeName, mismatch};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// Reads an attribute value; `place` says where it stands, for the text of a wrong type.
pub fn read_value(
    reader: &mut Reader<'_>,
    place: Place,
) -> Result<Checked<AttributeValue>, ReadError> {
    let mut values = Values::default();
    let value = values.value(reader, place, 1)?;
    Ok(Checked::new(value, values.fault, None))
}

/// Reads a map of attribute values.
pub fn read_item(reader: &mut Reader<'_>, place: Place) -> Result<Checked<Item>, ReadError> {
    let mut values = Values::default();
    let item = values.map(reader, place, 1)?;
    Ok(Checked::new(item, values.fault, values.attribute))
}

/// The first fault found so far, and the top-level attribute that it is in.
#[derive(Default)]
struct Values {
    fault: Option<ValueFault>,
    attribute: Option<String>,
}

impl Values {
    fn note(&mut self, fault: ValueFault) {
        self.fault.get_or_insert(fault);
    }

    fn value(
        &mut self,
        reader: &mut Reader<'_>,
        place: Place,
        level: usize,
    ) -> Result<AttributeValue, ReadError> {
        match reader.kind()? {
            Kind::Object => reader.enter_object()?,
            Kind::Null => {
                reader.literal()?;
                self.note(ValueFault::Empty);
                return Ok(AttributeValue::Null);
            }
            kind => return Err(mismatch(TypeName::Structure("AttributeValue"), place, kind)),
        }
        if level > NESTING_LEVELS_MAX {
            self.note(ValueFault::Nesting);
            return Self::skip_members(reader).map(|()| AttributeValue::Null);
        }
        let mut found: Option<AttributeValue> = None;
        let mut first = true;
        while let Some(datatype) = reader.next_key(&mut first)? {
            if reader.kind()? == Kind::Null {
                reader.literal()?;
                continue;
            }
            let Some(value) = self.datatype(reader, &datatype, level)? else { continue };
            if found.replace(value).is_some() {
                self.note(ValueFault::SeveralTypes);
            }
        }
        Ok(found.unwrap_or_else(|| {
            self.note(ValueFault::Empty);
            AttributeValue::Null
        }))
    }

    /// Reads the value of one datatype; unknown ones are skipped, as the service does.
    fn datatype(
        &mut self,
        reader: &mut Reader<'_>,
        datatype: &str,
        level: usize,
    ) -> Result<Option<AttributeValue>, ReadError> {
        let value = match datatype {
            "S" => AttributeValue::S(text(reader)?),
            "N" => AttributeValue::N(self.number(&text(reader)?)),
            "B" => AttributeValue::B(bytes(reader)?.0),
            "BOOL" => AttributeValue::Bool(flag(reader)?),
            "NULL" => {
                if !flag(reader)? {
                    self.note(ValueFault::NullNotTrue);
                }
                AttributeValue::Null
            }
            "SS" => self.strings(reader)?,
            "NS" => self.numbers(reader)?,
            "BS" => self.binaries(reader)?,
            "L" => self.list(reader, level + 1)?,
            "M" => AttributeValue::M(self.map(reader, Place::Field, level + 1)?),
            _ => {
                reader.skip()?;
                return Ok(None);
            }
        };
        Ok(Some(value))
    }

    fn number(&mut self, text: &str) -> Number {
        Number::parse(text).unwrap_or_else(|error| {
            self.note(ValueFault::Number(error, text.to_owned()));
            Number::ZERO
        })
    }

    fn list(&mut self, reader: &mut Reader<'_>, level: usize) -> Result<AttributeValue, ReadError> {
        let mut values = Vec::new();
        elements(reader, |reader| {
            values.push(self.value(reader, Place::Element, level)?);
            Ok(())
        })?;
        Ok(AttributeValue::L(values))
    }

    fn map(
        &mut self,
        reader: &mut Reader<'_>,
        place: Place,
        level: usize,
    ) -> Result<BTreeMap<String, AttributeValue>, ReadError> {
        match reader.kind()? {
            Kind::Object => reader.enter_object()?,
            kind => return Err(mismatch(TypeName::Map("AttributeValue"), place, kind)),
        }
        let mut values = BTreeMap::new();
        let mut first = true;
        while let Some(name) = reader.next_key(&mut first)? {
            if name.is_empty() {
                self.note(ValueFault::EmptyName);
            }
            let value = self.value(reader, Place::Element, level)?;
            if level == 1 && self.fault.is_some() && self.attribute.is_none() {
                self.attribute = Some(name.clone().into_owned());
            }
            values.insert(name.into_owned(), value);
        }
        Ok(values)
    }

    fn strings(&mut self, reader: &mut Reader<'_>) -> Result<AttributeValue, ReadError> {
        let mut sent = Vec::new();
        self.members(reader, |reader| {
            sent.push(text(reader)?);
            Ok(())
        })?;
        if sent.is_empty() {
            self.note(ValueFault::EmptyStringSet);
        }
        let set: BTreeSet<String> = sent.iter().cloned().collect();
        if set.len() < sent.len() {
            self.note(ValueFault::DuplicateStrings(sent));
        }
        Ok(AttributeValue::Ss(set))
    }

    fn numbers(&mut self, reader: &mut Reader<'_>) -> Result<AttributeValue, ReadError> {
        let mut sent = Vec::new();
        self.members(reader, |reader| {
            sent.push(text(reader)?);
            Ok(())
        })?;
        if sent.is_empty() {
            self.note(ValueFault::EmptyNumberSet);
        }
        let mut set = BTreeSet::new();
        for text in &sent {
            let number = self.number(text);
            if !set.insert(number) {
                self.note(ValueFault::DuplicateNumbers);
            }
        }
        Ok(AttributeValue::Ns(set))
    }

    fn binaries(&mut self, reader: &mut Reader<'_>) -> Result<AttributeValue, ReadError> {
        let mut sent = Vec::new();
        self.members(reader, |reader| {
            sent.push(bytes(reader)?);
            Ok(())
        })?;
        if sent.is_empty() {
            self.note(ValueFault::EmptyBinarySet);
        }
        let set: BTreeSet<Vec<u8>> = sent.iter().map(|(bytes, _)| bytes.clone()).collect();
        if set.len() < sent.len() {
            self.note(ValueFault::DuplicateBinaries(sent));
        }
        Ok(AttributeValue::Bs(set))
    }

    /// Reads the members of a set; a null among them is a fault.
    fn members(
        &mut self,
        reader: &mut Reader<'_>,
        mut read: impl FnMut(&mut Reader<'_>) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        elements(reader, |reader| {
            if reader.kind()? == Kind::Null {
                reader.literal()?;
                self.note(ValueFault::NullMember);
                return Ok(());
            }
            read(reader)
        })
    }

    fn skip_members(reader: &mut Reader<'_>) -> Result<(), ReadError> {
        let mut first = true;
        while reader.next_key(&mut first)?.is_some() {
            reader.skip()?;
        }
        Ok(())
    }
}

fn elements(
    reader: &mut Reader<'_>,
    mut read: impl FnMut(&mut Reader<'_>) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    match reader.kind()? {
        Kind::Array => reader.enter_array()?,
        kind => return Err(mismatch(TypeName::List, Place::Field, kind)),
    }
    let mut first = true;
    while reader.next_element(&mut first)? {
        read(reader)?;
    }
    Ok(())
}

/// Reads a JSON string.
pub(crate) fn text(reader: &mut Reader<'_>) -> Result<String, ReadError> {
    match reader.kind()? {
        Kind::String => Ok(reader.string()?.into_owned()),
        kind => Err(mismatch(TypeName::String, Place::Field, kind)),
    }
}

/// Reads a JSON boolean.
pub(crate) fn flag(reader: &mut Reader<'_>) -> Result<bool, ReadError> {
    match reader.kind()? {
        Kind::True | Kind::False => Ok(reader.literal()?.ok_or(Malformed)?),
        kind => Err(mismatch(TypeName::Boolean, Place::Field, kind)),
    }
}

/// Reads base64; returns the text as sent too.
pub(crate) fn bytes(reader: &mut Reader<'_>) -> Result<(Vec<u8>, String), ReadError> {
    let text = match reader.kind()? {
        Kind::String => reader.string()?.into_owned(),
        kind => return Err(mismatch(TypeName::Blob, Place::Field, kind)),
    };
    if !text.len().is_multiple_of(4) {
        return Err(ReadError::Type(format!(
            "Base64 encoded length is expected a multiple of 4 bytes but found: {}",
            text.len()
        )));
    }
    match BASE64.decode(&text) {
        Ok(bytes) => Ok((bytes, text)),
        Err(base64::DecodeError::InvalidByte(_, byte)) if byte != b'=' => {
            Err(ReadError::Type(format!("Invalid Base64 character: '{}'", char::from(byte))))
        }
        // The spelling is the service's.
        Err(_) => Err(ReadError::Type("Invalid last non-pad Base64 character dectected".into())),
    }
}

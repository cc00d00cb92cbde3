//! Values and items as compact bytes.
//!
//! A value is a tag byte and its content: texts and bytes with their length, numbers in their
//! ordered form, collections with their count. Maps and sets are written in order, so equal items
//! have equal bytes. Whoever stores or sends these bytes writes a format version before them.
//!
//! # Invariants
//!
//! - Any bytes are read without panic; nesting below [`DEPTH_MAX`] is refused.
//! - Maps and sets that are not in strict order are refused.
//!
//! Tested by `codec/tests.rs`.

#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeSet;

use meridian_base::codec::{DecodeError, Reader, put_bytes, put_var};

use crate::number::Number;
use crate::value::{AttributeValue, Item};

/// Deepest nesting that is read, levels: far above DynamoDB's 32, far below what a stack holds.
pub const DEPTH_MAX: usize = 128;

const S: u8 = 1;
const N: u8 = 2;
const B: u8 = 3;
const SS: u8 = 4;
const NS: u8 = 5;
const BS: u8 = 6;
const L: u8 = 7;
const M: u8 = 8;
const FALSE: u8 = 9;
const TRUE: u8 = 10;
const NULL: u8 = 11;

/// Appends an item.
pub fn encode_item(item: &Item, out: &mut Vec<u8>) {
    put_count(out, item.len());
    for (name, value) in item {
        put_bytes(out, name.as_bytes());
        encode_value(value, out);
    }
}

/// Appends a value.
pub fn encode_value(value: &AttributeValue, out: &mut Vec<u8>) {
    match value {
        AttributeValue::S(text) => {
            out.push(S);
            put_bytes(out, text.as_bytes());
        }
        AttributeValue::N(number) => {
            out.push(N);
            number.encode(out);
        }
        AttributeValue::B(bytes) => {
            out.push(B);
            put_bytes(out, bytes);
        }
        AttributeValue::Ss(set) => {
            out.push(SS);
            put_count(out, set.len());
            set.iter().for_each(|text| put_bytes(out, text.as_bytes()));
        }
        AttributeValue::Ns(set) => {
            out.push(NS);
            put_count(out, set.len());
            set.iter().for_each(|number| number.encode(out));
        }
        AttributeValue::Bs(set) => {
            out.push(BS);
            put_count(out, set.len());
            set.iter().for_each(|bytes| put_bytes(out, bytes));
        }
        AttributeValue::L(list) => {
            out.push(L);
            put_count(out, list.len());
            list.iter().for_each(|value| encode_value(value, out));
        }
        AttributeValue::M(map) => {
            out.push(M);
            encode_item(map, out);
        }
        AttributeValue::Bool(false) => out.push(FALSE),
        AttributeValue::Bool(true) => out.push(TRUE),
        AttributeValue::Null => out.push(NULL),
    }
}

/// Reads an item.
pub fn decode_item(reader: &mut Reader<'_>) -> Result<Item, DecodeError> {
    read_map(reader, DEPTH_MAX)
}

/// Reads a value.
pub fn decode_value(reader: &mut Reader<'_>) -> Result<AttributeValue, DecodeError> {
    read_value(reader, DEPTH_MAX)
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    put_var(out, u64::try_from(count).expect("a count fits 64 bits"));
}

fn read_value(reader: &mut Reader<'_>, levels: usize) -> Result<AttributeValue, DecodeError> {
    let nested = || levels.checked_sub(1).ok_or(DecodeError::Unknown("nesting"));
    Ok(match reader.u8()? {
        S => AttributeValue::S(reader.str()?.to_owned()),
        N => AttributeValue::N(Number::decode(reader)?),
        B => AttributeValue::B(reader.bytes()?.to_vec()),
        SS => AttributeValue::Ss(read_set(reader, |r| r.str().map(str::to_owned))?),
        NS => AttributeValue::Ns(read_set(reader, Number::decode)?),
        BS => AttributeValue::Bs(read_set(reader, |r| r.bytes().map(<[u8]>::to_vec))?),
        L => AttributeValue::L(read_list(reader, nested()?)?),
        M => AttributeValue::M(read_map(reader, nested()?)?),
        FALSE => AttributeValue::Bool(false),
        TRUE => AttributeValue::Bool(true),
        NULL => AttributeValue::Null,
        _ => return Err(DecodeError::Unknown("value tag")),
    })
}

fn read_list(reader: &mut Reader<'_>, levels: usize) -> Result<Vec<AttributeValue>, DecodeError> {
    let count = reader.len()?;
    // Grown as elements are read: a false count must not reserve memory.
    let mut list = Vec::new();
    for _ in 0..count {
        list.push(read_value(reader, levels)?);
    }
    Ok(list)
}

fn read_map(reader: &mut Reader<'_>, levels: usize) -> Result<Item, DecodeError> {
    let count = reader.len()?;
    let mut map = Item::new();
    for _ in 0..count {
        let name = reader.str()?;
        if map.last_key_value().is_some_and(|(last, _)| last.as_str() >= name) {
            return Err(DecodeError::Unknown("order of names"));
        }
        map.insert(name.to_owned(), read_value(reader, levels)?);
    }
    Ok(map)
}

fn read_set<T: Ord>(
    reader: &mut Reader<'_>,
    read: impl Fn(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<BTreeSet<T>, DecodeError> {
    let count = reader.len()?;
    let mut set = BTreeSet::new();
    for _ in 0..count {
        let member = read(reader)?;
        if set.last().is_some_and(|last| *last >= member) {
            return Err(DecodeError::Unknown("order of a set"));
        }
        set.insert(member);
    }
    Ok(set)
}

//! Requests and answers as bytes, for the way to the leader's node: format version, content.
//!
//! # Invariants
//!
//! - Expressions travel as text and are compiled again: one that does not compile is an error.
//!
//! Tested by `request/tests.rs`.

use super::{
    Action, Done, Get, GetOutcome, IndexRead, Page, PageRequest, Refusal, Returns, Write,
    WriteOutcome,
};
use crate::record::read_flag;
use meridian_base::TableId;
use meridian_base::codec::{DecodeError, Reader, put_bytes, put_var};
use meridian_expression::{Condition, ExpressionSource, Update};
use meridian_model::{Item, Key, decode_item, decode_value, encode_item, encode_value};
use std::ops::Bound;

const FORMAT: u8 = 1;
const STRING: &str = "string";

fn begin(bytes: &[u8]) -> Result<Reader<'_>, DecodeError> {
    let mut reader = Reader::new(bytes);
    if reader.u8()? == FORMAT { Ok(reader) } else { Err(DecodeError::Unknown("request format")) }
}

impl Write {
    /// The sent form.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        put_key(&mut out, &self.key);
        match &self.action {
            Action::Put(item) => {
                out.push(0);
                encode_item(item, &mut out);
            }
            Action::Update(update) => {
                out.push(1);
                update.source().encode(&mut out);
            }
            Action::Delete => out.push(2),
            Action::Check => out.push(4),
            Action::UpdateExisting(update) => {
                out.push(3);
                update.source().encode(&mut out);
            }
        }
        put_condition(&mut out, self.condition.as_ref());
        let Returns { old, new, old_on_failure } = self.returns;
        out.push(u8::from(old) | (u8::from(new) << 1) | (u8::from(old_on_failure) << 2));
        out
    }

    /// Reads the sent form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = begin(bytes)?;
        let write = Write {
            key: read_key(&mut reader)?,
            action: match reader.u8()? {
                0 => Action::Put(decode_item(&mut reader)?),
                1 => Action::Update(read_update(&mut reader)?),
                2 => Action::Delete,
                4 => Action::Check,
                3 => Action::UpdateExisting(read_update(&mut reader)?),
                _ => return Err(DecodeError::Unknown("action")),
            },
            condition: read_condition(&mut reader)?,
            returns: match reader.u8()? {
                flags @ 0..=7 => Returns {
                    old: flags & 1 != 0,
                    new: flags & 2 != 0,
                    old_on_failure: flags & 4 != 0,
                },
                _ => return Err(DecodeError::Unknown("returns")),
            },
        };
        reader.end()?;
        Ok(write)
    }
}

impl WriteOutcome {
    /// The sent form.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        match self {
            WriteOutcome::Done(done) => {
                out.push(0);
                put_item(&mut out, done.old.as_ref());
                put_item(&mut out, done.new.as_ref());
                put_var(&mut out, done.old_bytes as u64);
                put_var(&mut out, done.new_bytes as u64);
                put_var(&mut out, done.local_units.len() as u64);
                done.local_units.iter().for_each(|units| put_var(&mut out, u64::from(*units)));
                put_var(&mut out, done.global_units.len() as u64);
                for (index, units) in &done.global_units {
                    put_var(&mut out, index.0);
                    put_var(&mut out, u64::from(*units));
                }
            }
            WriteOutcome::ConditionFailed { old, old_bytes } => {
                out.push(1);
                put_item(&mut out, old.as_ref());
                put_var(&mut out, *old_bytes as u64);
            }
            WriteOutcome::Conflict => out.push(3),
            WriteOutcome::Refused(refusal) => {
                out.push(2);
                match refusal {
                    Refusal::ItemTooLarge => out.push(0),
                    Refusal::UpdatedItemTooLarge => out.push(1),
                    Refusal::KeyUpdated(name) => {
                        out.push(2);
                        put_bytes(&mut out, name.as_bytes());
                    }
                    Refusal::Expression(text) => {
                        out.push(3);
                        put_bytes(&mut out, text.as_bytes());
                    }
                    Refusal::IndexKeyType => out.push(4),
                    Refusal::IndexKeyEmpty(kind) => {
                        out.push(if *kind == STRING { 5 } else { 6 });
                    }
                    Refusal::IndexKeyTooLong => out.push(7),
                }
            }
        }
        out
    }

    /// Reads the sent form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = begin(bytes)?;
        let outcome = match reader.u8()? {
            0 => WriteOutcome::Done(Done {
                old: read_item(&mut reader)?,
                new: read_item(&mut reader)?,
                old_bytes: read_size(&mut reader)?,
                new_bytes: read_size(&mut reader)?,
                local_units: read_units(&mut reader)?,
                global_units: read_global_units(&mut reader)?,
            }),
            1 => WriteOutcome::ConditionFailed {
                old: read_item(&mut reader)?,
                old_bytes: read_size(&mut reader)?,
            },
            2 => WriteOutcome::Refused(match reader.u8()? {
                0 => Refusal::ItemTooLarge,
                1 => Refusal::UpdatedItemTooLarge,
                2 => Refusal::KeyUpdated(reader.str()?.to_owned()),
                3 => Refusal::Expression(reader.str()?.to_owned()),
                4 => Refusal::IndexKeyType,
                5 => Refusal::IndexKeyEmpty(STRING),
                6 => Refusal::IndexKeyEmpty("binary"),
                // Earlier versions told a partition key (8) from a sort key (7).
                7 | 8 => Refusal::IndexKeyTooLong,
                _ => return Err(DecodeError::Unknown("refusal")),
            }),
            3 => WriteOutcome::Conflict,
            _ => return Err(DecodeError::Unknown("outcome")),
        };
        reader.end()?;
        Ok(outcome)
    }
}

impl Get {
    /// The sent form.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        put_key(&mut out, &self.key);
        out
    }

    /// Reads the sent form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = begin(bytes)?;
        let get = Get { key: read_key(&mut reader)? };
        reader.end()?;
        Ok(get)
    }
}

impl GetOutcome {
    /// The sent form.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        put_item(&mut out, self.item.as_ref());
        put_var(&mut out, self.bytes as u64);
        out
    }

    /// Reads the sent form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = begin(bytes)?;
        let outcome = GetOutcome { item: read_item(&mut reader)?, bytes: read_size(&mut reader)? };
        reader.end()?;
        Ok(outcome)
    }
}

impl PageRequest {
    /// The sent form.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        put_bound(&mut out, &self.start);
        put_bound(&mut out, &self.end);
        out.push(u8::from(self.reverse) | (u8::from(self.count_only) << 1));
        // 0 is "no limit": limits are moved up by one.
        put_var(&mut out, self.limit.map_or(0, |limit| u64::from(limit) + 1));
        put_var(&mut out, self.bytes_max as u64);
        put_condition(&mut out, self.filter.as_ref());
        put_index(&mut out, self.index.as_ref());
        out
    }

    /// Reads the sent form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = begin(bytes)?;
        let (start, end) = (read_bound(&mut reader)?, read_bound(&mut reader)?);
        let flags = reader.u8()?;
        if flags > 3 {
            return Err(DecodeError::Unknown("flag"));
        }
        let request = PageRequest {
            start,
            end,
            reverse: flags & 1 != 0,
            count_only: flags & 2 != 0,
            limit: match reader.var()?.checked_sub(1) {
                None => None,
                Some(limit) => Some(read_u32(limit)?),
            },
            bytes_max: read_size(&mut reader)?,
            filter: read_condition(&mut reader)?,
            index: read_index(&mut reader)?,
        };
        reader.end()?;
        Ok(request)
    }
}

impl Page {
    /// The sent form.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        put_var(&mut out, self.items.len() as u64);
        self.items.iter().for_each(|item| encode_item(item, &mut out));
        put_var(&mut out, u64::from(self.scanned));
        put_var(&mut out, u64::from(self.count));
        put_var(&mut out, self.bytes as u64);
        put_var(&mut out, u64::from(self.fetched));
        meridian_base::change::put_image(&mut out, self.resume.as_deref());
        out
    }

    /// Reads the sent form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = begin(bytes)?;
        let mut page = Page::default();
        for _ in 0..reader.len()? {
            page.items.push(decode_item(&mut reader)?);
        }
        page.scanned = read_u32(reader.var()?)?;
        page.count = read_u32(reader.var()?)?;
        page.bytes = read_size(&mut reader)?;
        page.fetched = read_u32(reader.var()?)?;
        page.resume = meridian_base::change::read_image(&mut reader)?;
        reader.end()?;
        Ok(page)
    }
}

fn put_key(out: &mut Vec<u8>, key: &Key) {
    encode_value(&key.partition, out);
    match &key.sort {
        None => out.push(0),
        Some(sort) => {
            out.push(1);
            encode_value(sort, out);
        }
    }
}

fn read_key(reader: &mut Reader<'_>) -> Result<Key, DecodeError> {
    let partition = decode_value(reader)?;
    let sort = if read_flag(reader)? { Some(decode_value(reader)?) } else { None };
    Ok(Key { partition, sort })
}

fn put_item(out: &mut Vec<u8>, item: Option<&Item>) {
    match item {
        None => out.push(0),
        Some(item) => {
            out.push(1);
            encode_item(item, out);
        }
    }
}

fn read_item(reader: &mut Reader<'_>) -> Result<Option<Item>, DecodeError> {
    if read_flag(reader)? { decode_item(reader).map(Some) } else { Ok(None) }
}

fn put_condition(out: &mut Vec<u8>, condition: Option<&Condition>) {
    match condition {
        None => out.push(0),
        Some(condition) => {
            out.push(1);
            condition.source().encode(out);
        }
    }
}

fn read_update(reader: &mut Reader<'_>) -> Result<Update, DecodeError> {
    Update::from_source(&ExpressionSource::decode(reader)?)
        .map_err(|_| DecodeError::Unknown("expression"))
}

fn read_condition(reader: &mut Reader<'_>) -> Result<Option<Condition>, DecodeError> {
    if !read_flag(reader)? {
        return Ok(None);
    }
    let source = ExpressionSource::decode(reader)?;
    Condition::from_source(&source).map(Some).map_err(|_| DecodeError::Unknown("expression"))
}

fn put_index(out: &mut Vec<u8>, index: Option<&IndexRead>) {
    let Some(index) = index else { return out.push(0) };
    out.push(1 | (u8::from(index.whole) << 1) | (u8::from(index.shown.is_some()) << 2));
    out.push(index.number);
    if let Some(names) = &index.shown {
        put_var(out, names.len() as u64);
        names.iter().for_each(|name| put_bytes(out, name.as_bytes()));
    }
}

fn read_index(reader: &mut Reader<'_>) -> Result<Option<IndexRead>, DecodeError> {
    let flags = reader.u8()?;
    match flags {
        0 => return Ok(None),
        1 | 3 | 5 | 7 => {}
        _ => return Err(DecodeError::Unknown("index")),
    }
    let mut index = IndexRead { number: reader.u8()?, shown: None, whole: flags & 2 != 0 };
    if flags & 4 != 0 {
        let count = reader.len()?;
        let names = (0..count).map(|_| reader.str().map(str::to_owned));
        index.shown = Some(names.collect::<Result<_, _>>()?);
    }
    Ok(Some(index))
}

fn read_units(reader: &mut Reader<'_>) -> Result<Vec<u32>, DecodeError> {
    let count = reader.len()?;
    (0..count).map(|_| read_u32(reader.var()?)).collect()
}

fn read_global_units(reader: &mut Reader<'_>) -> Result<Vec<(TableId, u32)>, DecodeError> {
    let count = reader.len()?;
    (0..count).map(|_| Ok((TableId(reader.var()?), read_u32(reader.var()?)?))).collect()
}

fn put_bound(out: &mut Vec<u8>, bound: &Bound<Vec<u8>>) {
    match bound {
        Bound::Unbounded => out.push(0),
        Bound::Included(key) => {
            out.push(1);
            put_bytes(out, key);
        }
        Bound::Excluded(key) => {
            out.push(2);
            put_bytes(out, key);
        }
    }
}

fn read_bound(reader: &mut Reader<'_>) -> Result<Bound<Vec<u8>>, DecodeError> {
    match reader.u8()? {
        0 => Ok(Bound::Unbounded),
        1 => Ok(Bound::Included(reader.bytes()?.to_vec())),
        2 => Ok(Bound::Excluded(reader.bytes()?.to_vec())),
        _ => Err(DecodeError::Unknown("bound")),
    }
}

fn read_size(reader: &mut Reader<'_>) -> Result<usize, DecodeError> {
    usize::try_from(reader.var()?).map_err(|_| DecodeError::Unknown("size"))
}

fn read_u32(value: u64) -> Result<u32, DecodeError> {
    u32::try_from(value).map_err(|_| DecodeError::Unknown("count"))
}

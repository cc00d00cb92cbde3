//! Transactions as bytes: messages, and what is stored of them.
//!
//! # Invariants
//!
//! - Tags are never used again for something else; stored forms begin with a format and a CRC-32.
//!
//! Tested by `transact/tests.rs`.

use super::{
    Blame, Decision, Head, Intended, Intent, Place, Token, Transact, TransactAnswer, TransactId,
};
use crate::record::{checked, read_flag, unchecked};
use crate::request::{Done, Write, WriteOutcome};
use meridian_base::codec::{DecodeError, Reader, put_bytes, put_var};
use meridian_base::{PartitionId, TableId};

const FORMAT: u8 = 2;
const INTENT_FORMAT: u8 = 2;
const INTENT_FORMAT_WITHOUT_TIME: u8 = 1;
const DECISION_FORMAT: u8 = 1;

/// Appends an id.
pub(crate) fn put_id(out: &mut Vec<u8>, id: TransactId) {
    out.extend_from_slice(&id.0.to_be_bytes());
}

/// Reads an id.
pub(crate) fn read_id(reader: &mut Reader<'_>) -> Result<TransactId, DecodeError> {
    let bytes = reader.take(16)?;
    let bytes: [u8; 16] = bytes.try_into().map_err(|_| DecodeError::Short)?;
    Ok(TransactId(u128::from_be_bytes(bytes)))
}

fn put_place(out: &mut Vec<u8>, place: Place) {
    put_var(out, place.table.0);
    put_var(out, place.partition.0);
}

fn read_place(reader: &mut Reader<'_>) -> Result<Place, DecodeError> {
    Ok(Place { table: TableId(reader.var()?), partition: PartitionId(reader.var()?) })
}

fn put_head(out: &mut Vec<u8>, head: Head) {
    put_id(out, head.id);
    put_place(out, head.home);
    put_var(out, head.began_ms);
}

fn read_head(reader: &mut Reader<'_>) -> Result<Head, DecodeError> {
    Ok(Head { id: read_id(reader)?, home: read_place(reader)?, began_ms: reader.var()? })
}

fn put_token(out: &mut Vec<u8>, token: Option<&Token>) {
    match token {
        None => out.push(0),
        Some(token) => {
            out.push(1);
            put_bytes(out, token.token.as_bytes());
            put_var(out, token.fingerprint);
        }
    }
}

fn read_token(reader: &mut Reader<'_>) -> Result<Option<Token>, DecodeError> {
    if !read_flag(reader)? {
        return Ok(None);
    }
    Ok(Some(Token { token: reader.str()?.to_owned(), fingerprint: reader.var()? }))
}

fn put_list<T>(out: &mut Vec<u8>, list: &[T], mut put: impl FnMut(&mut Vec<u8>, &T)) {
    put_var(out, list.len() as u64);
    list.iter().for_each(|one| put(out, one));
}

/// Reads a count and as many elements. Grown while reading: a false count reserves nothing.
fn read_list<T>(
    reader: &mut Reader<'_>,
    mut read: impl FnMut(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = reader.len()?;
    let mut list = Vec::new();
    for _ in 0..count {
        list.push(read(reader)?);
    }
    Ok(list)
}

fn put_writes(out: &mut Vec<u8>, writes: &[Write]) {
    put_list(out, writes, |out, write| put_bytes(out, &write.encode()));
}

fn read_writes(reader: &mut Reader<'_>) -> Result<Vec<Write>, DecodeError> {
    read_list(reader, |reader| Write::decode(reader.bytes()?))
}

impl Transact {
    /// The sent form.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        match self {
            Transact::Single(head, token, writes) => {
                out.push(0);
                put_head(&mut out, *head);
                put_token(&mut out, token.as_ref());
                put_writes(&mut out, writes);
            }
            Transact::Prepare(head, writes) => {
                out.push(1);
                put_head(&mut out, *head);
                put_writes(&mut out, writes);
            }
            Transact::Commit(head, token, places, held_ms) => {
                out.push(2);
                put_head(&mut out, *head);
                put_token(&mut out, token.as_ref());
                put_list(&mut out, places, |out, place| put_place(out, *place));
                put_var(&mut out, *held_ms);
            }
            Transact::Abort(head) => {
                out.push(3);
                put_head(&mut out, *head);
            }
            Transact::Resolve(id, committed_ms) => {
                out.push(4);
                put_id(&mut out, *id);
                out.push(u8::from(committed_ms.is_some()));
                if let Some(ms) = committed_ms {
                    put_var(&mut out, *ms);
                }
            }
            Transact::Finish(id) => {
                out.push(5);
                put_id(&mut out, *id);
            }
            Transact::Forget(ids) => {
                out.push(6);
                put_list(&mut out, ids, |out, id| put_id(out, *id));
            }
        }
        out
    }

    /// Reads the sent form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let reader = &mut reader;
        if reader.u8()? != FORMAT {
            return Err(DecodeError::Unknown("transaction format"));
        }
        let asked = match reader.u8()? {
            0 => Transact::Single(read_head(reader)?, read_token(reader)?, read_writes(reader)?),
            1 => Transact::Prepare(read_head(reader)?, read_writes(reader)?),
            2 => Transact::Commit(
                read_head(reader)?,
                read_token(reader)?,
                read_list(reader, read_place)?,
                reader.var()?,
            ),
            3 => Transact::Abort(read_head(reader)?),
            4 => {
                let id = read_id(reader)?;
                let committed = read_flag(reader)?;
                Transact::Resolve(id, if committed { Some(reader.var()?) } else { None })
            }
            5 => Transact::Finish(read_id(reader)?),
            6 => Transact::Forget(read_list(reader, read_id)?),
            _ => return Err(DecodeError::Unknown("transaction message")),
        };
        reader.end()?;
        Ok(asked)
    }
}

/// What an action did, in the form of the answer to a write.
fn put_outcome(out: &mut Vec<u8>, outcome: WriteOutcome) {
    put_bytes(out, &outcome.encode());
}

fn read_outcome(reader: &mut Reader<'_>) -> Result<WriteOutcome, DecodeError> {
    WriteOutcome::decode(reader.bytes()?)
}

fn put_done(out: &mut Vec<u8>, done: &[Done]) {
    put_list(out, done, |out, done| put_outcome(out, WriteOutcome::Done(done.clone())));
}

fn read_done(reader: &mut Reader<'_>) -> Result<Done, DecodeError> {
    match read_outcome(reader)? {
        WriteOutcome::Done(done) => Ok(done),
        _ => Err(DecodeError::Unknown("outcome")),
    }
}

fn put_blame(out: &mut Vec<u8>, blame: &Option<Blame>) {
    let Some(blame) = blame else { return out.push(0) };
    out.push(1);
    put_outcome(
        out,
        match blame.clone() {
            Blame::ConditionFailed(old) => WriteOutcome::ConditionFailed { old, old_bytes: 0 },
            Blame::Refused(refusal) => WriteOutcome::Refused(refusal),
            Blame::Conflict => WriteOutcome::Conflict,
        },
    );
}

fn read_blame(reader: &mut Reader<'_>) -> Result<Option<Blame>, DecodeError> {
    if !read_flag(reader)? {
        return Ok(None);
    }
    Ok(Some(match read_outcome(reader)? {
        WriteOutcome::ConditionFailed { old, .. } => Blame::ConditionFailed(old),
        WriteOutcome::Refused(refusal) => Blame::Refused(refusal),
        WriteOutcome::Conflict => Blame::Conflict,
        WriteOutcome::Done(_) => return Err(DecodeError::Unknown("blame")),
    }))
}

impl TransactAnswer {
    /// The sent form.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        match self {
            TransactAnswer::Done(done) => {
                out.push(0);
                put_done(&mut out, done);
            }
            TransactAnswer::Blamed(blames) => {
                out.push(1);
                put_list(&mut out, blames, put_blame);
            }
            TransactAnswer::Committed(at_ms) => {
                out.push(2);
                put_var(&mut out, *at_ms);
            }
            TransactAnswer::Aborted => out.push(3),
            TransactAnswer::DoneBefore(finished) => out.extend([4, u8::from(*finished)]),
            TransactAnswer::OtherParameters => out.push(5),
            TransactAnswer::Noted => out.push(6),
            TransactAnswer::Held(done, held_ms) => {
                out.push(7);
                put_done(&mut out, done);
                put_var(&mut out, *held_ms);
            }
        }
        out
    }

    /// Reads the sent form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let reader = &mut reader;
        if reader.u8()? != FORMAT {
            return Err(DecodeError::Unknown("transaction format"));
        }
        let answer = match reader.u8()? {
            0 => TransactAnswer::Done(read_list(reader, read_done)?),
            1 => TransactAnswer::Blamed(read_list(reader, read_blame)?),
            2 => TransactAnswer::Committed(reader.var()?),
            3 => TransactAnswer::Aborted,
            4 => TransactAnswer::DoneBefore(read_flag(reader)?),
            5 => TransactAnswer::OtherParameters,
            6 => TransactAnswer::Noted,
            7 => TransactAnswer::Held(read_list(reader, read_done)?, reader.var()?),
            _ => return Err(DecodeError::Unknown("transaction answer")),
        };
        reader.end()?;
        Ok(answer)
    }
}

impl Intent {
    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        self.put(&mut body);
        checked(INTENT_FORMAT, &body)
    }

    /// Reads the stored form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let timed = bytes.first() != Some(&INTENT_FORMAT_WITHOUT_TIME);
        let format = if timed { INTENT_FORMAT } else { INTENT_FORMAT_WITHOUT_TIME };
        let mut reader = unchecked(format, bytes)?;
        let intent = Intent::read(&mut reader, timed)?;
        reader.end()?;
        Ok(intent)
    }

    /// Appends it.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_head(out, self.head);
        match &self.intended {
            Intended::Same => out.push(0),
            Intended::Becomes(None) => out.push(1),
            Intended::Becomes(Some((image, bytes))) => {
                out.push(2);
                put_bytes(out, image);
                put_var(out, *bytes);
            }
        }
        put_var(out, self.held_ms);
    }

    /// Reads it; one that was stored without a time is held since its transaction began.
    pub(crate) fn read(reader: &mut Reader<'_>, timed: bool) -> Result<Self, DecodeError> {
        let head = read_head(reader)?;
        let intended = match reader.u8()? {
            0 => Intended::Same,
            1 => Intended::Becomes(None),
            2 => Intended::Becomes(Some((reader.bytes()?.to_vec(), reader.var()?))),
            _ => return Err(DecodeError::Unknown("intent")),
        };
        let held_ms = if timed { reader.var()? } else { head.began_ms };
        Ok(Intent { head, intended, held_ms })
    }
}

impl Decision {
    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        self.put(&mut body);
        checked(DECISION_FORMAT, &body)
    }

    /// Reads the stored form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = unchecked(DECISION_FORMAT, bytes)?;
        let decision = Decision::read(&mut reader)?;
        reader.end()?;
        Ok(decision)
    }

    /// Appends it.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.committed));
        put_var(out, self.at_ms);
        put_token(out, self.token.as_ref());
        put_list(out, &self.places, |out, place| put_place(out, *place));
    }

    /// Reads it.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Decision {
            committed: read_flag(reader)?,
            at_ms: reader.var()?,
            token: read_token(reader)?,
            places: read_list(reader, read_place)?,
        })
    }
}

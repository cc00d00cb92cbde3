//! Item requests between nodes, and their answers.
//!
//! The first byte is the format, the second the kind.

use super::ItemError;
use crate::meters::bucket::{Lease, Milli};
use crate::pipeline::Refused;
use crate::streams::ChangesAnswer;
use crate::transact::{TokenAnswer, TokenUse};
use meridian_base::codec::{DecodeError, Reader, put_bytes, put_var, put_version};
use meridian_base::{Change, NodeId, PartitionId, Position, TableId};
use meridian_model::Key;
use meridian_partition::evaluator::ReplicatedOutcome;
use meridian_partition::read::{Stamp, Stamped};
use meridian_partition::transact::{Transact, TransactAnswer};
use meridian_partition::{
    ChangeRecord, Feed, Get, GetOutcome, Page, PageRequest, Replicated, StrandedOutcome, Write,
    WriteOutcome,
};

const FORMAT: u8 = 2;

/// What is asked of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemRequest {
    /// Write one item.
    Write(Box<Write>),
    /// Read one item; `true` for a strong read.
    Get(Get, bool),
    /// Read a page; `true` for a strong read.
    Page(Box<PageRequest>, bool),
    /// Merge changes of another region; `true` when they come late from a lost region.
    Replicate(Vec<Change>, bool),
    /// Take entries of a global index.
    Feed(Feed),
    /// Take a step of a transaction.
    Transact(Box<Transact>),
    /// Read items for a transaction.
    Stamped(Vec<Key>),
    /// Read so many changes after a position, for a stream.
    Changes(Position, usize),
    /// Note that a client's token is used by a transaction, or is not any more.
    Token(TokenUse),
    /// Give tokens of a throughput limit.
    Lease(Lease),
}

impl ItemRequest {
    /// True when it changes nothing, so that it may be repeated.
    pub fn reads(&self) -> bool {
        match self {
            ItemRequest::Get(..)
            | ItemRequest::Page(..)
            | ItemRequest::Stamped(_)
            | ItemRequest::Changes(..) => true,
            // Repeating it does no harm.
            ItemRequest::Token(_) | ItemRequest::Lease(_) => true,
            ItemRequest::Write(_)
            | ItemRequest::Replicate(..)
            | ItemRequest::Feed(_)
            | ItemRequest::Transact(_) => false,
        }
    }
}

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// To a partition of the receiver's region.
    Partition(PartitionId),
    /// To wherever the receiver's region holds the key: sent by a region that is being left.
    Table(TableId),
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemAnswer {
    /// To a write.
    Write(WriteOutcome),
    /// To a get.
    Get(GetOutcome),
    /// To a page.
    Page(Page),
    /// To changes of another region.
    Replicate(Vec<Replicated>),
    /// To entries of a global index.
    Fed,
    /// To a step of a transaction.
    Transact(TransactAnswer),
    /// To a reading for a transaction.
    Stamped(Vec<Stamped>),
    /// To the use of a token.
    Token(TokenAnswer),
    /// To a lease: how many tokens are given.
    Leased(Milli),
    /// To a reading of changes.
    Changes(ChangesAnswer),
}

impl ItemAnswer {
    /// What to say where this kind of answer was not asked for.
    pub fn unexpected(&self) -> ItemError {
        ItemError::Broken("the answer is of another kind than the question".to_owned())
    }
}

/// An answer as it arrives.
pub struct Answered {
    /// The end of the change log of the replica that answered: what it has applied. 0 where it is
    /// not told.
    pub position: Position,
    /// The answer.
    pub answer: Result<ItemAnswer, Refused>,
}

/// The sent form of a request.
pub fn encode_request(to: Destination, request: &ItemRequest) -> Vec<u8> {
    let mut out = vec![FORMAT];
    match to {
        Destination::Partition(id) => {
            out.push(0);
            put_var(&mut out, id.0);
        }
        Destination::Table(id) => {
            out.push(1);
            put_var(&mut out, id.0);
        }
    }
    match request {
        ItemRequest::Write(write) => {
            out.push(0);
            out.extend(write.encode());
        }
        ItemRequest::Get(get, strong) => {
            out.extend([1, u8::from(*strong)]);
            out.extend(get.encode());
        }
        ItemRequest::Page(page, strong) => {
            out.extend([2, u8::from(*strong)]);
            out.extend(page.encode());
        }
        ItemRequest::Replicate(changes, late) => {
            out.extend([3, u8::from(*late)]);
            put_var(&mut out, changes.len() as u64);
            changes.iter().for_each(|change| change.encode(&mut out));
        }
        ItemRequest::Feed(feed) => {
            out.push(4);
            out.extend(feed.encode());
        }
        ItemRequest::Transact(step) => {
            out.push(5);
            out.extend(step.encode());
        }
        ItemRequest::Stamped(keys) => {
            out.push(6);
            put_var(&mut out, keys.len() as u64);
            for key in keys {
                put_bytes(&mut out, &Get { key: key.clone() }.encode());
            }
        }
        ItemRequest::Token(used) => {
            out.push(7);
            used.encode(&mut out);
        }
        ItemRequest::Changes(after, limit) => {
            out.push(8);
            put_var(&mut out, after.0);
            put_var(&mut out, *limit as u64);
        }
        ItemRequest::Lease(lease) => {
            out.push(9);
            lease.encode(&mut out);
        }
    }
    out
}

fn format(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    if reader.u8()? == FORMAT { Ok(()) } else { Err(DecodeError::Unknown("format")) }
}

/// Reads the sent form of a request.
pub fn decode_request(bytes: &[u8]) -> Result<(Destination, ItemRequest), DecodeError> {
    let mut reader = Reader::new(bytes);
    format(&mut reader)?;
    let to = match (reader.u8()?, reader.var()?) {
        (0, id) => Destination::Partition(PartitionId(id)),
        (1, id) => Destination::Table(TableId(id)),
        _ => return Err(DecodeError::Unknown("destination")),
    };
    let request = match reader.u8()? {
        0 => ItemRequest::Write(Box::new(Write::decode(reader.rest())?)),
        1 => {
            let strong = reader.u8()? == 1;
            ItemRequest::Get(Get::decode(reader.rest())?, strong)
        }
        2 => {
            let strong = reader.u8()? == 1;
            ItemRequest::Page(Box::new(PageRequest::decode(reader.rest())?), strong)
        }
        3 => {
            let late = reader.u8()? == 1;
            let count = reader.len()?;
            let changes = (0..count).map(|_| Change::decode(&mut reader)).collect::<Result<_, _>>();
            ItemRequest::Replicate(changes?, late)
        }
        4 => ItemRequest::Feed(Feed::decode(reader.rest())?),
        5 => ItemRequest::Transact(Box::new(Transact::decode(reader.rest())?)),
        6 => {
            let count = reader.len()?;
            let keys = (0..count).map(|_| Ok(Get::decode(reader.bytes()?)?.key));
            ItemRequest::Stamped(keys.collect::<Result<_, DecodeError>>()?)
        }
        7 => ItemRequest::Token(TokenUse::decode(&mut reader)?),
        9 => ItemRequest::Lease(Lease::decode(&mut reader)?),
        8 => {
            let after = Position(reader.var()?);
            ItemRequest::Changes(after, usize::try_from(reader.var()?).unwrap_or(usize::MAX))
        }
        _ => return Err(DecodeError::Unknown("request")),
    };
    Ok((to, request))
}

fn put_replicated(out: &mut Vec<u8>, replicated: &Replicated) {
    out.push(match replicated.outcome {
        ReplicatedOutcome::Applied => 0,
        ReplicatedOutcome::Stale => 1,
        ReplicatedOutcome::Same => 2,
        ReplicatedOutcome::Diverged => 3,
        ReplicatedOutcome::Parked => 4,
        ReplicatedOutcome::Refused => 5,
    });
    out.push(u8::from(replicated.conflict));
    out.push(match replicated.stranded {
        None => 0,
        Some(StrandedOutcome::Merged) => 1,
        Some(StrandedOutcome::Overwritten) => 2,
        Some(StrandedOutcome::Present) => 3,
    });
}

fn get_replicated(reader: &mut Reader<'_>) -> Result<Replicated, DecodeError> {
    let outcome = match reader.u8()? {
        0 => ReplicatedOutcome::Applied,
        1 => ReplicatedOutcome::Stale,
        2 => ReplicatedOutcome::Same,
        3 => ReplicatedOutcome::Diverged,
        4 => ReplicatedOutcome::Parked,
        5 => ReplicatedOutcome::Refused,
        _ => return Err(DecodeError::Unknown("merge outcome")),
    };
    let conflict = reader.u8()? == 1;
    let stranded = match reader.u8()? {
        0 => None,
        1 => Some(StrandedOutcome::Merged),
        2 => Some(StrandedOutcome::Overwritten),
        3 => Some(StrandedOutcome::Present),
        _ => return Err(DecodeError::Unknown("stranded outcome")),
    };
    Ok(Replicated { outcome, conflict, stranded })
}

fn put_stamped(out: &mut Vec<u8>, stamped: &Stamped) {
    put_bytes(out, &stamped.found.encode());
    out.push(u8::from(stamped.held));
    match stamped.stamp {
        Stamp::Version(version) => {
            out.push(0);
            put_version(out, version);
        }
        Stamp::Absent(term, position) => {
            out.push(1);
            put_var(out, term);
            put_var(out, position.0);
        }
    }
}

fn get_stamped(reader: &mut Reader<'_>) -> Result<Stamped, DecodeError> {
    let found = GetOutcome::decode(reader.bytes()?)?;
    let held = reader.u8()? == 1;
    let stamp = match reader.u8()? {
        0 => Stamp::Version(reader.version()?),
        1 => Stamp::Absent(reader.var()?, Position(reader.var()?)),
        _ => return Err(DecodeError::Unknown("stamp")),
    };
    Ok(Stamped { found, stamp, held })
}

/// The sent form of an answer or a refusal. A freeze is settled by the node that holds it and is
/// never sent.
pub fn encode_answer(answer: &Result<ItemAnswer, Refused>, position: Position) -> Vec<u8> {
    let mut out = vec![FORMAT];
    put_var(&mut out, position.0);
    match answer {
        Ok(ItemAnswer::Write(outcome)) => {
            out.push(0);
            out.extend(outcome.encode());
        }
        Ok(ItemAnswer::Get(outcome)) => {
            out.push(1);
            out.extend(outcome.encode());
        }
        Ok(ItemAnswer::Page(page)) => {
            out.push(2);
            out.extend(page.encode());
        }
        Ok(ItemAnswer::Replicate(outcomes)) => {
            out.push(3);
            put_var(&mut out, outcomes.len() as u64);
            outcomes.iter().for_each(|outcome| put_replicated(&mut out, outcome));
        }
        Ok(ItemAnswer::Fed) => out.push(4),
        Ok(ItemAnswer::Transact(answer)) => {
            out.push(5);
            out.extend(answer.encode());
        }
        Ok(ItemAnswer::Stamped(list)) => {
            out.push(6);
            put_var(&mut out, list.len() as u64);
            list.iter().for_each(|stamped| put_stamped(&mut out, stamped));
        }
        Ok(ItemAnswer::Token(answer)) => out.extend([7, answer.to_u8()]),
        Ok(ItemAnswer::Leased(given)) => {
            out.push(9);
            put_var(&mut out, u64::try_from(*given).unwrap_or(0));
        }
        Ok(ItemAnswer::Changes(answer)) => {
            out.push(8);
            put_var(&mut out, answer.kept_after.0);
            put_var(&mut out, answer.end.0);
            put_var(&mut out, answer.records.len() as u64);
            answer.records.iter().for_each(|record| put_bytes(&mut out, &record.encode()));
        }
        Err(Refused::NotLeader { hint }) => {
            out.push(16);
            put_var(&mut out, hint.map_or(0, |node| node.0));
        }
        Err(Refused::Retry | Refused::Held(_)) => out.push(17),
        Err(Refused::Elsewhere) => out.push(18),
        Err(Refused::NoRoom) => out.push(21),
        Err(Refused::Unknown) => out.push(19),
        Err(Refused::Broken(why)) => {
            out.push(20);
            put_bytes(&mut out, why.as_bytes());
        }
    }
    out
}

/// Reads the sent form of an answer or a refusal.
pub fn decode_answer(bytes: &[u8]) -> Result<Answered, DecodeError> {
    let mut reader = Reader::new(bytes);
    format(&mut reader)?;
    let position = Position(reader.var()?);
    Ok(Answered { position, answer: read_answer(&mut reader)? })
}

fn read_answer(reader: &mut Reader<'_>) -> Result<Result<ItemAnswer, Refused>, DecodeError> {
    Ok(match reader.u8()? {
        0 => Ok(ItemAnswer::Write(WriteOutcome::decode(reader.rest())?)),
        1 => Ok(ItemAnswer::Get(GetOutcome::decode(reader.rest())?)),
        2 => Ok(ItemAnswer::Page(Page::decode(reader.rest())?)),
        3 => {
            let count = reader.len()?;
            let outcomes = (0..count).map(|_| get_replicated(reader)).collect::<Result<_, _>>();
            Ok(ItemAnswer::Replicate(outcomes?))
        }
        4 => Ok(ItemAnswer::Fed),
        5 => Ok(ItemAnswer::Transact(TransactAnswer::decode(reader.rest())?)),
        6 => {
            let count = reader.len()?;
            let list = (0..count).map(|_| get_stamped(reader)).collect::<Result<_, _>>();
            Ok(ItemAnswer::Stamped(list?))
        }
        7 => Ok(ItemAnswer::Token(TokenAnswer::from_u8(reader.u8()?)?)),
        9 => Ok(ItemAnswer::Leased(Milli::try_from(reader.var()?).unwrap_or(Milli::MAX))),
        8 => {
            let (kept_after, end) = (Position(reader.var()?), Position(reader.var()?));
            let count = reader.len()?;
            let records = (0..count).map(|_| ChangeRecord::decode(reader.bytes()?));
            let records = records.collect::<Result<_, _>>()?;
            Ok(ItemAnswer::Changes(ChangesAnswer { kept_after, end, records }))
        }
        16 => {
            let hint = reader.var()?;
            Err(Refused::NotLeader { hint: (hint != 0).then_some(NodeId(hint)) })
        }
        17 => Err(Refused::Retry),
        18 => Err(Refused::Elsewhere),
        21 => Err(Refused::NoRoom),
        19 => Err(Refused::Unknown),
        20 => Err(Refused::Broken(reader.str()?.to_owned())),
        _ => return Err(DecodeError::Unknown("answer")),
    })
}

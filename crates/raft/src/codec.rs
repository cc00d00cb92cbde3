//! Bytes of log entries, votes, memberships and Raft messages, as stored and as sent.
//!
//! # Invariants
//!
//! - Every message and every stored payload begins with [`FORMAT`]; a reader of each older format
//!   stays.
//! - Decoding never panics and never trusts a length.
//!
//! Tested by round trips and by arbitrary bytes.

use crate::types::{
    Config, Entry, LogId, Membership, Payload, SnapshotMeta, StoredMembership, Vote, log_id,
};
use bytes::Bytes;
use meridian_base::codec::{DecodeError, Reader, put_bytes, put_var};
use openraft::EntryPayload;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    VoteRequest, VoteResponse,
};
use std::collections::{BTreeMap, BTreeSet};

/// The format of everything that this module writes.
pub const FORMAT: u8 = 1;

/// A Raft message to another member of a group.
#[derive(Debug)]
pub enum Request {
    /// Entries or a heartbeat.
    Append(AppendEntriesRequest<Config>),
    /// A vote is asked for.
    Vote(VoteRequest<Config>),
    /// Would a vote be granted?
    PreVote(VoteRequest<Config>),
    /// Take over the leadership.
    Transfer(TransferLeaderRequest<Config>),
}

/// The answer to a [`Request`].
#[derive(Debug)]
pub enum Response {
    /// To [`Request::Append`].
    Append(AppendEntriesResponse<Config>),
    /// To [`Request::Vote`] and [`Request::PreVote`].
    Vote(VoteResponse<Config>),
    /// To [`Request::Transfer`]: whether it was taken.
    Transfer(bool),
}

fn put_log_id(out: &mut Vec<u8>, id: &LogId) {
    put_var(out, id.committed_leader_id().term);
    put_var(out, id.index);
}

fn get_log_id(r: &mut Reader<'_>) -> Result<LogId, DecodeError> {
    let term = r.var()?;
    Ok(log_id(term, r.var()?))
}

fn put_option<T>(out: &mut Vec<u8>, value: Option<&T>, put: impl Fn(&mut Vec<u8>, &T)) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put(out, value);
    }
}

fn get_option<'a, T>(
    r: &mut Reader<'a>,
    get: impl Fn(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    match r.u8()? {
        0 => Ok(None),
        1 => get(r).map(Some),
        _ => Err(DecodeError::Unknown("option")),
    }
}

fn get_bool(r: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match r.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::Unknown("boolean")),
    }
}

fn put_vote(out: &mut Vec<u8>, vote: &Vote) {
    put_var(out, vote.leader_id.term);
    put_var(out, vote.leader_id.voted_for);
    out.push(u8::from(vote.committed));
}

fn get_vote(r: &mut Reader<'_>) -> Result<Vote, DecodeError> {
    let (term, node) = (r.var()?, r.var()?);
    let mut vote = Vote::new(term, node);
    vote.committed = get_bool(r)?;
    Ok(vote)
}

fn put_membership(out: &mut Vec<u8>, membership: &Membership) {
    put_var(out, membership.get_joint_config().len() as u64);
    for config in membership.get_joint_config() {
        put_var(out, config.len() as u64);
        config.iter().for_each(|id| put_var(out, *id));
    }
    let nodes: Vec<u64> = membership.nodes().map(|(id, _)| *id).collect();
    put_var(out, nodes.len() as u64);
    nodes.iter().for_each(|id| put_var(out, *id));
}

fn get_membership(r: &mut Reader<'_>) -> Result<Membership, DecodeError> {
    let count = r.len()?;
    let configs = (0..count)
        .map(|_| {
            let members = r.len()?;
            (0..members).map(|_| r.var()).collect::<Result<BTreeSet<u64>, _>>()
        })
        .collect::<Result<Vec<_>, _>>()?;
    let count = r.len()?;
    let nodes = (0..count)
        .map(|_| Ok((r.var()?, openraft::impls::EmptyNode {})))
        .collect::<Result<BTreeMap<_, _>, DecodeError>>()?;
    Membership::new(configs, nodes).map_err(|_| DecodeError::Unknown("membership"))
}

/// Appends a stored membership.
pub fn put_stored_membership(out: &mut Vec<u8>, stored: &StoredMembership) {
    put_option(out, stored.log_id().as_ref(), put_log_id);
    put_membership(out, stored.membership());
}

/// Reads a stored membership.
pub fn get_stored_membership(r: &mut Reader<'_>) -> Result<StoredMembership, DecodeError> {
    let id = get_option(r, get_log_id)?;
    Ok(StoredMembership::new(id, get_membership(r)?))
}

/// The stored form of an entry's payload; its term and index stand in the log record.
pub fn encode_payload(entry: &Entry) -> Vec<u8> {
    let mut out = vec![FORMAT];
    put_payload(&mut out, entry);
    out
}

fn put_payload(out: &mut Vec<u8>, entry: &Entry) {
    match &entry.payload {
        EntryPayload::Blank => out.push(0),
        EntryPayload::Normal(Payload(bytes)) => {
            out.push(1);
            put_bytes(out, bytes);
        }
        EntryPayload::Membership(membership) => {
            out.push(2);
            put_membership(out, membership);
        }
    }
}

fn get_payload(
    r: &mut Reader<'_>,
) -> Result<EntryPayload<Payload, u64, openraft::impls::EmptyNode>, DecodeError> {
    Ok(match r.u8()? {
        0 => EntryPayload::Blank,
        1 => EntryPayload::Normal(Payload(Bytes::copy_from_slice(r.bytes()?))),
        2 => EntryPayload::Membership(get_membership(r)?),
        _ => return Err(DecodeError::Unknown("entry payload")),
    })
}

fn format(r: &mut Reader<'_>) -> Result<(), DecodeError> {
    if r.u8()? == FORMAT { Ok(()) } else { Err(DecodeError::Unknown("format")) }
}

/// Reads the stored form of an entry's payload.
pub fn decode_payload(term: u64, index: u64, bytes: &[u8]) -> Result<Entry, DecodeError> {
    let mut r = Reader::new(bytes);
    format(&mut r)?;
    let payload = get_payload(&mut r)?;
    r.end()?;
    Ok(Entry { log_id: log_id(term, index), payload })
}

/// The stored form of a vote.
pub fn encode_vote(vote: &Vote) -> Vec<u8> {
    let mut out = vec![FORMAT];
    put_vote(&mut out, vote);
    out
}

/// Reads the stored form of a vote.
pub fn decode_vote(bytes: &[u8]) -> Result<Vote, DecodeError> {
    let mut r = Reader::new(bytes);
    format(&mut r)?;
    get_vote(&mut r)
}

/// The stored form of a log id.
pub fn encode_log_id(id: &LogId) -> Vec<u8> {
    let mut out = vec![FORMAT];
    put_log_id(&mut out, id);
    out
}

/// Reads the stored form of a log id.
pub fn decode_log_id(bytes: &[u8]) -> Result<LogId, DecodeError> {
    let mut r = Reader::new(bytes);
    format(&mut r)?;
    get_log_id(&mut r)
}

/// The sent form of a message.
pub fn encode_request(request: &Request) -> Vec<u8> {
    let mut out = vec![FORMAT];
    match request {
        Request::Append(a) => {
            out.push(0);
            put_vote(&mut out, &a.vote);
            put_option(&mut out, a.prev_log_id.as_ref(), put_log_id);
            put_option(&mut out, a.leader_commit.as_ref(), put_log_id);
            put_var(&mut out, a.entries.len() as u64);
            for entry in &a.entries {
                put_log_id(&mut out, &entry.log_id);
                put_payload(&mut out, entry);
            }
        }
        Request::Vote(v) => put_vote_request(&mut out, 1, v),
        Request::PreVote(v) => put_vote_request(&mut out, 2, v),
        Request::Transfer(t) => {
            out.push(3);
            put_vote(&mut out, t.from_leader());
            put_var(&mut out, *t.to_node_id());
            put_option(&mut out, t.last_log_id(), put_log_id);
        }
    }
    out
}

fn put_vote_request(out: &mut Vec<u8>, tag: u8, request: &VoteRequest<Config>) {
    out.push(tag);
    put_vote(out, &request.vote);
    put_option(out, request.last_log_id.as_ref(), put_log_id);
    out.push(u8::from(request.leadership_transfer));
}

fn get_vote_request(r: &mut Reader<'_>) -> Result<VoteRequest<Config>, DecodeError> {
    let vote = get_vote(r)?;
    let mut request = VoteRequest::new(vote, get_option(r, get_log_id)?);
    request.leadership_transfer = get_bool(r)?;
    Ok(request)
}

/// Reads the sent form of a message.
pub fn decode_request(bytes: &[u8]) -> Result<Request, DecodeError> {
    let mut r = Reader::new(bytes);
    format(&mut r)?;
    let request = match r.u8()? {
        0 => Request::Append(get_append(&mut r)?),
        1 => Request::Vote(get_vote_request(&mut r)?),
        2 => Request::PreVote(get_vote_request(&mut r)?),
        3 => {
            let (from, to) = (get_vote(&mut r)?, r.var()?);
            let last = get_option(&mut r, get_log_id)?;
            Request::Transfer(TransferLeaderRequest::new(from, to, last))
        }
        _ => return Err(DecodeError::Unknown("message")),
    };
    r.end()?;
    Ok(request)
}

fn get_append(r: &mut Reader<'_>) -> Result<AppendEntriesRequest<Config>, DecodeError> {
    let vote = get_vote(r)?;
    let prev_log_id = get_option(r, get_log_id)?;
    let leader_commit = get_option(r, get_log_id)?;
    let count = r.len()?;
    let entries = (0..count)
        .map(|_| Ok(Entry { log_id: get_log_id(r)?, payload: get_payload(r)? }))
        .collect::<Result<Vec<_>, DecodeError>>()?;
    Ok(AppendEntriesRequest { vote, prev_log_id, entries, leader_commit })
}

/// The sent form of an answer.
pub fn encode_response(response: &Response) -> Vec<u8> {
    let mut out = vec![FORMAT];
    match response {
        Response::Append(AppendEntriesResponse::Success) => out.push(0),
        Response::Append(AppendEntriesResponse::PartialSuccess(id)) => {
            out.push(1);
            put_option(&mut out, id.as_ref(), put_log_id);
        }
        Response::Append(AppendEntriesResponse::Conflict) => out.push(2),
        Response::Append(AppendEntriesResponse::HigherVote(vote)) => {
            out.push(3);
            put_vote(&mut out, vote);
        }
        Response::Vote(v) => {
            out.push(4);
            put_vote(&mut out, &v.vote);
            put_option(&mut out, v.last_log_id.as_ref(), put_log_id);
            out.push(u8::from(v.vote_granted));
        }
        Response::Transfer(taken) => out.extend([5, u8::from(*taken)]),
    }
    out
}

/// Reads the sent form of an answer.
pub fn decode_response(bytes: &[u8]) -> Result<Response, DecodeError> {
    let mut r = Reader::new(bytes);
    format(&mut r)?;
    let response = match r.u8()? {
        0 => Response::Append(AppendEntriesResponse::Success),
        1 => {
            let id = get_option(&mut r, get_log_id)?;
            Response::Append(AppendEntriesResponse::PartialSuccess(id))
        }
        2 => Response::Append(AppendEntriesResponse::Conflict),
        3 => Response::Append(AppendEntriesResponse::HigherVote(get_vote(&mut r)?)),
        4 => {
            let vote = get_vote(&mut r)?;
            let last = get_option(&mut r, get_log_id)?;
            Response::Vote(VoteResponse::new(vote, last, get_bool(&mut r)?))
        }
        5 => Response::Transfer(get_bool(&mut r)?),
        _ => return Err(DecodeError::Unknown("answer")),
    };
    r.end()?;
    Ok(response)
}

/// The sent form of a snapshot's head: the leader's vote and what the snapshot covers.
pub fn encode_snapshot_head(vote: &Vote, meta: &SnapshotMeta) -> Vec<u8> {
    let mut out = vec![FORMAT];
    put_vote(&mut out, vote);
    put_option(&mut out, meta.last_log_id.as_ref(), put_log_id);
    put_stored_membership(&mut out, &meta.last_membership);
    out
}

/// Reads the sent form of a snapshot's head.
pub fn decode_snapshot_head(bytes: &[u8]) -> Result<(Vote, SnapshotMeta), DecodeError> {
    let mut r = Reader::new(bytes);
    format(&mut r)?;
    let vote = get_vote(&mut r)?;
    let last_log_id = get_option(&mut r, get_log_id)?;
    let last_membership = get_stored_membership(&mut r)?;
    r.end()?;
    Ok((vote, SnapshotMeta { last_log_id, last_membership }))
}

/// The sent form of the answer to a snapshot.
pub fn encode_snapshot_response(response: &SnapshotResponse<Config>) -> Vec<u8> {
    encode_vote(&response.vote)
}

/// Reads the sent form of the answer to a snapshot.
pub fn decode_snapshot_response(bytes: &[u8]) -> Result<SnapshotResponse<Config>, DecodeError> {
    Ok(SnapshotResponse { vote: decode_vote(bytes)? })
}

#[cfg(test)]
mod tests;

//! One group's part of the node's log, as openraft sees it.
//!
//! # Invariants
//!
//! - Slots are without a hole: slot `i` is log index `first + i`.
//! - A slot without a location is cached, so that every entry can be read at any time.
//! - `append` reports an entry only when it is synced; `save_vote` returns only when it is.
//!
//! Tested by openraft's own storage suite rules through the group tests, and by every seed.

use crate::codec::{
    decode_log_id, decode_payload, decode_vote, encode_log_id, encode_payload, encode_vote,
};
use crate::log::{Completion, NodeLog};
use crate::types::{Config, Entry, LogId, Vote, log_id};
use meridian_base::GroupId;
use meridian_base::codec::DecodeError;
use meridian_storage::{Location, LogRecord, RecoveredGroup};
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::{Arc, Mutex, MutexGuard};

/// Bytes of entries that a group keeps in memory for its followers.
const CACHE_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of entries handed to replication at once.
const READ_BYTES_MAX: usize = 1024 * 1024;

struct Slot {
    term: u64,
    location: Option<Location>,
    cached: Option<Entry>,
    bytes: usize,
}

#[derive(Default)]
struct Index {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    first: u64,
    slots: VecDeque<Slot>,
    cached_bytes: usize,
    /// The first slot, counted from `first`, that may still be cached.
    cache_from: u64,
}

impl Index {
    fn last(&self) -> Option<LogId> {
        match self.slots.back() {
            Some(slot) => Some(log_id(slot.term, self.first + self.slots.len() as u64 - 1)),
            None => self.purged,
        }
    }

    fn slot(&mut self, index: u64) -> Option<&mut Slot> {
        let at = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.slots.get_mut(at)
    }

    fn push(&mut self, entry: &Entry, bytes: usize) {
        if self.slots.is_empty() {
            self.first = entry.log_id.index;
            self.cache_from = self.first;
        }
        let term = entry.log_id.committed_leader_id().term;
        self.cached_bytes += bytes;
        self.slots.push_back(Slot { term, location: None, cached: Some(entry.clone()), bytes });
    }

    /// Drops cached entries from the oldest on until the cache fits; those that are not on disk yet
    /// stay.
    fn shrink_cache(&mut self) {
        while self.cached_bytes > CACHE_BYTES_MAX {
            let at = self.cache_from;
            let Some(slot) = self.slot(at) else { return };
            if slot.location.is_none() {
                return;
            }
            let bytes = if slot.cached.take().is_some() { slot.bytes } else { 0 };
            self.cached_bytes -= bytes;
            self.cache_from += 1;
        }
    }

    fn truncate_from(&mut self, index: u64) {
        while self.first + self.slots.len() as u64 > index {
            let Some(slot) = self.slots.pop_back() else { return };
            if slot.cached.is_some() {
                self.cached_bytes -= slot.bytes;
            }
        }
    }

    fn purge_to(&mut self, index: u64) {
        while self.first <= index {
            let Some(slot) = self.slots.pop_front() else { break };
            if slot.cached.is_some() {
                self.cached_bytes -= slot.bytes;
            }
            self.first += 1;
        }
        self.first = self.first.max(index + 1);
        self.cache_from = self.cache_from.max(self.first);
    }
}

/// One group's log; clones read the same one.
#[derive(Clone)]
pub struct GroupLog {
    group: GroupId,
    log: NodeLog,
    index: Arc<Mutex<Index>>,
}

fn invalid(error: DecodeError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl GroupLog {
    /// Opens a group's log with what recovery found of it.
    ///
    /// # Errors
    ///
    /// A stored vote or position that cannot be read.
    pub fn open(group: GroupId, log: NodeLog, found: RecoveredGroup) -> io::Result<GroupLog> {
        let decode_id = |b: &Vec<u8>| decode_log_id(b).map_err(invalid);
        let purged = found.purged.as_ref().map(|p| decode_id(&p.bytes)).transpose()?;
        let next = purged.as_ref().map_or(0, |id| id.index + 1);
        let first = found.entries.keys().next().copied().unwrap_or(next);
        let slots = found.entries.into_values().map(|entry| Slot {
            term: entry.term,
            location: Some(entry.location),
            cached: None,
            bytes: 0,
        });
        let slots: VecDeque<Slot> = slots.collect();
        let index = Index {
            vote: found.vote.map(|b| decode_vote(&b)).transpose().map_err(invalid)?,
            committed: found.committed.as_ref().map(decode_id).transpose()?,
            purged,
            first,
            cache_from: first + slots.len() as u64,
            slots,
            cached_bytes: 0,
        };
        Ok(GroupLog { group, log, index: Arc::new(Mutex::new(index)) })
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().expect("no holder panics")
    }

    /// The purge point: no entry at or below it can be read any more.
    pub fn purged(&self) -> Option<LogId> {
        self.index().purged
    }

    /// The last entry's log id, or the purge point of an empty log.
    pub fn last(&self) -> Option<LogId> {
        self.index().last()
    }

    /// Drops entries that contradict what the state machine has applied up to `applied`, as they may
    /// after it was rebuilt from a peer: they were never committed. All others stay.
    pub async fn fit(&self, applied: Option<LogId>) {
        let Some(applied) = applied else { return };
        let from = {
            let mut index = self.index();
            let term = applied.committed_leader_id().term;
            if index.slot(applied.index).is_none_or(|slot| slot.term == term) {
                return;
            }
            let from = index.first;
            index.truncate_from(from);
            index.purge_to(applied.index);
            index.purged = Some(applied);
            from
        };
        let group = self.group.to_u64();
        let records = vec![
            LogRecord::Truncate { group, from },
            LogRecord::Purge { group, upto: applied.index, bytes: encode_log_id(&applied) },
        ];
        self.log.write(records, false, Box::new(|_| ())).await;
    }

    /// True when the log never held a vote or an entry.
    pub fn is_pristine(&self) -> bool {
        let index = self.index();
        index.vote.is_none() && index.last().is_none()
    }

    /// Drops everything that the node's log holds of this group.
    pub async fn forget(&self) -> Result<(), String> {
        *self.index() = Index::default();
        self.log.forgotten(self.group.to_u64());
        self.log.write_durably(vec![LogRecord::Forget { group: self.group.to_u64() }]).await
    }

    fn read(&self, start: u64, end: u64, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let mut bytes = 0;
        for at in start..end {
            let (term, location) = {
                let mut index = self.index();
                let Some(slot) = index.slot(at) else { break };
                if let Some(entry) = &slot.cached {
                    bytes += slot.bytes;
                    entries.push(entry.clone());
                    if bytes >= bytes_max {
                        break;
                    }
                    continue;
                }
                let location = slot.location.expect("an entry that is not cached is on disk");
                (slot.term, location)
            };
            let payload = self.log.read(location).map_err(io::Error::other)?;
            bytes += payload.len();
            entries.push(decode_payload(term, at, &payload).map_err(invalid)?);
            if bytes >= bytes_max {
                break;
            }
        }
        Ok(entries)
    }
}

fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(s) => *s,
        Bound::Excluded(s) => s + 1,
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(e) => e + 1,
        Bound::Excluded(e) => *e,
        Bound::Unbounded => u64::MAX,
    };
    (start, end)
}

impl RaftLogReader<Config> for GroupLog {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        let (start, end) = bounds(&range);
        self.read(start, end, usize::MAX)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start, end, READ_BYTES_MAX)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.index().vote)
    }
}

impl RaftLogStorage<Config> for GroupLog {
    type LogReader = GroupLog;

    async fn get_log_state(&mut self) -> Result<LogState<Config>, io::Error> {
        let index = self.index();
        Ok(LogState { last_purged_log_id: index.purged, last_log_id: index.last() })
    }

    async fn get_log_reader(&mut self) -> GroupLog {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let record = LogRecord::Vote { group: self.group.to_u64(), bytes: encode_vote(vote) };
        self.log.write_durably(vec![record]).await.map_err(io::Error::other)?;
        self.index().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        let Some(id) = committed else { return Ok(()) };
        self.index().committed = Some(id);
        let record = LogRecord::Committed { group: self.group.to_u64(), bytes: encode_log_id(&id) };
        self.log.write(vec![record], false, Box::new(|_| ())).await;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.index().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Config>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let group = self.group.to_u64();
        let mut records = Vec::new();
        let mut terms = Vec::new();
        let first = {
            let mut index = self.index();
            for entry in entries {
                let payload = encode_payload(&entry);
                index.push(&entry, payload.len());
                let (i, term) = (entry.log_id.index, entry.log_id.committed_leader_id().term);
                terms.push(term);
                records.push(LogRecord::Entry { group, index: i, term, payload });
            }
            index.first + index.slots.len() as u64 - records.len() as u64
        };
        let shared = Arc::clone(&self.index);
        let done: Completion = Box::new(move |result| {
            let result = result.map(|locations| note_locations(&shared, first, &terms, locations));
            callback.io_completed(result.map_err(|e| io::Error::other(e.to_string())));
        });
        self.log.write(records, true, done).await;
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let from = last.map_or(0, |id| id.index + 1);
        self.index().truncate_from(from);
        let record = LogRecord::Truncate { group: self.group.to_u64(), from };
        self.log.write(vec![record], false, Box::new(|_| ())).await;
        Ok(())
    }

    async fn purge(&mut self, id: LogId) -> Result<(), io::Error> {
        {
            let mut index = self.index();
            index.purge_to(id.index);
            index.purged = Some(id);
        }
        let record = LogRecord::Purge {
            group: self.group.to_u64(),
            upto: id.index,
            bytes: encode_log_id(&id),
        };
        self.log.write(vec![record], false, Box::new(|_| ())).await;
        Ok(())
    }
}

/// Notes where entries are, unless they were truncated or purged meanwhile. An entry that took the
/// place of a truncated one has another term, and its own records tell its location.
fn note_locations(index: &Mutex<Index>, first: u64, terms: &[u64], locations: &[Location]) {
    let mut index = index.lock().expect("no holder panics");
    for ((at, term), location) in (first..).zip(terms).zip(locations) {
        if let Some(slot) = index.slot(at).filter(|slot| slot.term == *term) {
            slot.location = Some(*location);
        }
    }
    index.shrink_cache();
}

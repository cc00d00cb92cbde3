//! The header of a partition, rewritten with every batch, and its marks, rewritten when they move.
//!
//! # Invariants
//!
//! - Both start with a format version and a CRC-32; damage is a decode error.
//! - `last` is at least every version applied and every floor accepted.
//!
//! Tested by `record/tests.rs` and `replica/tests.rs`.

use crate::command::Note;
use crate::layout;
use crate::record::{checked, read_flag, unchecked};
use crate::{PartitionError, PartitionSpec};
use meridian_base::change::{Received, read_region};
use meridian_base::codec::{DecodeError, Reader as Bytes, put_var};
use meridian_base::limits::LOCAL_INDEXES_MAX;
use meridian_base::{Hlc, Incarnation, LogIndex, PartitionId, Position, RegionId, Sequence};
use meridian_storage::{Engine, View};
use std::collections::BTreeMap;

/// A Raft log id: one leader a term, so term and index suffice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct LogPosition {
    /// The term of the leader that appended the entry.
    pub term: u64,
    /// The log index.
    pub index: LogIndex,
}

/// Who reads a partition's change log and keeps a cursor in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reader {
    /// The replicator towards a region (its number: a rebuilt region reads on as the same reader).
    Region(u16),
    /// DynamoDB Streams.
    Stream,
    /// A global secondary index.
    Index(u64),
    /// The point-in-time archive.
    Archive,
    /// Backups on demand that are being taken.
    Backup,
    /// Holds the change log while what the partition holds is copied to a region (its number);
    /// dropped when the copy is done, so that a new leader knows whether it was.
    Copy(u16),
}

/// The partition takes no more writes: they belong to the target region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freeze {
    /// The evacuation's epoch.
    pub epoch: u64,
    /// Where writes go now.
    pub target: RegionId,
    /// The last position of the change log before the freeze.
    pub position: Position,
    /// No write of this region, here, has a greater version.
    pub closed: Hlc,
}

/// What every batch rewrites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Header {
    /// The last log entry that was applied; none before the first.
    pub applied: Option<LogPosition>,
    /// The pipeline incarnation that was accepted last.
    pub incarnation: Incarnation,
    /// The last decision accepted of that incarnation; 0 right after its `Begin`.
    pub sequence: Sequence,
    /// The region that stamps, as the last accepted `Begin` says.
    pub region: RegionId,
    /// The highest version applied or given as floor.
    pub last: Hlc,
    /// The last position given out in the change log.
    pub position: Position,
    /// Change records up to here are gone.
    pub trimmed: Position,
    /// How many conflicts were recorded.
    pub conflicts: u64,
    /// How many stranded writes were recorded.
    pub stranded: u64,
    /// How many items the partition holds.
    pub items: u64,
    /// Their size as DynamoDB counts it, bytes.
    pub item_bytes: u64,
    /// The latest time at which something was committed, ms since the epoch.
    pub committed_ms: u64,
    /// What the local indexes hold, by number. What was there before this was counted is not in it.
    pub local: [Held; LOCAL_INDEXES_MAX],
}

/// How much an index holds in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// How many entries.
    pub entries: u64,
    /// The size of what they show, as DynamoDB counts it, bytes.
    pub bytes: u64,
}

/// Cursors, announcements and the freeze.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Marks {
    /// Up to where each reader has read the change log. Without readers no log is kept.
    pub cursors: BTreeMap<Reader, Position>,
    /// What the partitions of other regions announced, by region and partition.
    pub received: BTreeMap<(RegionId, PartitionId), Received>,
    /// Present while the partition is frozen.
    pub freeze: Option<Freeze>,
    /// In a partition of a global index: up to where it has taken the changes of each partition of
    /// the table.
    pub fed: BTreeMap<PartitionId, Position>,
}

const HEADER_FORMAT: u8 = 1;
/// With the time of the last commit at the end.
const HEADER_FORMAT_TIMED: u8 = 2;
/// With what the local indexes hold behind it; written only where they hold something.
const HEADER_FORMAT_LOCAL: u8 = 3;
const MARKS_FORMAT: u8 = 1;
/// With what was fed at the end; written only where there is some.
const MARKS_FORMAT_FED: u8 = 2;

impl Header {
    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(64);
        match self.applied {
            None => body.push(0),
            Some(at) => {
                body.push(1);
                put_var(&mut body, at.term);
                put_var(&mut body, at.index.0);
            }
        }
        for part in [
            self.incarnation.0,
            self.sequence.0,
            u64::from(self.region.to_u32()),
            self.last.0,
            self.position.0,
            self.trimmed.0,
            self.conflicts,
            self.stranded,
            self.items,
            self.item_bytes,
        ] {
            put_var(&mut body, part);
        }
        let has_local = self.local != <[Held; LOCAL_INDEXES_MAX]>::default();
        if self.committed_ms == 0 && !has_local {
            return checked(HEADER_FORMAT, &body);
        }
        put_var(&mut body, self.committed_ms);
        if !has_local {
            return checked(HEADER_FORMAT_TIMED, &body);
        }
        for held in &self.local {
            put_var(&mut body, held.entries);
            put_var(&mut body, held.bytes);
        }
        checked(HEADER_FORMAT_LOCAL, &body)
    }

    /// Reads the stored form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let format = match bytes.first() {
            Some(&HEADER_FORMAT_TIMED) => HEADER_FORMAT_TIMED,
            Some(&HEADER_FORMAT_LOCAL) => HEADER_FORMAT_LOCAL,
            Some(_) | None => HEADER_FORMAT,
        };
        let mut reader = unchecked(format, bytes)?;
        let mut header = Header {
            applied: if read_flag(&mut reader)? {
                Some(LogPosition { term: reader.var()?, index: LogIndex(reader.var()?) })
            } else {
                None
            },
            incarnation: Incarnation(reader.var()?),
            sequence: Sequence(reader.var()?),
            region: read_region(&mut reader)?,
            last: Hlc(reader.var()?),
            position: Position(reader.var()?),
            trimmed: Position(reader.var()?),
            conflicts: reader.var()?,
            stranded: reader.var()?,
            items: reader.var()?,
            item_bytes: reader.var()?,
            committed_ms: if format == HEADER_FORMAT { 0 } else { reader.var()? },
            local: Default::default(),
        };
        if format == HEADER_FORMAT_LOCAL {
            for held in &mut header.local {
                *held = Held { entries: reader.var()?, bytes: reader.var()? };
            }
        }
        reader.end()?;
        Ok(header)
    }

    /// Reads a partition's header; the default one when the partition is new.
    pub fn load(engine: &dyn Engine, spec: &PartitionSpec) -> Result<Self, PartitionError> {
        Header::stored(engine.get(&layout::header_key(spec.partition))?)
    }

    /// Reads the header that belongs to the items of a view.
    pub fn of_view(view: &dyn View, spec: &PartitionSpec) -> Result<Self, PartitionError> {
        Header::stored(view.get(&layout::header_key(spec.partition))?)
    }

    fn stored(bytes: Option<Vec<u8>>) -> Result<Self, PartitionError> {
        match bytes {
            None => Ok(Header::default()),
            Some(bytes) => Header::decode(&bytes).map_err(PartitionError::corrupt("header")),
        }
    }
}

impl Marks {
    /// True when changes are recorded in the change log.
    pub fn keeps_changes(&self) -> bool {
        !self.cursors.is_empty()
    }

    /// True when other regions hold this table, so that deletes must be remembered.
    pub fn is_global(&self) -> bool {
        let other_region = |reader: &Reader| match reader {
            Reader::Region(_) | Reader::Copy(_) => true,
            Reader::Stream | Reader::Index(_) | Reader::Archive | Reader::Backup => false,
        };
        !self.received.is_empty() || self.cursors.keys().any(other_region)
    }

    /// True when a stream or a global index follows the change log, which then holds old images.
    pub fn needs_old_images(&self) -> bool {
        self.cursors.keys().any(|reader| matches!(reader, Reader::Stream | Reader::Index(_)))
    }

    /// The position up to which every reader has read; none without readers.
    pub fn slowest(&self) -> Option<Position> {
        self.cursors.values().min().copied()
    }

    /// Does what a note says. `position` and `closed` are where the partition stands, for a freeze.
    pub(crate) fn note(&mut self, note: Note, position: Position, closed: Hlc) {
        match note {
            Note::Cursor { reader, position } => {
                let cursor = self.cursors.entry(reader).or_default();
                *cursor = (*cursor).max(position);
            }
            Note::DropCursor { reader } => {
                self.cursors.remove(&reader);
            }
            Note::Received(received) => {
                self.received.insert((received.region, received.partition), received);
            }
            Note::ForgetRegion { region } => {
                self.received.retain(|(from, _), _| from.number != region);
            }
            Note::Freeze { epoch, target } => {
                if self.freeze.is_none_or(|old| old.epoch < epoch) {
                    self.freeze = Some(Freeze { epoch, target, position, closed });
                }
            }
            Note::Thaw { epoch } => {
                if self.freeze.is_some_and(|freeze| freeze.epoch <= epoch) {
                    self.freeze = None;
                }
            }
            Note::Fed { source, position } => {
                let fed = self.fed.entry(source).or_default();
                *fed = (*fed).max(position);
            }
            Note::TrimChanges { .. } | Note::DropTombstones { .. } => {}
        }
    }

    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        put_var(&mut body, self.cursors.len() as u64);
        for (reader, position) in &self.cursors {
            put_reader(&mut body, *reader);
            put_var(&mut body, position.0);
        }
        put_var(&mut body, self.received.len() as u64);
        self.received.values().for_each(|r| r.encode(&mut body));
        match self.freeze {
            None => body.push(0),
            Some(freeze) => {
                body.push(1);
                put_var(&mut body, freeze.epoch);
                put_var(&mut body, u64::from(freeze.target.to_u32()));
                put_var(&mut body, freeze.position.0);
                put_var(&mut body, freeze.closed.0);
            }
        }
        if self.fed.is_empty() {
            return checked(MARKS_FORMAT, &body);
        }
        put_var(&mut body, self.fed.len() as u64);
        for (source, position) in &self.fed {
            put_var(&mut body, source.0);
            put_var(&mut body, position.0);
        }
        checked(MARKS_FORMAT_FED, &body)
    }

    /// Reads the stored form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let with_fed = bytes.first() == Some(&MARKS_FORMAT_FED);
        let format = if with_fed { MARKS_FORMAT_FED } else { MARKS_FORMAT };
        let mut reader = unchecked(format, bytes)?;
        let mut marks = Marks::default();
        for _ in 0..reader.len()? {
            let who = read_reader(&mut reader)?;
            marks.cursors.insert(who, Position(reader.var()?));
        }
        for _ in 0..reader.len()? {
            let received = Received::decode(&mut reader)?;
            marks.received.insert((received.region, received.partition), received);
        }
        marks.freeze = match reader.u8()? {
            0 => None,
            1 => Some(Freeze {
                epoch: reader.var()?,
                target: read_region(&mut reader)?,
                position: Position(reader.var()?),
                closed: Hlc(reader.var()?),
            }),
            _ => return Err(DecodeError::Unknown("freeze")),
        };
        if with_fed {
            for _ in 0..reader.len()? {
                let source = PartitionId(reader.var()?);
                marks.fed.insert(source, Position(reader.var()?));
            }
        }
        reader.end()?;
        Ok(marks)
    }

    /// Reads a partition's marks; empty ones when the partition is new.
    pub fn load(engine: &dyn Engine, spec: &PartitionSpec) -> Result<Self, PartitionError> {
        match engine.get(&layout::marks_key(spec.partition))? {
            None => Ok(Marks::default()),
            Some(bytes) => Marks::decode(&bytes).map_err(PartitionError::corrupt("set of marks")),
        }
    }
}

/// Appends a reader.
pub(crate) fn put_reader(out: &mut Vec<u8>, reader: Reader) {
    match reader {
        Reader::Region(number) => {
            out.push(0);
            put_var(out, u64::from(number));
        }
        Reader::Stream => out.push(1),
        Reader::Index(number) => {
            out.push(2);
            put_var(out, number);
        }
        Reader::Archive => out.push(3),
        Reader::Backup => out.push(5),
        Reader::Copy(number) => {
            out.push(4);
            put_var(out, u64::from(number));
        }
    }
}

/// Reads a reader.
pub(crate) fn read_reader(bytes: &mut Bytes<'_>) -> Result<Reader, DecodeError> {
    match bytes.u8()? {
        0 => u16::try_from(bytes.var()?)
            .map(Reader::Region)
            .map_err(|_| DecodeError::Unknown("region")),
        1 => Ok(Reader::Stream),
        2 => Ok(Reader::Index(bytes.var()?)),
        3 => Ok(Reader::Archive),
        5 => Ok(Reader::Backup),
        4 => u16::try_from(bytes.var()?)
            .map(Reader::Copy)
            .map_err(|_| DecodeError::Unknown("region")),
        _ => Err(DecodeError::Unknown("reader")),
    }
}

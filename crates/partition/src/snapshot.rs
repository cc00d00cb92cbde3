//! A partition's keys and values as chunks, for a replica that is too far behind the log.
//!
//! A chunk is `format | CRC-32 | number | last? | pairs`, at most [`CHUNK_BYTES`] plus one pair.
//!
//! # Invariants
//!
//! - All chunks of a reader are of one view: header and items belong to one log index.
//! - Chunks are numbered from 0, the last one says so; damage is noticed before anything is used.
//!
//! Tested by `replica/tests.rs`.

use crate::PartitionError;
use crate::header::Header;
use crate::layout::{self, PartitionSpec};
use crate::record::{checked, read_flag, unchecked};
use meridian_base::codec::{DecodeError, put_bytes, put_var};
use meridian_storage::{Control, Range, View};
use std::ops::Bound;

/// Size of a chunk, bytes: small enough for a message, large enough to be worth one.
pub const CHUNK_BYTES: usize = 256 * 1024;

const CHUNK_FORMAT: u8 = 1;

/// Reads a partition's snapshot chunk by chunk.
pub struct SnapshotReader {
    view: Box<dyn View>,
    ranges: std::vec::IntoIter<Range>,
    current: Option<Range>,
    header: Header,
    number: u64,
    done: bool,
}

impl SnapshotReader {
    /// Opens the snapshot of a view.
    pub fn open(view: Box<dyn View>, spec: &PartitionSpec) -> Result<Self, PartitionError> {
        let header = match view.get(&layout::header_key(spec.partition))? {
            None => Header::default(),
            Some(bytes) => Header::decode(&bytes).map_err(PartitionError::corrupt("header"))?,
        };
        let mut ranges = layout::ranges(spec).into_iter();
        let current = ranges.next();
        Ok(SnapshotReader { view, ranges, current, header, number: 0, done: false })
    }

    /// The header of the view: its `applied` is the snapshot's log id.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next chunk; none after the last.
    pub fn next_chunk(&mut self) -> Result<Option<Vec<u8>>, PartitionError> {
        if self.done {
            return Ok(None);
        }
        let mut pairs = Pairs::default();
        while pairs.bytes.len() < CHUNK_BYTES {
            let Some(range) = self.current.take() else { break };
            self.current = match self.fill(range.clone(), &mut pairs)? {
                Some(after) => Some(Range { start: Bound::Excluded(after), ..range }),
                None => self.ranges.next(),
            };
        }
        self.done = self.current.is_none();
        let chunk = pairs.chunk(self.number, self.done);
        self.number = self.number.saturating_add(1);
        Ok(Some(chunk))
    }

    /// Adds pairs of a range; gives the last key when the chunk is full.
    fn fill(&self, range: Range, pairs: &mut Pairs) -> Result<Option<Vec<u8>>, PartitionError> {
        let mut stopped = None;
        self.view.scan(range, &mut |key, value| {
            pairs.add(key, value);
            if pairs.bytes.len() < CHUNK_BYTES {
                return Control::Continue(());
            }
            stopped = Some(key.to_vec());
            Control::Break(())
        })?;
        Ok(stopped)
    }
}

#[derive(Default)]
struct Pairs {
    count: u64,
    bytes: Vec<u8>,
}

impl Pairs {
    fn add(&mut self, key: &[u8], value: &[u8]) {
        self.count += 1;
        put_bytes(&mut self.bytes, key);
        put_bytes(&mut self.bytes, value);
    }

    fn chunk(self, number: u64, last: bool) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.bytes.len() + 24);
        put_var(&mut body, number);
        body.push(u8::from(last));
        put_var(&mut body, self.count);
        body.extend_from_slice(&self.bytes);
        checked(CHUNK_FORMAT, &body)
    }
}

/// A chunk that was read.
pub(crate) struct Chunk {
    pub(crate) number: u64,
    pub(crate) last: bool,
    pub(crate) pairs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Chunk {
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = unchecked(CHUNK_FORMAT, bytes)?;
        let number = reader.var()?;
        let last = read_flag(&mut reader)?;
        let count = reader.len()?;
        let mut pairs = Vec::new();
        for _ in 0..count {
            pairs.push((reader.bytes()?.to_vec(), reader.bytes()?.to_vec()));
        }
        reader.end()?;
        Ok(Chunk { number, last, pairs })
    }
}

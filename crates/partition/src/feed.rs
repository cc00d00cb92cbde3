//! What a table's partition sends to the partitions of a global index, and how they take it.
//!
//! The leader of a table's partition follows its own change log and sends what each change does to
//! the entries of the index. A partition of the index remembers up to which position of each source
//! it has taken changes, so that what is sent again, by whomever, is taken once.
//!
//! An index that is added to a table is first copied: entries of the items that are there, without
//! position, then what the log holds since before the copy began.
//!
//! # Invariants
//!
//! - Changes of one source are taken in order, each once.
//! - A copied entry is not taken any more once a change of its source was.
//!
//! Tested by `feed/tests.rs`, against the items, with resends and changes of the leader.

#[cfg(test)]
mod tests;

use crate::PartitionError;
use crate::command::{ItemMutation, Note};
use crate::evaluator::{Evaluated, Evaluator};
use crate::index::{retained, stored};
use crate::record::{ChangeRecord, Image, ItemState, item_of};
use meridian_base::change::{put_image, read_image};
use meridian_base::codec::{DecodeError, Reader, put_bytes, put_var, put_version};
use meridian_base::{Cause, PartitionId, Position, Version, VersionVector};
use meridian_model::{GlobalIndex, Item, KeySchema, SecondaryIndex, encode_item, item_bytes};

const FORMAT: u8 = 1;

/// What becomes of one entry of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    /// The position of the change that says so; 0 for a copied one.
    pub position: Position,
    /// The entry's key.
    pub key: Vec<u8>,
    /// The encoded attributes that the index shows; `None` deletes the entry.
    pub image: Option<Image>,
    /// Their size as DynamoDB counts it, bytes; 0 for a delete.
    pub bytes: u64,
    /// The version of the item.
    pub version: Version,
}

impl IndexEntry {
    /// The hash of what the index shows, as in [`crate::read::Digest`].
    pub fn hash(&self) -> Option<u64> {
        self.image.as_ref().map(|image| xxhash_rust::xxh64::xxh64(image, 0))
    }
}

/// Some entries from one partition of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feed {
    /// The partition of the table.
    pub source: PartitionId,
    /// All changes up to this position that concern the receiver are in this feed or in an earlier
    /// one that was acknowledged.
    pub upto: Position,
    /// Entries of items that were there before.
    pub copy: bool,
    /// The entries, in order of position.
    pub entries: Vec<IndexEntry>,
}

impl Feed {
    /// The sent form.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        put_var(&mut out, self.source.0);
        put_var(&mut out, self.upto.0);
        out.push(u8::from(self.copy));
        put_var(&mut out, self.entries.len() as u64);
        for entry in &self.entries {
            put_var(&mut out, entry.position.0);
            put_bytes(&mut out, &entry.key);
            put_image(&mut out, entry.image.as_deref());
            put_var(&mut out, entry.bytes);
            put_version(&mut out, entry.version);
        }
        out
    }

    /// Reads the sent form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != FORMAT {
            return Err(DecodeError::Unknown("feed format"));
        }
        let (source, upto) = (PartitionId(reader.var()?), Position(reader.var()?));
        let copy = crate::record::read_flag(&mut reader)?;
        let mut entries = Vec::new();
        // Grown while reading: a false count reserves nothing.
        for _ in 0..reader.len()? {
            entries.push(IndexEntry {
                position: Position(reader.var()?),
                key: reader.bytes()?.to_vec(),
                image: read_image(&mut reader)?,
                bytes: reader.var()?,
                version: reader.version()?,
            });
        }
        reader.end()?;
        Ok(Feed { source, upto, copy, entries })
    }
}

/// What a change does to the entries of an index: nothing, one, or two where the entry moves.
pub fn entries_of_change(
    schema: &KeySchema,
    index: &GlobalIndex,
    record: &ChangeRecord,
) -> Result<Vec<IndexEntry>, PartitionError> {
    let read = |image: &Option<Image>| -> Result<Option<Item>, PartitionError> {
        image.as_deref().map(item_of).transpose().map_err(PartitionError::corrupt("change record"))
    };
    let (old, new) = (read(&record.old)?, read(&record.new)?);
    let at = (record.position, record.version);
    let entry = |item: &Option<Item>| {
        let item = item.as_ref()?;
        entry_of(schema, index, &record.key, item, at)
    };
    let (old, new) = (entry(&old), entry(&new));
    let stays = |old: &IndexEntry| new.as_ref().is_some_and(|new| new.key == old.key);
    let gone = old.iter().filter(|old| !stays(old));
    let gone = gone.map(|old| IndexEntry { image: None, bytes: 0, ..old.clone() });
    let mut entries: Vec<IndexEntry> = gone.collect();
    let same = |new: &IndexEntry| {
        old.as_ref().is_some_and(|old| (&old.key, &old.image) == (&new.key, &new.image))
    };
    entries.extend(new.clone().filter(|new| !same(new)));
    Ok(entries)
}

/// The entry of a stored item, by its encoded key; none when it is not in the index.
pub fn entry_of_stored(
    schema: &KeySchema,
    index: &GlobalIndex,
    (key, value): (&[u8], &[u8]),
) -> Result<Option<IndexEntry>, PartitionError> {
    let version = crate::record::decode_item_record(value);
    let version = version.map_err(PartitionError::corrupt("item"))?.version;
    Ok(entry_of(schema, index, key, &stored(value)?, (Position(0), version)))
}

fn entry_of(
    schema: &KeySchema,
    index: &GlobalIndex,
    key: &[u8],
    item: &Item,
    (position, version): (Position, Version),
) -> Option<IndexEntry> {
    let key = index.entry(key, item)?;
    let shown = index.shown(schema).map(|names| retained(item, &names));
    let shown = shown.as_ref().unwrap_or(item);
    let mut image = Vec::new();
    encode_item(shown, &mut image);
    Some(IndexEntry { position, key, image: Some(image), bytes: item_bytes(shown) as u64, version })
}

impl Evaluator {
    /// Takes entries of an index, on a partition of the index. What was taken before is passed over.
    pub fn feed(&mut self, feed: Feed) -> Result<Evaluated<()>, PartitionError> {
        if feed.entries.iter().any(|entry| !self.spec().range.contains(&entry.key)) {
            return Ok(Evaluated::Elsewhere);
        }
        let fed = self.marks().fed.get(&feed.source).copied();
        let late = feed.copy && fed.is_some();
        let mut sequence = None;
        for entry in feed.entries.into_iter().filter(|_| !late) {
            if !feed.copy && fed.is_some_and(|fed| entry.position <= fed) {
                continue;
            }
            let (state, _) = self.current(&entry.key)?;
            let buried = state.as_ref().is_some_and(ItemState::is_grave);
            let had = state.filter(|state| !state.is_grave());
            if had.is_none() && entry.image.is_none() {
                continue;
            }
            sequence = Some(self.decide(ItemMutation {
                key: entry.key,
                image: entry.image,
                bytes: entry.bytes,
                old: None,
                buried,
                old_bytes: had.map(|state| state.bytes),
                version: entry.version,
                base: VersionVector::default(),
                origin: None,
                cause: Cause::Write,
                transacted_ms: None,
            }));
        }
        if !feed.copy && fed.is_none_or(|fed| fed < feed.upto) {
            let (source, position) = (feed.source, feed.upto);
            sequence = Some(self.note(Note::Fed { source, position }));
        }
        Ok(match sequence {
            Some(sequence) => Evaluated::Write { outcome: (), sequence },
            None => Evaluated::Answer { outcome: (), after: self.pending() },
        })
    }
}

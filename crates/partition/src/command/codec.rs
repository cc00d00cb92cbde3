//! Commands as bytes: format version, kind, content. A long one is packed by the leader, once, for the
//! network and for the logs of all members.
//!
//! # Invariants
//!
//! - Tags are never used again for something else.
//!
//! Tested by `command/tests.rs`.

use super::{Batch, Command, ItemMutation, Mutation, Note};
use crate::header::{put_reader, read_reader};
use crate::record::{ConflictRecord, ItemState, ParkedChange, StrandedRecord, read_flag};
use crate::transact::codec::{put_id, read_id};
use crate::transact::{Decision, Intent};
use meridian_base::change::{put_image, put_origin, read_image, read_origin, read_region};
use meridian_base::codec::{DecodeError, Reader, put_bytes, put_var, put_vector, put_version};
use meridian_base::packed::{pack, unpack};
use meridian_base::{
    Cause, Change, Hlc, Incarnation, PartitionId, Position, Received, RegionId, Sequence,
};

const FORMAT: u8 = 1;
const BEGIN: u8 = 0;
const BATCH: u8 = 1;
/// Another kind and its content, packed.
const PACKED: u8 = 2;

/// Commands from this length on are packed, bytes: below, little is won.
const PACKED_FROM: usize = 16 * 1024;
/// Longest command, bytes.
const BYTES_MAX: usize = 64 * 1024 * 1024;

const ITEM: u8 = 1;
const REBASE: u8 = 2;
const CONFLICT: u8 = 3;
const STRANDED: u8 = 4;
const PARK: u8 = 5;
const UNPARK: u8 = 6;
const CURSOR: u8 = 7;
const DROP_CURSOR: u8 = 8;
const RECEIVED: u8 = 9;
const FORGET_REGION: u8 = 10;
const FREEZE: u8 = 11;
const THAW: u8 = 12;
const TRIM_CHANGES: u8 = 13;
const DROP_TOMBSTONES: u8 = 14;
const FED: u8 = 15;
const EXPIRY: u8 = 16;
const INTENT: u8 = 17;
const DECISION: u8 = 18;
const FORGET: u8 = 19;
const TRANSACTED_ITEM: u8 = 20;

/// What is said of an item before its cause. It was not always said that there is no tombstone.
const HAS_ORIGIN: u8 = 1;
const NOT_BURIED: u8 = 2;

const NO_INTENT: u8 = 0;
const INTENT_WITHOUT_TIME: u8 = 1;
const INTENT_SINCE: u8 = 2;

impl Command {
    /// The bytes of the log entry.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        match self {
            Command::Begin { incarnation, floor, region } => {
                out.push(BEGIN);
                put_var(&mut out, incarnation.0);
                put_var(&mut out, floor.0);
                put_region(&mut out, *region);
            }
            Command::Batch(batch) => {
                out.push(BATCH);
                put_var(&mut out, batch.incarnation.0);
                put_var(&mut out, batch.sequence.0);
                put_var(&mut out, batch.commit_ms);
                put_var(&mut out, batch.mutations.len() as u64);
                batch.mutations.iter().for_each(|m| m.encode(&mut out));
            }
        }
        if out.len() >= PACKED_FROM { packed(out) } else { out }
    }

    /// Reads the bytes of a log entry.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        match bytes {
            [FORMAT, PACKED, packed @ ..] => {
                let plain = unpack(packed, BYTES_MAX).map_err(DecodeError::Unknown)?;
                Self::decode_plain(&plain)
            }
            [FORMAT, plain @ ..] => Self::decode_plain(plain),
            [_, ..] => Err(DecodeError::Unknown("command format")),
            [] => Err(DecodeError::Short),
        }
    }

    fn decode_plain(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let command = match reader.u8()? {
            BEGIN => Command::Begin {
                incarnation: Incarnation(reader.var()?),
                floor: Hlc(reader.var()?),
                region: read_region(&mut reader)?,
            },
            BATCH => Command::Batch(Batch {
                incarnation: Incarnation(reader.var()?),
                sequence: Sequence(reader.var()?),
                commit_ms: reader.var()?,
                mutations: read_list(&mut reader, Mutation::decode)?,
            }),
            _ => return Err(DecodeError::Unknown("command")),
        };
        reader.end()?;
        Ok(command)
    }
}

/// The packed form of an encoded command, where that is shorter.
fn packed(plain: Vec<u8>) -> Vec<u8> {
    let Some(content) = plain.get(1..).filter(|content| content.len() <= BYTES_MAX) else {
        return plain;
    };
    let packed = [&[FORMAT, PACKED][..], &pack(content)].concat();
    if packed.len() < plain.len() { packed } else { plain }
}

impl Mutation {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Mutation::Item(item) => {
                match item.transacted_ms {
                    None => out.push(ITEM),
                    Some(ms) => {
                        out.push(TRANSACTED_ITEM);
                        put_var(out, ms);
                    }
                }
                item.encode(out);
            }
            Mutation::Rebase { key, state } => {
                out.push(REBASE);
                put_bytes(out, key);
                put_version(out, state.version);
                put_vector(out, &state.base);
                put_image(out, state.image.as_deref());
                put_var(out, state.bytes);
            }
            Mutation::Conflict(record) => {
                out.push(CONFLICT);
                record.put(out);
            }
            Mutation::Stranded(record) => {
                out.push(STRANDED);
                record.put(out);
            }
            Mutation::Park(parked) => {
                out.push(PARK);
                out.push(u8::from(parked.late));
                parked.change.encode(out);
            }
            Mutation::Unpark { version, key } => {
                out.push(UNPARK);
                put_version(out, *version);
                put_bytes(out, key);
            }
            Mutation::Expiry { key, from, to } => {
                out.push(EXPIRY);
                put_bytes(out, key);
                // 0 is "none": times are moved up by one.
                put_var(out, from.map_or(0, |due| due.saturating_add(1)));
                put_var(out, to.map_or(0, |due| due.saturating_add(1)));
            }
            Mutation::Intent { key, intent } => {
                out.push(INTENT);
                put_bytes(out, key);
                match intent {
                    None => out.push(NO_INTENT),
                    Some(intent) => {
                        out.push(INTENT_SINCE);
                        intent.put(out);
                    }
                }
            }
            Mutation::Decision { id, decision } => {
                out.push(DECISION);
                put_id(out, *id);
                decision.put(out);
            }
            Mutation::Forget { id, token } => {
                out.push(FORGET);
                put_id(out, *id);
                put_image(out, token.as_ref().map(String::as_bytes));
            }
            Mutation::Note(note) => note.encode(out),
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.u8()? {
            ITEM => Mutation::Item(ItemMutation::decode(reader, None)?),
            TRANSACTED_ITEM => {
                let transacted_ms = Some(reader.var()?);
                Mutation::Item(ItemMutation::decode(reader, transacted_ms)?)
            }
            REBASE => Mutation::Rebase {
                key: reader.bytes()?.to_vec(),
                state: ItemState {
                    version: reader.version()?,
                    base: reader.vector()?,
                    image: read_image(reader)?,
                    bytes: reader.var()?,
                },
            },
            CONFLICT => Mutation::Conflict(ConflictRecord::read(reader)?),
            STRANDED => Mutation::Stranded(StrandedRecord::read(reader)?),
            PARK => {
                let late = read_flag(reader)?;
                Mutation::Park(ParkedChange { change: Change::decode(reader)?, late })
            }
            UNPARK => {
                Mutation::Unpark { version: reader.version()?, key: reader.bytes()?.to_vec() }
            }
            EXPIRY => Mutation::Expiry {
                key: reader.bytes()?.to_vec(),
                from: reader.var()?.checked_sub(1),
                to: reader.var()?.checked_sub(1),
            },
            INTENT => Mutation::Intent {
                key: reader.bytes()?.to_vec(),
                intent: match reader.u8()? {
                    NO_INTENT => None,
                    INTENT_WITHOUT_TIME => Some(Intent::read(reader, false)?),
                    INTENT_SINCE => Some(Intent::read(reader, true)?),
                    _ => return Err(DecodeError::Unknown("intent")),
                },
            },
            DECISION => {
                Mutation::Decision { id: read_id(reader)?, decision: Decision::read(reader)? }
            }
            FORGET => Mutation::Forget {
                id: read_id(reader)?,
                token: read_image(reader)?
                    .map(String::from_utf8)
                    .transpose()
                    .map_err(|_| DecodeError::Unknown("token"))?,
            },
            tag => Mutation::Note(Note::decode(tag, reader)?),
        })
    }
}

impl Note {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Note::Cursor { reader, position } => {
                out.push(CURSOR);
                put_reader(out, *reader);
                put_var(out, position.0);
            }
            Note::DropCursor { reader } => {
                out.push(DROP_CURSOR);
                put_reader(out, *reader);
            }
            Note::Received(received) => {
                out.push(RECEIVED);
                received.encode(out);
            }
            Note::ForgetRegion { region } => {
                out.push(FORGET_REGION);
                put_var(out, u64::from(*region));
            }
            Note::Freeze { epoch, target } => {
                out.push(FREEZE);
                put_var(out, *epoch);
                put_region(out, *target);
            }
            Note::Thaw { epoch } => {
                out.push(THAW);
                put_var(out, *epoch);
            }
            Note::Fed { source, position } => {
                out.push(FED);
                put_var(out, source.0);
                put_var(out, position.0);
            }
            Note::TrimChanges { upto } => {
                out.push(TRIM_CHANGES);
                put_var(out, upto.0);
            }
            Note::DropTombstones { keys } => {
                out.push(DROP_TOMBSTONES);
                put_var(out, keys.len() as u64);
                keys.iter().for_each(|key| put_bytes(out, key));
            }
        }
    }

    fn decode(tag: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match tag {
            CURSOR => {
                Note::Cursor { reader: read_reader(reader)?, position: Position(reader.var()?) }
            }
            DROP_CURSOR => Note::DropCursor { reader: read_reader(reader)? },
            RECEIVED => Note::Received(Received::decode(reader)?),
            FORGET_REGION => Note::ForgetRegion {
                region: u16::try_from(reader.var()?).map_err(|_| DecodeError::Unknown("region"))?,
            },
            FREEZE => Note::Freeze { epoch: reader.var()?, target: read_region(reader)? },
            THAW => Note::Thaw { epoch: reader.var()? },
            FED => {
                Note::Fed { source: PartitionId(reader.var()?), position: Position(reader.var()?) }
            }
            TRIM_CHANGES => Note::TrimChanges { upto: Position(reader.var()?) },
            DROP_TOMBSTONES => {
                Note::DropTombstones { keys: read_list(reader, |r| r.bytes().map(<[u8]>::to_vec))? }
            }
            _ => return Err(DecodeError::Unknown("mutation")),
        })
    }
}

impl ItemMutation {
    fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, &self.key);
        put_image(out, self.image.as_deref());
        put_var(out, self.bytes);
        put_image(out, self.old.as_deref());
        // 0 is "no item": sizes are moved up by one.
        put_var(out, self.old_bytes.map_or(0, |bytes| bytes.saturating_add(1)));
        put_version(out, self.version);
        put_vector(out, &self.base);
        let said = if self.buried { 0 } else { NOT_BURIED };
        match self.origin {
            None => out.push(said),
            Some(origin) => {
                out.push(said | HAS_ORIGIN);
                put_origin(out, origin);
            }
        }
        out.push(self.cause.to_u8());
    }

    fn decode(reader: &mut Reader<'_>, transacted_ms: Option<u64>) -> Result<Self, DecodeError> {
        let key = reader.bytes()?.to_vec();
        let image = read_image(reader)?;
        let bytes = reader.var()?;
        let old = read_image(reader)?;
        let old_bytes = reader.var()?.checked_sub(1);
        let (version, base) = (reader.version()?, reader.vector()?);
        let said = reader.u8()?;
        if said & !(HAS_ORIGIN | NOT_BURIED) != 0 {
            return Err(DecodeError::Unknown("flag"));
        }
        let has_origin = said & HAS_ORIGIN != 0;
        let origin = has_origin.then(|| read_origin(reader)).transpose()?;
        let cause = Cause::from_u8(reader.u8()?)?;
        let buried = said & NOT_BURIED == 0;
        Ok(ItemMutation {
            key,
            image,
            bytes,
            old,
            old_bytes,
            buried,
            version,
            base,
            origin,
            cause,
            transacted_ms,
        })
    }
}

fn put_region(out: &mut Vec<u8>, region: RegionId) {
    put_var(out, u64::from(region.to_u32()));
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

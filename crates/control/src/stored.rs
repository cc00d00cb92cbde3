//! How commands, results and states become bytes: one byte of format version, then JSON.
//!
//! The control groups see a few commands a second, so that bytes which a person can read in a log
//! are worth more than short ones. The modules below say how ids, ranges and schemas, which derive
//! no serde themselves, look within the JSON.
//!
//! # Invariants
//!
//! - A version that was ever written keeps a reader here and a sample file under `samples/`.
//! - Equal values have equal bytes: every map is ordered.
//!
//! Tested by `tests.rs` over the committed samples.

use meridian_base::codec::DecodeError;
use meridian_base::{BackupId, LogIndex, NodeId, PartitionId, RegionId, TableId};
use meridian_model::{
    GlobalIndex, IndexProjection, KeyAttribute, KeyAttributes, KeyKind, KeyRange, KeySchema,
    LocalIndex,
};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// The format that this program writes.
pub const FORMAT_VERSION: u8 = 1;

/// Values with a versioned byte form.
pub trait Stored: Serialize + DeserializeOwned {
    /// Writes the current format.
    fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT_VERSION];
        serde_json::to_writer(&mut out, self)
            .expect("control types have text keys, and a Vec takes any bytes");
        out
    }

    /// Reads any format that was ever written.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        match bytes.split_first() {
            None => Err(DecodeError::Short),
            Some((&FORMAT_VERSION, json)) => {
                serde_json::from_slice(json).map_err(|_| DecodeError::Unknown("control value"))
            }
            Some(_) => Err(DecodeError::Unknown("control format version")),
        }
    }
}

/// Ids that JSON holds as a number, and as text where they are keys.
pub(crate) trait StoredId: Copy + Ord {
    fn to_raw(self) -> u64;
    fn from_raw(raw: u64) -> Option<Self>;
}

macro_rules! stored_id {
    ($($name:ident),*) => {$(
        impl StoredId for $name {
            fn to_raw(self) -> u64 {
                self.0
            }
            fn from_raw(raw: u64) -> Option<Self> {
                Some($name(raw))
            }
        }
    )*};
}
stored_id!(NodeId, TableId, PartitionId, LogIndex, BackupId);

impl StoredId for RegionId {
    fn to_raw(self) -> u64 {
        u64::from(self.to_u32())
    }
    fn from_raw(raw: u64) -> Option<Self> {
        u32::try_from(raw).ok().map(RegionId::from_u32)
    }
}

fn read_id<T: StoredId, E: Error>(raw: u64) -> Result<T, E> {
    T::from_raw(raw).ok_or_else(|| E::custom("id out of range"))
}

/// One id.
pub(crate) mod id {
    use super::*;

    pub fn serialize<T: StoredId, S: Serializer>(id: &T, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u64(id.to_raw())
    }

    pub fn deserialize<'d, T: StoredId, D: Deserializer<'d>>(d: D) -> Result<T, D::Error> {
        read_id(u64::deserialize(d)?)
    }
}

/// An id or nothing.
pub(crate) mod id_option {
    use super::*;

    pub fn serialize<T: StoredId, S: Serializer>(id: &Option<T>, s: S) -> Result<S::Ok, S::Error> {
        id.map(T::to_raw).serialize(s)
    }

    pub fn deserialize<'d, T: StoredId, D: Deserializer<'d>>(d: D) -> Result<Option<T>, D::Error> {
        Option::<u64>::deserialize(d)?.map(read_id).transpose()
    }
}

/// A list of ids.
pub(crate) mod id_list {
    use super::*;

    pub fn serialize<T: StoredId, S: Serializer>(ids: &[T], s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(ids.iter().map(|id| id.to_raw()))
    }

    pub fn deserialize<'d, T: StoredId, D: Deserializer<'d>>(d: D) -> Result<Vec<T>, D::Error> {
        Vec::<u64>::deserialize(d)?.into_iter().map(read_id).collect()
    }
}

/// A map with ids as keys.
pub(crate) mod id_map {
    use super::*;

    pub fn serialize<T, V, S>(map: &BTreeMap<T, V>, s: S) -> Result<S::Ok, S::Error>
    where
        T: StoredId,
        V: Serialize,
        S: Serializer,
    {
        s.collect_map(map.iter().map(|(id, value)| (id.to_raw(), value)))
    }

    pub fn deserialize<'d, T, V, D>(d: D) -> Result<BTreeMap<T, V>, D::Error>
    where
        T: StoredId,
        V: Deserialize<'d>,
        D: Deserializer<'d>,
    {
        let map = BTreeMap::<u64, V>::deserialize(d)?;
        map.into_iter().map(|(raw, value)| Ok((read_id(raw)?, value))).collect()
    }
}

/// A key range: its bounds in hexadecimal.
pub(crate) mod range {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Bounds {
        start: String,
        end: Option<String>,
    }

    pub fn serialize<S: Serializer>(range: &KeyRange, s: S) -> Result<S::Ok, S::Error> {
        Bounds { start: to_hex(&range.start), end: range.end.as_deref().map(to_hex) }.serialize(s)
    }

    pub fn deserialize<'d, D: Deserializer<'d>>(d: D) -> Result<KeyRange, D::Error> {
        let bounds = Bounds::deserialize(d)?;
        let read = |text: &str| from_hex(text).ok_or_else(|| D::Error::custom("not hexadecimal"));
        Ok(KeyRange {
            start: read(&bounds.start)?,
            end: bounds.end.as_deref().map(read).transpose()?,
        })
    }

    fn to_hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn from_hex(text: &str) -> Option<Vec<u8>> {
        let digit = |c: &u8| char::from(*c).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if !rest.is_empty() {
            return None;
        }
        pairs.iter().map(|[high, low]| Some((digit(high)? << 4) | digit(low)?)).collect()
    }
}

#[derive(Serialize, Deserialize)]
struct StoredAttribute {
    name: String,
    kind: String,
}

impl StoredAttribute {
    fn of(attribute: &KeyAttribute) -> Self {
        StoredAttribute { name: attribute.name.clone(), kind: attribute.kind.name().to_owned() }
    }

    fn read<E: Error>(self) -> Result<KeyAttribute, E> {
        let kind = KeyKind::from_name(&self.kind).ok_or_else(|| E::custom("not a key type"))?;
        Ok(KeyAttribute { name: self.name, kind })
    }
}

/// Attribute definitions.
pub(crate) mod attributes {
    use super::*;

    pub fn serialize<S: Serializer>(list: &[KeyAttribute], s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(list.iter().map(StoredAttribute::of))
    }

    pub fn deserialize<'d, D: Deserializer<'d>>(d: D) -> Result<Vec<KeyAttribute>, D::Error> {
        Vec::<StoredAttribute>::deserialize(d)?.into_iter().map(StoredAttribute::read).collect()
    }
}

/// A key schema.
pub(crate) mod key_schema {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct StoredSchema {
        partition: StoredAttribute,
        sort: Option<StoredAttribute>,
    }

    pub fn serialize<S: Serializer>(key: &KeySchema, s: S) -> Result<S::Ok, S::Error> {
        let partition = StoredAttribute::of(&key.partition);
        let sort = key.sort.as_ref().map(StoredAttribute::of);
        StoredSchema { partition, sort }.serialize(s)
    }

    pub fn deserialize<'d, D: Deserializer<'d>>(d: D) -> Result<KeySchema, D::Error> {
        let stored = StoredSchema::deserialize(d)?;
        let sort = stored.sort.map(StoredAttribute::read).transpose()?;
        Ok(KeySchema { partition: stored.partition.read()?, sort })
    }
}

#[derive(Serialize, Deserialize)]
enum StoredProjection {
    All,
    KeysOnly,
    Include(Vec<String>),
}

impl StoredProjection {
    fn of(projection: &IndexProjection) -> Self {
        match projection {
            IndexProjection::All => StoredProjection::All,
            IndexProjection::KeysOnly => StoredProjection::KeysOnly,
            IndexProjection::Include(names) => StoredProjection::Include(names.clone()),
        }
    }

    fn read(self) -> IndexProjection {
        match self {
            StoredProjection::All => IndexProjection::All,
            StoredProjection::KeysOnly => IndexProjection::KeysOnly,
            StoredProjection::Include(names) => IndexProjection::Include(names),
        }
    }
}

/// A global index.
pub(crate) mod global_index {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct StoredIndex {
        name: String,
        partition: Vec<StoredAttribute>,
        sort: Vec<StoredAttribute>,
        projection: StoredProjection,
    }

    pub fn serialize<S: Serializer>(index: &GlobalIndex, s: S) -> Result<S::Ok, S::Error> {
        let stored = StoredIndex {
            name: index.name.clone(),
            partition: index.keys.partition.iter().map(StoredAttribute::of).collect(),
            sort: index.keys.sort.iter().map(StoredAttribute::of).collect(),
            projection: StoredProjection::of(&index.projection),
        };
        stored.serialize(s)
    }

    pub fn deserialize<'d, D: Deserializer<'d>>(d: D) -> Result<GlobalIndex, D::Error> {
        let stored = StoredIndex::deserialize(d)?;
        let read = |list: Vec<StoredAttribute>| -> Result<Vec<KeyAttribute>, D::Error> {
            list.into_iter().map(StoredAttribute::read).collect()
        };
        Ok(GlobalIndex {
            name: stored.name,
            keys: KeyAttributes { partition: read(stored.partition)?, sort: read(stored.sort)? },
            projection: stored.projection.read(),
        })
    }
}

/// Local indexes.
pub(crate) mod local_indexes {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct StoredIndex {
        name: String,
        sort: StoredAttribute,
        projection: StoredProjection,
    }

    pub fn serialize<S: Serializer>(list: &[LocalIndex], s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(list.iter().map(|index| StoredIndex {
            name: index.name.clone(),
            sort: StoredAttribute::of(&index.sort),
            projection: StoredProjection::of(&index.projection),
        }))
    }

    pub fn deserialize<'d, D: Deserializer<'d>>(d: D) -> Result<Vec<LocalIndex>, D::Error> {
        let read = |stored: StoredIndex| {
            Ok(LocalIndex {
                name: stored.name,
                sort: stored.sort.read()?,
                projection: stored.projection.read(),
            })
        };
        Vec::<StoredIndex>::deserialize(d)?.into_iter().map(read).collect()
    }
}

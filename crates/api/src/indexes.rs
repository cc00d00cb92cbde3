//! Local secondary indexes: how they are stated, shown, read, and what they refuse.
//!
//! # Invariants
//!
//! - An item that is put has, of each index key attribute, none or one that can be a key.
//!
//! Tested by the golden transcripts; the texts are the service's.

use std::collections::BTreeSet;

use meridian_control::region::TableRecord;
use meridian_control::table::TableDefinition;
use meridian_model::{
    DecodeError, IndexProjection, Item, KeyAttribute, KeyError, KeySchema, LocalIndex,
};
use meridian_partition::IndexRead;
use meridian_wire::{ApiError, Fields, Node};

use crate::errors::{invalid, invalid_parameter, key as key_error};
use crate::keys::{self, Element};

/// Most local indexes of a table (AWS: service quotas).
const LOCAL_INDEXES_MAX: usize = 5;

/// Takes `LocalSecondaryIndexes` of a table with these attributes and this key.
pub fn take_local(
    fields: &mut Fields,
    attributes: &[KeyAttribute],
    key: &KeySchema,
) -> Result<Vec<LocalIndex>, ApiError> {
    let Some(list) = fields.take_list("LocalSecondaryIndexes") else { return Ok(Vec::new()) };
    if list.is_empty() {
        return Err(invalid_parameter("List of LocalSecondaryIndexes is empty"));
    }
    let mut indexes: Vec<LocalIndex> = Vec::with_capacity(list.len());
    for node in list {
        let index = local_index(node.into_fields(), attributes, key)?;
        if indexes.iter().any(|known| known.name == index.name) {
            return Err(invalid_parameter(format!("Duplicate index name: {}", index.name)));
        }
        indexes.push(index);
    }
    if indexes.len() > LOCAL_INDEXES_MAX {
        return Err(invalid_parameter(format!(
            "Number of LocalSecondaryIndexes exceeds per-table limit of {LOCAL_INDEXES_MAX}"
        )));
    }
    Ok(indexes)
}

fn local_index(
    mut fields: Fields,
    attributes: &[KeyAttribute],
    key: &KeySchema,
) -> Result<LocalIndex, ApiError> {
    let name = fields.take_text("IndexName").unwrap_or_default();
    let stated = keys::elements(&mut fields);
    keys::check_elements(&stated, attributes)?;
    if key.sort.is_none() {
        return Err(invalid_parameter(
            "Table KeySchema does not have a range key, which is required when specifying a \
             LocalSecondaryIndex",
        ));
    }
    let Element { name: partition, .. } = &stated[0];
    if *partition != key.partition.name {
        return Err(invalid_parameter(format!(
            "Index KeySchema does not have the same leading hash key as table KeySchema for index: \
             {name}. index hash key: {partition}, table hash key: {}",
            key.partition.name
        )));
    }
    let sort = stated.get(1).and_then(|element| keys::find(attributes, &element.name));
    let sort = sort.cloned().ok_or_else(|| {
        invalid_parameter(format!("Index KeySchema does not have a range key for index: {name}"))
    })?;
    let projection = fields
        .take_fields("Projection")
        .map_or_else(|| Err(invalid_parameter("Unknown ProjectionType: null")), projection)?;
    Ok(LocalIndex { name, sort, projection })
}

fn projection(mut fields: Fields) -> Result<IndexProjection, ApiError> {
    let names = fields.take_list("NonKeyAttributes");
    let names = names.map(|names| names.into_iter().map(Node::into_text).collect::<Vec<_>>());
    let kind = fields.take_text("ProjectionType");
    match (kind.as_deref(), names) {
        (None, _) => Err(invalid_parameter("Unknown ProjectionType: null")),
        (Some("INCLUDE"), None) => Err(invalid_parameter(
            "ProjectionType is INCLUDE, but NonKeyAttributes is not specified",
        )),
        (Some("INCLUDE"), Some(names)) => {
            let distinct: BTreeSet<&String> = names.iter().collect();
            if distinct.len() < names.len() {
                return Err(invalid_parameter("Duplicate value in list of NonKeyAttributes"));
            }
            Ok(IndexProjection::Include(names))
        }
        (Some(kind), Some(_)) => Err(invalid_parameter(format!(
            "ProjectionType is {kind}, but NonKeyAttributes is specified"
        ))),
        (Some("ALL"), None) => Ok(IndexProjection::All),
        (Some(_), None) => Ok(IndexProjection::KeysOnly),
    }
}

/// The attributes that table and indexes have as keys, each once, in order of their first use.
pub fn key_names<'a>(key: &'a KeySchema, indexes: &'a [LocalIndex]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    let all = key.attributes().chain(indexes.iter().map(|index| &index.sort));
    for attribute in all {
        if !names.contains(&attribute.name.as_str()) {
            names.push(&attribute.name);
        }
    }
    names
}

/// Refuses an item to put whose index key attributes cannot be keys.
pub fn check_item(definition: &TableDefinition, item: &Item) -> Result<(), ApiError> {
    for index in &definition.local_indexes {
        index.check(item).map_err(|error| refused(index, error))?;
    }
    Ok(())
}

/// Words a refused value of an index key.
fn refused(index: &LocalIndex, error: KeyError) -> ApiError {
    let empty = |what| {
        invalid(format!(
            "One or more parameter values are not valid. A value specified for a secondary index \
             key is not supported. The AttributeValue for a key attribute cannot contain an empty \
             {what} value. IndexName: {}, IndexKey: {}",
            index.name, index.sort.name
        ))
    };
    match error {
        KeyError::Mismatch { name, expected, actual } => invalid_parameter(format!(
            "Type mismatch for Index Key {name} Expected: {expected} Actual: {actual} IndexName: {}",
            index.name
        )),
        KeyError::EmptyString(_) => empty("string"),
        KeyError::EmptyBinary(_) => empty("binary"),
        KeyError::SortTooLong
        | KeyError::PartitionTooLong
        | KeyError::Missing(_)
        | KeyError::NotTheSchema => key_error(error),
    }
}

/// What a Query or Scan reads: the table, or one of its indexes.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    definition: &'a TableDefinition,
    index: Option<(u8, &'a LocalIndex)>,
}

impl<'a> Source<'a> {
    /// Takes `IndexName`.
    pub fn take(fields: &mut Fields, table: &'a TableRecord) -> Result<Self, ApiError> {
        Source::of(table, fields.take_text("IndexName").as_deref())
    }

    /// Finds the index of that name; the table itself when there is none.
    pub fn of(table: &'a TableRecord, name: Option<&str>) -> Result<Self, ApiError> {
        let definition = &table.definition;
        let Some(name) = name else { return Ok(Source { definition, index: None }) };
        let found = (0u8..).zip(&definition.local_indexes).find(|(_, index)| index.name == name);
        match found {
            Some(index) => Ok(Source { definition, index: Some(index) }),
            None => Err(invalid(format!("The table does not have the specified index: {name}"))),
        }
    }

    /// The key schema of what is read.
    pub fn schema(&self) -> KeySchema {
        match self.index {
            None => self.definition.key.clone(),
            Some((_, index)) => index.schema(&self.definition.key),
        }
    }

    /// The index's name.
    pub fn index_name(&self) -> Option<&'a str> {
        self.index.map(|(_, index)| index.name.as_str())
    }

    /// The attributes of a key to start after: those of the table and of the index.
    pub fn start_names(&self) -> Vec<&'a str> {
        let index = self.index.map(|(_, index)| std::slice::from_ref(index));
        key_names(&self.definition.key, index.unwrap_or_default())
    }

    /// Reads a key to start after; returns its bytes as the range has them.
    pub fn start(&self, start: &Item) -> Result<Vec<u8>, KeyError> {
        let table = &self.definition.key;
        let Some((_, index)) = self.index else {
            return Ok(table.key_exact(start)?.encode().into_bytes());
        };
        let names = self.start_names();
        let not_the_schema = KeyError::NotTheSchema;
        if start.len() != names.len() || !names.iter().all(|name| start.contains_key(*name)) {
            return Err(not_the_schema);
        }
        let own = table.attributes().filter_map(|key| start.get_key_value(&key.name));
        let own: Item = own.map(|(name, value)| (name.clone(), value.clone())).collect();
        let encoded = table.key_exact(&own)?.encode().into_bytes();
        index.entry(&encoded, start).ok_or(not_the_schema)
    }

    /// The key of the last entry or item that was read, as a `LastEvaluatedKey`.
    pub fn key_of(&self, resume: &[u8]) -> Result<Item, DecodeError> {
        let table = &self.definition.key;
        match self.index {
            None => Ok(table.decode_key(resume)?.to_item(table)),
            Some((_, index)) => index.key_of_entry(table, resume),
        }
    }

    /// Whether the index shows all of these attributes.
    pub fn shows(&self, mut names: impl Iterator<Item = &'a str>) -> bool {
        let shown = self.index.and_then(|(_, index)| index.shown(&self.definition.key));
        shown.is_none_or(|shown| names.all(|name| shown.iter().any(|one| one == name)))
    }

    /// How the partitions are to read it.
    pub fn read(&self, whole: bool) -> Option<IndexRead> {
        let (number, index) = self.index?;
        Some(IndexRead { number, shown: index.shown(&self.definition.key), whole })
    }
}

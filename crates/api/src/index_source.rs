//! What a Query or Scan reads: the table, or one of its indexes.
//!
//! # Invariants
//!
//! - A global index is read only while it is ACTIVE, and shows what it projects, never more.
//!
//! Tested by the golden transcripts; the texts are the service's.

use meridian_control::region::TableRecord;
use meridian_control::table::{IndexStatus, TableDefinition};
use meridian_model::{
    DecodeError, GlobalIndex, Item, KeyAttributes, KeyError, LocalIndex, SecondaryIndex,
};
use meridian_partition::IndexRead;
use meridian_wire::{ApiError, Fields};

use crate::backend::Consistency;
use crate::errors::{invalid, invalid_parameter};
use crate::reads::Select;

#[derive(Debug, Clone, Copy)]
enum Read<'a> {
    Table,
    Local(u8, &'a LocalIndex),
    Global(&'a GlobalIndex),
}

/// What a Query or Scan reads: the table, or one of its indexes.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    definition: &'a TableDefinition,
    read: Read<'a>,
}

impl<'a> Source<'a> {
    /// Takes `IndexName`.
    pub fn take(
        fields: &mut Fields,
        table: &'a TableRecord,
        consistency: Consistency,
    ) -> Result<Self, ApiError> {
        Source::of(table, fields.take_text("IndexName").as_deref(), consistency)
    }

    /// Finds the index of that name; the table itself when there is none.
    pub fn of(
        table: &'a TableRecord,
        name: Option<&str>,
        consistency: Consistency,
    ) -> Result<Self, ApiError> {
        let definition = &table.definition;
        let Some(name) = name else { return Ok(Source { definition, read: Read::Table }) };
        let local = (0u8..).zip(&definition.local_indexes).find(|(_, index)| index.name == name);
        if let Some((number, index)) = local {
            return Ok(Source { definition, read: Read::Local(number, index) });
        }
        let unknown = || invalid(format!("The table does not have the specified index: {name}"));
        let index = table.index(name).ok_or_else(unknown)?;
        match index.status {
            _ if consistency == Consistency::Strong => {
                Err(invalid("Consistent reads are not supported on global secondary indexes"))
            }
            IndexStatus::Creating => {
                Err(invalid(format!("Cannot read from backfilling global secondary index: {name}")))
            }
            IndexStatus::Deleting => Err(unknown()),
            IndexStatus::Active | IndexStatus::Updating => {
                Ok(Source { definition, read: Read::Global(&index.definition.index) })
            }
        }
    }

    /// The key attributes of what is read.
    pub fn keys(&self) -> KeyAttributes {
        let table = &self.definition.key;
        match self.read {
            Read::Table => table.into(),
            Read::Local(_, index) => (&index.schema(table)).into(),
            Read::Global(index) => index.keys.clone(),
        }
    }

    /// The index's name.
    pub fn index_name(&self) -> Option<&'a str> {
        match self.read {
            Read::Table => None,
            Read::Local(_, index) => Some(&index.name),
            Read::Global(index) => Some(&index.name),
        }
    }

    /// The name of the index, if it is a global one.
    pub fn global_name(&self) -> Option<&'a str> {
        match self.read {
            Read::Table | Read::Local(..) => None,
            Read::Global(index) => Some(&index.name),
        }
    }

    /// The attributes of a key to start after: those of the table and of the index.
    pub fn start_names(&self) -> Vec<&'a str> {
        let table = self.definition.key.attributes();
        let own: Vec<_> = match self.read {
            Read::Table => Vec::new(),
            Read::Local(_, index) => vec![&index.sort],
            Read::Global(index) => index.keys.all().collect(),
        };
        let mut names: Vec<&str> = Vec::new();
        for key in table.chain(own) {
            if !names.contains(&key.name.as_str()) {
                names.push(&key.name);
            }
        }
        names
    }

    /// Reads a key to start after; returns its bytes as the range has them.
    pub fn start(&self, start: &Item) -> Result<Vec<u8>, KeyError> {
        let table = &self.definition.key;
        let index: &dyn SecondaryIndex = match self.read {
            Read::Table => return Ok(table.key_exact(start)?.encode().into_bytes()),
            Read::Local(_, index) => index,
            Read::Global(index) => index,
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
        match self.read {
            Read::Table => Ok(table.decode_key(resume)?.to_item(table)),
            Read::Local(_, index) => index.key_of_entry(table, resume),
            Read::Global(index) => index.key_of_entry(table, resume),
        }
    }

    /// Those of the attributes that the index does not show, in order.
    fn hidden<'n>(&self, names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
        let shown = match self.read {
            Read::Table => None,
            Read::Local(_, index) => index.shown(&self.definition.key),
            Read::Global(index) => index.shown(&self.definition.key),
        };
        let Some(shown) = shown else { return Vec::new() };
        let mut hidden: Vec<&str> = Vec::new();
        for name in names.filter(|name| !shown.iter().any(|one| one == name)) {
            if !hidden.contains(&name) {
                hidden.push(name);
            }
        }
        hidden
    }

    /// Refuses what a global index cannot show.
    pub fn check_shown<'n>(
        &self,
        select: Select,
        wanted: impl Iterator<Item = &'n str>,
    ) -> Result<(), ApiError> {
        let Read::Global(index) = self.read else { return Ok(()) };
        if select == Select::All && index.shown(&self.definition.key).is_some() {
            return Err(invalid_parameter(format!(
                "Select type ALL_ATTRIBUTES is not supported for global secondary index {} because \
                 its projection type is not ALL",
                index.name
            )));
        }
        match self.hidden(wanted).as_slice() {
            [] => Ok(()),
            hidden => Err(invalid_parameter(format!(
                "Global secondary index {} does not project [{}]",
                index.name,
                hidden.join(", ")
            ))),
        }
    }

    /// Refuses a filter over attributes that the index does not show.
    pub fn check_filter<'n>(&self, used: impl Iterator<Item = &'n str>) -> Result<(), ApiError> {
        match (self.index_name(), self.hidden(used).as_slice()) {
            (None, _) | (_, []) => Ok(()),
            (Some(index), hidden) => Err(invalid_parameter(format!(
                "Secondary index {index} does not project one or more filter attributes: [{}]",
                hidden.join(", ")
            ))),
        }
    }

    /// Whether a local index must be left for the whole items to answer.
    pub fn needs_items<'n>(&self, select: Select, wanted: impl Iterator<Item = &'n str>) -> bool {
        match self.read {
            Read::Table | Read::Global(_) => false,
            Read::Local(..) => select == Select::All || !self.hidden(wanted).is_empty(),
        }
    }

    /// How the partitions of the table are to read a local index.
    pub fn local_read(&self, whole: bool) -> Option<IndexRead> {
        match self.read {
            Read::Table | Read::Global(_) => None,
            Read::Local(number, index) => {
                Some(IndexRead { number, shown: index.shown(&self.definition.key), whole })
            }
        }
    }
}

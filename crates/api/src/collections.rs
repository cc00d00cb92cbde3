//! ItemCollectionMetrics: how large the item collection of a write is.
//!
//! # Invariants
//!
//! - Only tables with local indexes have item collections.
//!
//! Tested by the golden transcripts.

use meridian_control::table::TableDefinition;
use meridian_model::{AttributeValue, Item};
use meridian_wire::json::{Array, Object};
use meridian_wire::{Fields, write_item};

/// `ReturnItemCollectionMetrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collections {
    wanted: bool,
}

impl Collections {
    /// Takes the parameter out of a request.
    pub fn take(fields: &mut Fields) -> Self {
        let wanted = fields.take_text("ReturnItemCollectionMetrics").as_deref() == Some("SIZE");
        Collections { wanted }
    }

    /// Writes the member `ItemCollectionMetrics` of an answer about one item.
    pub fn write(
        self,
        answer: &mut Object<'_>,
        definition: &TableDefinition,
        partition: &AttributeValue,
    ) {
        if self.wanted && !definition.local_indexes.is_empty() {
            write_one(answer.key("ItemCollectionMetrics"), definition, partition);
        }
    }

    /// Writes the member `ItemCollectionMetrics` of an answer about items of several tables.
    pub fn write_map<'a>(
        self,
        answer: &mut Object<'_>,
        tables: impl Iterator<Item = (&'a TableDefinition, &'a str, Vec<&'a AttributeValue>)>,
    ) {
        let mut tables =
            tables.filter(|(definition, ..)| !definition.local_indexes.is_empty()).peekable();
        if !self.wanted || tables.peek().is_none() {
            return;
        }
        let mut object = Object::open(answer.key("ItemCollectionMetrics"));
        for (definition, name, partitions) in tables {
            let mut list = Array::open(object.key(name));
            let mut told: Vec<&AttributeValue> = Vec::new();
            for partition in partitions {
                if !told.contains(&partition) {
                    told.push(partition);
                    write_one(list.element(), definition, partition);
                }
            }
            list.close();
        }
        object.close();
    }
}

/// The estimate is of the width that the service gives too: a collection of less than a GB. Larger
/// ones are not measured.
fn write_one(out: &mut Vec<u8>, definition: &TableDefinition, partition: &AttributeValue) {
    let mut object = Object::open(out);
    let name = definition.key.partition.name.clone();
    write_item(object.key("ItemCollectionKey"), &Item::from([(name, partition.clone())]));
    let mut range = Array::open(object.key("SizeEstimateRangeGB"));
    for edge in [0.0, 1.0] {
        meridian_wire::json::decimal(range.element(), edge);
    }
    range.close();
    object.close();
}

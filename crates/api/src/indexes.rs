//! Secondary indexes: how they are stated, and what they refuse.
//!
//! # Invariants
//!
//! - An item that is put has, of each index key attribute, none or one that can be a key.
//!
//! Tested by the golden transcripts; the texts are the service's.

use std::collections::BTreeSet;

use meridian_base::limits::{GLOBAL_INDEXES_MAX, LOCAL_INDEXES_MAX};
use meridian_control::table::{
    BillingMode, GlobalIndexDefinition, OnDemandMaximum, TableDefinition, Throughput,
};
use meridian_model::{
    GlobalIndex, IndexProjection, Item, KeyAttribute, KeyError, KeySchema, LocalIndex,
    SecondaryIndex,
};
use meridian_wire::{ApiError, Fields, Node};

use crate::errors::{WriteFault, invalid, invalid_parameter};
use crate::keys::{self, Element};
use crate::settings::{self, Asking, Of};

/// Most attributes that the INCLUDE projections of a table name together (AWS: service quotas).
const INCLUDED_MAX: usize = 100;

/// An index as it is stated.
pub struct Stated {
    /// `KeySchema`.
    pub keys: Vec<Element>,
    /// Everything else.
    rest: Fields,
}

impl Stated {
    /// Takes the key schema out of an index's statement.
    pub fn take(mut rest: Fields) -> Self {
        Stated { keys: keys::elements(&mut rest), rest }
    }
}

/// Takes `LocalSecondaryIndexes` or `GlobalSecondaryIndexes`.
pub fn stated(fields: &mut Fields, member: &str) -> Result<Vec<Stated>, ApiError> {
    let Some(list) = fields.take_list(member) else { return Ok(Vec::new()) };
    if list.is_empty() {
        return Err(invalid_parameter(format!("List of {member} is empty")));
    }
    Ok(list.into_iter().map(|node| Stated::take(node.into_fields())).collect())
}

/// Reads the local indexes of a table with these attributes and this key.
pub fn local(
    list: Vec<Stated>,
    attributes: &[KeyAttribute],
    key: &KeySchema,
) -> Result<Vec<LocalIndex>, ApiError> {
    let mut indexes: Vec<LocalIndex> = Vec::with_capacity(list.len());
    for stated in list {
        let index = local_index(stated, attributes, key)?;
        if indexes.iter().any(|known| known.name == index.name) {
            return Err(duplicate(&index.name));
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
    stated: Stated,
    attributes: &[KeyAttribute],
    key: &KeySchema,
) -> Result<LocalIndex, ApiError> {
    let Stated { keys: stated, rest: mut fields } = stated;
    let name = fields.take_text("IndexName").unwrap_or_default();
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
    let projection = take_projection(&mut fields)?;
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
            let mut distinct = BTreeSet::new();
            if let Some(name) = names.iter().find(|name| !distinct.insert(*name)) {
                return Err(invalid_parameter(format!(
                    "Duplicate element in NonKeyAttributes: {name}"
                )));
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

/// Reads the global indexes of a table with these attributes and this billing mode.
pub fn global(
    list: Vec<Stated>,
    attributes: &[KeyAttribute],
    billing: BillingMode,
) -> Result<Vec<GlobalIndexDefinition>, ApiError> {
    let mut indexes: Vec<GlobalIndexDefinition> = Vec::with_capacity(list.len());
    for stated in list {
        let one = global_index(stated, attributes, billing, Asking::Create)?;
        if indexes.iter().any(|known| known.index.name == one.index.name) {
            return Err(duplicate(&one.index.name));
        }
        indexes.push(one);
    }
    if indexes.len() > GLOBAL_INDEXES_MAX {
        return Err(invalid_parameter(format!(
            "GlobalSecondaryIndex count exceeds the per-table limit of {GLOBAL_INDEXES_MAX}"
        )));
    }
    Ok(indexes)
}

/// Says that two indexes have one name.
pub fn duplicate(name: &str) -> ApiError {
    invalid_parameter(format!("Duplicate index name: {name}"))
}

/// Reads one global index of a table with these attributes and this billing mode.
pub fn global_index(
    stated: Stated,
    attributes: &[KeyAttribute],
    billing: BillingMode,
    asking: Asking,
) -> Result<GlobalIndexDefinition, ApiError> {
    let Stated { keys: stated, rest: mut fields } = stated;
    let name = fields.take_text("IndexName").unwrap_or_default();
    let keys = keys::index_keys(&stated, attributes)?;
    let projection = take_projection(&mut fields)?;
    let throughput = settings::throughput(&mut fields)?;
    check_throughput(&name, billing, throughput, asking)?;
    let of = Of::Index(&name);
    let on_demand = settings::some_of(&mut fields, "OnDemandThroughput");
    let on_demand = settings::on_demand(on_demand, billing, Asking::Create, of)?;
    let warm = settings::some_of(&mut fields, "WarmThroughput");
    let at_first = settings::warm_at_first(billing, throughput);
    let warm = settings::warm(warm, at_first, billing, Asking::Create, of)?;
    Ok(GlobalIndexDefinition {
        index: GlobalIndex { name, keys, projection },
        throughput,
        on_demand: on_demand.applied_to(OnDemandMaximum::default()),
        warm,
    })
}

/// Refuses throughput that does not go with the billing mode, in each operation's own words.
fn check_throughput(
    name: &str,
    billing: BillingMode,
    throughput: Option<Throughput>,
    asking: Asking,
) -> Result<(), ApiError> {
    Err(invalid_parameter(match (billing, throughput, asking) {
        (BillingMode::Provisioned, Some(_), _) | (BillingMode::PayPerRequest, None, _) => {
            return Ok(());
        }
        (BillingMode::Provisioned, None, Asking::Create) => {
            format!("ProvisionedThroughput is not specified for index: {name}")
        }
        (BillingMode::Provisioned, None, Asking::Update) => format!(
            "Both ReadCapacityUnits and WriteCapacityUnits must be specified for index: {name}"
        ),
        (BillingMode::PayPerRequest, Some(_), Asking::Create) => format!(
            "ProvisionedThroughput should not be specified for index: {name} when BillingMode is \
             PAY_PER_REQUEST"
        ),
        (BillingMode::PayPerRequest, Some(_), Asking::Update) => format!(
            "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified for index: {name} \
             when BillingMode is PAY_PER_REQUEST"
        ),
    }))
}

/// Takes `Projection`.
pub fn take_projection(fields: &mut Fields) -> Result<IndexProjection, ApiError> {
    let stated = fields.take_fields("Projection");
    stated.map_or_else(|| Err(invalid_parameter("Unknown ProjectionType: null")), projection)
}

/// Refuses indexes that share a name, or that together show more than they may.
pub fn check_together(
    local: &[LocalIndex],
    global: &[GlobalIndexDefinition],
) -> Result<(), ApiError> {
    let twice = global.iter().find(|one| local.iter().any(|known| known.name == one.index.name));
    if let Some(one) = twice {
        return Err(duplicate(&one.index.name));
    }
    let projections = local.iter().map(|index| &index.projection);
    let projections = projections.chain(global.iter().map(|one| &one.index.projection));
    let included: usize = projections
        .map(|projection| match projection {
            IndexProjection::Include(names) => names.len(),
            IndexProjection::All | IndexProjection::KeysOnly => 0,
        })
        .sum();
    if included > INCLUDED_MAX {
        return Err(invalid_parameter(format!(
            "Number of projected attributes in all indexes exceeds limit of {INCLUDED_MAX}"
        )));
    }
    Ok(())
}

/// Refuses an item to put whose index key attributes cannot be keys.
pub fn check_item(definition: &TableDefinition, item: &Item) -> Result<(), WriteFault> {
    for index in &definition.local_indexes {
        index.check(item).map_err(|error| refused(&index.name, error))?;
    }
    for one in &definition.global_indexes {
        one.index.check(item).map_err(|error| refused(&one.index.name, error))?;
    }
    Ok(())
}

/// Words a refused value of an index key.
fn refused(index: &str, error: KeyError) -> WriteFault {
    let empty = |what, key| {
        WriteFault::Request(invalid(format!(
            "One or more parameter values are not valid. A value specified for a secondary index \
             key is not supported. The AttributeValue for a key attribute cannot contain an empty \
             {what} value. IndexName: {index}, IndexKey: {key}"
        )))
    };
    match error {
        KeyError::Mismatch { name, expected, actual } => WriteFault::Key(format!(
            "One or more parameter values were invalid: Type mismatch for Index Key {name} \
             Expected: {expected} Actual: {actual} IndexName: {index}"
        )),
        KeyError::EmptyString(key) => empty("string", key),
        KeyError::EmptyBinary(key) => empty("binary", key),
        KeyError::IndexTooLong { .. } => {
            WriteFault::Request(invalid(format!("{error} IndexName: {index}")))
        }
        KeyError::SortTooLong
        | KeyError::PartitionTooLong
        | KeyError::Missing(_)
        | KeyError::NotTheSchema => error.into(),
    }
}

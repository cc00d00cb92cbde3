//! CreateTable.
//!
//! Tested by the golden transcripts; the order of the checks is the service's.

use meridian_control::region::{ExpectedPolicy, OwnChange};
use meridian_control::table::{
    BillingMode, GlobalIndexDefinition, OnDemandMaximum, TableDefinition,
};
use meridian_model::{KeyAttribute, KeySchema, LocalIndex};
use meridian_wire::{ApiError, Fields};

use crate::backend::{Backend, TableSize};
use crate::context::RequestContext;
use crate::errors::{change, invalid_parameter};
use crate::{describe, indexes, keys, policies, settings, tables, tags, unbuilt};

const UNBUILT: [&str; 3] =
    ["VectorIndexes", "GlobalTableSourceArn", "GlobalTableSettingsReplicationMode"];

/// Answers CreateTable.
pub async fn run(
    backend: &dyn Backend,
    context: &RequestContext,
    mut fields: Fields,
) -> Result<Vec<u8>, ApiError> {
    let name = tables::take_name(&mut fields);
    let definition = definition(&mut fields)?;
    let own = own(&mut fields)?;
    let created = backend.create_table(&name, definition, own).await;
    let table = created.map_err(|error| change(error, &name))?;
    Ok(describe::answer("TableDescription", context, &table, TableSize::default()))
}

fn definition(fields: &mut Fields) -> Result<TableDefinition, ApiError> {
    let billing = settings::billing(fields).unwrap_or(BillingMode::Provisioned);
    let throughput = settings::throughput(fields)?;
    match (billing, throughput) {
        (BillingMode::PayPerRequest, Some(_)) => {
            return Err(invalid_parameter(
                "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when \
                 BillingMode is PAY_PER_REQUEST",
            ));
        }
        (BillingMode::Provisioned, None) => return Err(settings::throughput_required()),
        (BillingMode::PayPerRequest, None) | (BillingMode::Provisioned, Some(_)) => {}
    }
    let attributes = keys::attributes(fields)?;
    let key = key_schema(fields, &attributes)?;
    unbuilt::parameters(fields, &UNBUILT)?;
    let local_indexes = indexes::take_local(fields, &attributes, &key)?;
    let global_indexes = indexes::take_global(fields, &attributes, billing)?;
    indexes::check_together(&local_indexes, &global_indexes)?;
    check_all_used(&attributes, &used(&key, &local_indexes, &global_indexes))?;
    let stream = settings::stream(fields)?.and_then(|stream| stream.view);
    let on_demand = settings::some_of(fields, "OnDemandThroughput");
    let on_demand = settings::on_demand(on_demand, billing, settings::Asking::Create)?;
    let warm = settings::some_of(fields, "WarmThroughput");
    let warm = settings::warm(warm, settings::warm_at_first(billing, throughput))?;
    Ok(TableDefinition {
        attributes,
        key,
        local_indexes,
        global_indexes,
        billing,
        throughput,
        stream,
        class: settings::class(fields),
        deletion_protection: fields.take_flag("DeletionProtectionEnabled").unwrap_or(false),
        on_demand: on_demand.applied_to(OnDemandMaximum::default()),
        warm,
        encryption: settings::encryption(fields)?.applied_to(&None),
        ttl: None,
    })
}

/// The attributes that table and indexes have as keys, each once, in order of their first use; and
/// whether there are indexes.
fn used<'a>(
    key: &'a KeySchema,
    local: &'a [LocalIndex],
    global: &'a [GlobalIndexDefinition],
) -> (Vec<&'a str>, bool) {
    let has_indexes = !local.is_empty() || !global.is_empty();
    let local = local.iter().map(|index| &index.sort);
    let global = global.iter().flat_map(|one| one.index.keys.all());
    let mut names: Vec<&str> = Vec::new();
    for attribute in key.attributes().chain(local).chain(global) {
        if !names.contains(&attribute.name.as_str()) {
            names.push(&attribute.name);
        }
    }
    (names, has_indexes)
}

/// Refuses attributes that are no key of the table or of an index.
fn check_all_used(
    attributes: &[KeyAttribute],
    (used, has_indexes): &(Vec<&str>, bool),
) -> Result<(), ApiError> {
    if attributes.len() == used.len() {
        return Ok(());
    }
    if !has_indexes {
        return Err(invalid_parameter(
            "Number of attributes in KeySchema does not exactly match number of attributes \
             defined in AttributeDefinitions",
        ));
    }
    let defined: Vec<&str> = attributes.iter().map(|attribute| attribute.name.as_str()).collect();
    Err(invalid_parameter(format!(
        "Some AttributeDefinitions are not used. AttributeDefinitions: [{}], keys used: [{}]",
        defined.join(", "),
        used.join(", ")
    )))
}

/// What belongs to this region's copy alone.
fn own(fields: &mut Fields) -> Result<Vec<OwnChange>, ApiError> {
    let mut own = Vec::new();
    let tags = tags::take(fields)?;
    if !tags.is_empty() {
        own.push(OwnChange::Tag(tags));
    }
    if let Some(text) = fields.take_text("ResourcePolicy") {
        policies::check(&text)?;
        own.push(OwnChange::SetPolicy { text, expected: ExpectedPolicy::Any });
    }
    Ok(own)
}

fn key_schema(fields: &mut Fields, attributes: &[KeyAttribute]) -> Result<KeySchema, ApiError> {
    let elements = keys::elements(fields);
    keys::check_elements(&elements, attributes)?;
    let mut found = elements.iter().filter_map(|one| keys::find(attributes, &one.name)).cloned();
    let partition = found.next().expect("at least one key element, and it is defined");
    Ok(KeySchema { partition, sort: found.next() })
}

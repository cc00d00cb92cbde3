//! CreateTable.
//!
//! Tested by the golden transcripts; the order of the checks is the service's.

use meridian_control::region::{ExpectedPolicy, OwnChange};
use meridian_control::table::{BillingMode, OnDemandMaximum, TableDefinition, TableStatus};
use meridian_model::{KeyAttribute, KeySchema};
use meridian_wire::{ApiError, Fields};

use crate::backend::{Backend, TableSize};
use crate::context::RequestContext;
use crate::errors::{change, in_use, invalid_parameter};
use crate::indexes::Stated;
use crate::settings::{Asking, Of};
use crate::{describe, indexes, keys, policies, quotas, settings, tables, tags, unbuilt};

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
    if backend.table(&name).is_some_and(|known| known.status == TableStatus::Creating) {
        return Err(in_use(TableStatus::Creating, &name));
    }
    quotas::check_new(&definition, &context.region)?;
    let created = backend.create_table(&name, definition, own).await;
    let table = created.map_err(|error| change(error, &name))?;
    Ok(describe::answer("TableDescription", context, &table, TableSize::default()))
}

/// Takes the definition of a table out of a request.
pub fn definition(fields: &mut Fields) -> Result<TableDefinition, ApiError> {
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
    let local = indexes::stated(fields, "LocalSecondaryIndexes")?;
    let global = indexes::stated(fields, "GlobalSecondaryIndexes")?;
    check_keys(&attributes, &key, &local, &global)?;
    let local_indexes = indexes::local(local, &attributes, &key)?;
    let global_indexes = indexes::global(global, &attributes, billing)?;
    indexes::check_together(&local_indexes, &global_indexes)?;
    let stream = settings::stream(fields, Asking::Create)?.and_then(|stream| stream.view);
    let on_demand = settings::some_of(fields, "OnDemandThroughput");
    let on_demand = settings::on_demand(on_demand, billing, Asking::Create, Of::Table)?;
    let warm = settings::some_of(fields, "WarmThroughput");
    let at_first = settings::warm_at_first(billing, throughput);
    let warm = settings::warm(warm, at_first, billing, Asking::Create, Of::Table)?;
    Ok(TableDefinition {
        attributes,
        key,
        local_indexes,
        global_indexes,
        billing,
        throughput,
        stream,
        class: settings::class(fields)?,
        deletion_protection: fields.take_flag("DeletionProtectionEnabled").unwrap_or(false),
        on_demand: on_demand.applied_to(OnDemandMaximum::default()),
        warm,
        encryption: settings::encryption(fields)?.applied_to(&None),
        ttl: None,
        overrides: std::collections::BTreeMap::new(),
        scaling: Vec::new(),
    })
}

/// Refuses indexes with keys that are not defined, and attributes that are no key of the table or of
/// an index. This comes before anything else that is to be said of indexes.
fn check_keys(
    attributes: &[KeyAttribute],
    key: &KeySchema,
    local: &[Stated],
    global: &[Stated],
) -> Result<(), ApiError> {
    local.iter().try_for_each(|one| keys::check_elements(&one.keys, attributes))?;
    global.iter().try_for_each(|one| keys::index_keys(&one.keys, attributes).map(drop))?;
    // Each once, in order of their first use.
    let mut used: Vec<&str> = Vec::new();
    let stated = local.iter().chain(global).flat_map(|one| &one.keys).map(|one| &one.name);
    for name in key.attributes().map(|attribute| &attribute.name).chain(stated) {
        if !used.contains(&name.as_str()) {
            used.push(name);
        }
    }
    if attributes.len() == used.len() {
        return Ok(());
    }
    if local.is_empty() && global.is_empty() {
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
        let text = policies::document(&text, false)?;
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

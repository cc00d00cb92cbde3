//! CreateTable.
//!
//! Tested by the golden transcripts; the order of the checks is the service's.

use meridian_control::region::{ExpectedPolicy, OwnChange};
use meridian_control::table::{BillingMode, OnDemandMaximum, TableDefinition};
use meridian_model::{KeyAttribute, KeyKind, KeySchema, LocalIndex};
use meridian_wire::{ApiError, Fields};

use crate::backend::{Backend, TableSize};
use crate::context::RequestContext;
use crate::errors::{change, invalid_parameter};
use crate::{describe, indexes, keys, policies, settings, tables, tags, unbuilt};

const UNBUILT: [&str; 4] = [
    "GlobalSecondaryIndexes",
    "VectorIndexes",
    "GlobalTableSourceArn",
    "GlobalTableSettingsReplicationMode",
];

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
    let attributes = attributes(fields)?;
    let key = key_schema(fields, &attributes)?;
    unbuilt::parameters(fields, &UNBUILT)?;
    let local_indexes = indexes::take_local(fields, &attributes, &key)?;
    check_all_used(&attributes, &key, &local_indexes)?;
    let stream = settings::stream(fields)?.and_then(|stream| stream.view);
    let on_demand = settings::some_of(fields, "OnDemandThroughput");
    let on_demand = settings::on_demand(on_demand, billing, settings::Asking::Create)?;
    let warm = settings::some_of(fields, "WarmThroughput");
    let warm = settings::warm(warm, settings::warm_at_first(billing, throughput))?;
    Ok(TableDefinition {
        attributes,
        key,
        local_indexes,
        billing,
        throughput,
        stream,
        class: settings::class(fields),
        deletion_protection: fields.take_flag("DeletionProtectionEnabled").unwrap_or(false),
        on_demand: on_demand.applied_to(OnDemandMaximum::default()),
        warm,
        encryption: settings::encryption(fields)?.applied_to(&None),
    })
}

/// Refuses attributes that are no key of the table or of an index.
fn check_all_used(
    attributes: &[KeyAttribute],
    key: &KeySchema,
    local_indexes: &[LocalIndex],
) -> Result<(), ApiError> {
    let used = indexes::key_names(key, local_indexes);
    if attributes.len() == used.len() {
        return Ok(());
    }
    if local_indexes.is_empty() {
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

fn attributes(fields: &mut Fields) -> Result<Vec<KeyAttribute>, ApiError> {
    let mut attributes: Vec<KeyAttribute> = Vec::new();
    for node in fields.take_list("AttributeDefinitions").unwrap_or_default() {
        let mut one = node.into_fields();
        let name = one.take_text("AttributeName").unwrap_or_default();
        let kind = one.take_text("AttributeType").unwrap_or_default();
        let kind = KeyKind::from_name(&kind).expect("the constraints allow S, N and B only");
        if attributes.iter().any(|known| known.name == name) {
            return Err(invalid_parameter(format!(
                "Duplicate AttributeName in AttributeDefinitions: {name}"
            )));
        }
        attributes.push(KeyAttribute::new(name, kind));
    }
    Ok(attributes)
}

fn key_schema(fields: &mut Fields, attributes: &[KeyAttribute]) -> Result<KeySchema, ApiError> {
    let elements = keys::elements(fields);
    keys::check_elements(&elements, attributes)?;
    let mut found = elements.iter().filter_map(|one| keys::find(attributes, &one.name)).cloned();
    let partition = found.next().expect("at least one key element, and it is defined");
    Ok(KeySchema { partition, sort: found.next() })
}

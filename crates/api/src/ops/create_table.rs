//! CreateTable.
//!
//! Tested by the golden transcripts; the order of the checks is the service's.

use meridian_control::table::{BillingMode, TableClass, TableDefinition};
use meridian_model::{KeyAttribute, KeyKind, KeySchema};
use meridian_wire::{ApiError, Fields};

use crate::backend::{Backend, TableSize};
use crate::context::RequestContext;
use crate::errors::{change, invalid, invalid_parameter};
use crate::{describe, settings, tables, unbuilt};

const UNBUILT: [&str; 10] = [
    "LocalSecondaryIndexes",
    "GlobalSecondaryIndexes",
    "VectorIndexes",
    "SSESpecification",
    "Tags",
    "WarmThroughput",
    "ResourcePolicy",
    "OnDemandThroughput",
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
    let created = backend.create_table(&name, definition).await;
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
    if attributes.len() != key.attributes().count() {
        return Err(invalid_parameter(
            "Number of attributes in KeySchema does not exactly match number of attributes \
             defined in AttributeDefinitions",
        ));
    }
    let stream = settings::stream(fields)?.and_then(|stream| stream.view);
    let class = fields.take_text("TableClass").map(|class| match class.as_str() {
        "STANDARD" => TableClass::Standard,
        _ => TableClass::StandardInfrequentAccess,
    });
    let deletion_protection = fields.take_flag("DeletionProtectionEnabled").unwrap_or(false);
    Ok(TableDefinition { attributes, key, billing, throughput, stream, class, deletion_protection })
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
    let elements: Vec<(String, String)> = fields
        .take_list("KeySchema")
        .unwrap_or_default()
        .into_iter()
        .map(|node| {
            let mut one = node.into_fields();
            let name = one.take_text("AttributeName").unwrap_or_default();
            (name, one.take_text("KeyType").unwrap_or_default())
        })
        .collect();
    check_elements(&elements, attributes)?;
    let mut keys = elements.iter().filter_map(|(name, _)| find(attributes, name)).cloned();
    let partition = keys.next().expect("at least one key element, and it is defined");
    Ok(KeySchema { partition, sort: keys.next() })
}

fn check_elements(
    elements: &[(String, String)],
    attributes: &[KeyAttribute],
) -> Result<(), ApiError> {
    let undefined = elements.iter().any(|(name, _)| find(attributes, name).is_none());
    let twice = elements.len() == 2 && elements[0].0 == elements[1].0;
    if elements.len() == 2 && (undefined || (twice && attributes.len() == 1)) {
        return Err(invalid("Invalid KeySchema: Some index key attribute have no definition"));
    }
    if undefined {
        let list = |names: Vec<&str>| names.join(", ");
        return Err(invalid_parameter(format!(
            "Some index key attributes are not defined in AttributeDefinitions. Keys: [{}], \
             AttributeDefinitions: [{}]",
            list(elements.iter().map(|(name, _)| name.as_str()).collect()),
            list(attributes.iter().map(|attribute| attribute.name.as_str()).collect()),
        )));
    }
    if twice {
        return Err(invalid(
            "Both the Hash Key and the Range Key element in the KeySchema have the same name",
        ));
    }
    for ((_, kind), (place, wanted)) in
        elements.iter().zip([("first", "HASH"), ("second", "RANGE")])
    {
        if kind != wanted {
            return Err(invalid(format!(
                "Invalid KeySchema: The {place} KeySchemaElement is not a {wanted} key type"
            )));
        }
    }
    Ok(())
}

fn find<'a>(attributes: &'a [KeyAttribute], name: &str) -> Option<&'a KeyAttribute> {
    attributes.iter().find(|attribute| attribute.name == name)
}

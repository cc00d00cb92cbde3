//! Key schemas as CreateTable states them, of tables and of indexes.
//!
//! Tested by the golden transcripts; the texts and their order are the service's.

use meridian_model::{KeyAttribute, KeyAttributes, KeyKind};
use meridian_wire::{ApiError, Fields};

use crate::errors::{invalid, invalid_parameter};

/// One element of a `KeySchema`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// `AttributeName`.
    pub name: String,
    /// `KeyType`.
    pub kind: String,
}

/// Takes `AttributeDefinitions`.
pub fn attributes(fields: &mut Fields) -> Result<Vec<KeyAttribute>, ApiError> {
    let mut attributes: Vec<KeyAttribute> = Vec::new();
    for node in fields.take_list("AttributeDefinitions").unwrap_or_default() {
        let mut one = node.into_fields();
        let name = one.take_text("AttributeName").unwrap_or_default();
        let kind = one.take_text("AttributeType").unwrap_or_default();
        let kind = KeyKind::from_name(&kind).expect("the constraints allow S, N and B only");
        if attributes.iter().any(|known| known.name == name) {
            return Err(invalid(format!("Attribute Name is duplicated: {name}")));
        }
        attributes.push(KeyAttribute::new(name, kind));
    }
    Ok(attributes)
}

/// Takes `KeySchema`.
pub fn elements(fields: &mut Fields) -> Vec<Element> {
    let list = fields.take_list("KeySchema").unwrap_or_default();
    list.into_iter()
        .map(|node| {
            let mut one = node.into_fields();
            let name = one.take_text("AttributeName").unwrap_or_default();
            Element { name, kind: one.take_text("KeyType").unwrap_or_default() }
        })
        .collect()
}

/// Checks that the elements are defined, distinct, and in order.
pub fn check_elements(elements: &[Element], attributes: &[KeyAttribute]) -> Result<(), ApiError> {
    let any_undefined = elements.iter().any(|one| find(attributes, &one.name).is_none());
    let twice = elements.len() == 2 && elements[0].name == elements[1].name;
    if attributes.is_empty() || elements.len() == 2 && any_undefined {
        return Err(invalid("Invalid KeySchema: Some index key attribute have no definition"));
    }
    if any_undefined {
        return Err(undefined(elements, attributes));
    }
    if twice {
        return Err(invalid(
            "Both the Hash Key and the Range Key element in the KeySchema have the same name",
        ));
    }
    for (one, (place, wanted)) in elements.iter().zip([("first", "HASH"), ("second", "RANGE")]) {
        if one.kind != wanted {
            return Err(invalid(format!(
                "Invalid KeySchema: The {place} KeySchemaElement is not a {wanted} key type"
            )));
        }
    }
    Ok(())
}

/// Most attributes of either kind in the key of a global index (AWS: global secondary indexes).
const INDEX_KEYS_MAX: usize = 4;

/// Reads the `KeySchema` of a global index: up to four attributes of either kind, HASH first.
pub fn index_keys(
    stated: &[Element],
    attributes: &[KeyAttribute],
) -> Result<KeyAttributes, ApiError> {
    let hashes = stated.iter().take_while(|one| one.kind == "HASH").count();
    if stated.len() <= 2 && hashes <= 1 {
        check_elements(stated, attributes)?;
    } else {
        check_many(stated, hashes, attributes)?;
    }
    let found = stated.iter().filter_map(|one| find(attributes, &one.name)).cloned();
    let mut partition: Vec<KeyAttribute> = found.collect();
    let sort = partition.split_off(hashes);
    Ok(KeyAttributes { partition, sort })
}

fn check_many(
    elements: &[Element],
    hashes: usize,
    attributes: &[KeyAttribute],
) -> Result<(), ApiError> {
    if elements.iter().any(|one| find(attributes, &one.name).is_none()) {
        return Err(undefined(elements, attributes));
    }
    let (partition, sort) = elements.split_at(hashes);
    if partition.is_empty() {
        return Err(invalid(
            "Invalid KeySchema: The first KeySchemaElement is not a HASH key type",
        ));
    }
    if sort.iter().any(|one| one.kind != "RANGE") {
        return Err(invalid_parameter(
            "All HASH key attributes must precede RANGE key attributes in the KeySchema",
        ));
    }
    let mut names: Vec<&str> = elements.iter().map(|one| one.name.as_str()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(invalid("The KeySchema contains multiple key attributes with the same name"));
    }
    for (kind, count) in [("HASH", partition.len()), ("RANGE", sort.len())] {
        if count > INDEX_KEYS_MAX {
            return Err(invalid_parameter(format!(
                "The KeySchema exceeds the maximum allowed number of {kind} key attributes"
            )));
        }
    }
    Ok(())
}

fn undefined(elements: &[Element], attributes: &[KeyAttribute]) -> ApiError {
    let list = |names: Vec<&str>| names.join(", ");
    invalid_parameter(format!(
        "Some index key attributes are not defined in AttributeDefinitions. Keys: [{}], \
         AttributeDefinitions: [{}]",
        list(elements.iter().map(|one| one.name.as_str()).collect()),
        list(attributes.iter().map(|attribute| attribute.name.as_str()).collect()),
    ))
}

/// Finds the definition of an attribute.
pub fn find<'a>(attributes: &'a [KeyAttribute], name: &str) -> Option<&'a KeyAttribute> {
    attributes.iter().find(|attribute| attribute.name == name)
}

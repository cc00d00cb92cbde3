//! Key schemas as CreateTable states them, of tables and of indexes.
//!
//! Tested by the golden transcripts; the texts and their order are the service's.

use meridian_model::KeyAttribute;
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
    let undefined = elements.iter().any(|one| find(attributes, &one.name).is_none());
    let twice = elements.len() == 2 && elements[0].name == elements[1].name;
    if elements.len() == 2 && (undefined || (twice && attributes.len() == 1)) {
        return Err(invalid("Invalid KeySchema: Some index key attribute have no definition"));
    }
    if undefined {
        let list = |names: Vec<&str>| names.join(", ");
        return Err(invalid_parameter(format!(
            "Some index key attributes are not defined in AttributeDefinitions. Keys: [{}], \
             AttributeDefinitions: [{}]",
            list(elements.iter().map(|one| one.name.as_str()).collect()),
            list(attributes.iter().map(|attribute| attribute.name.as_str()).collect()),
        )));
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

/// Finds the definition of an attribute.
pub fn find<'a>(attributes: &'a [KeyAttribute], name: &str) -> Option<&'a KeyAttribute> {
    attributes.iter().find(|attribute| attribute.name == name)
}

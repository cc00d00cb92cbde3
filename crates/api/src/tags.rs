//! Tags as a request states them. What is wrong with one is told in words of its own, not as a
//! constraint of a member.

use std::collections::BTreeMap;

use meridian_control::region::TAGS_MAX;
use meridian_wire::{ApiError, Fields};

use crate::errors::invalid;

/// Longest key and longest value, characters (AWS: tagging restrictions).
const KEY_CHARS_MAX: usize = 128;
const VALUE_CHARS_MAX: usize = 256;
/// Keys that begin so belong to the service.
const RESERVED: &str = "aws:";

/// Takes `Tags`; the constraints of their lengths are checked already.
pub fn take(fields: &mut Fields) -> Result<BTreeMap<String, String>, ApiError> {
    let mut tags = BTreeMap::new();
    for node in fields.take_list("Tags").unwrap_or_default() {
        let mut tag = node.into_fields();
        let key = tag.take_text("Key");
        check_key(key.as_deref())?;
        let value = tag.take_text("Value");
        if !value.as_ref().is_some_and(|value| is_well_formed(value, VALUE_CHARS_MAX)) {
            let value = value.as_deref().unwrap_or("null");
            return Err(invalid(format!("The Tag Value provided is invalid, Value: {value}")));
        }
        let (key, value) = (key.unwrap_or_default(), value.unwrap_or_default());
        if tags.insert(key.clone(), value).is_some() {
            return Err(invalid(format!(
                "Duplicate Tag Keys provided as input: Duplicate Tag Key found {key}"
            )));
        }
    }
    if tags.len() > TAGS_MAX {
        return Err(too_many());
    }
    Ok(tags)
}

/// Refuses a key that cannot be one, or is the service's own.
pub fn check_key(key: Option<&str>) -> Result<(), ApiError> {
    let Some(key) = key.filter(|key| !key.is_empty() && is_well_formed(key, KEY_CHARS_MAX)) else {
        let key = key.unwrap_or("null");
        return Err(invalid(format!("The Tag Key provided is invalid, Key: {key}")));
    };
    if key.to_ascii_lowercase().starts_with(RESERVED) {
        return Err(invalid(format!("Tag Key cannot be prefixed with {RESERVED}, Key: {key}")));
    }
    Ok(())
}

/// Letters and digits of any script, spaces, and some signs (AWS: tagging restrictions).
fn is_well_formed(text: &str, chars_max: usize) -> bool {
    let fits = |c: char| c.is_alphanumeric() || c == ' ' || "+-=._:/@".contains(c);
    text.chars().count() <= chars_max && text.chars().all(fits)
}

/// Says that a table would have more tags than it may.
pub fn too_many() -> ApiError {
    invalid("Number of Tags exceed the current limit for the provided ResourceArn")
}

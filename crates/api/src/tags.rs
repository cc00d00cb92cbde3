//! Tags as a request states them.

use std::collections::BTreeMap;

use meridian_control::region::TAGS_MAX;
use meridian_wire::{ApiError, Fields};

use crate::errors::invalid_parameter;

/// Keys that begin so belong to the service.
const RESERVED: &str = "aws:";

/// Takes `Tags`; the constraints of their lengths are checked already.
pub fn take(fields: &mut Fields) -> Result<BTreeMap<String, String>, ApiError> {
    let mut tags = BTreeMap::new();
    for node in fields.take_list("Tags").unwrap_or_default() {
        let mut tag = node.into_fields();
        let key = tag.take_text("Key").unwrap_or_default();
        check_key(&key)?;
        let value = tag.take_text("Value").unwrap_or_default();
        if tags.insert(key.clone(), value).is_some() {
            return Err(invalid_parameter(format!("The tag key {key} is given more than once")));
        }
    }
    if tags.len() > TAGS_MAX {
        return Err(too_many());
    }
    Ok(tags)
}

/// Refuses a key of the service's own.
pub fn check_key(key: &str) -> Result<(), ApiError> {
    if key.to_ascii_lowercase().starts_with(RESERVED) {
        return Err(invalid_parameter(format!(
            "The tag key {key} begins with {RESERVED}, which is reserved"
        )));
    }
    Ok(())
}

/// Says that a table would have more tags than it may.
pub fn too_many() -> ApiError {
    invalid_parameter(format!("A table has at most {TAGS_MAX} tags"))
}

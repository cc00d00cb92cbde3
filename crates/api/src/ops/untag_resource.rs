//! UntagResource.

use meridian_control::region::OwnChange;
use meridian_wire::shape::Node;
use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::errors::invalid;
use crate::resources::Asks;
use crate::{resources, tags};

/// Answers UntagResource: an empty body. A key that the table does not have is no error.
pub async fn run(backend: &dyn Backend, mut fields: Fields) -> Result<Vec<u8>, ApiError> {
    let keys = fields.take_list("TagKeys").unwrap_or_default();
    let keys: Vec<String> = keys.into_iter().map(Node::into_text).collect();
    if keys.is_empty() {
        return Err(invalid("Atleast one Tag Key needs to be provided as Input."));
    }
    keys.iter().try_for_each(|key| tags::check_key(Some(key)))?;
    let resource = resources::take(backend, &mut fields, Asks::Tags)?;
    let changed = backend.change_own(&resource.table.name, OwnChange::Untag(keys)).await;
    changed.map_err(|error| resource.refused(error, Asks::Tags))?;
    Ok(Vec::new())
}

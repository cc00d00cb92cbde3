//! UntagResource.

use meridian_control::region::OwnChange;
use meridian_wire::shape::Node;
use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::{resources, tags};

/// Answers UntagResource: an empty body. A key that the table does not have is no error.
pub async fn run(backend: &dyn Backend, mut fields: Fields) -> Result<Vec<u8>, ApiError> {
    let keys = fields.take_list("TagKeys").unwrap_or_default();
    let keys: Vec<String> = keys.into_iter().map(Node::into_text).collect();
    keys.iter().try_for_each(|key| tags::check_key(key))?;
    let (arn, table) = resources::take(backend, &mut fields)?;
    let changed = backend.change_own(&table.name, OwnChange::Untag(keys)).await;
    changed.map_err(|error| resources::refused(error, &arn))?;
    Ok(Vec::new())
}

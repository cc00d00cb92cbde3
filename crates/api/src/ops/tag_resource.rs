//! TagResource.

use meridian_control::region::OwnChange;
use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::errors::invalid;
use crate::resources::Asks;
use crate::{resources, tags};

/// Answers TagResource: an empty body.
pub async fn run(backend: &dyn Backend, mut fields: Fields) -> Result<Vec<u8>, ApiError> {
    let tags = tags::take(&mut fields)?;
    if tags.is_empty() {
        return Err(invalid("Atleast one Tag needs to be provided as Input."));
    }
    let resource = resources::take(backend, &mut fields, Asks::Tags)?;
    let changed = backend.change_own(&resource.table.name, OwnChange::Tag(tags)).await;
    changed.map_err(|error| resource.refused(error, Asks::Tags))?;
    Ok(Vec::new())
}

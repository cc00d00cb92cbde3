//! TagResource.

use meridian_control::region::OwnChange;
use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::{resources, tags};

/// Answers TagResource: an empty body.
pub async fn run(backend: &dyn Backend, mut fields: Fields) -> Result<Vec<u8>, ApiError> {
    let tags = tags::take(&mut fields)?;
    let (arn, table) = resources::take(backend, &mut fields)?;
    let changed = backend.change_own(&table.name, OwnChange::Tag(tags)).await;
    changed.map_err(|error| resources::refused(error, &arn))?;
    Ok(Vec::new())
}

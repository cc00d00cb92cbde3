//! DescribeContinuousBackups.

use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::{backups, tables};

/// Answers DescribeContinuousBackups.
pub async fn run(backend: &dyn Backend, mut fields: Fields) -> Result<Vec<u8>, ApiError> {
    let name = tables::take_name(&mut fields);
    let table = backups::known(backend, &name).ok_or_else(|| backups::not_found(&name))?;
    backups::describe(backend, &table).await
}

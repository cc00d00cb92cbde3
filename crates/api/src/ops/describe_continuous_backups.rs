//! DescribeContinuousBackups.

use meridian_wire::json::Object;
use meridian_wire::{ApiError, Fields};

use crate::backend::Backend;
use crate::tables;

/// Answers DescribeContinuousBackups: point-in-time recovery cannot be turned on yet, so it is off.
/// `ContinuousBackupsStatus` is ENABLED on every table of the service.
pub fn run(backend: &dyn Backend, mut fields: Fields) -> Result<Vec<u8>, ApiError> {
    let name = tables::take_name(&mut fields);
    if backend.table(&name).is_none() {
        return Err(ApiError::TableNotFound(format!("Table not found: {name}")));
    }
    let mut out = Vec::new();
    let mut answer = Object::open(&mut out);
    let mut description = Object::open(answer.key("ContinuousBackupsDescription"));
    description.text("ContinuousBackupsStatus", "ENABLED");
    let mut recovery = Object::open(description.key("PointInTimeRecoveryDescription"));
    recovery.text("PointInTimeRecoveryStatus", "DISABLED");
    recovery.close();
    description.close();
    answer.close();
    Ok(out)
}

//! Finds the table that a `ResourceArn` names.

use std::sync::Arc;

use meridian_control::region::TableRecord;
use meridian_wire::{ApiError, Fields, table_name};

use crate::backend::{Backend, ChangeError};
use crate::errors::{change, invalid};
use crate::policies;

/// Takes `ResourceArn` out of a request; returns it and the table that it names.
pub fn take(
    backend: &dyn Backend,
    fields: &mut Fields,
) -> Result<(String, Arc<TableRecord>), ApiError> {
    let arn = fields.take_text("ResourceArn").unwrap_or_default();
    let name = table_name(&arn);
    if name == arn {
        return Err(invalid(format!(
            "Invalid TableArn: Invalid ResourceArn provided as input {arn}"
        )));
    }
    let table = backend.table(name).ok_or_else(|| not_found(&arn))?;
    Ok((arn, table))
}

/// Words a refused change of the table that `arn` names.
pub fn refused(error: ChangeError, arn: &str) -> ApiError {
    match change(error, table_name(arn)) {
        ApiError::ResourceNotFound(_) => not_found(arn),
        ApiError::PolicyNotFound(_) => policies::not_found(arn),
        other => other,
    }
}

/// The spelling is the service's.
fn not_found(arn: &str) -> ApiError {
    ApiError::ResourceNotFound(format!("Requested resource not found: ResourcArn: {arn} not found"))
}

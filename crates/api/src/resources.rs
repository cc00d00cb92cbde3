//! Finds the table that a `ResourceArn` names.
//!
//! Any region is taken: after a region was left, programs still name it.
//!
//! Tested by `tags.txt` and `resource_policy.txt`.

use std::sync::Arc;

use meridian_control::region::TableRecord;
use meridian_wire::{ApiError, Fields, table_name};

use crate::backend::{Backend, ChangeError};
use crate::errors::{change, invalid_parameter, table_not_found};
use crate::policies;

/// What is asked about the resource: each kind says in its own words that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// Tags.
    Tags,
    /// Its policy.
    Policy,
}

/// Takes `ResourceArn` out of a request; returns it and the table that it names.
pub fn take(
    backend: &dyn Backend,
    fields: &mut Fields,
    asks: Asks,
) -> Result<(String, Arc<TableRecord>), ApiError> {
    let arn = fields.take_text("ResourceArn").unwrap_or_default();
    if !arn.starts_with("arn:") {
        return Err(invalid_parameter(format!("ARNs must start with 'arn:': {arn}")));
    }
    let name = table_name(&arn);
    match name.split_once('/') {
        None if name == arn => return Err(foreign(&arn)),
        Some((_, rest)) if rest.starts_with("backup/") => return Err(foreign(&arn)),
        Some(_) => {
            return Err(invalid_parameter(format!(
                "Invalid resource arn provided, only table or stream is accepted. Provided \
                 resource arn: {arn}"
            )));
        }
        None => {}
    }
    let table = backend.table(name).ok_or_else(|| not_found(&arn, asks))?;
    Ok((arn, table))
}

/// Words a refused change of the table that `arn` names.
pub fn refused(error: ChangeError, arn: &str, asks: Asks) -> ApiError {
    match change(error, table_name(arn)) {
        ApiError::ResourceNotFound(_) => not_found(arn, asks),
        ApiError::PolicyNotFound(_) => policies::not_found(arn),
        other => other,
    }
}

fn foreign(arn: &str) -> ApiError {
    invalid_parameter(format!("Provided Arn is not a DynamoDB resource arn: {arn}"))
}

fn not_found(arn: &str, asks: Asks) -> ApiError {
    match asks {
        Asks::Policy => table_not_found(table_name(arn)),
        Asks::Tags => ApiError::ResourceNotFound(format!(
            "Requested resource not found: ResourceArn: {arn} not found"
        )),
    }
}

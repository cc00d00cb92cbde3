//! What the service has and this server does not have yet: refused, never pretended.
//!
//! `docs/compatibility.md` lists the same.

use meridian_wire::{ApiError, Fields, Operation};

/// Refuses an operation.
pub fn operation(operation: Operation) -> ApiError {
    ApiError::Validation(format!(
        "The operation {} is not supported by this server.",
        operation.name()
    ))
}

/// Refuses a request that uses one of the named parameters.
pub fn parameters(fields: &Fields, names: &[&str]) -> Result<(), ApiError> {
    match names.iter().find(|name| fields.has(name)) {
        None => Ok(()),
        Some(name) => Err(parameter(name)),
    }
}

/// Refuses a parameter.
pub fn parameter(name: &str) -> ApiError {
    ApiError::Validation(format!("The parameter {name} is not supported by this server."))
}

//! DynamoDB's wire format: JSON, attribute values, request shapes, errors and signatures.
//!
//! # Invariants
//!
//! - Nothing here knows HTTP: signatures take parts of a request as strings, errors name a fault.
//! - Bytes from a client never panic, never recurse without bound.
//!
//! Tested beside the code; every golden transcript goes through here.

pub mod arn;
pub mod error;
pub mod json;
pub mod operation;
pub mod shape;
pub mod sigv4;
pub mod value;

pub use arn::table_name;
pub use error::{ApiError, CancellationReason, Fault, Retry, ThrottlingReason};
pub use operation::Operation;
pub use shape::{Checked, Fields, Node};
pub use value::{ValueFault, Wording, write_item, write_value};

impl From<shape::ReadError> for ApiError {
    fn from(error: shape::ReadError) -> Self {
        match error {
            shape::ReadError::Malformed => ApiError::Serialization(None),
            shape::ReadError::Type(text) => ApiError::Serialization(Some(text)),
        }
    }
}

/// Reads the body of an operation and holds it to the operation's constraints.
pub fn read_request(operation: Operation, body: &[u8]) -> Result<Fields, ApiError> {
    let fields = shape::read_input(operation, body)?;
    shape::check(&fields)?;
    Ok(fields)
}

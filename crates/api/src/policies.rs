//! Resource policies as a request states them: kept and shown, never evaluated.

use meridian_control::region::ExpectedPolicy;
use meridian_wire::{ApiError, Fields};

use crate::errors::{invalid, invalid_parameter};

/// Largest document, bytes (AWS: PutResourcePolicy).
const POLICY_BYTES_MAX: usize = 20 * 1024;
/// What `ExpectedRevisionId` says of a table without policy (AWS: PutResourcePolicy).
const NO_POLICY: &str = "NO_POLICY";

/// Checks a document: JSON, an object, of at most 20 KB.
pub fn check(text: &str) -> Result<(), ApiError> {
    if text.len() > POLICY_BYTES_MAX {
        return Err(invalid_parameter(format!(
            "Maximum policy size of {POLICY_BYTES_MAX} bytes exceeded"
        )));
    }
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text) {
        Ok(_) => Ok(()),
        Err(_) => {
            Err(invalid_parameter("Invalid policy document: This policy contains invalid Json"))
        }
    }
}

/// Takes `ExpectedRevisionId`. `NO_POLICY` is for PutResourcePolicy alone.
pub fn expected(fields: &mut Fields, may_be_absent: bool) -> Result<ExpectedPolicy, ApiError> {
    let Some(text) = fields.take_text("ExpectedRevisionId") else { return Ok(ExpectedPolicy::Any) };
    if text == NO_POLICY && may_be_absent {
        return Ok(ExpectedPolicy::Absent);
    }
    let number = text.parse().map(ExpectedPolicy::Revision);
    number.map_err(|_| invalid(format!("Invalid ExpectedRevisionId: {text}")))
}

/// Says that there is no policy, or not the one that was expected.
pub fn not_found(arn: &str) -> ApiError {
    ApiError::PolicyNotFound(format!(
        "Resource-based policy not found for the provided ResourceArn: {arn}"
    ))
}

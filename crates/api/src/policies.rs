//! Resource policies as a request states them: kept and shown, never evaluated.

use meridian_control::region::ExpectedPolicy;
use meridian_wire::{ApiError, Fields};
use serde_json::Value;

use crate::errors::{invalid, invalid_parameter};

/// Largest document, bytes (AWS: PutResourcePolicy).
const POLICY_BYTES_MAX: usize = 20 * 1024;
/// What `ExpectedRevisionId` says of a table without policy (AWS: PutResourcePolicy).
const NO_POLICY: &str = "NO_POLICY";

/// Checks a document: JSON, an object, of at most 20 KB. Returns it as it is kept: without spaces
/// between its parts.
pub fn document(text: &str) -> Result<String, ApiError> {
    if text.len() > POLICY_BYTES_MAX {
        return Err(invalid_parameter(format!(
            "Maximum policy size of {POLICY_BYTES_MAX} bytes exceeded"
        )));
    }
    let wrong = |what: &str| invalid_parameter(format!("Invalid policy document: {what}"));
    let document = serde_json::from_str::<serde_json::Map<String, Value>>(text)
        .map_err(|_| wrong("This policy contains invalid Json"))?;
    let statements = match document.get("Statement") {
        Some(Value::Array(statements)) if statements.is_empty() => {
            return Err(wrong("Could not parse the policy: Statement is empty!"));
        }
        Some(Value::Array(statements)) => statements.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    let names_resource = |statement: &Value| {
        ["Resource", "NotResource"].iter().any(|name| statement.get(name).is_some())
    };
    if !statements.iter().all(names_resource) {
        return Err(wrong("Missing required field Resource"));
    }
    Ok(compact(text))
}

/// Leaves out the spaces outside strings.
fn compact(json: &str) -> String {
    let (mut in_string, mut is_escaped) = (false, false);
    let is_kept = |c: &char| {
        let kept = in_string || !c.is_ascii_whitespace();
        if *c == '"' && !is_escaped {
            in_string = !in_string;
        }
        is_escaped = in_string && *c == '\\' && !is_escaped;
        kept
    };
    json.chars().filter(is_kept).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_go_but_those_in_strings() {
        let text = "{ \"a b\" :\n [ \"\\\" x\", \"\\\\\" ] }";
        assert_eq!(compact(text), r#"{"a b":["\" x","\\"]}"#);
    }
}

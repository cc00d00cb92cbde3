//! Resource policies as a request states them: kept and shown, never evaluated.

use std::collections::BTreeSet;

use meridian_control::region::ExpectedPolicy;
use meridian_wire::{ApiError, Fields};
use serde_json::Value;

use crate::errors::{invalid, invalid_parameter};

/// Largest document, bytes (AWS: PutResourcePolicy).
const POLICY_BYTES_MAX: usize = 20 * 1024;
/// What `ExpectedRevisionId` says of a table without policy (AWS: PutResourcePolicy).
const NO_POLICY: &str = "NO_POLICY";

/// Actions that a policy of a table can be about (AWS: operations supported by resource-based policies).
const TABLE_ACTIONS: [&str; 38] = [
    "BatchGetItem",
    "BatchWriteItem",
    "CreateBackup",
    "DeleteItem",
    "DeleteResourcePolicy",
    "DeleteTable",
    "DescribeContinuousBackups",
    "DescribeContributorInsights",
    "DescribeKinesisStreamingDestination",
    "DescribeTable",
    "DescribeTableReplicaAutoScaling",
    "DescribeTimeToLive",
    "DisableKinesisStreamingDestination",
    "EnableKinesisStreamingDestination",
    "ExportTableToPointInTime",
    "GetItem",
    "GetResourcePolicy",
    "ListTagsOfResource",
    "PartiQLDelete",
    "PartiQLInsert",
    "PartiQLSelect",
    "PartiQLUpdate",
    "PutItem",
    "PutResourcePolicy",
    "Query",
    "RestoreTableToPointInTime",
    "Scan",
    "TagResource",
    "TransactGetItems",
    "TransactWriteItems",
    "UntagResource",
    "UpdateContinuousBackups",
    "UpdateContributorInsights",
    "UpdateItem",
    "UpdateKinesisStreamingDestination",
    "UpdateTable",
    "UpdateTableReplicaAutoScaling",
    "UpdateTimeToLive",
];
/// Those that only a policy of a stream can be about.
const STREAM_ACTIONS: [&str; 3] = ["DescribeStream", "GetRecords", "GetShardIterator"];

/// Checks a document of a table, or of a stream: JSON, an object, of at most 20 KB, with statements that
/// the service takes. Returns it as it is kept: without spaces between its parts.
pub fn document(text: &str, is_of_stream: bool) -> Result<String, ApiError> {
    if text.len() > POLICY_BYTES_MAX {
        return Err(invalid_parameter(format!(
            "Maximum policy size of {POLICY_BYTES_MAX} bytes exceeded"
        )));
    }
    let kept = compact(text);
    if kept == "null" {
        return Err(wrong("This text appears not to be a policy"));
    }
    let document = serde_json::from_str::<serde_json::Map<String, Value>>(text)
        .map_err(|_| wrong("This policy contains invalid Json"))?;
    if document.is_empty() {
        return Err(wrong("Syntax error at position (1,3)"));
    }
    let statements = match document.get("Statement") {
        Some(Value::Array(statements)) if statements.is_empty() => {
            return Err(wrong("Could not parse the policy: Statement is empty!"));
        }
        Some(Value::Array(statements)) => statements.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    statements.iter().try_for_each(check_fields)?;
    check_ids(statements)?;
    check_actions(statements, is_of_stream)?;
    if statements.iter().any(is_unbounded) {
        return Err(invalid(
            "Resource-based policy grants unbounded access in one or more elements. Please revise the \
             policy to ensure least-privilege form of access",
        ));
    }
    Ok(kept)
}

fn wrong(what: &str) -> ApiError {
    invalid_parameter(format!("Invalid policy document: {what}"))
}

fn check_fields(statement: &Value) -> Result<(), ApiError> {
    let has = |names: &[&str]| names.iter().any(|name| statement.get(name).is_some());
    if !has(&["Effect"]) {
        return Err(wrong("Missing required field Effect"));
    }
    if !has(&["Resource", "NotResource"]) {
        return Err(wrong("Missing required field Resource"));
    }
    Ok(())
}

fn check_ids(statements: &[Value]) -> Result<(), ApiError> {
    let mut known = BTreeSet::new();
    let mut ids = statements.iter().filter_map(|statement| statement.get("Sid")?.as_str());
    if ids.all(|id| known.insert(id)) {
        return Ok(());
    }
    Err(wrong("The Statement Ids in the policy are not unique"))
}

/// Refuses actions of the service that no policy of a table, or of a stream, can be about. Those that
/// stand for several, and those of other services, are not looked at.
fn check_actions(statements: &[Value], is_of_stream: bool) -> Result<(), ApiError> {
    let named = statements.iter().flat_map(|statement| {
        let lists = ["Action", "NotAction"].into_iter().filter_map(|name| statement.get(name));
        lists.flat_map(texts)
    });
    let is_known = |action: &str| {
        let of_stream = STREAM_ACTIONS.iter().filter(|_| is_of_stream);
        TABLE_ACTIONS.iter().chain(of_stream).any(|known| known.eq_ignore_ascii_case(action))
    };
    let invalid: Vec<String> = named
        .filter(|action| match action.split_once(':') {
            Some(("dynamodb", name)) => !name.contains(['*', '?']) && !is_known(name),
            Some(_) | None => false,
        })
        .map(|action| format!("\"{action}\""))
        .collect();
    if invalid.is_empty() {
        return Ok(());
    }
    Err(wrong(&format!("The following action names are invalid: {}", invalid.join(", "))))
}

/// True for what lets everybody in, without any condition.
fn is_unbounded(statement: &Value) -> bool {
    let allows = statement.get("Effect").and_then(Value::as_str) == Some("Allow");
    let principal = statement.get("Principal");
    let anybody =
        principal.and_then(|one| if one.is_string() { Some(one) } else { one.get("AWS") });
    let is_anybody = anybody.is_some_and(|who| texts(who).contains(&"*"));
    allows && is_anybody && statement.get("Condition").is_none()
}

/// A text, or the texts of a list.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
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

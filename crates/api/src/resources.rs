//! Finds the table, or the stream of one, that a `ResourceArn` names.
//!
//! Any region of the cluster is taken: after a region was left, programs still name it.
//!
//! Tested by `tags.txt` and `resource_policy.txt`.

use std::sync::Arc;

use meridian_control::region::{ResourcePolicy, TableRecord};
use meridian_wire::arn::{arn_region, is_of_other_account};
use meridian_wire::{ApiError, Fields, table_name};

use crate::backend::{Backend, ChangeError};
use crate::errors::{change, invalid, invalid_parameter, table_not_found};
use crate::policies;

/// What is asked about the resource: each kind says in its own words that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// Tags.
    Tags,
    /// Its policy.
    Policy,
}

/// What an ARN names.
pub struct Resource {
    /// The ARN, as it was given.
    pub arn: String,
    /// The table.
    pub table: Arc<TableRecord>,
    /// The label of the table's stream, where it is the stream that is named.
    pub stream: Option<String>,
}

/// Takes `ResourceArn` out of a request. Streams have policies and no tags.
pub fn take(backend: &dyn Backend, fields: &mut Fields, asks: Asks) -> Result<Resource, ApiError> {
    let arn = fields.take_text("ResourceArn").unwrap_or_default();
    if !arn.starts_with("arn:") {
        return Err(invalid_parameter(format!("ARNs must start with 'arn:': {arn}")));
    }
    if arn_region(&arn).is_some_and(|region| !backend.has_region(region)) {
        return Err(match asks {
            Asks::Tags => {
                invalid(format!("Invalid TableArn: Invalid ResourceArn provided as input {arn}"))
            }
            Asks::Policy => invalid_parameter(format!("Invalid resource Arn: {arn}")),
        });
    }
    if matches!(asks, Asks::Policy) && is_of_other_account(&arn) {
        return Err(invalid(
            "This action is only supported by accounts that match the resource owner’s account.",
        ));
    }
    let (name, stream) = match table_name(&arn).split_once('/') {
        None if table_name(&arn) == arn => return Err(foreign(&arn)),
        None => (table_name(&arn), None),
        Some((_, rest)) if rest.starts_with("backup/") => return Err(foreign(&arn)),
        Some((name, rest)) => match (rest.strip_prefix("stream/"), asks) {
            (Some(label), Asks::Policy) => (name, Some(label.to_owned())),
            (Some(_), Asks::Tags) | (None, _) => {
                return Err(invalid_parameter(format!(
                    "Invalid resource arn provided, only table or stream is accepted. Provided \
                     resource arn: {arn}"
                )));
            }
        },
    };
    let table = backend.table(name).ok_or_else(|| not_found(&arn, name, asks))?;
    if let Some(label) = &stream
        && !table.streams.iter().any(|known| known.label() == *label)
    {
        return Err(ApiError::ResourceNotFound(format!(
            "Requested resource not found: Stream: {label} not found for Table: {name}"
        )));
    }
    Ok(Resource { arn, table, stream })
}

impl Resource {
    /// Words a refused change of it.
    pub fn refused(&self, error: ChangeError, asks: Asks) -> ApiError {
        match change(error, &self.table.name) {
            ApiError::ResourceNotFound(_) => not_found(&self.arn, &self.table.name, asks),
            ApiError::PolicyNotFound(_) => policies::not_found(&self.arn),
            other => other,
        }
    }

    /// Its policy.
    pub fn policy(&self) -> Option<&ResourcePolicy> {
        self.table.own.policy_of(self.stream.as_deref())
    }
}

fn foreign(arn: &str) -> ApiError {
    invalid_parameter(format!("Provided Arn is not a DynamoDB resource arn: {arn}"))
}

fn not_found(arn: &str, table: &str, asks: Asks) -> ApiError {
    match asks {
        Asks::Policy => table_not_found(table),
        Asks::Tags => ApiError::ResourceNotFound(format!(
            "Requested resource not found: ResourceArn: {arn} not found"
        )),
    }
}
